"""How soon clients feel a kill and a pause in containers, beside the engine's own calls, which the docker command makes.

    python -m bench.docker_kill [--json] [--quick]

Needs a Docker engine. One echo node, a slot each millisecond from the prober's container. Felt: from the command to the due time of
the first of two bad slots in a row after it. Ours and the engine's take turns, so that a busy machine touches both alike. To reach
(median / 99th percentile): 4 / 15 ms.
"""

from __future__ import annotations

import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.docker_deployment import echoes, percentile
from bench.servers import runs
from chaos import observations
from chaos.clock import MonotonicClock, to_ns
from chaos.engine import Engine, connect
from chaos.kinds import Cluster, Status, TrafficOrder
from chaos.runtimes.docker import DockerRuntime

RATE_PER_S = 1000.0
MEDIAN_MS, P99_MS = 4.0, 15.0
QUIET_S = 0.4
"""Between a return and the next harm: the node must have served for a while."""
HOLD_S = 0.15
READY_WITHIN_S = 10.0
TURN_S = 1.6
"""A whole turn of all four, at most, on a busy machine."""


def await_answer(cluster: Cluster) -> None:
    """Until the node serves again, and a while longer."""
    until_s = time.monotonic() + READY_WITHIN_S
    while cluster.ping("n1", 0.1).rtt_s is None:
        assert time.monotonic() < until_s, "the node does not come back"
    time.sleep(QUIET_S)


def turns(cluster: Cluster, engine: Engine, container: str, count: int) -> dict[str, list[tuple[int, int]]]:
    """What was done -> (command, return) of each time."""
    api, node = engine.client.api, cluster.nodes["n1"]

    def revive() -> None:
        api.wait(container, condition="not-running")
        deadline_s = time.monotonic() + READY_WITHIN_S
        while node.status() is not Status.DOWN:
            assert time.monotonic() < deadline_s
        node.start()

    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "kill": (lambda: node.kill(signal.SIGKILL), revive),
        "engine kill": (lambda: api.kill(container), revive),
        "pause": (node.pause, node.resume),
        "engine pause": (lambda: api.pause(container), lambda: api.unpause(container)),
    }
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in ways}
    for _ in range(count):
        for name, (harm, heal) in ways.items():
            asked_ns = time.monotonic_ns()
            harm()
            found[name].append((asked_ns, time.monotonic_ns()))
            time.sleep(HOLD_S)
            heal()
            await_answer(cluster)
    return found


def felt_ms(bad_due_ns: list[int], asked_ns: int) -> float:
    """To the first of these slots that was due after the command."""
    due_ns = next((due for due in bad_due_ns if due >= asked_ns), None)
    assert due_ns is not None, "clients felt nothing"
    return (due_ns - asked_ns) / 1e6


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    clock = MonotonicClock()
    with tempfile.TemporaryDirectory() as folder, connect() as engine:
        deployment = echoes(Path(folder), 1, RATE_PER_S)
        with DockerRuntime().up(deployment, lambda _row: None, clock) as cluster:
            start_ns = clock.now_ns() + to_ns(0.5)
            with cluster.traffic(TrafficOrder(start_ns, 4 * count * TURN_S + 5.0)) as traffic:
                clock.wait_until_ns(start_ns + to_ns(1.0))
                done = turns(cluster, engine, f"nines-{deployment.run}-n1", count)
                traffic.stop()
        records = observations.read(deployment.folder / "observations.bin")
    records = np.sort(records, order="due")
    wrong = records["outcome"] != observations.Outcome.OK
    # A single one may be the busy machine's; a node that is gone makes many.
    bad = records["due"][:-1][wrong[:-1] & wrong[1:]].tolist()
    rows = []
    for name in ("kill", "pause"):
        ours = [felt_ms(bad, asked_ns) for asked_ns, _ in done[name]]
        theirs = [felt_ms(bad, asked_ns) for asked_ns, _ in done[f"engine {name}"]]
        returned = statistics.median((back_ns - asked_ns) / 1e6 for asked_ns, back_ns in done[f"engine {name}"])
        median, p99 = statistics.median(ours), percentile(ours, 0.99)
        rows.append(
            runs.Row(
                f"docker {name}: command to first bad slot, median / p99",
                f"{MEDIAN_MS:g} / {P99_MS:g} ms",
                f"{median:.1f} / {p99:.1f} ms",
                f"the engine's {name}: {statistics.median(theirs):.1f} / {percentile(theirs, 0.99):.1f} ms, returns after {returned:.0f}",
                median <= MEDIAN_MS and p99 <= P99_MS,
            )
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(10 if chosen.quick else 60), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
