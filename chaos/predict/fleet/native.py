"""``life.c``, compiled once by the C compiler of the machine and kept in ``~/.cache/nines`` ($XDG_CACHE_HOME).

Where there is no compiler, or no ``libnpyrandom`` of numpy, the loop of ``life.py`` runs instead: slower, with the same results. The name
of what is kept holds a hash of the source, numpy's version and the machine, so nothing outdated is ever loaded.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chaos.predict.fleet.state import Model, State

if TYPE_CHECKING:
    from numpy.random import Generator

SOURCE: Final = Path(__file__).with_name("life.c")
OPTIONS: Final = ("-O3", "-shared", "-fPIC", "-ffp-contract=off")
"""No fused multiply-add: results are those of Python, bit for bit."""
_COMPILE_S: Final = 120.0


class Unavailable(Exception):
    """There is no compiled loop here; the message says why."""


@functools.cache
def load() -> ctypes.CDLL:
    """The compiled loop. Raises ``Unavailable``."""
    library = Path(np.__file__).parent / "random" / "lib" / "libnpyrandom.a"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    key = f"{SOURCE.read_text(encoding='utf-8')}|{OPTIONS}|{np.__version__}|{platform.platform()}|{platform.machine()}"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nines"
    kept = folder / f"fleet-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if not kept.is_file():
        if compiler is None:
            raise Unavailable("there is no C compiler")
        if not library.is_file():
            raise Unavailable("numpy was installed without libnpyrandom.a")
        _compile(compiler, library, kept)
    try:
        return ctypes.CDLL(str(kept))
    except OSError as error:
        raise Unavailable(f"{kept} cannot be loaded: {error}") from error


def _compile(compiler: str, library: Path, kept: Path) -> None:
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            made = Path(folder) / kept.name
            words = [*compiler.split(), *OPTIONS, str(SOURCE), "-o", str(made), str(library), "-lm"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=_COMPILE_S, check=False)
            if done.returncode != 0:
                raise Unavailable(f"{compiler} refuses life.c: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
            made.replace(kept)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"life.c could not be compiled: {error}") from error


def live(model: Model, state: State, rng: Generator, horizon_s: float) -> None:
    """``life.live`` with arrays, which it changes. Other threads run meanwhile."""
    library = load()
    own = {
        "services": len(model.size), "groups": len(model.group_service), "zones": len(model.zone_area),
        "regions": len(model.region_first) - 1, "level_count": len(model.levels), "heap_room": len(state.heap_at),
    }  # fmt: skip
    bits: Any = rng.bit_generator
    with bits.lock:
        library.live(
            ctypes.byref(_struct(model, own)), ctypes.byref(_struct(state, {})), bits.ctypes.bit_generator, ctypes.c_double(horizon_s)
        )


def _struct(values: Model | State, more: dict[str, int]) -> ctypes.Structure:
    """A struct of C with the fields in their order: a pointer for each array, numbers as they are."""
    kinds: list[tuple[str, Any]] = []
    found: list[Any] = []
    for name, value in zip(values._fields, values, strict=True):
        if isinstance(value, float):
            kinds.append((name, ctypes.c_double))
            found.append(value)
            continue
        assert isinstance(value, np.ndarray)
        assert value.flags.c_contiguous
        assert value.dtype in (np.dtype(np.int64), np.dtype(np.float64)), name
        kinds.append((name, ctypes.c_void_p))
        found.append(value.ctypes.data)
    kinds += [(name, ctypes.c_int64) for name in more]
    made: Any = type("Struct", (ctypes.Structure,), {"_fields_": kinds})
    filled: ctypes.Structure = made(*found, *more.values())
    return filled
