"""From a target's folder to a ``Target``: finding it by name or path, reading ``target.yaml``, checking it through.

Templates are checked with the default settings, so that an unknown ``{name}`` is found when the target is loaded, with its
line, and not when a node fails to start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.experiment.source import parse, read_text
from chaos.experiment.target.check import check
from chaos.experiment.target.spec import TARGET, Target

FILE: Final = "target.yaml"
MOST_NAME: Final = 1000


# --- finding -----------------------------------------------------------------------------------------------------------


def search_path() -> list[Path]:
    """The folders in which a target is looked for by its name, first match wins; only those that exist."""
    package = Path(__file__).resolve().parents[2]
    extra = [Path(one) for one in os.environ.get("NINES_TARGETS", "").split(os.pathsep) if one]
    folders = [Path("targets"), *extra, package.parent / "targets", package / "_shipped" / "targets"]
    return [folder for folder in folders if folder.is_dir()]


def known_targets() -> list[Target]:
    """Every target that can be named, sorted by name; one that does not load raises ``BadInput``."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for file in sorted(folder.glob(f"*/{FILE}")):
            found.setdefault(file.parent.name, file.parent)
    return [_load(found[name]) for name in sorted(found)]


def load_target(name_or_path: str, *, beside: Path | None = None, place: Place | None = None) -> Target:
    """A target by name, or by the path of its folder, relative to the folder ``beside`` (the experiment's) or the current one.

    ``place`` is where the name is written, for the message if there is no such target.
    """
    if len(name_or_path) > MOST_NAME or "\0" in name_or_path:
        raise BadInput(
            f"'{name_or_path}' is neither the name nor the path of a target", place=place, right="such as replicated_kv, or ./shelf"
        )
    named = Path(name_or_path)
    if len(named.parts) == 1 and not name_or_path.startswith("."):
        for folder in search_path():
            if (folder / named / FILE).is_file():
                return _load(folder / named)
    tried = [base / named for base in ([beside] if beside else []) + [Path()]]
    for path in tried:
        try:
            if path.name == FILE and path.is_file():
                return _load(path.parent)
            if (path / FILE).is_file():
                return _load(path)
        except OSError as error:
            raise BadInput(f"'{name_or_path}' cannot be looked at: {error.strerror}", place=place) from error
    if len(named.parts) > 1 or name_or_path.startswith("."):
        raise BadInput(f"there is no {FILE} in '{name_or_path}'", place=place, right="the path of a folder that holds one")
    names = sorted({file.parent.name for folder in search_path() for file in folder.glob(f"*/{FILE}")})
    raise BadInput(f"unknown target '{name_or_path}'", place=place, right=suggest(name_or_path, names) if names else "a path to a folder")


# --- reading -----------------------------------------------------------------------------------------------------------


def _load(folder: Path) -> Target:
    file = folder / FILE
    return parse_target(read_text(file), str(file), folder)


def parse_target(content: str, file: str, folder: Path) -> Target:
    """The target from the text of its ``target.yaml``."""
    root = parse(content, file)
    target = msgspec.structs.replace(TARGET.read(root), folder=str(folder.resolve()))
    check(root, target)
    return target
