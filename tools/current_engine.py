"""The current Docker engine (the Docker 29 line), built from Go modules and started for one command or for tests.

    python -m tools.current_engine build                     its programs, kept in ~/.cache/nines by their versions
    python -m tools.current_engine run make test-docker      that command with DOCKER_HOST; the engine ends with it

A first build takes about 12 minutes on two slow cores. It needs go, gcc, pkg-config and libseccomp-dev; starting needs root. The engine is
a private one (``chaos.engine.private``): its own socket, data, bridge; no firewall rules. It sees cgroup v2, also on a machine whose
controllers belong to cgroup v1: there the unified hierarchy has none, so limits (processor time, memory) do not exist.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.programs import last_words
from chaos.engine import private
from chaos.engine.images.build import Note, cache_dir, one_at_a_time

SETTING: Final = "NINES_ENGINE_CURRENT"
BUILD_TIMEOUT_S: Final = 3600.0


class Module(msgspec.Struct, frozen=True):
    """Programs that are built from one Go module, with the same tags."""

    path: str
    version: str
    programs: tuple[str, ...]
    """The folders of their ``main`` in the module; empty for its top."""
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where its programs are kept."""
        return cache_dir() / "engines" / f"{self.path.rsplit('/v2', 1)[0].rsplit('/', 1)[-1]}-{self.version}"

    def program(self, main: str) -> Path:
        """The file of one."""
        return self.folder / (main or self.path).rsplit("/", 1)[-1]


MODULES: Final = (
    Module("github.com/opencontainers/runc", "v1.5.3", ("",), "seccomp"),
    Module(
        "github.com/containerd/containerd/v2", "v2.4.2", ("cmd/containerd", "cmd/containerd-shim-runc-v2"),
        "no_btrfs no_zfs no_devmapper no_cri",
    ),
    Module(
        "github.com/moby/moby/v2", "v2.0.0-beta.24", ("cmd/docker-proxy", "cmd/dockerd"),
        "exclude_graphdriver_btrfs exclude_graphdriver_zfs no_systemd",
    ),
)  # fmt: skip
WITH_CGROUP_2: Final = """#!/bin/sh
# dockerd in a mount namespace whose /sys/fs/cgroup is cgroup v2
exec unshare --mount sh -c '
    mount --make-rprivate /
    cd /sys/fs/cgroup
    [ -e cgroup.controllers ] || mount --bind unified . 2>/dev/null || mount -t cgroup2 none .
    cd /
    exec "$@"' sh {dockerd} "$@"
"""


def folder() -> Path:
    """Where the engine that is started keeps its images."""
    return Path(os.environ.get(SETTING) or cache_dir() / "engine-current").absolute()


def built() -> bool:
    """Whether all programs are there already."""
    return all(module.program(main).exists() for module in MODULES for main in module.programs)


def may() -> bool:
    """Whether this machine can have that engine: root, and the programs are there or can be built."""
    return private.may() and (built() or all(shutil.which(program) for program in ("go", "gcc", "pkg-config")))


def build(note: Note) -> list[Path]:
    """The folders of the programs, for PATH; built if they are missing. ``EnvironmentUnusable`` with what the compiler said."""
    with one_at_a_time("engine-current"):
        for module in MODULES:
            for main in module.programs:
                if not module.program(main).exists():
                    _build(module, main, note)
    return [module.folder for module in MODULES]


def _build(module: Module, main: str, note: Note) -> None:
    what = f"{module.path}{'/' if main else ''}{main}@{module.version}"
    note(f"building {what}, once; this takes minutes")
    module.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-", dir=module.folder) as draft:
        environment = os.environ | {"GOBIN": draft, "CGO_ENABLED": "1" if module.tags == "seccomp" else "0"}
        # One package after the other: whoever waits for this has other work for the cores.
        command = ["nice", "go", "install", "-p", "1", "-tags", module.tags, what]
        try:
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"{what} could not be built: {last_words(error)}",
                how="go 1.26 or newer, a way to a Go module proxy; apt-get install gcc pkg-config libseccomp-dev",
            ) from error
        made = Path(draft) / module.program(main).name
        made.replace(module.program(main))


@contextlib.contextmanager
def running(note: Note) -> Iterator[str]:
    """``DOCKER_HOST`` of the engine, ended after the block, or with this process if that is killed."""
    folders = build(note)
    with on_cgroup_2(MODULES[-1].program("cmd/dockerd"), folders, folder(), note) as host:
        yield host


@contextlib.contextmanager
def on_cgroup_2(dockerd: Path, folders: Sequence[Path], where: Path, note: Note) -> Iterator[str]:
    """A private engine in this folder, of that program, whose helpers are looked for in ``folders`` first; it sees cgroup v2."""
    first = where / "bin"
    first.mkdir(parents=True, exist_ok=True)
    wrapped = first / "dockerd"
    wrapped.write_text(WITH_CGROUP_2.format(dockerd=dockerd), encoding="ascii")
    wrapped.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([str(first), *map(str, folders), before])
    with contextlib.ExitStack() as stack:
        try:
            host = stack.enter_context(private.private_engine(where, note))
        finally:
            os.environ["PATH"] = before
        yield host


def main(arguments: Sequence[str]) -> int:
    """The exit status: that of the command, or of the error."""

    def note(text: str) -> None:
        print(text, file=sys.stderr)

    match arguments:
        case ["build"]:
            print(os.pathsep.join(map(str, build(note))))
            return 0
        case ["run", *command] if command:
            with running(note) as host:
                return subprocess.run(command, env=os.environ | {"DOCKER_HOST": host}, check=False).returncode
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NinesError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
