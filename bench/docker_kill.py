"""How soon clients feel a kill, a pause and a loss of power in containers, beside the engine's own calls, which the docker command makes.

    python -m bench.docker_kill [--json] [--quick]

Needs a Docker engine. One echo node, a slot each millisecond from the prober's container. Felt: from the command to the due time of
the first of two bad slots in a row after it. For the end of a pause: from the command to the answer of a question that was put to the
frozen node, without other traffic, since what a node does first after a pause is to work off what piled up. Ours and the engine's take
turns, so that a busy machine touches both alike. To reach (median / 99th percentile): 4 / 15 ms.
"""

from __future__ import annotations

import bisect
import contextlib
import http.client
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.docker_deployment import percentile
from bench.servers import runs
from chaos.api import order_text
from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.values import Status, TrafficOrder, Victims
from chaos.engine.connection import Engine, connect
from chaos.faults.power_off import PowerOff
from chaos.history import observations
from chaos.plugin import Cluster, Deployment
from chaos.runtimes.docker.runtime import DockerRuntime

RATE_PER_S = 1000.0
MEDIAN_MS, P99_MS = 4.0, 15.0
QUIET_S = 0.4
"""Between a return and the next harm: the node must have served for a while."""
HOLD_S = 0.15
READY_WITHIN_S = 30.0
TURN_S = 30.0
"""A whole turn of all of them, at most, on a machine that is very busy; the traffic is ended when they are done."""
ECHO = Path(__file__).parents[1] / "tests" / "support" / "targets" / "echo"
EXPERIMENT = f"""\
experiment: bench
question: How soon is it felt?
cluster: {{target: {ECHO}, nodes: 1, dns: {{balancer: round-robin}}}}
traffic:
  operations: {{write: {RATE_PER_S:g}/s}}
  client: {{timeout: 100ms, attempts: 1, other_address: false, deadline: 100ms}}
faults: [{{power_off: {{}}, target: n1, at: 1s, for: 1s}}]
"""
"""Its fault is not done, but says which links are to be prepared for packet rules."""


def await_answer(cluster: Cluster, after: str) -> None:
    """Until the node serves again, and a while longer."""
    until_s = time.monotonic() + READY_WITHIN_S
    while (trip := cluster.ping("n1", 0.5)).rtt_s is None:
        assert time.monotonic() < until_s, f"the node does not come back after '{after}': {trip.error}, {cluster.nodes['n1'].status()}"
    time.sleep(QUIET_S)


class Times(NamedTuple):
    """The command and its return; CLOCK_MONOTONIC."""

    asked_ns: int
    back_ns: int


def turns(cluster: Cluster, engine: Engine, container: str, count: int) -> dict[str, list[Times]]:
    """What was done, each time."""
    api, node = engine.client.api, cluster.nodes["n1"]

    power, dark = PowerOff().rules(Victims(nodes=("n1",)), ["n1"]), contextlib.ExitStack()

    def darken() -> None:
        dark.enter_context(cluster.net.layer(power))
        node.kill(signal.SIGKILL)

    def lighten() -> None:
        dark.close()
        revive()

    def revive() -> None:
        api.wait(container, condition="not-running")
        deadline_s = time.monotonic() + READY_WITHIN_S
        while node.status() is not Status.DOWN:
            assert time.monotonic() < deadline_s
        node.start()

    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "kill": (lambda: node.kill(signal.SIGKILL), revive),
        "engine kill": (lambda: api.kill(container), revive),
        "power_off": (darken, lighten),
        "pause": (node.pause, node.resume),
        "engine pause": (lambda: api.pause(container), lambda: api.unpause(container)),
    }
    found: dict[str, list[Times]] = {name: [] for name in ways}
    for _ in range(count):
        for name, (harm, heal) in ways.items():
            asked_ns = time.monotonic_ns()
            harm()
            back_ns = time.monotonic_ns()
            time.sleep(HOLD_S)
            found[name].append(Times(asked_ns, back_ns))
            heal()
            await_answer(cluster, name)
    return found


