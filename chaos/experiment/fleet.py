"""A fleet: thousands of nodes in zones and regions, for ``nines predict --simulate``. From its YAML to a ``Fleet``, and its JSON Schema.

Nothing here is started or measured: a fleet is what somebody runs or plans, by rates and lengths that they assume or know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from chaos.core import units
from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.core.units import DURATION, PERCENT, Ratio, Seconds
from chaos.experiment import kinds
from chaos.experiment.forms import COUNT, FLAG, NAME, Form, Mistakes, listed, mapping, number, one_of, parsed, quantity, string, whole
from chaos.experiment.schedules import AT_LEAST_0, SPAN
from chaos.experiment.schema import Schema, anchored, said
from chaos.experiment.source import FLOAT, INT, Scalar, Table, Value, parse, read_text, table_of
from chaos.experiment.tables import Key, Strict, Written, table

YEAR_S: Final = 365 * 86400.0
MOST_NODES: Final = 1_000_000
MOST_YEARS: Final = 10_000.0
MOST_SEED: Final = 2**53 - 1
FLEET, REGION, ZONE, NODE = "fleet", "region", "zone", "node"


# --- lengths of time -----------------------------------------------------------------------------------------------------


class Law(Strict, frozen=True):
    """How long something lasts. ``constant``: ``low_s``; ``uniform``: ``low_s`` to ``high_s``; else of this mean, ``cv`` for lognormal."""

    kind: str
    mean_s: float
    low_s: float = 0.0
    high_s: float = 0.0
    cv: float = 0.0


def constant(span_s: float) -> Law:
    """Always so long."""
    return Law("constant", span_s, span_s, span_s)


def _range(ends_s: tuple[float, ...], value: Value) -> Law:
    low_s, high_s = ends_s
    if not low_s < high_s:
        raise BadInput("this range does not rise", place=value.place, right="[shortest, longest], such as [1s, 3s]")
    return Law("uniform", (low_s + high_s) / 2, low_s, high_s)


def _drawn(found: dict[str, Any], entry: Table) -> Drawn:
    if ("exponential_s" in found) == ("lognormal_s" in found) or ("cv" in found) != ("lognormal_s" in found):
        raise BadInput("this is no law of lengths", place=entry.place, right="{exponential: 1h}, or {lognormal: 2h, cv: 1.5}")
    return Drawn(**found)


@Written(inline=True, make=_drawn)
class Drawn(Strict, frozen=True):
    """A law with a tail."""

    exponential_s: Annotated[Seconds | None, SPAN] = None
    """The mean"""
    lognormal_s: Annotated[Seconds | None, SPAN] = None
    """The mean"""
    cv: Annotated[float | None, number(gt=0, le=20)] = None
    """Standard deviation over mean, of a lognormal law"""

    def law(self) -> Law:
        """As what is drawn."""
        if self.exponential_s is not None:
            return Law("exponential", self.exponential_s, cv=1.0)
        assert self.lognormal_s is not None
        assert self.cv is not None
        return Law("lognormal", self.lognormal_s, cv=self.cv)


LAW: Final[Form[Law]] = one_of(
    AT_LEAST_0.then(lambda span_s, _: constant(span_s)),
    listing=listed(AT_LEAST_0, example="[1s, 3s]", least=2, most=2).then(_range),
    table=table(Drawn).then(lambda found, _: found.law()),
).shared("length of time")
"""``30s``, ``[20s, 40s]``, ``{exponential: 1h}``, ``{lognormal: 2h, cv: 1.5}``."""


# --- rates and crews -----------------------------------------------------------------------------------------------------

_RATE: Final = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s+per\s+(\S+)\s+per\s+(\w+)\s*")
_CREWS: Final = re.compile(rf"\s*([0-9]{{1,9}})\s+per\s+({ZONE}|{REGION}|{FLEET})\s*")


def _rate(per: str) -> Form[float]:
    """``1 per 45d per node``, in 1/s."""
    example = f"1 per {'45d' if per == NODE else '365d'} per {per}"

    def read(written_as: str, value: Value) -> float:
        found = _RATE.fullmatch(written_as)
        if found is None or found[3] != per:
            raise BadInput(f"'{written_as}' is not a rate per {per}", place=value.place, right=example)
        span_s = parsed(value, DURATION, found[2])
        if not (span_s > 0 and float(found[1]) > 0):
            raise BadInput(f"'{written_as}' is out of range", place=value.place, right="more than 0 per more than 0s")
        return float(found[1]) / span_s

    pattern = rf"\s*\d+(?:\.\d+)?\s+per\s+{units.pattern(DURATION, 'more than 0')}\s+per\s+{per}\s*"
    schema: Schema = said({"type": "string", "pattern": anchored(pattern)}, f"`{example}`")
    return Form(string("a rate").then(read).read, schema)


class Crews(Strict, frozen=True):
    """So many nodes are repaired at a time in each zone, in each region, or in all."""

    number: int
    per: str


def _crews(written_as: str, value: Value) -> Crews:
    found = _CREWS.fullmatch(written_as)
    if found is None or int(found[1]) < 1:
        raise BadInput(f"'{written_as}' is no number of repair crews", place=value.place, right="3 per region, 1 per zone, or 5 per fleet")
    return Crews(int(found[1]), found[2])


_CREWS_FORM: Final = Form(
    string("a number of repair crews").then(_crews).read,
    said({"type": "string", "pattern": anchored(r"\s*0*[1-9][0-9]*\s+per\s+(?:zone|region|fleet)\s*")}, "`3 per region`"),
)


# --- services ------------------------------------------------------------------------------------------------------------


class Failover(Strict, frozen=True):
    """A second set of replicas in another region, which takes over when the first one is out."""

    to: Annotated[str, NAME, Key(example="to: west")]
    """The region"""
    after: Annotated[Law, LAW, Key(example="after: 30s")]
    """From the begin of an outage until the switch begins; an outage that ends before is waited out"""
    takes: Annotated[Law, LAW, Key(example="takes: 2m")]
    """How long the switch takes; clients are out until its end, whatever comes back meanwhile"""
    back: Annotated[Law, LAW] = constant(math.inf)
    """So long must the first region have worked until clients are led back, without an outage; left out: they stay"""


class Maintenance(Strict, frozen=True):
    """Planned restarts on the clock, one node of a group at a time; left out where the group is not whole."""

    every_s: Annotated[Seconds, SPAN, Key(example="every: 30d")]
    """Each node once in this time"""
    takes: Annotated[Law, LAW, Key(example="takes: 5m")]
    """From its end until it runs again; no crew is needed"""
    handover: Annotated[bool, FLAG] = True
    """A leader lets another node lead first."""


@Written(blank=True, inline=True)
class Service(Strict, frozen=True):
    """Groups of replicas that are alike: the shards of a store, or many small clusters."""

    nodes: Annotated[int, whole(ge=1, le=99), Key(example="nodes: 5")]
    """Replicas of each group, in each region that it is in; spread over the zones of the region"""
    in_: Annotated[str, NAME, Key(name="in", example="in: east")]
    """The region that serves clients"""
    repair: Annotated[Law, LAW, Key(example="repair: {lognormal: 2h, cv: 1.5}")]
    """From the moment when a crew begins with a crashed node until it runs"""
    crash_per_s: Annotated[float, _rate(NODE), Key(name="crash", example="crash: 1 per 45d per node")]
    groups: Annotated[int, COUNT] = 1
    quorum: Annotated[int | None, COUNT] = None
    """Voting nodes that a group needs; left out: more than half"""
    takeover: Annotated[Law | None, LAW] = None
    """From the loss of a leader until another one serves; left out: there is no leader, and a quorum is enough"""
    resync: Annotated[Law, LAW] = constant(0.0)
    """From running until voting again"""
    restart: Annotated[Law, LAW] = constant(0.0)
    """How long a node takes to start by itself when its zone is back"""
    common_cause: Annotated[float, quantity(PERCENT, ge=0, lt=1)] = 0.0
    """The share of crashes that strike all nodes of a group in a region at once (beta model)"""
    retries_s: Annotated[Seconds, AT_LEAST_0] = 0.0
    """Clients try so long: the first so many seconds of each outage are not seen"""
    failover: Failover | None = None
    maintenance: Maintenance | None = None

    @property
    def needed(self) -> int:
        """The quorum, given or not."""
        return self.nodes // 2 + 1 if self.quorum is None else self.quorum

    @property
    def sides(self) -> int:
        """Regions that each group is in."""
        return 1 if self.failover is None else 2


class Outage(Strict, frozen=True):
    """Of each zone, or each region."""

    rate_per_s: float
    lasts: Law


@Written(inline=True)
class OfZones(Strict, frozen=True):
    """Each zone goes dark by itself."""

    rate_per_s: Annotated[float, _rate(ZONE), Key(name="rate", example="rate: 1 per 365d per zone")]
    lasts: Annotated[Law, LAW, Key(name="for", example="for: {exponential: 1h}")]


@Written(inline=True)
class OfRegions(Strict, frozen=True):
    """All zones of a region go dark together."""

    rate_per_s: Annotated[float, _rate(REGION), Key(name="rate", example="rate: 1 per 3650d per region")]
    lasts: Annotated[Law, LAW, Key(name="for", example="for: {lognormal: 4h, cv: 1}")]


@Written(blank=True, inline=True)
class Outages(Strict, frozen=True):
    """What takes many nodes at once."""

    zone: Annotated[Outage | None, table(OfZones).then(lambda found, _: Outage(found.rate_per_s, found.lasts))] = None
    region: Annotated[Outage | None, table(OfRegions).then(lambda found, _: Outage(found.rate_per_s, found.lasts))] = None


@Written(inline=True)
class Promise(Strict, frozen=True):
    """What each group is held against: in each window its downtime must not exceed the budget."""

    availability: Annotated[Ratio, quantity(PERCENT, gt=0, lt=1), Key(example="availability: 99.95%")]
    window_s: Annotated[Seconds, SPAN] = 30 * 86400.0


# --- all of it -----------------------------------------------------------------------------------------------------------


def _made(found: dict[str, Any], entry: Table) -> Fleet:
    fleet = Fleet(**found)
    mistakes = Mistakes()
    services = table_of(entry.entries["services"])
    for name, service in fleet.services.items():
        mistakes.of(_fits, fleet, service, table_of(services.entries[name]))
    nodes = fleet.nodes
    if nodes > MOST_NODES:
        where = entry.entries["services"].place
        mistakes.found.append(BadInput(f"the fleet has {nodes:,} nodes", place=where, right=f"at most {MOST_NODES:,}"))
    if fleet.slo is not None and fleet.slo.window_s > fleet.years * YEAR_S:
        where = entry.entries["slo"].place
        mistakes.found.append(
            BadInput("no window of the slo fits into the time simulated", place=where, right="a shorter one, or more years")
        )
    mistakes.of(_kept_up_with, fleet, entry)
    mistakes.tell()
    return fleet


def _kept_up_with(fleet: Fleet, entry: Table) -> None:
    """Refuse crews whom crashes alone keep busy for more than all of their time: the queue would grow for ever."""
    if fleet.crews is None:
        return
    work: dict[str, float] = {}
    for service in fleet.services.values():
        for region in (service.in_, *([service.failover.to] if service.failover else [])):
            load = service.groups * service.nodes * service.crash_per_s * service.repair.mean_s
            place = FLEET if fleet.crews.per == FLEET else region
            work[place] = work.get(place, 0.0) + load / (len(fleet.regions.get(region, "-")) if fleet.crews.per == ZONE else 1)
    most = max(work.values(), default=0.0)
    if most >= fleet.crews.number:
        what = f"{fleet.crews.number} crews per {fleet.crews.per} cannot keep up: crashes keep {most:.3g} of them busy on average"
        raise BadInput(what, place=entry.entries["crews"].place, right=f"{math.floor(most) + 1} per {fleet.crews.per}, or shorter repairs")


def _fits(fleet: Fleet, service: Service, entry: Table) -> None:
    """Regions that are there, a quorum that can be had, replicas that start again."""
    if service.in_ not in fleet.regions:
        raise BadInput(f"unknown region '{service.in_}'", place=entry.entries["in"].place, right=suggest(service.in_, list(fleet.regions)))
    if service.needed > service.nodes:
        what = f"a quorum of {service.needed} is not possible with {service.nodes} nodes"
        raise BadInput(what, place=entry.entries["quorum"].place, right=f"1 to {service.nodes}")
    other = service.failover
    if other is not None and (other.to not in fleet.regions or other.to == service.in_):
        place = table_of(entry.entries["failover"]).entries["to"].place
        if other.to == service.in_:
            raise BadInput(f"'{other.to}' is the region that fails over", place=place, right="another region")
        raise BadInput(f"unknown region '{other.to}'", place=place, right=suggest(other.to, list(fleet.regions)))


@Written(make=_made, blank=True, inline=True)
class Fleet(Strict, frozen=True):
    """Nodes in zones and regions, what befalls them, and for how long they are simulated."""

    name: Annotated[str, NAME, Key("fleet", example="fleet: shop")]
    regions: Annotated[
        dict[str, tuple[str, ...]],
        mapping(listed(NAME, example="[a, b, c]", wanted="a list of zones", least=1, distinct=True, few="a region without zones")),
        Key(example="regions: {east: [a, b, c]}"),
    ]
    """Each with its zones"""
    services: Annotated[dict[str, Service], mapping(table(Service)), Key(example="services: {orders: {...}}")]
    question: Annotated[str, string("a question").then(lambda asked, _: asked.strip())] = ""
    outages: Outages = Outages()
    crews: Annotated[Crews | None, _CREWS_FORM] = None
    """Who repairs crashed nodes, in the order of the crashes; left out: all at once"""
    slo: Promise | None = None
    years: Annotated[float, number(gt=0, le=MOST_YEARS)] = 10.0
    """How long each replication lives; it begins with everything up"""
    replications: Annotated[int, whole(ge=2, le=1_000_000)] = 100
    seed: Annotated[int, whole(ge=0, le=MOST_SEED)] = 1
    """Fixes all draws."""

    @property
    def nodes(self) -> int:
        """Of all services and regions."""
        return sum(each.groups * each.nodes * each.sides for each in self.services.values())


FLEET_FILE: Final = table(Fleet)


def load_fleet(path: Path) -> Fleet:
    """The fleet of a file. Raises ``BadInput`` with all that is wrong in it."""
    return parse_fleet(read_text(path), str(path))


def parse_fleet(content: str, file: str, given: Mapping[str, float] | None = None) -> Fleet:
    """The fleet of a text that has been read already; ``file`` is for messages. ``given``: years, replications, seed instead of its own."""
    root = parse(content, file)
    kind = kinds.kind_of(root.entries)
    if kind not in (kinds.FLEET, kinds.UNKNOWN):
        raise BadInput(f"this is {kind}, not a fleet", place=Place(file), right="--simulate needs a fleet (docs/fleets.md)")
    instead = {
        key: Scalar(Place("the command line", path=f"--{key}"), f"{value}", FLOAT if key == "years" else INT)
        for key, value in (given or {}).items()
    }
    return FLEET_FILE.read(Table(root.place, {**root.entries, **instead}))
