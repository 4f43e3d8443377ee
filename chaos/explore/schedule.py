"""Schedules that the search draws: a few faults, each with its victims, its time and its length; and how a file writes them down."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from chaos.core.units import show_s
from chaos.experiment.source import NULL, TEXT, Listing, Scalar, Table, Value

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./%][A-Za-z0-9_./% -]*")
"""Text that needs no quotes within brackets."""
_GRID_S: Final = 0.05
"""Times are written in steps of this: nobody can read more into a found schedule."""


class Move(msgspec.Struct, frozen=True):
    """One fault of a schedule. ``at_s`` counts from the end of the baseline; ``target`` and ``fields`` are as a file writes them."""

    kind: str
    fields: str
    """In flow style: ``{recovery: restart}``."""
    target: str
    """In flow style: ``leader``, ``{link: "clients -> n2"}``; empty for a fault that has no selector."""
    at_s: float
    for_s: float

    def __str__(self) -> str:
        whom = f" {self.target}" if self.target else ""
        fields = "" if self.fields == "{}" else f" {self.fields}"
        return f"{self.kind}{fields}{whom} at {show_s(self.at_s)} for {show_s(self.for_s)}"

    def entry(self, number: int) -> str:
        """Its line in ``faults``."""
        target = f", target: {self.target}" if self.target else ""
        times = f"at: {written_s(self.at_s)}, for: {written_s(self.for_s)}"
        return f"{{name: {self.kind}-{number}, {self.kind}: {self.fields}{target}, {times}, overlap: true}}"


Schedule = tuple[Move, ...]
"""In order of time."""


def ordered(moves: Schedule) -> Schedule:
    """In order of time."""
    return tuple(sorted(moves, key=lambda move: move.at_s))


def on_grid_s(value_s: float) -> float:
    """The nearest time that a file writes."""
    return max(_GRID_S, round(round(value_s / _GRID_S) * _GRID_S, 4))


def written_s(value_s: float) -> str:
    """As a file writes it: ``1250ms``."""
    return f"{round(value_s * 1000)}ms"


def faults_text(schedule: Schedule) -> str:
    """The block ``faults`` of an experiment."""
    return "".join(["faults:\n", *(f"  - {move.entry(number)}\n" for number, move in enumerate(schedule, 1))])


def flow(value: Value) -> str:
    """A value of a file on one line, in flow style; variables stay as they were written."""
    match value:
        case Scalar():
            if value.kind == NULL:
                return "{}"
            text = value.written or value.text
            return text if value.kind != TEXT or _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
        case Listing():
            return f"[{', '.join(map(flow, value.items))}]"
        case Table():
            return f"{{{', '.join(f'{key}: {flow(inner)}' for key, inner in value.entries.items())}}}"
