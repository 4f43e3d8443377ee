"""kind and crictl, each installed from its Go module; kind's module also holds the files of its node image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine.images.build import Note, cache_dir, one_at_a_time

BUILD_TIMEOUT_S: Final = 1800.0


class Module(msgspec.Struct, frozen=True):
    """A program of a Go module."""

    path: str
    version: str
    main: str = ""

    @property
    def program(self) -> str:
        """As the file is called."""
        return (self.main or self.path).rsplit("/", 1)[-1]

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return cache_dir() / "kind" / f"{self.program}-{self.version}" / self.program


KIND: Final = Module("sigs.k8s.io/kind", "v0.30.0")
CRICTL: Final = Module("sigs.k8s.io/cri-tools", "v1.34.0", "cmd/crictl")


def built() -> bool:
    """Whether both are there."""
    return all(module.file.exists() for module in (KIND, CRICTL))


def ensure(note: Note) -> Path:
    """The folder of links to both programs, built where they are missing. ``EnvironmentUnusable`` with what the compiler said."""
    together = cache_dir() / "kind" / "bin"
    with one_at_a_time("kind-build"):
        together.mkdir(parents=True, exist_ok=True)
        for module in (KIND, CRICTL):
            if not module.file.exists():
                _build(module, note)
            link = together / module.program
            link.unlink(missing_ok=True)
            link.symlink_to(module.file)
    return together


def source() -> Path:
    """Where Go keeps kind's module."""
    said = _go(["go", "mod", "download", "-json", f"{KIND.path}@{KIND.version}"], {})
    return Path(json.loads(said)["Dir"])


def _build(module: Module, note: Note) -> None:
    what = f"{module.path}{'/' if module.main else ''}{module.main}@{module.version}"
    note(f"building {what}, once")
    module.file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-", dir=module.file.parent) as draft:
        _go(["nice", "go", "install", "-trimpath", "-ldflags", "-s -w", what], {"GOBIN": draft, "CGO_ENABLED": "0"})
        (Path(draft) / module.program).replace(module.file)


def _go(command: list[str], settings: dict[str, str]) -> str:
    if shutil.which("go") is None:
        raise EnvironmentUnusable("kind must be built, and Go is not installed", how="https://go.dev/dl, 1.24 or newer")
    try:
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnusable(
            f"{' '.join(command)}: {last_words(error)}", how="Go 1.24 or newer, and a way to a Go module proxy"
        ) from error
    return done.stdout
