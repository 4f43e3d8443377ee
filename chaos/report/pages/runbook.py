"""A plan as a runbook for a game day: the question, the steady state, the steps with their times, the manual rollback.

Computes nothing: times come from the plan, expected effects from the prediction.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple

from chaos.core import plugins as tables
from chaos.experiment.faults import FaultSpec
from chaos.experiment.selectors import LinkTo, Role
from chaos.plan.describe import PlanRow, describe, target_text
from chaos.plan.plan import Plan, Window
from chaos.plan.traits import traits
from chaos.report import format as say
from chaos.report.page import Ready, render_markdown
from chaos.results.predicted import ClassPredicted, Predicted
from chaos.results.verdict import ABBREVIATED

ROLES: Final = (
    ("Conductor", "starts and stops the experiment, keeps the time, decides on aborting"),
    ("Observer", "watches what clients see, and the dashboards and alerts in use; notes when each outage was noticed"),
    ("Operator", "responds as on any other day, without knowing the times; rolls back by hand when the conductor asks"),
    ("Scribe", "writes down what was seen, said and done, with times"),
)
UNSAID: Final = "see the documentation of the package that brings this fault."


class Step(NamedTuple):
    """One row of the table that people follow."""

    number: int
    begins: str
    fault: str
    target: str
    lasts: str
    expected: str


def render(plan: Plan, predicted: Predicted | None = None) -> str:
    """The page, in Markdown (``templates/runbook.md.j2``)."""
    experiment = plan.experiment
    kinds = dict.fromkeys(window.kind for window in plan.windows)
    return render_markdown(
        "runbook.md.j2",
        experiment=experiment,
        plan=plan,
        say=say,
        roles=ROLES,
        objectives=[
            (each.measure.upper() if each.measure in ABBREVIATED else each.measure)
            + (f" of {each.fault} {each.text}" if each.fault else f" {each.text}")
            for each in experiment.objectives
        ],
        command=f"nines plan {shlex.quote(experiment.file or 'EXPERIMENT.yaml')}",
        steps=steps(plan, predicted),
        by_hand={kind: Ready(tables.find("faults", kind).by_hand or UNSAID) for kind in kinds},
    )


def steps(plan: Plan, predicted: Predicted | None) -> list[Step]:
    """What is done, one row a fault, in the order of the plan."""
    return list(_steps(plan, predicted))


def _steps(plan: Plan, predicted: Predicted | None) -> Iterator[Step]:
    specs = {spec.name: spec for spec in plan.experiment.faults}
    for number, (window, row) in enumerate(zip(plan.windows, describe(plan), strict=True), start=1):
        spec = specs[window.fault]
        expected = _expected(plan, window, spec, predicted)
        yield Step(number, _begins(row), f"{window.kind} ({window.fault})", _whom(plan, spec), _lasts(window), expected)


def _whom(plan: Plan, spec: FaultSpec) -> str:
    network = traits(plan, spec).network
    return target_text(spec) + (f", on the network {network} alone" if network else "")


def _begins(row: PlanRow) -> str:
    """A time, or what must come first."""
    if row.follows:
        return f"{row.follows} (about {_at(row.start_s)})"
    if row.latest_s is None:
        return _at(row.start_s)
    return f"from {_at(row.start_s)} on, when {row.when}; until {_at(row.latest_s)}"


def _at(at_s: float) -> str:
    return f"{int(at_s // 60)}:{at_s % 60:04.1f}"


def _lasts(window: Window) -> str:
    return "to the end" if window.end_s is None else say.seconds(window.end_s - window.start_s)


def _expected(plan: Plan, window: Window, spec: FaultSpec, predicted: Predicted | None) -> str:
    """By the model, for each class this window may turn out to be of; which one is known only when it happens."""
    if predicted is None:
        return ""
    together = {name: row for name, row in predicted.by_fault.items() if " + " in name and f"{window.kind}/" in name}
    if window.entry and together:
        return "; ".join(dict.fromkeys(_effect(row) for row in together.values()))
    found = {
        name: row
        for name, row in predicted.by_fault.items()
        if name.split("/")[0] == window.kind and _may_be(name.partition("/")[2], plan, spec)
    }
    found = found or {name: row for name, row in predicted.by_fault.items() if name.split("/")[0] == window.kind}
    several = len(found) > 1
    return "; ".join((f"{name}: " if several else "") + _effect(row) for name, row in found.items()) or "no prediction"


def _may_be(role: str, plan: Plan, spec: FaultSpec) -> bool:
    target, what = spec.target, traits(plan, spec)
    if target is None or ":" in role:  # groups, a shape or a mode is the class itself, or comes before the role
        return role.partition(":")[0] in (what.side or what.role, "groups")
    if isinstance(target, Role):
        return role in (target.role, target.role.removesuffix("s"))
    return not isinstance(target, LinkTo) or role in (target.source, target.destination)


def _effect(row: ClassPredicted) -> str:
    if row.share.value == 0:
        return "clients notice nothing"
    if row.recovery_s.value is None:
        return row.recovery_s.reason or "no prediction"
    around = say.span(row.recovery_s.low, row.recovery_s.high, say.seconds)
    often = say.percent(row.share.value)
    share = "" if often in (say.DASH, "100 %") else f", noticed by clients {often} of the time"
    return f"recovered after {say.seconds(row.recovery_s.value)}" + (f" ({around})" if around else "") + share
