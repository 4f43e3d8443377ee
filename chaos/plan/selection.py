"""To whom: from a selector to victims, at the moment of injection (``resolve``) or for planning (``possible``).

Words (``leader``, ``followers``, ``any``, ``majority``) speak of the part behind the name unless ``part:``, ``zone:``, ``host:`` or
``label:`` says otherwise. Protected nodes are never picked at random. The role in the result makes the fault class:

    one role for all victims   leader | follower | node (of a system without roles)      several roles   mixed
    {zone: a}                  zone:a       groups   groups       a link   the role of its end that is not ``any``; clients; dns
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from chaos.core.rng import stream
from chaos.core.values import LEADER, Victims
from chaos.experiment.selectors import Labelled, LinkTo, Named, Role, Same, Selector, Side, Zone
from chaos.plan.candidates import ENDPOINTS, FOLLOWERS, NothingMatched, View, all_of, candidates_of, pickable, victims_of, victims_of_links
from chaos.plan.plan import PlannedNode
from chaos.plugin import Fault

__all__ = ["ENDPOINTS", "FOLLOWERS", "NothingMatched", "possible", "resolve"]

_MANY: Final = 300
"""Above so many combinations, planning looks at neighbouring nodes only: they still touch every pair of nodes."""


def resolve(
    selector: Selector | None,
    *,
    nodes: Sequence[PlannedNode],
    roles: Mapping[str, frozenset[str]],
    up: frozenset[str],
    protect: Collection[str],
    draw: int,
    last: Mapping[str, Victims],
    part: str,
    has_roles: bool,
    fault: Fault,
    leads: str = "",
) -> Victims:
    """The victims, now: ``roles`` (node -> roles held) and ``up`` (nodes whose process runs) as just asked; ``draw`` seeds the choice.

    ``last`` is whom each fault picked last; ``leads`` the part that leaders are of, if not the one behind the name.
    Without a selector, the fault itself says who is meant. Raises ``NothingMatched``.
    """
    view = View(tuple(nodes), roles, up, frozenset(protect), part, has_roles, leads)
    rng = stream(draw, "victims")
    match selector:
        case None:
            members = pickable(view.members(None, None), view)
            return fault.pick(rng.sample(members, len(members)))
        case Same(fault=named):
            return _again(named, last, view)
        case LinkTo():
            choices = list(victims_of_links(selector, view))
            return choices[rng.randrange(len(choices))]
        case _:
            candidates, count = candidates_of(selector, view)
            picked = set(rng.sample(sorted(candidates), count))
            victims = victims_of(selector, [node.name for node in nodes if node.name in picked], view)
            others = _others(victims, view)
            return _widened(fault, victims, rng.sample(others, len(others)), view)


def possible(
    selector: Selector | None,
    *,
    nodes: Sequence[PlannedNode],
    protect: Collection[str],
    part: str,
    has_roles: bool,
    fault: Fault,
    others: Mapping[str, tuple[Selector | None, Fault]] | None = None,
    leads: str = "",
) -> Iterator[Victims]:
    """Whom the selector may come to pick, over every leader there may be; each once. All nodes are taken to run.

    With very many combinations only neighbouring nodes are looked at, which still touch every pair. ``others`` are the
    selectors of the faults that ``{same: ...}`` may name. Raises ``NothingMatched`` if there is no way to match.
    """
    if isinstance(selector, Same):
        selector, fault = (others or {}).get(selector.fault, (None, fault))
    if isinstance(selector, Same):
        raise NothingMatched("'same' must name a fault that picks by itself")
    names = [node.name for node in nodes]
    if selector is None:
        view = View(tuple(nodes), {}, frozenset(names), frozenset(protect), part, has_roles)
        order = pickable(view.members(None, None), view)
        yield from dict.fromkeys(fault.pick(each) for each in fault.orders(order))
        return
    leaders = [node.name for node in nodes if node.part == (leads or part)] if has_roles else [""]
    seen: set[Victims] = set()
    refusal: NothingMatched | None = None
    for leader in leaders:
        view = View(tuple(nodes), {leader: frozenset({LEADER})}, frozenset(names), frozenset(protect), part, has_roles, leads)
        try:
            choices = (
                _widened(fault, picked, order, view)
                for picked in _choices(selector, view, names)
                for order in fault.orders(_others(picked, view))
            )
            for victims in choices:
                if victims not in seen:
                    seen.add(victims)
                    yield victims
        except NothingMatched as error:
            refusal = error
    if not seen and refusal is not None:
        raise refusal


def _choices(selector: Named | Role | Side | Zone | Labelled | LinkTo, view: View, names: list[str]) -> Iterator[Victims]:
    if isinstance(selector, LinkTo):
        yield from victims_of_links(selector, view)
        return
    candidates, count = candidates_of(selector, view)
    ordered = [name for name in names if name in candidates]
    if math.comb(len(ordered), count) <= _MANY:
        yield from (victims_of(selector, list(some), view) for some in itertools.combinations(ordered, count))
        return
    for first in range(len(ordered)):
        run = {ordered[(first + step) % len(ordered)] for step in range(count)}
        yield victims_of(selector, [name for name in ordered if name in run], view)


def _again(fault: str, last: Mapping[str, Victims], view: View) -> Victims:
    victims = last.get(fault)
    if victims is None:
        raise NothingMatched(f"'{fault}' has not picked anyone yet")
    if not victims.nodes:
        return victims
    candidates, _ = all_of(list(victims.nodes), view)
    return Victims(nodes=victims.nodes, role=view.role_of(candidates))


def _others(victims: Victims, view: View) -> list[str]:
    """Those of the victims' part who may stand on their side."""
    part = next((node.part for node in view.nodes if node.name in victims.nodes), view.part)
    return [name for name in pickable(view.members(part, None), view) if name not in victims.nodes]


def _widened(fault: Fault, victims: Victims, order: list[str], view: View) -> Victims:
    """The victims with whom else the fault takes, of their part in this order."""
    part = next((node.part for node in view.nodes if node.name in victims.nodes), view.part)
    return fault.widen(victims, view.members(part, None), order, view.protect)
