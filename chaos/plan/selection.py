"""To whom: from a selector to victims, at the moment of injection (``resolve``) or for planning (``possible``).

Words (``leader``, ``followers``, ``any``, ``majority``) speak of the part behind the name unless ``part:`` or ``zone:`` says
otherwise. Protected nodes are never picked at random. The role in the result makes the fault class:

    one role for all victims   leader | follower | node (of a system without roles)      several roles   mixed
    {zone: a}                  zone:a       groups   groups       a link   the role of its end that is not ``any``; clients; dns
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from chaos.core.rng import stream
from chaos.core.values import CLIENTS, LEADER, Victims
from chaos.experiment.spec import LinkTo, Named, Role, Same, Selector, Side, Zone
from chaos.plan import shapes
from chaos.plan.candidate_links import victims_of_links
from chaos.plan.candidate_nodes import ENDPOINTS, FOLLOWERS, NothingMatched, View, all_of, candidates_of, pickable, victims_of
from chaos.plan.plan import PlannedNode

__all__ = ["ENDPOINTS", "FOLLOWERS", "NothingMatched", "possible", "resolve"]

_MANY: Final = 300
"""Above so many combinations, planning looks at neighbouring nodes only: they still touch every pair of nodes."""

Params = Mapping[str, str | float | bool | tuple[str | tuple[str, ...], ...] | None]


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
    params: Params | None = None,
) -> Victims:
    """The victims, now: ``roles`` (node -> roles held) and ``up`` (nodes whose process runs) as just asked; ``draw`` seeds the choice.

    ``last`` is whom each fault picked last. Without a selector, ``params`` say who is meant: groups, a shape of the whole part, or
    the name server. Raises ``NothingMatched``.
    """
    view = View(tuple(nodes), roles, up, frozenset(protect), part, has_roles)
    rng = stream(draw, "victims")
    match selector:
        case None:
            members = pickable(view.members(None, None), view)
            return _untargeted(params or {}, rng.sample(members, len(members)))
        case Same(fault=fault):
            return _again(fault, last, view)
        case LinkTo():
            choices = list(victims_of_links(selector, view))
            return choices[rng.randrange(len(choices))]
        case _:
            candidates, count = candidates_of(selector, view)
            picked = set(rng.sample(sorted(candidates), count))
            victims = victims_of(selector, [node.name for node in nodes if node.name in picked], view)
            others = _others(victims, view)
            return _sided(victims, rng.sample(others, len(others)), view, params or {})


def possible(
    selector: Selector | None,
    *,
    nodes: Sequence[PlannedNode],
    protect: Collection[str],
    part: str,
    has_roles: bool,
    params: Params | None = None,
    others: Mapping[str, tuple[Selector | None, Params]] | None = None,
) -> Iterator[Victims]:
    """Whom the selector may come to pick, over every leader there may be; each once. All nodes are taken to run.

    With very many combinations only neighbouring nodes are looked at, which still touch every pair. ``others`` are the
    selectors of the faults that ``{same: ...}`` may name. Raises ``NothingMatched`` if there is no way to match.
    """
    if isinstance(selector, Same):
        selector, params = (others or {}).get(selector.fault, (None, {}))
    if isinstance(selector, Same):
        raise NothingMatched("'same' must name a fault that picks by itself")
    names = [node.name for node in nodes]
    if selector is None:
        view = View(tuple(nodes), {}, frozenset(names), frozenset(protect), part, has_roles)
        order = pickable(view.members(None, None), view)
        orders = _opposites(order) if (params or {}).get("shape") == shapes.RING else _turns(order)
        yield from dict.fromkeys(_untargeted(params or {}, each) for each in orders)
        return
    leaders = [node.name for node in nodes if node.part == part] if has_roles else [""]
    seen: set[Victims] = set()
    refusal: NothingMatched | None = None
    for leader in leaders:
        view = View(tuple(nodes), {leader: frozenset({LEADER})}, frozenset(names), frozenset(protect), part, has_roles)
        try:
            choices = (
                _sided(picked, order, view, params or {})
                for picked in _choices(selector, view, names)
                for order in _turns(_others(picked, view))
            )
            for victims in choices:
                if victims not in seen:
                    seen.add(victims)
                    yield victims
        except NothingMatched as error:
            refusal = error
    if not seen and refusal is not None:
        raise refusal


def _choices(selector: Named | Role | Side | Zone | LinkTo, view: View, names: list[str]) -> Iterator[Victims]:
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


# --- shapes ------------------------------------------------------------------------------------------------------------


def _untargeted(params: Params, order: list[str]) -> Victims:
    """Whom a fault without a target is done to: the groups it names, all members of a part in this order, or the name server."""
    groups, shape, mode = params.get("groups"), params.get("shape"), params.get("mode")
    if isinstance(groups, tuple) and groups:
        return Victims(groups=tuple(tuple(group) for group in groups), role="groups")
    if shape in shapes.WHOLE:
        if len(order) < (3 if shape == shapes.BRIDGE else 2):
            raise NothingMatched(f"{len(order)} nodes make no '{shape}'")
        if shape == shapes.HALVES:
            return Victims(groups=shapes.halves(order), role=shape)
        links = shapes.bridge(order) if shape == shapes.BRIDGE else shapes.ring(order)
        if not links:
            raise NothingMatched(f"{len(order)} nodes make no '{shape}': every majority is all of them")
        return Victims(links=links, role=str(shape))
    if isinstance(mode, str):
        return Victims(role=mode)
    if "rate_per_s" in params:
        return Victims(role=CLIENTS)
    raise NothingMatched("neither a target nor groups are given")


def _others(victims: Victims, view: View) -> list[str]:
    """Those of the victims' part who may stand on their side."""
    part = next((node.part for node in view.nodes if node.name in victims.nodes), view.part)
    return [name for name in pickable(view.members(part, None), view) if name not in victims.nodes]


def _sided(victims: Victims, order: list[str], view: View, params: Params) -> Victims:
    """The victims with so many others, the first in this order, as make a majority or a minority of their part; all else as it is."""
    shape = params.get("shape")
    if shape not in shapes.SIDED or not victims.nodes:
        return victims
    part = next(node.part for node in view.nodes if node.name in victims.nodes)
    members = view.members(part, None)
    count = shapes.side_size(str(shape), len(members))
    # The smaller side is the one that is cut off: no protected node may come to stand there.
    first = [*victims.nodes, *(name for name in members if name in view.protect and shape == shapes.MAJORITY)]
    if count < len(first) or count > len(first) + len(order):
        raise NothingMatched(f"{len(first)} of {len(members)} nodes cannot stand in a {shape} of {count}")
    together = {*first, *order[: count - len(first)]}
    sides = shapes.side([name for name in members if name in together] + [name for name in members if name not in together], count)
    return Victims(groups=sides, role=f"{shape}:{victims.role}")


def _turns(order: list[str]) -> list[list[str]]:
    """The order, begun at each place in turn: enough to bring every two nodes onto different sides. One empty order of nobody."""
    return [order[start:] + order[:start] for start in range(len(order))] or [[]]


def _opposites(order: list[str]) -> list[list[str]]:
    """Orders that bring every two nodes to opposite places of a circle, either of them first: turning it would change nothing."""
    found = []
    for one, other in itertools.permutations(order, 2):
        between = [name for name in order if name not in {one, other}]
        half = len(order) // 2 - 1
        found.append([one, *between[:half], other, *between[half:]])
    return found or [order]
