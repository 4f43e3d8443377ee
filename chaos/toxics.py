"""What the faults by stream toxics share: rules for the links, a look at each link before, during and after, and the proof.

A look tells two things: the figures for the report, and whether the link shows the harm. With a toxicity below 100 % each
connection is hit by chance, so that a single look proves nothing either way; then the figures stand as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import msgspec

from chaos import proof
from chaos.errors import FaultNotEffective, NinesError
from chaos.kinds import Effect, Evidence, Gauge, Link, Passage, Rule, Scene, Toxic, Victims

Stream = Literal["downstream", "upstream", "both"]
Existing = Literal["keep", "cut"]

PING_TIMEOUT_S = 0.3


class Seen(msgspec.Struct, frozen=True):
    """One look at one link."""

    harmed: bool
    figures: proof.Figures


Look = Callable[[Scene, Link], Seen]


def streams(stream: Stream) -> tuple[str, ...]:
    """The directions that a fault is about."""
    return ("downstream", "upstream") if stream == "both" else (stream,)


def rules(
    kind: str, attributes: dict[str, float], victims: Victims, stream: Stream, toxicity: float, existing: Existing
) -> tuple[Toxic, ...]:
    """One toxic a link and direction."""
    return tuple(Toxic(link, kind, attributes, each, toxicity, existing) for link in victims.links for each in streams(stream))


@contextmanager
def harm(scene: Scene, links: Sequence[Link], orders: Sequence[Rule], look: Look, what: str, *, certain: bool) -> Iterator[Effect]:
    """Put the rules in force and prove it by a look at each link; ``what`` ends the sentence about those that show nothing.

    ``certain`` false (toxicity below 100 %): the looks are reported and prove nothing.
    """
    before = proof.at_once(links, lambda link: look(scene, link))
    with scene.undo.intent("restore", ", ".join(map(str, links))):
        with scene.cluster.net.layer(orders) as layer:
            during = proof.at_once(links, lambda link: look(scene, link))
            well = [str(link) for link, seen in during.items() if not seen.harmed]
            if well and certain:
                raise FaultNotEffective(f"{what} on {', '.join(well)}")
            effect = Effect(
                layer.effective_at_ns, layer.mechanism, _figures(before), _figures(during), lambda: _gone(scene, links, look, before)
            )
            yield effect
        effect.healed_at_ns = scene.clock.now_ns()


def _gone(scene: Scene, links: Sequence[Link], look: Look, before: dict[Link, Seen]) -> Evidence:
    try:
        after = proof.at_once(links, lambda link: look(scene, link))
    except FaultNotEffective as error:
        return Evidence(False, {}, str(error))  # asked again: what cannot be measured now may be a moment later
    # One that looked like this before it was harmed (its node was down by another fault) cannot be asked to look better now.
    still = [str(link) for link, seen in after.items() if seen.harmed and not before[link].harmed]
    return Evidence(not still, _figures(after), f"still harmed: {', '.join(still)}" if still else "")


def round_trip(scene: Scene, link: Link, timeout_s: float = PING_TIMEOUT_S) -> tuple[proof.Figures, str | None]:
    """One question over the link itself: its figures, and what went wrong with it."""
    trip = scene.cluster.net.measure(link, timeout_s)
    return proof.link_figures({link: [trip]}), trip.error if trip.rtt_s is None else None


def passage(scene: Scene, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
    """Bytes of ours through the link's harm."""
    net = scene.cluster.net
    if not isinstance(net, Gauge):
        raise FaultNotEffective(f"nothing here can send bytes through {link}, so what it does could not be seen")
    try:
        return net.passage(link, stream, size_bytes, timeout_s)
    except NinesError as error:
        raise FaultNotEffective(f"what passes {link} could not be measured: {error}") from error


def missing_gauge(runtime: str) -> str | None:
    """Why a fault that a round trip does not show cannot be proven there."""
    if runtime == "fake":
        return "virtual links carry no bytes; use 'latency', or the runtime 'local'"
    return None


def _figures(seen: dict[Link, Seen]) -> proof.Figures:
    return {name: value for each in seen.values() for name, value in each.figures.items()}
