"""Porcupine as a test oracle: histories in its form, and its program, built by Go from ``tests/oracles/porcupine``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from chaos.data.operations import NEVER, Content, KeyHistory, Operation
from chaos.history.journal import FAIL
from tests.support.histories import random_history

SOURCE = Path(__file__).resolve().parents[1] / "oracles" / "porcupine"
VERDICTS = SOURCE / "verdicts.json"
BUILD_S = 240.0
JUDGE_S = 60.0
SEEDS = 250
"""Of each workload."""
OPERATIONS = {"register": 30, "counter": 16, "set": 16, "list": 16}
"""Of each history: Porcupine takes time exponential in the writes that were never answered."""


class Judged(NamedTuple):
    """What Porcupine says of one history."""

    name: str
    ok: bool
    seconds: float


def why_not() -> str:
    """Why it cannot be built here; empty if it can."""
    return "" if shutil.which("go") else "Go is not on PATH"


def build(folder: Path) -> Path:
    """The program, with the module from Go's proxy or cache. ``CalledProcessError`` with what Go says."""
    program = folder / "porcupine"
    command = ["go", "build", "-o", str(program), "."]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, timeout=BUILD_S, stdin=subprocess.DEVNULL)
    return program


def judged(program: Path, histories: Iterable[tuple[str, str, list[Operation]]]) -> list[Judged]:
    """What it says of each (name, workload, operations), and how long it took for each."""
    lines = b"".join(_line(name, workload, operations) for name, workload, operations in histories)
    done = subprocess.run([program], input=lines, capture_output=True, check=True, timeout=JUDGE_S)
    found = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    return [Judged(each["id"], each["ok"], each["seconds"]) for each in found]


def _line(name: str, workload: str, operations: list[Operation]) -> bytes:
    told = [_operation(each) for each in operations if (each.ok if each.reads else each.outcome != FAIL)]
    return msgspec.json.encode({"id": name, "workload": workload, "operations": told}) + b"\n"


def _operation(each: Operation) -> dict[str, object]:
    return {
        "session": each.session, "does": each.does, "key": each.key, "value": each.value or "", "found": _found(each.found),
        "call": each.call_ns, "return": None if each.return_ns == NEVER else each.return_ns,
    }  # fmt: skip


def _found(found: Content) -> list[str]:
    if isinstance(found, tuple):
        return list(found)
    return [] if found is None else [str(found)]


def random_histories() -> Iterator[tuple[str, str, KeyHistory]]:
    """A thousand, of every workload: every other one with wrong answers."""
    for workload, operations in OPERATIONS.items():
        for seed in range(SEEDS):
            wrong = 0.1 if seed % 2 else 0.0
            yield f"{workload} {seed}", workload, random_history(seed, workload, operations, sessions=4, wrong=wrong)


def stored() -> dict[str, str]:
    """Workload -> what Porcupine said of its histories, a letter each in the order of their seeds: ``y`` or ``n``."""
    return msgspec.json.decode(VERDICTS.read_bytes(), type=dict[str, str])
