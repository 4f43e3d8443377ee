"""Reading of selectors: to whom a fault is done.

::

    leader   followers   any   majority   minority   n2   [n1, n2]
    {any: 2}   {percent: 40%}   {zone: a}   {part: sentinel, any: 1}   {any: 1, role: followers}   {same: kill-leader}
    {link: "leader -> any"}   {link: "leader <-> any"}   {link: "clients -> n2"}
"""

from __future__ import annotations

import re
from typing import Final

from chaos.core.errors import BadInput
from chaos.core.units import PERCENT
from chaos.core.values import CLIENTS, DNS, LEADER
from chaos.experiment.decode import integer, quantity, texts
from chaos.experiment.source import Listing, Scalar, Table, Value, text, what_is
from chaos.experiment.spec import LinkTo, Named, Role, Same, Selector, Side, Zone

ANY: Final = "any"
FOLLOWERS: Final = "followers"
ROLES: Final = (LEADER, FOLLOWERS, ANY)
SIDES: Final = ("majority", "minority")
WORDS: Final = (*ROLES, *SIDES)
EXAMPLES: Final = 'leader, followers, any, n2, [n1, n2], {any: 2} or {link: "leader <-> any"}'
KEYS: Final = (ANY, FOLLOWERS, LEADER, "percent", "role", "part", "zone", "same", "link")
LINK: Final = re.compile(r"\s*(\S+)\s*(<->|->)\s*(\S+)\s*")


def selector(value: Value) -> Selector:
    """The selector that stands there; whether it can match anything is for planning to say."""
    match value:
        case Listing():
            names = texts(value, "[n1, n2]")
            if not names or len(set(names)) < len(names):
                what = "a node is named twice" if names else "an empty list names nobody"
                raise BadInput(what, place=value.place, right="each node once, such as [n1, n2]")
            return Named(names)
        case Table():
            return _from_keys(value)
        case Scalar():
            return _from_word(value)


def _from_word(value: Scalar) -> Selector:
    word = text(value, f"a selector ({EXAMPLES})")
    if word in SIDES:
        return Side(word)
    if word in ROLES:
        return Role(word)
    if LINK.fullmatch(word):
        raise BadInput("a link is written as a mapping", place=value.place, right=f'{{link: "{word}"}}')
    return Named((word,))


def _from_keys(entry: Table) -> Selector:
    entry.only(KEYS)
    keys = set(entry.entries)
    if "link" in keys:
        _alone(entry, "link")
        return _link(entry.entries["link"])
    if "same" in keys:
        _alone(entry, "same")
        return Same(text(entry.entries["same"], "the name of a fault"))
    if keys == {"zone"}:
        return Zone(text(entry.entries["zone"], "the name of a zone"))
    return _some(entry)


def _some(entry: Table) -> Role:
    """A count or share of the nodes that have a role, within a part or zone."""
    counted = [key for key in (ANY, FOLLOWERS, LEADER, "percent") if key in entry.entries]
    word = text(entry.entries["role"], "a role") if "role" in entry.entries else ANY
    if word not in ROLES:
        raise BadInput(f"'{word}' is not a choice here", place=entry.entries["role"].place, right=f"one of: {', '.join(ROLES)}")
    part, zone = (text(entry.entries[key]) if key in entry.entries else None for key in ("part", "zone"))
    if not counted and "role" in entry.entries:
        return Role(word, part=part, zone=zone)
    if len(counted) != 1 or ("role" in entry.entries and counted[0] not in (ANY, "percent")):
        raise BadInput("it is not clear how many nodes are meant", place=entry.place, right="{any: 1} or {percent: 40%}, one of them")
    value = entry.entries[counted[0]]
    if counted[0] == "percent":
        share = quantity(value, PERCENT)
        if not 0 < share <= 1:
            raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="more than 0% and at most 100%")
        return Role(word, percent=share, part=part, zone=zone)
    count = integer(value)
    if count < 1:
        raise BadInput(f"{what_is(value)} matches nothing", place=value.place, right="at least 1")
    return Role(word if counted[0] == ANY else counted[0], count=count, part=part, zone=zone)


def _link(value: Value) -> LinkTo:
    written = text(value, "a link")
    found = LINK.fullmatch(written)
    if found is None:
        raise BadInput(f"'{written}' is not a link", place=value.place, right='"leader -> any", "leader <-> any" or "clients -> n2"')
    source, arrow, destination = found.groups()
    if {source, destination} <= {CLIENTS, DNS} or (source == destination and source != ANY):
        raise BadInput(f"'{written}' joins no two nodes", place=value.place, right='"leader -> any" or "clients -> n2"')
    return LinkTo(source, destination, both=arrow == "<->")


def _alone(entry: Table, key: str) -> None:
    others = [other for other in entry.entries if other != key]
    if others:
        raise BadInput(f"'{others[0]}' does not go with '{key}'", place=entry.entries[others[0]].place, right=f"'{key}' alone")
