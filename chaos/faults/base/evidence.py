"""What faults measure from outside to prove that they took effect and that they are gone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chaos.core.values import Evidence, Link, RoundTrip, Status
from chaos.plugin import HasAddresses, HasNetworks, Net, Scene

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")

PING_TIMEOUT_S = 0.15
"""How long a node may take to answer before it counts as silent; a healthy one answers in a few milliseconds."""

UNPREDICTED = "what a system does then is its own"

Figures = dict[str, float | str | None]
Way = tuple[Link, str]
"""A link on one network, or to one further address of its end; on no named one, where there is just one."""


def ask_nodes(scene: Scene, nodes: Sequence[str], timeout_s: float = PING_TIMEOUT_S) -> dict[str, RoundTrip]:
    """One direct question to each node, all at once."""
    return at_once(nodes, lambda node: scene.cluster.ping(node, timeout_s))


def ask_links(net: Net, links: Sequence[Link], timeout_s: float, repeat: int = 1) -> dict[Link, list[RoundTrip]]:
    """``repeat`` questions over each link in turn, all links at once."""
    return at_once(links, lambda link: [net.measure(link, timeout_s) for _ in range(repeat)])


def beyond(net: Net, links: Sequence[Link]) -> list[Way]:
    """The ways to addresses that the plan does not know."""
    return [(link, there) for link in links for there in net.beyond(link)] if isinstance(net, HasAddresses) else []


def ways(net: Net, links: Sequence[Link]) -> list[Way]:
    """All that a link's packets may take."""
    found: list[Way] = []
    for link in links:
        networks = net.networks_of(link) if isinstance(net, HasNetworks) else ()
        found += [(link, network) for network in networks or ("",)]
    return [*found, *beyond(net, links)]


def ask_ways(net: Net, on: Sequence[Way], timeout_s: float) -> dict[Way, RoundTrip]:
    """One question over each, all at once; where a link has several ways, one of ours on each of them."""

    def ask(way: Way) -> RoundTrip:
        link, where = way
        if where and isinstance(net, HasNetworks) and where in net.networks_of(link):
            return net.measure_on(link, where, timeout_s)
        if where and isinstance(net, HasAddresses):
            return net.measure_to(link, where, timeout_s)
        return net.measure(link, timeout_s)

    return at_once(on, ask)


def way_text(way: Way) -> str:
    """As it stands in a report."""
    link, network = way
    return f"{link} on {network}" if network else str(link)


def node_figures(scene: Scene, answers: dict[str, RoundTrip]) -> Figures:
    """Process state and round trip of each node, as they go into the report."""
    figures: Figures = {}
    for node, trip in answers.items():
        figures[f"{node}.process"] = str(scene.cluster.nodes[node].status())
        figures[f"{node}.rtt_s"] = trip.rtt_s
        if trip.error:
            figures[f"{node}.error"] = trip.error
    return figures


def link_figures(answers: Mapping[Subject, list[RoundTrip]]) -> Figures:
    """The median round trip of each link, or of whatever stands for one in words; or why there was none."""
    figures: Figures = {}
    for link, trips in answers.items():
        rtt_s = median_rtt_s(trips)
        figures[f"{link}.rtt_s"] = rtt_s
        error = next((trip.error for trip in trips if trip.error), None)
        if rtt_s is None and error:
            figures[f"{link}.error"] = error
    return figures


def median_rtt_s(trips: Sequence[RoundTrip]) -> float | None:
    """The median of those that came back."""
    seen = [trip.rtt_s for trip in trips if trip.rtt_s is not None]
    return statistics.median(seen) if seen else None


def nodes_answer(scene: Scene, nodes: Sequence[str]) -> Evidence:
    """Every process runs and every node answers."""
    answers = ask_nodes(scene, nodes)
    silent = [
        f"{node}: {scene.cluster.nodes[node].status()}, {trip.error or 'answers'}"
        for node, trip in answers.items()
        if trip.rtt_s is None or scene.cluster.nodes[node].status() is not Status.UP
    ]
    return Evidence(ok=not silent, figures=node_figures(scene, answers), why="; ".join(silent))


def at_once(subjects: Sequence[Subject], ask: Callable[[Subject], Answer]) -> dict[Subject, Answer]:
    """The same question about each of them, put at the same time."""
    if len(subjects) < 2:
        return {subject: ask(subject) for subject in subjects}
    with ThreadPoolExecutor(max_workers=min(len(subjects), 16), thread_name_prefix="proof") as pool:
        return dict(zip(subjects, pool.map(ask, subjects), strict=True))
