"""How far the times that stand in a report are from what packets felt: when harm took effect, and when it was gone.

    python -m bench.docker_stamps [--json] [--quick]

Needs a Docker engine. Datagrams that carry the time of their sending go from one node to another, two a millisecond: the last one that
arrived whole, and the first one that did again, say when harm began and ended, to half a millisecond. Toxics are seen by questions that
follow each other on one connection. Late is a stamp after what was felt. To reach (median): power_off and bandwidth 5 ms, partition,
loss and latency 3 ms, kill 1 ms; the end of all of them 5 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.docker_net import LATENCY, LATENCY_MS, NODES, SLOW, row
from bench.servers import runs
from chaos.core.values import CLIENTS, DNS, Link, Loss, Rule, Shaping, Victims
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_harness
from chaos.faults.partition import Partition
from chaos.faults.power_off import PowerOff
from chaos.net.needs import Needs
from tests.support.net_pairs import Pairs, pairs

ENDS = (*NODES, CLIENTS, DNS)
LINKS = tuple(Link(one, other) for one in ENDS for other in ENDS if one != other)
WAY = Link("n1", "n3")
EVERY_S = 0.0005
SETTLE_S = 0.06
HOLD_S = 0.15
LARGE_BYTES = 1400
RATE = 1_000.0
"""So low that after the first two packets none passes for more than a second."""

Stamps = list[tuple[float, float]]
"""(effective, healed): stamp minus what was felt, in ms."""


def of_rules(there: Pairs, rules: Sequence[Rule], count: int) -> Stamps:
    """Harm that lets nothing pass from n1 to n3."""
    receiver, found = there.talkers["n3"], []
    for _ in range(count):
        receiver.tell("ticks")
        time.sleep(SETTLE_S)
        with there.net.layer(rules) as layer:
            time.sleep(HOLD_S)
            middle_ns = time.monotonic_ns() - int(HOLD_S * 4e8)
        time.sleep(SETTLE_S)
        arrived = receiver.tell("ticks")
        last_ns = max(at_ns for at_ns in arrived if at_ns < middle_ns)
        first_ns = min(at_ns for at_ns in arrived if at_ns > middle_ns)
        assert layer.healed_at_ns is not None
        found.append(((layer.effective_at_ns - last_ns) / 1e6, (layer.healed_at_ns - first_ns) / 1e6))
    return found


def of_the_toxic(there: Pairs, count: int) -> Stamps:
    """Answers that are slow: from the first one's question on, to the last one's."""
    source, found = there.talkers["n1"], []
    for _ in range(count):
        source.tell("pings")
        time.sleep(SETTLE_S)
        with there.net.layer([LATENCY]) as layer:
            time.sleep(SETTLE_S + 2 * LATENCY_MS / 1e3)
        time.sleep(SETTLE_S)
        pings = source.tell("pings")
        # Fast ones end before the harm, or it would have met them; what it held back is let go when it ends.
        slow = [(sent_ns, sent_ns + took_ns) for sent_ns, took_ns in pings if took_ns > LATENCY_MS * 0.8e6]
        began_ns = min(sent_ns for sent_ns, _ in slow)
        fast = [sent_ns + took_ns for sent_ns, took_ns in pings if sent_ns > began_ns and took_ns < LATENCY_MS * 0.8e6]
        assert layer.healed_at_ns is not None
        found.append(((layer.effective_at_ns - began_ns) / 1e6, (layer.healed_at_ns - min(fast)) / 1e6))
    return found


def of_kills(there: Pairs, count: int) -> list[float]:
    """A system that dies while it sends."""
    receiver, found = there.talkers["n3"], []
    for _ in range(count):
        ticking(there, "n2", 0)
        receiver.tell("ticks")
        time.sleep(SETTLE_S)
        died_ns = there.talkers["n2"].agent.call("kill", signal=9).at_ns
        there.talkers["n2"].forget()
        time.sleep(SETTLE_S)
        found.append((died_ns - max(receiver.tell("ticks"))) / 1e6)
        there.engine.client.api.wait(there.talkers["n2"].system, condition="not-running")
        there.engine.client.api.start(there.talkers["n2"].system)
    return found


def ticking(there: Pairs, source: str, size: int) -> None:
    """From there to n3."""
    there.talkers[source].tell("tick", addresses=[there.addresses["n3"]], every_s=EVERY_S, size=size)


def during(there: Pairs, size: int, measure: Callable[[], Stamps]) -> Stamps:
    """While datagrams of that size go from n1 to n3."""
    ticking(there, "n1", size)
    try:
        return measure()
    finally:
        there.talkers["n1"].tell("stop")


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    rows = []

    def add(name: str, stamps: Stamps, reach: float) -> None:
        effective, healed = zip(*stamps, strict=True)
        rows.append(row(f"{name}: 'effective' is late by", effective, (reach, 4 * reach)))
        rows.append(row(f"{name}: 'healed' is late by", healed, (5.0, 20.0)))

    with (
        connect() as engine,
        pairs(engine, ensure_harness(engine), NODES, (CLIENTS, DNS), LINKS, Needs(frozenset({SLOW}))) as there,
    ):  # fmt: skip
        cut = Partition().rules(Victims(nodes=("n1",)), NODES)
        off = PowerOff().rules(Victims(nodes=("n1",)), NODES)
        add("partition", during(there, 0, lambda: of_rules(there, cut, count)), 3.0)
        add("power_off (its silence)", during(there, 0, lambda: of_rules(there, off, count)), 5.0)
        add("loss of all packets", during(there, 0, lambda: of_rules(there, [Loss(WAY, 1.0)], count)), 3.0)
        add("bandwidth", during(there, LARGE_BYTES, lambda: of_rules(there, [Shaping(WAY, "rate", RATE)], count)), 5.0)
        there.talkers["n1"].tell("ping", addresses=[there.addresses["n2"]], every_s=EVERY_S)
        add("latency", of_the_toxic(there, count), 3.0)
        there.talkers["n1"].tell("stop")
        rows.append(row("kill: 'down' is late by", of_kills(there, count), (1.0, 4.0)))
    return rows


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(10 if chosen.quick else 60), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
