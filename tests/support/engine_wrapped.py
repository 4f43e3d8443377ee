"""A private engine with further options of dockerd: by a program of that name that comes first on PATH."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


@contextlib.contextmanager
def wrapped(folder: Path, options: Sequence[str]) -> Iterator[None]:
    """While the block lasts, whoever starts dockerd starts it with these; ``folder`` gets the program."""
    program = folder / "dockerd"
    program.write_text(f'#!/bin/sh\nPATH={shlex.quote(os.environ["PATH"])} exec dockerd "$@" {shlex.join(options)}\n', encoding="utf-8")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield
