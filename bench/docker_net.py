"""How soon harm to links acts in containers: a partition beside ``nft`` started anew in the same namespace, and a latency toxic.

    python -m bench.docker_net [--json] [--quick]

Needs a Docker engine. Datagrams that carry the time of their sending go from the node that is isolated to another one, four a
millisecond; the last one that arrives before the heal and the first one after it say when the cut began and ended. For the toxic,
questions follow each other on one open connection: the first slow answer says when it began. To reach (median / 99th percentile):
partition 3 / 15 ms either way, toxic 5 / 25 ms, 50 ms of latency to within 1 ms.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench.servers import runs
from chaos.core.values import Link, Toxic, Victims
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_harness
from chaos.faults.partition import Partition
from chaos.net.needs import Needs
from tests.support.net_pairs import Pairs, pairs

NODES = ("n1", "n2", "n3")
LINKS = tuple(Link(one, other) for one in NODES for other in NODES if one != other)
SLOW = Link("n1", "n2")
LATENCY = Toxic(SLOW, "latency", {"latency": 50.0, "jitter": 0.0})
EVERY_S = 0.00025
SETTLE_S = 0.06
HOLD_S = 0.12
LATENCY_MS, MARGIN_MS = 50.0, 1.0


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@contextmanager
def busy(there: Pairs, what: str) -> Iterator[None]:
    """``tick`` or ``ping`` from n1 to n2 meanwhile."""
    there.talkers["n1"].tell(what, addresses=[there.addresses["n2"]], every_s=EVERY_S)
    try:
        yield
    finally:
        there.talkers["n1"].tell("stop")


def cut_and_heal(there: Pairs, cut: Callable[[], None], heal: Callable[[], None]) -> tuple[float, float]:
    """From the command to the last packet that passed, and from the command to heal to the first one, in ms."""
    receiver = there.talkers["n2"]
    receiver.tell("ticks")
    time.sleep(SETTLE_S)
    cut_ns = time.monotonic_ns()
    cut()
    time.sleep(HOLD_S)
    heal_ns = time.monotonic_ns()
    heal()
    time.sleep(SETTLE_S)
    sent = receiver.tell("ticks")
    last_ns = max(at_ns for at_ns in sent if at_ns < heal_ns)
    first_ns = min(at_ns for at_ns in sent if at_ns >= heal_ns)
    assert last_ns < heal_ns - HOLD_S * 5e8, "packets passed during the cut"
    return max(0.0, (last_ns - cut_ns) / 1e6), (first_ns - heal_ns) / 1e6


def by_layers(there: Pairs, count: int) -> list[tuple[float, float]]:
    """The whole of what a fault does: all namespaces, read back."""
    found = []
    rules = Partition().rules(Victims(nodes=("n1",)), NODES)
    for _ in range(count):
        layer = there.net.layer(rules)
        found.append(cut_and_heal(there, layer.__enter__, lambda layer=layer: layer.__exit__(None, None, None)))  # type: ignore[misc]
    return found


def by_nft_anew(there: Pairs, count: int) -> list[tuple[float, float]]:
    """The program started for each change, in the one namespace that matters here, nothing read back."""
    agent, address = there.talkers["n1"].agent, there.addresses["n2"]
    chain = "add chain inet bench o { type filter hook output priority -150; }"

    def nft(commands: str) -> None:
        agent.call("spawn", name="nft", argv=["nft", commands], log="/dev/null")

    found = []
    for _ in range(count):
        found.append(
            cut_and_heal(
                there,
                lambda: nft(f"add table inet bench; {chain}; add rule inet bench o ip daddr {address} drop"),
                lambda: nft("delete table inet bench"),
            )
        )
    return found


def toxic_delay_ms(there: Pairs) -> float:
    """From the command to the first question whose answer was slow."""
    source = there.talkers["n1"]
    source.tell("pings")
    time.sleep(SETTLE_S)
    asked_ns = time.monotonic_ns()
    with there.net.layer([LATENCY]):
        time.sleep(SETTLE_S + LATENCY_MS / 1e3)
        pings = source.tell("pings")
    slow = [sent_ns for sent_ns, took_ns in pings if took_ns > LATENCY_MS * 0.8e6]
    assert slow, "no answer was slow"
    return max(0.0, (min(slow) - asked_ns) / 1e6)


def latencies_ms(there: Pairs, count: int) -> list[float]:
    """Round trips by the way of the link, as a fault measures them."""
    trips = [there.net.measure(SLOW, 2.0).rtt_s for _ in range(count)]
    assert None not in trips
    return [trip * 1e3 for trip in trips if trip is not None]


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    rows = []
    with connect() as engine, pairs(engine, ensure_harness(engine), NODES, (), LINKS, Needs(frozenset({SLOW}))) as there:
        with busy(there, "tick"):
            ours, anew = by_layers(there, count), by_nft_anew(there, count)
        names = ("partition of a node from two: command to last packet", "heal of it: command to first packet")
        for name, mine, other in zip(names, zip(*ours, strict=True), zip(*anew, strict=True), strict=True):
            rows.append(row(name, mine, (3.0, 15.0), f"nft started anew in one namespace {figures(other)}"))
        with busy(there, "ping"):
            rows.append(row("latency toxic: command to first slow answer", [toxic_delay_ms(there) for _ in range(count)], (5.0, 25.0)))
        plain = statistics.median(latencies_ms(there, count))
        with there.net.layer([LATENCY]):
            slow = statistics.median(latencies_ms(there, count))
        got = f"{slow - plain:.2f} ms"
        beside = f"round trip {slow:.2f} ms, {plain:.2f} ms without it"
        rows.append(
            runs.Row(
                "latency toxic of 50 ms: what it adds, median", "49 to 51 ms", got, beside, abs(slow - plain - LATENCY_MS) <= MARGIN_MS
            )
        )
    return rows


def figures(values: Sequence[float]) -> str:
    """Median and 99th percentile."""
    return f"{statistics.median(values):.1f} / {percentile(values, 0.99):.1f} ms"


def row(name: str, values: Sequence[float], reach: tuple[float, float], beside: str = "") -> runs.Row:
    """One figure against its two bounds."""
    median, p99 = statistics.median(values), percentile(values, 0.99)
    ok = median <= reach[0] and p99 <= reach[1]
    return runs.Row(name, f"{reach[0]:g} / {reach[1]:g} ms", figures(values), "; ".join(filter(None, [beside, f"{len(values)} times"])), ok)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(15 if chosen.quick else 150), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
