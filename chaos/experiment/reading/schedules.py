"""Reading of when a fault is due: ``at`` or ``every``, and the condition that it waits for from then on (``when``)."""

from __future__ import annotations

from typing import Final

from chaos.core.errors import BadInput
from chaos.core.units import DURATION
from chaos.experiment.decode import boolean, quantity, struct
from chaos.experiment.source import NULL, Listing, Scalar, Table, Value, suggest, table, text, what_is
from chaos.experiment.spec import At, Condition, Every, OnFault, OnNode, OnRole, OnService, Poisson, Renewal, Schedule, When

SHORTEST_S: Final = 0.001
KEYS: Final = ("at", "every", "exact", "times", "when", "within", "otherwise")
"""The keys of an entry that say when."""
OTHERWISE: Final = ("skip", "inject", "abort")
STATES: Final = {"fault": ("effective", "gone"), "service": ("down", "up"), "node": ("down", "up")}
"""What a condition may wait for, by what it looks at."""
EXAMPLES: Final = {
    "fault": "{fault: kill-leader, is: gone}", "role": "{role: leader, changes: true}", "service": "{service: write, is: down}",
    "node": "{node: n1, is: down}",
}  # fmt: skip


def schedule(entry: Table) -> Schedule:
    """``at: 40s``, ``every: 15s`` and their kin."""
    at, every, exact = entry.get("at"), entry.get("every"), entry.get("exact")
    if (at is None) == (every is None):
        what = "'at' and 'every' exclude each other" if at is not None else "nothing says when"
        raise BadInput(what, place=entry.place, right="at: 40s, or every: 15s")
    if at is not None:
        if exact is not None:
            raise BadInput("'exact' does not go with 'at'", place=exact.place, right="times of 'at' are always exact")
        return At(_times(at))
    assert every is not None
    if not isinstance(every, Table):
        return Every(positive(every), exact=boolean(exact) if exact is not None else False)
    if exact is not None:
        raise BadInput("'exact' does not go with a random schedule", place=exact.place, right="every: 15s, exact: true")
    every.only(("poisson", "renewal"))
    if len(every.entries) != 1:
        raise BadInput("one random schedule belongs here", place=every.place, right="{poisson: 15s} or {renewal: {...}}")
    ((word, value),) = every.entries.items()
    return Poisson(positive(value)) if word == "poisson" else struct(value, Renewal)


def when(entry: Table) -> When | None:
    """The condition, its time limit, and what to do if it does not come; None if there is none."""
    value = entry.get("when")
    if value is None:
        for key in ("within", "otherwise"):
            if key in entry.entries:
                raise BadInput(f"'{key}' goes with 'when'", place=entry.entries[key].place, right=f"when: {EXAMPLES['fault']}")
        return None
    limit = entry.get("within")
    if limit is None:
        raise BadInput("nothing says how long to wait for 'when'", place=value.place, right="within: 30s")
    word = entry.get("otherwise")
    otherwise = OTHERWISE[0] if word is None else text(word, "a word")
    if word is not None and otherwise not in OTHERWISE:
        raise BadInput(f"'{otherwise}' is not a choice here", place=word.place, right=suggest(otherwise, OTHERWISE))
    return When(_condition(table(value, "a condition")), positive(limit), otherwise)


def _condition(entry: Table) -> Condition:
    entry.only(("fault", "role", "service", "node", "is", "changes"))
    found = [key for key in EXAMPLES if key in entry.entries]
    if len(found) != 1:
        what = "'when' says nothing to wait for" if not found else f"'{found[0]}' and '{found[1]}' are two conditions"
        raise BadInput(what, place=entry.place, right=f"one of: {', '.join(EXAMPLES.values())}")
    kind = found[0]
    name = text(entry.entries[kind], "a name")
    if kind == "role":
        entry.only(("role", "changes"))
        changes = entry.need("changes", "true")
        if not boolean(changes):
            raise BadInput("only a change can be waited for", place=changes.place, right="changes: true")
        return OnRole(name)
    entry.only((kind, "is"))
    state = entry.need("is", STATES[kind][0])
    word = text(state, "a word")
    if word not in STATES[kind]:
        raise BadInput(f"'{word}' is not a choice here", place=state.place, right=suggest(word, STATES[kind]))
    if kind == "fault":
        return OnFault(name, word)
    return OnService(name, word) if kind == "service" else OnNode(name, word)


def _times(value: Value) -> tuple[float, ...]:
    items = value.items if isinstance(value, Listing) else (value,)
    if not items:
        raise BadInput("an empty list is no time", place=value.place, right="at: 40s, or at: [10s, 20s]")
    return tuple(not_negative(item) for item in items)


def not_negative(value: Value) -> float:
    """A duration of at least 0."""
    found = quantity(value, DURATION)
    if found < 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="at least 0s")
    return found


def positive(value: Value) -> float:
    """A duration of more than 0."""
    if isinstance(value, Scalar) and value.kind == NULL:
        raise BadInput("nothing stands where a duration belongs", place=value.place, right="write it like 3s")
    found = quantity(value, DURATION)
    if found <= 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="more than 0s")
    if found < SHORTEST_S:
        raise BadInput(f"{what_is(value)} is shorter than anything here can be timed", place=value.place, right="at least 1ms")
    return found
