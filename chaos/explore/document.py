"""The experiment of each trial: the user's own file with other faults, a short baseline, and no claim about the prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.units import WrongUnit, duration_s
from chaos.experiment.document import Experiment, parse_experiment
from chaos.experiment.overrides import applied
from chaos.experiment.source import TEXT, Scalar, Table, Value, parse
from chaos.explore.schedule import Schedule, faults_text, flow, written_s

BASELINE_S: Final = 2.0
SETTLE_S: Final = 5.0
"""A search runs many experiments: longer ones are cut to this."""
_LEFT_OUT: Final = ("faults", "duration", "predict", "expect_verdict", "seed")
"""Keys that each trial has its own of, or that say nothing about overlapping faults."""


class Document(msgspec.Struct, frozen=True):
    """What all trials have in common."""

    file: Path
    root: Table
    """The user's file, with the options in it."""
    limit: int
    """Nodes that may be down at once."""
    stated: bool
    """The file says that limit itself."""

    @property
    def base(self) -> Experiment:
        """Without any fault."""
        return parse_experiment(self.text(()), str(self.file))

    def text(self, schedule: Schedule, seed: int = 1) -> str:
        """The experiment with this schedule."""
        kept = {key: value for key, value in self.root.entries.items() if key not in _LEFT_OUT and key != "objectives"}
        lines = [f"{key}: {flow(value)}\n" for key, value in kept.items() if key not in ("baseline", "settle", "limits")]
        lines.append(f"baseline: {self._baseline()}\n")
        lines.append(f"settle: {written_s(_at_most(kept.get('settle'), SETTLE_S))}\n")
        lines.append(f"limits: {self._limits()}\n")
        lines.append(f"objectives: {flow(self._objectives())}\n")
        lines.append(f"seed: {seed}\n")
        return "".join(lines) + (faults_text(schedule) if schedule else "")

    def _baseline(self) -> str:
        value = self.root.entries.get("baseline")
        if isinstance(value, Table):
            entries = {key: inner for key, inner in value.entries.items() if key != "for"}
            return flow(Table(value.place, {"for": _scalar(value, written_s(_at_most(value.entries.get("for"), BASELINE_S))), **entries}))
        return written_s(_at_most(value, BASELINE_S))

    def _limits(self) -> str:
        value = self.root.entries.get("limits")
        entries = dict(value.entries) if isinstance(value, Table) else {}
        return flow(Table(self.root.place, entries | {"nodes_down": _scalar(self.root, str(self.limit))}))

    def _objectives(self) -> Table:
        value = self.root.entries.get("objectives")
        entries = value.entries if isinstance(value, Table) else {}
        return Table(self.root.place, {key: inner for key, inner in entries.items() if key != "agreement"})

    def found(self, schedule: Schedule, seed: int, broke: Sequence[str], beside: Path) -> str:
        """The experiment that reproduces a failure, to be saved in the folder ``beside``: only the objectives that broke are left."""
        objectives = self._objectives()
        broken = {key: value for key, value in objectives.entries.items() if key in broke}
        entries = dict(self.root.entries)
        entries["experiment"] = _scalar(self.root, f"{flow(entries['experiment'])}-found")
        entries["question"] = _scalar(self.root, f"Do these faults still break {' and '.join(broken or broke)}?")
        entries["objectives"] = Table(objectives.place, broken)
        entries["cluster"] = self._reached_from(entries["cluster"], beside)
        written = msgspec.structs.replace(self, root=Table(self.root.place, entries)).text(schedule, seed)
        return f"{written}expect_verdict: fail\n"

    def _reached_from(self, cluster: Value, beside: Path) -> Value:
        """The cluster, whose target is still found if its folder was named relative to the file."""
        target = cluster.entries.get("target") if isinstance(cluster, Table) else None
        if not isinstance(cluster, Table) or not isinstance(target, Scalar) or not (self.file.parent / target.text).is_dir():
            return cluster
        path = os.path.relpath(self.file.parent / target.text, beside)
        named = path if path.startswith(".") else f"./{path}"
        return Table(cluster.place, cluster.entries | {"target": _scalar(cluster, named)})


def document(text: str, file: Path, overrides: Sequence[str] = ()) -> Document:
    """Of an experiment's text. Raises ``BadInput`` for one that cannot be loaded, or that has no objective that a schedule could break."""
    whole = parse_experiment(text, str(file), overrides)
    root, _ = applied(parse(text, str(file)), overrides)
    if "data" not in root.entries and all(spec.measure == "agreement" for spec in whole.objectives if spec.fault is None):
        place = root.entries["objectives"].place if "objectives" in root.entries else root.place
        raise BadInput(
            "there is no objective that a schedule could break", place=place, right='e.g. objectives: {outage: "<= 3s"}, or checks of data'
        )
    stated = whole.limits.nodes_down
    nodes = _nodes(whole)
    limit = stated if stated is not None else max(1, (nodes - 1) // 2)
    return Document(file, root, limit, stated is not None)


def _nodes(experiment: Experiment) -> int:
    cluster = experiment.cluster
    return cluster.nodes or sum((cluster.parts or {}).values()) or 3


def _at_most(value: Value | None, most_s: float) -> float:
    if not isinstance(value, Scalar):
        return most_s
    try:
        return min(duration_s(value.text), most_s)
    except WrongUnit:
        return most_s


def _scalar(near: Value, text: str) -> Scalar:
    return Scalar(near.place, text, TEXT)
