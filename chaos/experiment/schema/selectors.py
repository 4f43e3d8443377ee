"""The JSON Schema of selectors (to whom a fault is done) and of schedules and conditions (when)."""

from __future__ import annotations

from typing import Final

from chaos.core.units import DURATION, PERCENT
from chaos.core.values import LEADER
from chaos.experiment.reading.schedules import OTHERWISE, STATES
from chaos.experiment.reading.selectors import ANY, FOLLOWERS, LINK, ROLES
from chaos.experiment.schema.pieces import COUNT, FLAG, WORDS, Schema, anchored, closed, given, listed, one_of, or_nothing, said, written
from chaos.experiment.schema.structs import Shapes
from chaos.experiment.spec import Renewal

_COUNTED: Final = (ANY, FOLLOWERS, LEADER, "percent")
_LINK: Final[Schema] = {"type": "string", "pattern": anchored(LINK.pattern)}


def selector(shapes: Shapes) -> Schema:
    """A word, a list of nodes, or a table that says of whom how many."""
    word = WORDS | {"not": _LINK, "description": "leader, followers, any, majority, minority, or a node"}
    keys = {
        "link": said(_LINK, '"leader -> any", "leader <-> any", "clients -> n2": connections that the first opens to the second'),
        "same": said(WORDS, "Whom the fault of that name last picked"),
        "zone": said(WORDS, "Of a zone; alone, all of it"),
        "part": said(WORDS, "Of a part"),
        "role": said({"enum": list(ROLES)}, "Of those with this role"),
        ANY: said(COUNT, "So many at random"),
        FOLLOWERS: said(COUNT, "So many of them at random"),
        LEADER: said(COUNT, "So many of them at random"),
        "percent": said(shapes.quantity(PERCENT, "more than 0"), "This share at random, rounded up"),
    }
    alone: Schema = {"maxProperties": 1}
    some: Schema = {
        "oneOf": [
            {"required": ["zone"], **alone},
            {"required": ["role"], "not": written(*_COUNTED)},
            *({"required": [key], "not": written(*_not_with(key))} for key in _COUNTED),
        ]
    }
    chosen = closed(keys) | {"if": written("link", "same"), "then": alone, "else": some}
    return one_of(word, listed(WORDS) | {"minItems": 1, "uniqueItems": True}, chosen)


def _not_with(key: str) -> tuple[str, ...]:
    """What would say another count, or another role."""
    return (*(other for other in _COUNTED if other != key), *(("role",) if key in (FOLLOWERS, LEADER) else ()))


def times(shapes: Shapes) -> dict[str, Schema]:
    """The keys of an entry that say when."""
    at = shapes.quantity(DURATION, "at least 0")
    span = shapes.quantity(DURATION, "more than 0")
    renewal = shapes.struct(Renewal)
    random = {"poisson": said(span, "The mean gap"), "renewal": renewal}
    return {
        "at": said(or_nothing(one_of(at, listed(at) | {"minItems": 1})), "Once, or at each of these times after the end of the baseline"),
        "every": said(
            or_nothing(one_of(span, closed(random) | {"minProperties": 1, "maxProperties": 1})),
            "First after one period, then after each; later by a random part of the TTL",
        ),
        "exact": said(or_nothing(FLAG), "Not later by a random part of the TTL", default=False),
        "times": said(or_nothing(COUNT), "How often"),
        "when": said(or_nothing(_condition()), "What must hold before it is done; looked for from its time on"),
        "within": said(or_nothing(span), "How long to wait for `when`, at most"),
        "otherwise": said(or_nothing({"enum": list(OTHERWISE)}), "What is done when `when` does not come", default=OTHERWISE[0]),
    }


def times_rules() -> list[Schema]:
    """What those keys ask of one another."""
    random: Schema = {"required": ["every"], "properties": {"every": {"type": "object"}}}
    return [
        {"oneOf": [given("at"), given("every")]},
        {"if": given("at"), "then": {"not": one_of(given("times"), given("exact"))}},
        {"if": random, "then": {"not": given("exact")}},
        {"if": given("when"), "then": given("within"), "else": {"not": written("within", "otherwise")}},
    ]


def _condition() -> Schema:
    """One thing that is looked at, and the state of it that is waited for."""
    words = {"fault": "Of this fault", "role": "Of this role", "service": "Of this operation", "node": "Of this node"}
    states = [state for each in STATES.values() for state in each]
    keys = {key: said(WORDS, about) for key, about in words.items()}
    keys |= {
        "is": said({"enum": list(dict.fromkeys(states))}, "What it is then"),
        "changes": said({"const": True}, "Another node than before holds it"),
    }
    choices: list[Schema] = [
        {"required": [key, "is"], "maxProperties": 2, "properties": {"is": {"enum": list(each)}}} for key, each in STATES.items()
    ]
    return closed(keys) | {"oneOf": [*choices, {"required": ["role", "changes"], "maxProperties": 2}]}
