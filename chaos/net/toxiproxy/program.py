"""Finding the Toxiproxy server program, or getting it: ``python -m chaos.net.toxiproxy.program`` prints its path.

    1  $NINES_TOXIPROXY                                       what it names, or an error
    2  toxiproxy-server on PATH                               if it is new enough
    3  ~/.cache/nines/toxiproxy-server-2.12.0                 ($XDG_CACHE_HOME) what an earlier step 4 or 5 left there
    4  go install github.com/Shopify/toxiproxy/v2/...@v2.12.0 built into the cache
    5  the image of the same version                          taken out of it by Docker, into the cache

No package of PyPI or npm carries the program. A copy enters the cache in one move, after it has told its version. Built by
``go install`` it calls itself ``git``; its true version is then read from the build information that Go writes into every
program (``mod github.com/Shopify/toxiproxy/v2 v2.12.0``), without needing Go.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.programs import last_words
from chaos.net.toxiproxy.state import OLDEST, version_numbers

VERSION: Final = "2.12.0"
PROGRAM: Final = "toxiproxy-server"
MODULE: Final = "github.com/Shopify/toxiproxy/v2"
IMAGE: Final = f"ghcr.io/shopify/toxiproxy:{VERSION}"
IN_IMAGE: Final = "/toxiproxy"
ENVIRONMENT: Final = "NINES_TOXIPROXY"
BUILD_TIMEOUT_S: Final = 600.0
PULL_TIMEOUT_S: Final = 300.0
_ASK_TIMEOUT_S: Final = 10.0
_SAID = re.compile(r"version\s+(\S+)")
_BUILT_FROM = re.compile(rb"(?:mod|dep)\tgithub\.com/Shopify/toxiproxy/v2\tv(\d+\.\d+\.\d+)")

WAYS: Final = (
    "any of: with Go 1.23 or newer, `python -m chaos.net.toxiproxy.program` builds it once (go install)",
    f"with Docker, the same command takes it out of {IMAGE}",
    f"a release from https://github.com/Shopify/toxiproxy/releases, on PATH as {PROGRAM}",
    f"{ENVIRONMENT}=/path/to/it",
)


class Found(msgspec.Struct, frozen=True):
    """The program, where it came from, and its version (which may be ``unknown``, where it does not say)."""

    path: str
    how: str
    version: str


Note = Callable[[str], None]


def find(*, build: bool, note: Note = lambda _: None) -> Found:
    """The program; with ``build``, got from the network if it is not there (minutes; ``note`` hears what is being done).

    ``EnvironmentUnusable`` lists what was tried and the ways to get it.
    """
    tried: list[str] = []
    named = os.environ.get(ENVIRONMENT)
    if named:
        return _named(named)
    on_path = shutil.which(PROGRAM)
    if on_path is not None:
        found = _usable(Path(on_path), "on PATH", tried)
        if found is not None:
            return found
    cached = cache_path()
    if cached.exists():
        found = _usable(cached, "cached", tried)
        if found is not None:
            return found
    if build:
        for way in (_by_go, _by_docker):
            found = way(cached, tried, note)
            if found is not None:
                return found
    what = f"no Toxiproxy server ({PROGRAM}) was found" + "".join(f"\n  - {each}" for each in tried)
    raise EnvironmentUnusable(what, how="; ".join(WAYS))


def argv(found: Found, host: str, port: int) -> list[str]:
    """The command that starts it with its control interface there."""
    return [found.path, "-host", host, "-port", str(port)]


def cache_path() -> Path:
    """Where a copy of our own is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "nines" / f"{PROGRAM}-{VERSION}"


def version_of(program: Path) -> str:
    """What it says; for one that says ``git``, what it was built from. ``OSError`` or ``SubprocessError`` if it does not run."""
    said = subprocess.run(
        [program, "-version"], capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
    )
    match = _SAID.search(said.stdout + said.stderr)
    if match is not None and version_numbers(match[1]) is not None:
        return match[1]
    built_from = _BUILT_FROM.search(program.read_bytes())
    return built_from[1].decode() if built_from else "unknown"


def _named(named: str) -> Found:
    tried: list[str] = []
    found = _usable(Path(named), f"${ENVIRONMENT}", tried)
    if found is None:
        raise EnvironmentUnusable(f"{ENVIRONMENT} names no usable Toxiproxy server: {tried[0]}", how=f"correct it, or unset {ENVIRONMENT}")
    return found


def _usable(program: Path, how: str, tried: list[str]) -> Found | None:
    try:
        version = version_of(program)
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{how}: {program} does not run ({last_words(error)})")
        return None
    numbers = version_numbers(version)
    if numbers is not None and numbers < OLDEST:
        tried.append(f"{how}: {program} is version {version}, needed is {OLDEST[0]}.{OLDEST[1]} or newer")
        return None
    return Found(str(program), how, version)


def _by_go(cached: Path, tried: list[str], note: Note) -> Found | None:
    go = shutil.which("go")
    if go is None:
        tried.append("go install: Go is not on PATH")
        return None
    note(f"building Toxiproxy {VERSION} with go install, once; this takes about a minute")
    with tempfile.TemporaryDirectory(prefix="nines-go-") as folder:
        environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
        command = [go, "install", f"{MODULE}/cmd/server@v{VERSION}"]
        return _get(command, environment, BUILD_TIMEOUT_S, Path(folder) / "server", cached, "go install", tried)


def _by_docker(cached: Path, tried: list[str], note: Note) -> Found | None:
    docker = shutil.which("docker")
    if docker is None:
        tried.append("image: Docker is not on PATH")
        return None
    note(f"taking Toxiproxy {VERSION} out of {IMAGE}, once")
    label = "nines.purpose=toxiproxy-server"
    try:
        made = _run([docker, "create", "--label", label, IMAGE], dict(os.environ), PULL_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"image: {last_words(error)}")
        return None
    container = made.split()[-1]
    try:
        with tempfile.TemporaryDirectory(prefix="nines-image-") as folder:
            copy = Path(folder) / PROGRAM
            command = [docker, "cp", f"{container}:{IN_IMAGE}", str(copy)]
            return _get(command, dict(os.environ), _ASK_TIMEOUT_S * 6, copy, cached, "image", tried)
    finally:
        _run([docker, "rm", "--force", container], dict(os.environ), _ASK_TIMEOUT_S * 6)


def _get(
    command: list[str], environment: dict[str, str], timeout_s: float, made: Path, cached: Path, how: str, tried: list[str]
) -> Found | None:
    """Run what makes the program, see that it runs, move it into the cache in one step."""
    try:
        _run(command, environment, timeout_s)
        made.chmod(0o755)
        cached.parent.mkdir(parents=True, exist_ok=True)
        draft = cached.with_name(f".{cached.name}.{os.getpid()}")
        shutil.copyfile(made, draft)
        draft.chmod(0o755)
    except (OSError, subprocess.SubprocessError) as error:
        tried.append(f"{how}: {last_words(error)}")
        return None
    found = _usable(draft, how, tried)
    if found is None:
        draft.unlink()
        return None
    draft.replace(cached)
    return msgspec.structs.replace(found, path=str(cached))


def _run(command: list[str], environment: dict[str, str], timeout_s: float) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def main() -> int:
    """Print the path; get the program first if need be."""
    try:
        found = find(build=True, note=lambda text: print(text, file=sys.stderr))
    except NinesError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"Toxiproxy {found.version} ({found.how})", file=sys.stderr)
    print(found.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
