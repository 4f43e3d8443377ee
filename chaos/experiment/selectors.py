"""To whom a fault is done.

::

    leader   followers   any   majority   minority   n2   [n1, n2]
    {any: 2}   {percent: 40%}   {zone: a}   {host: b}   {part: sentinel, any: 1}   {any: 1, role: followers}   {same: kill-leader}
    {label: "tier=cache,shard!=2"}   {label: tier=cache, any: 1}   {label: tier=cache, zone: a}
    {link: "leader -> any"}   {link: "leader <-> any"}   {link: "clients -> n2"}

Whether a selector can match anything is for the plan to say.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from chaos.core.errors import BadInput
from chaos.core.units import PERCENT, Ratio
from chaos.core.values import CLIENTS, DNS, LEADER
from chaos.experiment.forms import COUNT, WORDS, Form, choice, listed, one_of, quantity, string
from chaos.experiment.labels import LABELS
from chaos.experiment.schema import Schema, anchored, there
from chaos.experiment.source import Table, Value
from chaos.experiment.tables import Rule, Strict, Written, table

ANY: Final = "any"
FOLLOWERS: Final = "followers"
ROLES: Final = (LEADER, FOLLOWERS, ANY)
SIDES: Final = ("majority", "minority")


class Named(Strict, frozen=True, tag="named"):
    """``n2`` or ``[n1, n2]``."""

    nodes: tuple[str, ...]


class Role(Strict, frozen=True, tag="role"):
    """``leader``, ``followers`` (all of them), ``any`` (one at random), within a part or zone if given."""

    role: str
    count: int | None = None
    """``{any: 2}``."""
    percent: Ratio | None = None
    """``{percent: 40%}`` of the nodes, rounded up."""
    part: str | None = None
    zone: str | None = None
    """Or a host: a host is a zone."""
    label: str | None = None
    """As kubectl writes selectors (``labels``)."""


class Side(Strict, frozen=True, tag="side"):
    """``majority`` or ``minority``: as many random nodes as make one."""

    side: str


class Zone(Strict, frozen=True, tag="zone"):
    """``{zone: a}``, ``{host: b}``: all nodes of it. A host is a zone."""

    zone: str


class Labelled(Strict, frozen=True, tag="labelled"):
    """``{label: tier=cache}``: all nodes with such labels, of the part and of the zone or host if they are given."""

    label: str
    part: str | None = None
    zone: str | None = None


class Same(Strict, frozen=True, tag="same"):
    """``{same: kill-leader}``: whom that fault last picked."""

    fault: str


class LinkTo(Strict, frozen=True, tag="link"):
    """``{link: "leader -> any"}``; with ``both``, ``<->``. An end is a selector word, a node, ``clients`` or ``dns``; ``any`` means all
    other peers."""

    source: str
    destination: str
    both: bool = False


Selector = Named | Role | Side | Zone | Labelled | Same | LinkTo


def label_of(selector: Selector | None) -> str | None:
    """The labels that it speaks of, if it does."""
    return selector.label if isinstance(selector, Role | Labelled) else None


# --- as they are written -----------------------------------------------------------------------------------------------

_EXAMPLES: Final = 'leader, followers, any, n2, [n1, n2], {any: 2} or {link: "leader <-> any"}'
_COUNTED: Final = (ANY, FOLLOWERS, LEADER, "percent")
_ALONE: Final = ("link", "same")
_PLACES: Final = ("zone", "host")
_ARROW: Final = re.compile(r"\s*(\S+)\s*(<->|->)\s*(\S+)\s*")
_A_LINK: Final[Schema] = {"type": "string", "pattern": anchored(_ARROW.pattern)}


def _link(written_as: str, value: Value) -> LinkTo:
    found = _ARROW.fullmatch(written_as)
    if found is None:
        raise BadInput(f"'{written_as}' is not a link", place=value.place, right='"leader -> any", "leader <-> any" or "clients -> n2"')
    source, arrow, destination = found.groups()
    if {source, destination} <= {CLIENTS, DNS} or (source == destination and source != ANY):
        raise BadInput(f"'{written_as}' joins no two nodes", place=value.place, right='"leader -> any" or "clients -> n2"')
    return LinkTo(source, destination, both=arrow == "<->")


def _check_whom(entry: Table) -> None:
    """``link`` and ``same`` stand alone; of all others it must be clear how many nodes are meant."""
    keys = list(entry.entries)
    alone = next((key for key in _ALONE if key in keys), None)
    if alone is not None:
        other = next((key for key in keys if key != alone), None)
        if other is not None:
            raise BadInput(f"'{other}' does not go with '{alone}'", place=entry.entries[other].place, right=f"'{alone}' alone")
        return
    if set(_PLACES) <= set(keys):
        raise BadInput("'host' does not go with 'zone'", place=entry.entries["host"].place, right="one of them")
    counted = [key for key in _COUNTED if key in keys]
    clear = len(counted) == 1 and ("role" not in keys or counted[0] in (ANY, "percent"))
    every = not counted and ("label" in keys or (len(keys) == 1 and keys[0] in _PLACES))
    if not (every or (not counted and "role" in keys) or clear):
        raise BadInput("it is not clear how many nodes are meant", place=entry.place, right="{any: 1} or {percent: 40%}, one of them")


def _whom_schema() -> Schema:
    def other_than(key: str) -> tuple[str, ...]:
        return (*(other for other in _COUNTED if other != key), *(("role",) if key in (FOLLOWERS, LEADER) else ()))

    every: list[Schema] = [{"required": ["label"]}, *({"required": [key], "maxProperties": 1} for key in _PLACES)]
    some: list[Schema] = [
        {"anyOf": every, "not": there(*_COUNTED, "role")},
        {"required": ["role"], "not": there(*_COUNTED)},
        *({"required": [key], "not": there(*other_than(key))} for key in _COUNTED),
    ]
    return {"if": there(*_ALONE), "then": {"maxProperties": 1}, "else": {"oneOf": some, "not": {"required": list(_PLACES)}}}


@Written(rules=(Rule(_check_whom, _whom_schema()),), inline=True)
class Whom(Strict, frozen=True):
    """Who is meant, by a link, an earlier pick, a host, labels, or how many of which nodes."""

    link: Annotated[LinkTo | None, Form(string("a link").read, _A_LINK).then(_link)] = None
    """"leader -> any", "leader <-> any", "clients -> n2": connections that the first opens to the second"""
    same: Annotated[str, string("the name of a fault")] = ""
    """Whom the fault of that name last picked"""
    zone: Annotated[str | None, string("the name of a zone")] = None
    """Of a zone; alone, all of it"""
    host: Annotated[str | None, string("the name of a host")] = None
    """Of one of the hosts, a Docker host or a machine of a Kubernetes cluster; alone, all of it"""
    label: Annotated[str | None, LABELS] = None
    """Of those with such labels, as kubectl writes selectors (tier=cache,shard!=2); without a number, all of them"""
    part: Annotated[str | None, WORDS] = None
    """Of a part"""
    role: Annotated[str, choice(ROLES)] = ""
    """Of those with this role"""
    any: Annotated[int | None, COUNT] = None
    """So many at random"""
    followers: Annotated[int | None, COUNT] = None
    """So many of them at random"""
    leader: Annotated[int | None, COUNT] = None
    """So many of them at random"""
    percent: Annotated[float | None, quantity(PERCENT, gt=0, le=1)] = None
    """This share at random, rounded up"""

    def selector(self) -> Selector:
        """As a plan holds it."""
        if self.link is not None:
            return self.link
        if self.same:
            return Same(self.same)
        place = self.zone if self.host is None else self.host
        count = next((found for found in (self.any, self.followers, self.leader) if found is not None), None)
        if not self.role and count is None and self.percent is None:
            if self.label is not None:
                return Labelled(self.label, part=self.part, zone=place)
            if place is not None:
                return Zone(place)
        role = FOLLOWERS if self.followers is not None else LEADER if self.leader is not None else self.role or ANY
        return Role(role, count=count, percent=self.percent, part=self.part, zone=place, label=self.label)


def _word(word: str, value: Value) -> Selector:
    if word in SIDES:
        return Side(word)
    if word in ROLES:
        return Role(word)
    if _ARROW.fullmatch(word):
        raise BadInput("a link is written as a mapping", place=value.place, right=f'{{link: "{word}"}}')
    return Named((word,))


SELECTOR: Final[Form[Selector]] = one_of(
    string(f"a selector ({_EXAMPLES})").then(_word, {"not": _A_LINK}).said("leader, followers, any, majority, minority, or a node"),
    listing=listed(WORDS, example="[n1, n2]", least=1, distinct=True, few="an empty list names nobody").then(lambda names, _: Named(names)),
    table=table(Whom).then(lambda whom, _: whom.selector()),
).shared("selector")
