"""Which version of the system under test a run meets: what the user calls it, else a hash of what its target is made of.

    --system-version, or NINES_SYSTEM_VERSION    any word, such as the commit
    else                                         sha256 of the files in the target's folder, and of the programs that nodes are started from

Images have an identity of their own, which only the engine knows: a run notes it as it begins (``SystemSeen``), ``with_images`` adds it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput
from chaos.experiment.target.spec import Target

VARIABLE: Final = "NINES_SYSTEM_VERSION"
DIGITS: Final = 12
LONGEST: Final = 100
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+:@-]*")
_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})
_CHUNK_BYTES: Final = 1 << 20
UNKNOWN: Final = ""
"""Of a system that runs already, and whose containers nobody has looked at yet."""


def system_version(target: Target, given: str | None, *, here: bool) -> str:
    """The version; ``given`` wins. ``here``: nodes are processes of this machine. ``BadInput`` for a word that is none."""
    word = os.environ.get(VARIABLE, "") if given is None else given
    if word:
        if len(word) > LONGEST or not _WORD.fullmatch(word):
            right = f"at most {LONGEST} letters, digits and . _ / + : @ -, such as the commit"
            raise BadInput(f"'{word}' is not a version of a system", right=right)
        return word
    return _digest(target, here) if target.folder else UNKNOWN


def with_images(version: str, given: bool, images: Mapping[str, str]) -> str:
    """The same with the images that the nodes were made of; a version that the user gave stands as it is."""
    if given or not images:
        return version
    whole = hashlib.sha256("\n".join([version, *(f"{name}={images[name]}" for name in sorted(images))]).encode())
    return whole.hexdigest()[:DIGITS]


def _digest(target: Target, here: bool) -> str:
    whole = hashlib.sha256()
    folder = Path(target.folder)
    for name, path in [*_files(folder), *(_programs(target) if here else ())]:
        whole.update(name.encode(errors="surrogateescape") + b"\0")
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    whole.update(chunk)
        except OSError:
            whole.update(b"unreadable")
        whole.update(b"\0")
    return whole.hexdigest()[:DIGITS]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in _SKIPPED for part in parts) or path.suffix == ".pyc" or not path.is_file():
            continue
        yield "/".join(parts), path


def _programs(target: Target) -> Iterator[tuple[str, Path]]:
    """What is started from elsewhere on this machine: a server on PATH is as much of the system as the target's files."""
    for name, part in sorted(target.parts.items()):
        program = part.local.command[0] if part.local is not None and part.local.command else ""
        found = shutil.which(program) if program and "{" not in program else None
        if found:
            yield f"{name}:{program}", Path(found)
