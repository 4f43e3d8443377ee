"""The harness's own image, built from the code that runs: what stands in containers is never another version.

Its few run-time packages are copied from where this process imports them, if their wheels fit the image's Python; else fetched
by pip for that Python. Nothing is downloaded inside the build, and the image needs no pip.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine.connection import Engine
from chaos.engine.images.build import (
    KEEP,
    Entry,
    Note,
    Recipe,
    build,
    cache_dir,
    digest,
    fingerprint,
    folder_entries,
    image_id,
    one_at_a_time,
    prune,
    want,
)
from chaos.engine.question import ask
from chaos.net.toxiproxy.program import find

REPOSITORY: Final = "nines-harness"
NEEDS: Final = ("msgspec", "dnslib", "dnspython")
"""What agent, prober and name server import beside the standard library."""
PACKAGES: Final = ("agent", "core", "dns", "experiment", "history", "query", "traffic")
"""Of this package, what prober and name server are made of; no other edit makes another image."""
OLDEST_PYTHON: Final = (3, 11)
_GLIBCS: Final = ("2014", "_2_17", "_2_24", "_2_28", "_2_34")
_FETCH_TIMEOUT_S: Final = 180.0
_ASK: Final = "import json, platform, sys; print(json.dumps({'version': list(sys.version_info[:2]), 'machine': platform.machine()}))"


class Python(msgspec.Struct, frozen=True):
    """The interpreter of an image."""

    version: tuple[int, int]
    machine: str


def ensure_harness(engine: Engine, base: str, note: Note) -> str:
    """The name of an image with our code for containers in it; the tag changes exactly when any of its parts does."""
    base_id = image_id(engine, base)
    assert base_id is not None, f"{base} was there a moment ago"
    code = code_entries()
    toxiproxy = Path(find(build=True, note=note).path).read_bytes()
    version = importlib.metadata.version("chaos-nines")
    dockerfile = (files("chaos") / "docker_files" / "harness.Dockerfile").read_text(encoding="utf-8")
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in NEEDS]
    tag = f"{REPOSITORY}:{version}-{digest(dockerfile, base_id, fingerprint(code), toxiproxy, *versions)}"
    want(tag)
    if image_id(engine, tag) is not None:
        return tag
    python = python_of(engine, base)
    if python.version < OLDEST_PYTHON:
        raise EnvironmentUnusable(
            f"the base image {base} has Python {python.version[0]}.{python.version[1]}, needed is 3.11 or newer",
            how="unset NINES_BASE_IMAGE, or name a newer one",
        )
    entries = (Entry("toxiproxy-server", toxiproxy, 0o755), *site_entries(python, note), *code)
    build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="harness", args={"BASE": base}), note)
    prune(engine, "harness", REPOSITORY, KEEP)
    return tag


def code_entries() -> tuple[Entry, ...]:
    """The files of our own that go in: the agent in a folder of its own, since it imports nothing of the package."""
    ours = Path(__file__).parents[2]
    packages = (entry for name in PACKAGES for entry in folder_entries(ours / name, f"chaos/{name}", (".py",)))
    return (Entry("chaos/__init__.py", (ours / "__init__.py").read_bytes()), *packages, *folder_entries(ours / "agent", "agent", (".py",)))


def python_of(engine: Engine, image: str) -> Python:
    """What Python an image has, by asking it."""
    said = ask(engine, image, ["python3", "-c", _ASK], why=f"asking {image} for its Python")
    if said.status:
        raise EnvironmentUnusable(
            f"the base image {image} has no python3 that runs: {said.err.strip()}", how="name another: NINES_BASE_IMAGE"
        )
    answer = json.loads(said.out)
    return Python(version=(answer["version"][0], answer["version"][1]), machine=answer["machine"])


# --- packages ----------------------------------------------------------------------------------------------------------


def site_entries(python: Python, note: Note, names: Sequence[str] = NEEDS) -> tuple[Entry, ...]:
    """The files of the run-time packages for that Python, below ``site/``."""
    found: list[Entry] = []
    for name in names:
        distribution = importlib.metadata.distribution(name)
        if fits(distribution.read_text("WHEEL") or "", python):
            found += _installed(distribution)
        else:
            found += _fetched(f"{name}=={distribution.version}", python, note)
    return tuple(found)


def fits(wheel: str, python: Python) -> bool:
    """Whether an installed wheel (its ``WHEEL`` file, PEP 427) can be copied to that Python: pure, or for it and any Linux."""
    for line in wheel.splitlines():
        key, _, tag = line.partition(": ")
        if key != "Tag" or tag.count("-") != 2:
            continue
        interpreter, _, system = tag.split("-")
        if interpreter in ("py3", "py2.py3") and system == "any":
            return True
        # A wheel without "manylinux" was compiled here and may need this machine's own, newer libraries.
        exact = interpreter == f"cp{python.version[0]}{python.version[1]}"
        if exact and system.startswith("manylinux") and system.endswith(python.machine):
            return True
    return False


def _installed(distribution: importlib.metadata.Distribution) -> list[Entry]:
    out = []
    for path in sorted(distribution.files or ()):
        name = path.as_posix()
        # Scripts lie outside the packages' folder; byte code is made anew in the image.
        if name.startswith("..") or name.endswith(".pyc"):
            continue
        located = Path(str(path.locate()))
        if located.is_file():
            out.append(Entry(f"site/{name}", located.read_bytes()))
    if not out:
        raise EnvironmentUnusable(
            f"the files of the package {distribution.name} are not listed", how=f"pip install --force-reinstall {distribution.name}"
        )
    return out


def _fetched(requirement: str, python: Python, note: Note) -> list[Entry]:
    wanted = f"{python.version[0]}.{python.version[1]}"
    folder = cache_dir() / "wheels" / f"{wanted}-{python.machine}" / requirement
    with one_at_a_time(f"wheel-{requirement}-{wanted}-{python.machine}"):
        if not list(folder.glob("*.whl")):
            note(f"fetching {requirement} for Python {wanted}")
            _fetch(requirement, wanted, python.machine, folder)
    out = []
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            out += [Entry(f"site/{name}", archive.read(name)) for name in sorted(archive.namelist()) if not name.endswith("/")]
    return out


def _fetch(requirement: str, version: str, machine: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    platforms = [option for glibc in _GLIBCS for option in ("--platform", f"manylinux{glibc}_{machine}")]
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", version, *platforms, "--dest", draft, requirement]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"{requirement} could not be fetched for the Python {version} of the base image: {last_words(error)}",
                how=f"a base image with the Python that runs Nines ({sys.version_info[0]}.{sys.version_info[1]}): set NINES_BASE_IMAGE;"
                " or give this environment pip and a way to a package index",
            ) from error
        shutil.copytree(draft, folder, dirs_exist_ok=True)
