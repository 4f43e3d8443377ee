"""When a fault is due: ``at`` or ``every``, how often, and the condition that it waits for from then on (``when``)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from chaos.core.errors import BadInput
from chaos.core.units import DURATION, Seconds
from chaos.experiment.forms import COUNT, FLAG, Form, choice, listed, one_of, quantity, string
from chaos.experiment.schema import Schema, any_of, given, there
from chaos.experiment.source import Table, Value, what_is
from chaos.experiment.tables import Key, Rule, Strict, Written, table

SHORTEST_S: Final = 0.001
AT_LEAST_0: Final = quantity(DURATION, ge=0)


def _timed(span_s: float, value: Value) -> float:
    if span_s < SHORTEST_S:
        raise BadInput(f"{what_is(value)} is shorter than anything here can be timed", place=value.place, right="at least 1ms")
    return span_s


SPAN: Final[Form[float]] = quantity(DURATION, gt=0).then(_timed)
"""A duration of more than 0."""


# --- schedules ---------------------------------------------------------------------------------------------------------


class At(Strict, frozen=True, tag="at"):
    """Once, or at each of these times after the end of the baseline."""

    times_s: tuple[float, ...]


class Every(Strict, frozen=True, tag="every"):
    """First after one period, then each period; jittered by U(0, TTL) unless ``exact``."""

    period_s: Seconds
    exact: bool = False


class Poisson(Strict, frozen=True, tag="poisson"):
    """Exponential gaps of this mean."""

    mean_s: Seconds


class Renewal(Strict, frozen=True, tag="renewal"):
    """Independent gaps: ``weibull`` (shape), ``lognormal`` (cv), ``uniform`` (cv) of this mean."""

    distribution: Literal["weibull", "lognormal", "uniform"]
    mean_s: Seconds
    shape: float = 1.0
    cv: float = 1.0


Schedule = At | Every | Poisson | Renewal


# --- conditions --------------------------------------------------------------------------------------------------------


class OnFault(Strict, frozen=True, tag="fault"):
    """``{fault: kill-leader, is: effective}``: it is in force; ``gone``: its last one was proven gone."""

    fault: str
    state: str


class OnRole(Strict, frozen=True, tag="role"):
    """``{role: leader, changes: true}``: another node than before began to hold it."""

    role: str


class OnService(Strict, frozen=True, tag="service"):
    """``{service: write, is: down}``: so many slots of its last second were bad as open an outage; or ``up``: none was."""

    service: str
    state: str


class OnNode(Strict, frozen=True, tag="node"):
    """``{node: n1, is: down}``: its process is dead or frozen; or ``up``."""

    node: str
    state: str


Condition = OnFault | OnRole | OnService | OnNode


class When(Strict, frozen=True):
    """What must hold before a fault is done; looked for from its time on."""

    on: Condition
    within_s: Seconds
    """For so long at most."""
    otherwise: str = "skip"
    """What then: ``skip`` it, ``inject`` it all the same, or ``abort`` the run."""


# --- as they are written -----------------------------------------------------------------------------------------------

_STATES: Final = {"fault": ("effective", "gone"), "service": ("down", "up"), "node": ("down", "up")}
"""What a condition may wait for, by what it looks at."""
_EXAMPLES: Final = {
    "fault": "{fault: kill-leader, is: gone}", "role": "{role: leader, changes: true}", "service": "{service: write, is: down}",
    "node": "{node: n1, is: down}",
}  # fmt: skip
_NAMED: Final = string("a name")


def _change(changes: bool, value: Value) -> bool:
    if not changes:
        raise BadInput("only a change can be waited for", place=value.place, right="changes: true")
    return changes


_STATE: Final = choice(list(dict.fromkeys(state for each in _STATES.values() for state in each)))
_CHANGES: Final = Form(FLAG.read, {"const": True}).then(_change)


def _check_looked_at(entry: Table) -> None:
    """One thing, and the state of it; for a role, that it changes."""
    found = [key for key in _EXAMPLES if key in entry.entries]
    if len(found) != 1:
        what = "'when' says nothing to wait for" if not found else f"'{found[0]}' and '{found[1]}' are two conditions"
        raise BadInput(what, place=entry.place, right=f"one of: {', '.join(_EXAMPLES.values())}")
    kind = found[0]
    entry.only((kind, "changes" if kind == "role" else "is"))
    if kind == "role":
        entry.need("changes", "true")
    else:
        choice(_STATES[kind]).read(entry.need("is", _STATES[kind][0]))


def _looked_at_schema() -> Schema:
    choices: list[Schema] = [
        {"required": [key, "is"], "maxProperties": 2, "properties": {"is": {"enum": list(each)}}} for key, each in _STATES.items()
    ]
    return {"oneOf": [*choices, {"required": ["role", "changes"], "maxProperties": 2}]}


@Written(rules=(Rule(_check_looked_at, _looked_at_schema()),), inline=True)
class LookedAt(Strict, frozen=True):
    """One thing that is looked at, and the state of it that is waited for."""

    fault: Annotated[str, _NAMED] = ""
    """Of this fault"""
    role: Annotated[str, _NAMED] = ""
    """Of this role"""
    service: Annotated[str, _NAMED] = ""
    """Of this operation"""
    node: Annotated[str, _NAMED] = ""
    """Of this node"""
    is_: Annotated[str, _STATE] = ""
    """What it is then"""
    changes: Annotated[bool | None, _CHANGES] = None
    """Another node than before holds it"""

    def condition(self) -> Condition:
        """As a plan holds it."""
        if self.role:
            return OnRole(self.role)
        if self.fault:
            return OnFault(self.fault, self.is_)
        return OnService(self.service, self.is_) if self.service else OnNode(self.node, self.is_)


def _one_random(entry: Table) -> None:
    if len(entry.entries) != 1:
        raise BadInput("one random schedule belongs here", place=entry.place, right="{poisson: 15s} or {renewal: {...}}")


@Written(rules=(Rule(_one_random, {"minProperties": 1, "maxProperties": 1}),), inline=True)
class Random(Strict, frozen=True):
    """Gaps that are drawn."""

    poisson_s: Annotated[float | None, SPAN] = None
    """The mean gap"""
    renewal: Annotated[Renewal | None, table(Renewal)] = None

    def schedule(self) -> Schedule:
        """The one that is given."""
        return Poisson(self.poisson_s) if self.poisson_s is not None else self.renewal or At(())


def _check_times(entry: Table) -> None:
    at, every, exact, times, when = (entry.get(key) for key in ("at", "every", "exact", "times", "when"))
    if (at is None) == (every is None):
        what = "'at' and 'every' exclude each other" if at is not None else "nothing says when"
        raise BadInput(what, place=entry.place, right="at: 40s, or every: 15s")
    if at is not None and exact is not None:
        raise BadInput("'exact' does not go with 'at'", place=exact.place, right="times of 'at' are always exact")
    if at is not None and times is not None:
        raise BadInput("'times' does not go with 'at'", place=times.place, right="list the times: at: [10s, 20s]")
    if isinstance(every, Table) and exact is not None:
        raise BadInput("'exact' does not go with a random schedule", place=exact.place, right="every: 15s, exact: true")
    alone = next((key for key in ("within", "otherwise") if key in entry.entries), None)
    if when is None and alone is not None:
        raise BadInput(f"'{alone}' goes with 'when'", place=entry.entries[alone].place, right=f"when: {_EXAMPLES['fault']}")
    if when is not None and entry.get("within") is None:
        raise BadInput("nothing says how long to wait for 'when'", place=when.place, right="within: 30s")


_TIMES: Final = Rule(
    _check_times,
    {
        "allOf": [
            {"oneOf": [given("at"), given("every")]},
            {"if": given("at"), "then": {"not": any_of(given("times"), given("exact"))}},
            {"if": {"required": ["every"], "properties": {"every": {"type": "object"}}}, "then": {"not": given("exact")}},
            {"if": given("when"), "then": given("within"), "else": {"not": there("within", "otherwise")}},
        ]
    },
)
_CONDITION: Final = table(LookedAt, "a condition").then(lambda found, _: found.condition())
_AT: Final = one_of(
    AT_LEAST_0.then(lambda at_s, _: (at_s,)), listing=listed(AT_LEAST_0, example="[10s, 20s]", least=1, few="an empty list is no time")
)
_EVERY: Final = one_of(SPAN.then(lambda period_s, _: Every(period_s)), table=table(Random).then(lambda found, _: found.schedule()))


@Written(rules=(_TIMES,), blank=True)
class Timing(Strict, frozen=True):
    """The keys of an entry of ``faults`` that say when."""

    at_s: Annotated[tuple[float, ...], _AT] = ()
    """Once, or at each of these times after the end of the baseline"""
    every: Annotated[Every | Poisson | Renewal | None, _EVERY] = None
    """First after one period, then after each; later by a random part of the TTL"""
    exact: bool = False
    """Not later by a random part of the TTL"""
    times: Annotated[int | None, COUNT] = None
    """How often"""
    on: Annotated[Condition | None, _CONDITION, Key("when")] = None
    """What must hold before it is done; looked for from its time on"""
    within_s: Annotated[float, SPAN] | None = None
    """How long to wait for ``when``, at most"""
    otherwise: Annotated[str, choice(("skip", "inject", "abort"))] = "skip"
    """What is done when ``when`` does not come"""

    @property
    def schedule(self) -> Schedule:
        """``at: 40s``, ``every: 15s`` and their kin."""
        if isinstance(self.every, Every):
            return Every(self.every.period_s, exact=self.exact)
        return self.every or At(self.at_s)

    @property
    def when(self) -> When | None:
        """The condition, its time limit, and what to do if it does not come; None if there is none."""
        return None if self.on is None or self.within_s is None else When(self.on, self.within_s, self.otherwise)
