"""A plan as the rows of a table: what is done, when, to whom. Pure values, nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args, get_type_hints

import msgspec

from chaos.core import plugins as tables
from chaos.core.units import Ratio, digits, show, show_s
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import Condition, OnFault, OnNode, OnRole, OnService
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Same, Selector, Side, Zone
from chaos.plan.plan import Plan, PlannedNode, Window
from chaos.plan.traits import made


class PlanRow(msgspec.Struct, frozen=True):
    """One window, in seconds after the first slot."""

    id: str
    start_s: float
    end_s: float | None
    """None: it is not taken back."""
    fault: str
    kind: str
    target: str
    """The selector, as people write it."""
    details: str
    """The fault's own fields, where they are not the default."""
    overlap: bool
    latest_s: float | None = None
    """It begins between ``start_s`` and then, when its condition holds."""
    follows: str = ""
    """``after cascade.1.1, 1 s later`` or ``with both.1.1``: then the times are what the plan hopes for."""
    when: str = ""
    """``kill-leader is gone, else skipped``."""

    @property
    def begins(self) -> str:
        """``22.00``; ``~22.00`` after others; ``22.00 to 52.00`` with a condition."""
        if self.latest_s is not None and not self.follows:
            return f"{self.start_s:.2f} to {self.latest_s:.2f}"
        return f"{'~' if self.follows else ''}{self.start_s:.2f}"

    @property
    def ends(self) -> str:
        """The same for its end."""
        if self.end_s is None:
            return "the end"
        if self.latest_s is not None and not self.follows:
            return f"{show_s(self.end_s - self.start_s)} later"
        return f"{'~' if self.follows else ''}{self.end_s:.2f}"

    @property
    def remarks(self) -> str:
        """All that is to be said beside times and target."""
        waits = f"when {self.when}" if self.when else ""
        overlaps = "overlaps" if self.overlap and not self.follows else ""
        return ", ".join(part for part in (self.details, self.follows, waits, overlaps) if part)


def describe(plan: Plan) -> list[PlanRow]:
    """The rows of the plan table, in order of time."""
    specs = {spec.name: spec for spec in plan.experiment.faults}
    return [
        PlanRow(
            id=window.id, start_s=window.start_s, end_s=window.end_s, fault=window.fault, kind=window.kind,
            target=target_text(specs[window.fault], plan.nodes), details=details_text(specs[window.fault]),
            overlap=specs[window.fault].overlap, latest_s=window.latest_s, follows=_follows(window), when=when_text(specs[window.fault]),
        )
        for window in plan.windows
    ]  # fmt: skip


def _follows(window: Window) -> str:
    if window.after:
        return f"after {', '.join(window.after)}" + (f", {show_s(window.gap_s)} later" if window.gap_s else "")
    return f"with {window.beside}" if window.beside else ""


def when_text(spec: FaultSpec) -> str:
    """What it waits for, and what is done if that does not come."""
    if spec.when is None:
        return ""
    instead = {"skip": "skipped", "inject": "done all the same", "abort": "the run ends"}[spec.when.otherwise]
    return f"{condition_text(spec.when.on)}, else {instead}"


def condition_text(condition: Condition) -> str:
    """``kill-leader is gone``: in the words of the file."""
    match condition:
        case OnFault(fault=fault, state=state):
            return f"{fault} is {state}"
        case OnRole(role=role):
            return f"the {role} changes"
        case OnService(service=name, state=state) | OnNode(node=name, state=state):
            return f"{name} is {state}"


def target_text(spec: FaultSpec, nodes: Sequence[PlannedNode] = ()) -> str:
    """To whom, in the words of the file. ``nodes``: among whom it is said which of them have the labels."""
    if spec.target is not None:
        return selector_text(spec.target, nodes)
    return made(spec).whom


def selector_text(selector: Selector, nodes: Sequence[PlannedNode] = ()) -> str:
    """``leader``, ``2 of any``, ``zone a``, ``label tier=cache: n1, n3``, ``leader <-> any``."""
    match selector:
        case Named(nodes=named):
            return ", ".join(named)
        case Side(side=side):
            return side
        case Zone(zone=zone):
            return f"zone {zone}"
        case Same(fault=fault):
            return f"as {fault}"
        case LinkTo(source=source, destination=destination, both=both):
            return f"{source} {'<->' if both else '->'} {destination}"
        case Labelled():
            return _within(selector, nodes)
        case Role(role=role, count=count, percent=percent):
            share = f"{count} of " if count is not None else f"{percent * 100:g}% of " if percent is not None else ""
            within = _within(selector, nodes)
            return f"{share}{role}" + (f" ({within})" if within else "")


def _within(selector: Role | Labelled, nodes: Sequence[PlannedNode]) -> str:
    """Among which nodes it picks; with labels also who has them by now."""
    named = {"part": selector.part, "zone": selector.zone, "label": selector.label}
    words = ", ".join(f"{what} {name}" for what, name in named.items() if name)
    meant = [node.name for node in nodes if node.fits(selector.part, selector.zone, selector.label)] if selector.label else []
    return f"{words}: {', '.join(meant)}" if meant else words


def details_text(spec: FaultSpec) -> str:
    """``latency 40 ms, jitter 5 ms``: the fields that are not at their default, times with their unit."""
    fault = made(spec)
    fields = msgspec.structs.fields(type(fault))
    usual = {field.name: field.default for field in fields if not field.required}
    shares = _shares(spec.kind)
    shown = []
    for name, value in spec.params.items():
        if value == usual.get(name, msgspec.NODEFAULT) or (value and value == fault.groups):
            continue
        if isinstance(value, tuple):
            label, text = name, ", ".join(map(str, value))
        elif name in shares and isinstance(value, float):
            label, text = name.removesuffix("percent").replace("_", " ").strip(), f"{digits(value * 100)} %"
        else:
            label, text = show(name, value)
        shown.append(f"{label} {text}".lstrip())
    return ", ".join(shown)


def _shares(kind: str) -> frozenset[str]:
    """The fields of a kind of fault that are written as percentages: their names carry no unit."""
    hints = get_type_hints(tables.find("faults", kind), include_extras=True)
    return frozenset(name for name, hint in hints.items() if any(each is Ratio for each in (hint, *get_args(hint))))