def thawed(cluster: Cluster, engine: Engine, container: str, count: int) -> dict[str, list[float]]:
    """From each command to heal to the answer, in ms."""
    api, node = engine.client.api, cluster.nodes["n1"]
    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "ours": (node.pause, node.resume),
        "engine": (lambda: api.pause(container), lambda: api.unpause(container)),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    friend = http.client.HTTPConnection(node.info.address, node.info.ports["client"], timeout=READY_WITHIN_S)
    with contextlib.closing(friend):
        for _ in range(count):
            for name, (harm, heal) in ways.items():
                harm()
                friend.request("GET", "/")
                answered: list[int] = []

                def listen(into: list[int] = answered) -> None:
                    reply = friend.getresponse()
                    into.append(time.monotonic_ns())  # its head: the rest of it waits for our delayed acknowledgement, as at any time
                    reply.read()

                listener = threading.Thread(target=listen)
                listener.start()
                time.sleep(HOLD_S)
                asked_ns = time.monotonic_ns()
                heal()
                listener.join()
                found[name].append((answered[0] - asked_ns) / 1e6)
    return found


def felt_ms(due_ns: list[int], asked_ns: int) -> float:
    """To the first of these slots that was due after the command."""
    at = bisect.bisect_left(due_ns, asked_ns)
    assert at < len(due_ns), "clients felt nothing"
    return (due_ns[at] - asked_ns) / 1e6


def two_in_a_row(records: NDArray[np.void], wanted: NDArray[np.bool_]) -> list[int]:
    """When those were due whose next one is the same. A single bad slot may be the busy machine's; a node that is gone makes many."""
    found: list[int] = records["due"][:-1][wanted[:-1] & wanted[1:]].tolist()
    return found


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    clock = MonotonicClock()
    with tempfile.TemporaryDirectory() as folder, connect() as engine:
        os.environ["NINES_STATE"] = f"{folder}/state"
        ordered = order_text(EXPERIMENT, Path(folder) / "bench.yaml", runtime="docker")
        where = Path(folder) / f"bench-{os.getpid()}"
        where.mkdir()
        deployment = Deployment(run=where.name, folder=where, plan=ordered.plan, target=ordered.target)
        with DockerRuntime().up(deployment, lambda _row: None, clock) as cluster:
            thaw = thawed(cluster, engine, f"nines-{deployment.run}-n1", count)
            start_ns = clock.now_ns() + to_ns(0.5)
            with cluster.traffic(TrafficOrder(start_ns, count * TURN_S + 5.0)) as traffic:
                clock.wait_until_ns(start_ns + to_ns(1.0))
                done = turns(cluster, engine, f"nines-{deployment.run}-n1", count)
                traffic.stop()
        records = np.sort(observations.read(deployment.folder / "observations.bin"), order="due")
    good = records["outcome"] == observations.Outcome.OK
    begun = two_in_a_row(records, ~good)

    def onsets(name: str) -> list[float]:
        return [felt_ms(begun, times.asked_ns) for times in done[name]]

    def theirs(name: str, felt: list[float]) -> str:
        returned = statistics.median((times.back_ns - times.asked_ns) / 1e6 for times in done[name])
        return f"the {name}: {figures(felt)}, returns after {returned:.0f}"

    return [
        row("kill: command to first bad slot", onsets("kill"), theirs("engine kill", onsets("engine kill"))),
        row("power_off: command to first bad slot", onsets("power_off"), theirs("engine kill", onsets("engine kill"))),
        row("pause: command to first bad slot", onsets("pause"), theirs("engine pause", onsets("engine pause"))),
        row("heal of a pause: command to first answer", thaw["ours"], f"the engine's: {figures(thaw['engine'])}"),
    ]


def figures(felt: list[float]) -> str:
    """Median and 99th percentile."""
    return f"{statistics.median(felt):.1f} / {percentile(felt, 0.99):.1f} ms"


def row(what: str, felt: list[float], beside: str) -> runs.Row:
    """One figure against its two bounds."""
    ok = statistics.median(felt) <= MEDIAN_MS and percentile(felt, 0.99) <= P99_MS
    reach = f"{MEDIAN_MS:g} / {P99_MS:g} ms"
    return runs.Row(f"docker {what}, median / p99", reach, figures(felt), f"{beside}; {len(felt)} times", ok)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(10 if chosen.quick else 100), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
