"""Links that a selector may pick: pairs of peers, or of a node and an endpoint; who the ends are is asked at that moment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from chaos.core.values import LEADER, Link, Victims
from chaos.experiment.spec import LinkTo, Role
from chaos.plan.candidate_nodes import ANY, ENDPOINTS, FOLLOWERS, NothingMatched, View, all_of, of_role


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
