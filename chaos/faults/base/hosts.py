"""A whole host cut off where it stands: nobody outside hears of its nodes, and it hears of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from chaos.core.errors import FaultNotEffective
from chaos.core.values import CLIENTS, Evidence, Link, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base.silence import NOBODY_THERE
from chaos.plugin import Effect, HasHosts, Scene

MEASURE_TIMEOUT_S: Final = 0.2
ZONE: Final = "zone:"


@contextmanager
def whole_host(scene: Scene, victims: Victims) -> Iterator[Effect]:
    """Proven by questions from outside, which time out; gone when those that were answered before are answered again."""
    cluster, host = scene.cluster, victims.role.removeprefix(ZONE)
    if not isinstance(cluster, HasHosts):
        raise FaultNotEffective("this cluster stands on no hosts that could be cut off")
    net = cluster.net
    asking = [CLIENTS, *(node for node in cluster.nodes if node not in victims.nodes)]
    ways = [Link(one, node) for node in victims.nodes for one in asking]
    before = proof.ask_links(net, ways, MEASURE_TIMEOUT_S)
    with scene.undo.intent("rejoin", host):
        with cluster.cut_off(host) as layer:
            answers = proof.ask_links(net, ways, MEASURE_TIMEOUT_S)
            loud = [
                f"{link} ({trip.error or 'answers'})" for link, trips in answers.items() for trip in trips if trip.error not in NOBODY_THERE
            ]
            if loud:
                raise FaultNotEffective(f"not silent: {', '.join(loud)}")

            def gone() -> Evidence:
                now = proof.ask_links(net, ways, MEASURE_TIMEOUT_S)
                silent = [
                    str(link)
                    for link, trips in now.items()
                    if proof.median_rtt_s(trips) is None and proof.median_rtt_s(before[link]) is not None
                ]
                why = f"no answer on {', '.join(silent)}" if silent else ""
                return Evidence(ok=not silent, figures=proof.link_figures(now), why=why)

            effect = Effect(layer.effective_at_ns, layer.mechanism, proof.link_figures(before), proof.link_figures(answers), gone)
            yield effect
        effect.healed_at_ns = layer.healed_at_ns
