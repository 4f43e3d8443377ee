"""Nodes and links that a selector may pick, as one moment shows them: who is there, who runs, who leads, who is protected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER, Link, Victims
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Selector, Side, Zone
from chaos.plan.plan import PlannedNode
from chaos.plan.shapes import quorum

ANY: Final = "any"
FOLLOWERS: Final = "followers"
MAJORITY: Final = "majority"
ENDPOINTS: Final = (CLIENTS, DNS)


class NothingMatched(BadInput):
    """The selector picks nobody, now."""


class View(msgspec.Struct, frozen=True):
    """What a selector sees of the cluster at one moment."""

    nodes: tuple[PlannedNode, ...]
    roles: Mapping[str, frozenset[str]]
    """Node -> the roles it says it holds."""
    up: frozenset[str]
    protect: frozenset[str]
    part: str
    has_roles: bool
    leads: str = ""
    """The part whose nodes alone may lead, if that is another one than the part behind the name."""

    def holds(self, role: str, among: Sequence[str]) -> list[str]:
        """Those nodes that hold the role."""
        return [node for node in among if role in self.roles.get(node, frozenset())]

    def members(self, part: str | None, zone: str | None, label: str | None = None) -> list[str]:
        """The nodes of a part and zone with such labels; where nothing is given, of the part behind the name."""
        part = self.part if part is None and zone is None and label is None else part
        return [node.name for node in self.nodes if node.fits(part, zone, label)]

    def role_of(self, nodes: Sequence[str]) -> str:
        """The one role of all of them, or ``mixed``; of nodes that stand outside the part behind the name, their part."""
        parts = {node.name: node.part for node in self.nodes}
        found = set()
        for node in nodes:
            if self.holds(LEADER, [node]) and parts.get(node, self.part) == self.part:
                found.add(LEADER)
            else:
                inside = parts.get(node, self.part) == self.part
                found.add((FOLLOWER if self.has_roles else "node") if inside else f"part:{parts[node]}")
        return found.pop() if len(found) == 1 else "mixed"


def candidates_of(selector: Named | Role | Side | Zone | Labelled, view: View) -> tuple[list[str], int]:
    """Who may be picked, and how many of them are."""
    match selector:
        case Named(nodes=named):
            return all_of(list(named), view)
        case Zone(zone=zone):
            return all_of([node.name for node in view.nodes if node.stands_in(zone)], view)
        case Labelled(label=label, part=part, zone=zone):
            return all_of(view.members(part, zone, label), view)
        case Side(side=side):
            members = view.members(None, None)
            count = quorum(len(members)) if side == MAJORITY else len(members) - quorum(len(members))
            return _enough(pickable(members, view), count, f"a {side}")
        case Role():
            return of_role(selector, view)


def all_of(named: list[str], view: View) -> tuple[list[str], int]:
    """Just these, each of which must run and not be protected."""
    for node in named:
        if node in view.protect:
            raise NothingMatched(f"{node} is protected")
        if node not in view.up:
            raise NothingMatched(f"{node} is down already")
    return _enough(named, len(named), "these nodes")


def of_role(selector: Role, view: View) -> tuple[list[str], int]:
    """Those that hold the role, and how many of them are meant."""
    by_role = selector.role in (LEADER, FOLLOWERS) and selector.zone is None and selector.label is None
    members = view.members(selector.part or (view.leads if by_role else "") or None, selector.zone, selector.label)
    free = pickable(members, view)
    if selector.role == LEADER:
        found, default = view.holds(LEADER, free), 1
        if not found:
            leaders = view.holds(LEADER, members)
            raise NothingMatched(f"the leader, {leaders[0]}, is protected or down" if leaders else "there is no leader")
    elif selector.role == FOLLOWERS:
        found = [node for node in free if not view.holds(LEADER, [node])]
        default = len(found)
    else:
        found, default = free, 1
    if selector.percent is not None:
        # Rounded up, but not by what binary fractions add: 7 % of 100 is 7.
        default = math.ceil(selector.percent * len(members) - 1e-9)
    return _enough(found, selector.count or default, "such nodes")


def pickable(members: list[str], view: View) -> list[str]:
    """Those of them that run and are not protected."""
    return [node for node in members if node in view.up and node not in view.protect]


def _enough(found: list[str], count: int, what: str) -> tuple[list[str], int]:
    if count < 1 or not found:
        raise NothingMatched(f"{what} would be nobody")
    if count > len(found):
        raise NothingMatched(f"{count} are wanted, and only {len(found)} may be picked ({', '.join(found)})")
    return found, count


def victims_of(selector: Selector, picked: list[str], view: View) -> Victims:
    """These nodes with the role that makes their fault's class."""
    role = f"zone:{selector.zone}" if isinstance(selector, Zone) else view.role_of(picked)
    return Victims(nodes=tuple(picked), role=role)


# --- links -------------------------------------------------------------------------------------------------------------


def victims_of_links(selector: LinkTo, view: View) -> Iterator[Victims]:
    """One choice for each node that an end may turn out to be (two leaders at once, at most)."""
    sources, destinations = _ends(selector.source, view), _ends(selector.destination, view)
    found = False
    for source, destination in itertools.product(sources, destinations):
        pairs = _pairs(source, destination, view)
        if not pairs:
            continue
        found = True
        both = pairs + [Link(link.destination, link.source) for link in pairs] if selector.both else pairs
        yield Victims(links=tuple(dict.fromkeys(both)), role=_link_role(source, destination, view))
    if not found:
        raise NothingMatched(f"no link leads from {selector.source} to {selector.destination}")


def _ends(word: str, view: View) -> list[tuple[str, ...] | None]:
    """The node sets that an end may be; None stands for all other peers."""
    if word == ANY:
        return [None]
    if word in ENDPOINTS:
        return [(word,)]
    if word == LEADER:
        return [(node,) for node in of_role(Role(LEADER), view)[0]]
    if word == FOLLOWERS:
        return [tuple(of_role(Role(FOLLOWERS), view)[0])]
    return [tuple(all_of([word], view)[0])]


def _pairs(source: tuple[str, ...] | None, destination: tuple[str, ...] | None, view: View) -> list[Link]:
    parts = {node.name: node.part for node in view.nodes}
    fixed = source or destination or ()
    part = next((parts[end] for end in fixed if end in parts), view.part)
    peers = [node.name for node in view.nodes if node.part == part and node.name not in view.protect]
    return [
        Link(one, other)
        for one in (peers if source is None else source)
        for other in (peers if destination is None else destination)
        if one != other
    ]


def _link_role(source: tuple[str, ...] | None, destination: tuple[str, ...] | None, view: View) -> str:
    for endpoint in ENDPOINTS:
        if (endpoint,) in (source, destination):
            return endpoint
    named = source or destination
    return view.role_of(named) if named is not None else "mixed"
