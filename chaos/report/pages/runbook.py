"""A plan as a page that people follow on a game day: what is asked, what is normal, what is done when, how to undo it by hand.

Computes nothing: times come from the plan, expected effects from the prediction.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from chaos.core import plugins as tables
from chaos.core.escaping import markdown, markdown_code
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FaultSpec
from chaos.experiment.selectors import LinkTo, Role
from chaos.plan.describe import PlanRow, describe, target_text
from chaos.plan.plan import Plan, Window
from chaos.plan.traits import traits
from chaos.report import format as say
from chaos.results.predicted import ClassPredicted, Predicted

ROLES: Final = (
    ("Conductor", "starts and stops the experiment, keeps the time, decides on aborting"),
    ("Observer", "watches what clients see, and the dashboards and alerts people would really use; notes when each outage was noticed"),
    ("Operator", "answers as on any other day, without knowing the times; may heal by hand when the conductor asks"),
    ("Scribe", "writes down what was seen, said and done, with times"),
)


def render(plan: Plan, predicted: Predicted | None = None) -> str:
    """The page, in Markdown."""
    experiment = plan.experiment
    lines = [f"# Game day: {markdown(experiment.name)}", ""]
    lines += _question(experiment, plan) + _roles() + _steady(experiment, plan) + _abort(experiment, plan)
    lines += _before(experiment) + _steps(plan, predicted) + _by_hand(plan) + _after(plan)
    return "\n".join(lines).rstrip() + "\n"


def _question(experiment: Experiment, plan: Plan) -> list[str]:
    told = f"{say.count(len(plan.nodes), 'node')} of {markdown_code(experiment.cluster.target)}, {say.count(len(plan.windows), 'fault')}, "
    told += f"{say.seconds(plan.duration_s)} of traffic, seed {plan.seed}"
    return ["## The question", "", markdown(experiment.question) or "(none was written down)", "", f"{told}.", ""]


def _roles() -> list[str]:
    lines = ["## Who does what", "", "| role | does | name |", "|---|---|---|"]
    return lines + [f"| {role} | {does} | |" for role, does in ROLES] + [""]


def _steady(experiment: Experiment, plan: Plan) -> list[str]:
    lines = ["## Steady state", "", "Before anything is broken, and again afterwards, all of this holds:", ""]
    deadline = say.seconds(experiment.traffic.client.deadline_s)
    for name, operation in experiment.traffic.operations.items():
        judged = " (the judged service)" if name == plan.judge else ""
        lines.append(f"- [ ] {markdown_code(name)}{judged}: {operation.rate_per_s:g} a second, each answered within {deadline}")
    lines.append(f"- [ ] {say.count(len(plan.nodes), 'node')} up and ready: {markdown(', '.join(node.name for node in plan.nodes))}")
    if plan.has_roles:
        lines.append("- [ ] exactly one leader, all nodes voting")
    lines.append(f"- [ ] a quiet baseline of {say.seconds(experiment.baseline_s)} without a single bad answer")
    if experiment.objectives:
        lines += ["", "The day is a success if:", ""]
        lines += [
            f"- {markdown(objective.measure + (f' of {objective.fault}' if objective.fault else '') + ' ' + objective.text)}"
            for objective in experiment.objectives
        ]
    return [*lines, ""]


def _abort(experiment: Experiment, plan: Plan) -> list[str]:
    lines = ["## When to abort", ""]
    conditions = experiment.abort_if
    if conditions.unavailable_for_s is not None:
        lines.append(f"- by itself: {markdown_code(plan.judge)} unavailable for {say.seconds(conditions.unavailable_for_s)}")
    if conditions.error_ratio is not None:
        lines.append(f"- by itself: more than {say.percent(conditions.error_ratio)} of {markdown_code(plan.judge)} failing")
    if conditions.command is not None:
        told = f"{markdown_code(' '.join(conditions.command.words))}, asked every {say.seconds(conditions.command.every_s)}"
        lines.append(f"- by itself: {told}, does not answer with status 0 within {say.seconds(conditions.command.timeout_s)}")
    if experiment.limits.nodes_down is not None:
        lines.append(
            f"- never more than {say.count(experiment.limits.nodes_down, 'node')} down at once: a step that would do so is skipped"
        )
    if experiment.limits.protect:
        lines.append(f"- never touched: {markdown(', '.join(experiment.limits.protect))}")
    lines.append(
        "- by word of the conductor, or of anybody who sees real users hurt: press Ctrl-C once; everything in force is healed first"
    )
    return [*lines, ""]


def _before(experiment: Experiment) -> list[str]:
    file = experiment.file or "EXPERIMENT.yaml"
    return [
        "## Before", "",
        "- [ ] `nines doctor` shows nothing missing",
        "- [ ] `nines leftovers` is empty",
        f"- [ ] everybody has read this page; the plan is in view: {markdown_code(f'nines plan {shlex.quote(file)}')}",
        "- [ ] those who are on call know that this is happening", "",
    ]  # fmt: skip


def _steps(plan: Plan, predicted: Predicted | None) -> list[str]:
    head = ["## Steps", "", "Times count from the first request. Who is hit is decided at that moment.", "",
            "| step | at | fault | to whom | lasts | what we expect | seen, and by whom |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    specs = {spec.name: spec for spec in plan.experiment.faults}
    steps = zip(plan.windows, describe(plan), strict=True)
    rows = []
    for number, (window, row) in enumerate(steps, start=1):
        spec = specs[window.fault]
        expected = _expected(plan, window, spec, predicted)
        cells = [_begins(row), f"{window.kind} ({window.fault})", _whom(plan, spec), _lasts(window), expected]
        rows.append(f"| {number} | {' | '.join(map(markdown, cells))} | |")
    return [*head, *rows, ""]


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


def _by_hand(plan: Plan) -> list[str]:
    kinds: Sequence[str] = list(dict.fromkeys(window.kind for window in plan.windows))
    lines = ["## How to heal by hand", "", "If the harness itself is gone: `nines heal` takes back everything it had done. Without it:", ""]
    unsaid = "see the documentation of the package that brings this fault."
    lines += [f"- **{kind}**: {tables.find('faults', kind).by_hand or unsaid}" for kind in kinds]
    return [*lines, ""]


def _after(plan: Plan) -> list[str]:
    return [
        "## Afterwards", "",
        "- [ ] the steady state holds again", "- [ ] `nines leftovers` is empty",
        "- [ ] compare what people noticed, and when, with the measured outages: `nines report RUN --format markdown`",
        "- [ ] what surprised us, what we change, who does it until when", "",
        f"*Made from configuration `{plan.configuration}`, seed {plan.seed}. The same file and seed give the same times.*",
    ]  # fmt: skip
