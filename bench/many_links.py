"""Twenty nodes with a proxy in each of their 380 links: how long these take to be there, to do harm all at once, and to go.

    python -m bench.many_links [--json] [--quick]

On plain processes and, where an engine answers, in containers. The cluster is brought up with no proxied link and with all of them, in
turns; what the proxies take is the difference, and both are shown. Then a latency toxic is put on all 380 links in one layer, read
back, and taken out again. To reach: each of set up, harmed, healed, removed within 10 s.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.docker_deployment import echoes
from bench.servers import runs
from chaos.core.clock import MonotonicClock
from chaos.core.values import Link, Toxic
from chaos.engine.connection import answers
from chaos.plugin import Deployment, Runtime
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.runtimes.local.runtime import LocalRuntime

NODES = 20
WITHIN_S = 10.0
LATENCY = {"latency": 1.0, "jitter": 0.0}


@dataclass
class Times:
    """Seconds of each step, over the turns."""

    plain_up: list[float] = field(default_factory=list)
    plain_down: list[float] = field(default_factory=list)
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    harm: list[float] = field(default_factory=list)
    heal: list[float] = field(default_factory=list)


def deployment(folder: Path, name: str, links: tuple[Link, ...]) -> Deployment:
    """So many echo nodes, with these links proxied."""
    made = echoes(folder, NODES)
    return msgspec.structs.replace(made, plan=msgspec.structs.replace(made.plan, runtime=name, links=links))


def one_turn(runtime: Runtime, folder: Path, times: Times) -> None:
    """Without proxies, then with them."""
    links = tuple(Link(f"n{one}", f"n{other}") for one, other in itertools.permutations(range(1, NODES + 1), 2))
    clock = MonotonicClock()
    began_s = time.monotonic()
    with runtime.up(deployment(folder / "plain", runtime.name, ()), lambda _row: None, clock):
        up_s = time.monotonic()
    times.plain_up.append(up_s - began_s)
    times.plain_down.append(time.monotonic() - up_s)
    began_s = time.monotonic()
    with runtime.up(deployment(folder / "proxied", runtime.name, links), lambda _row: None, clock) as cluster:
        times.up.append(time.monotonic() - began_s)
        asked_s = time.monotonic()
        with cluster.net.layer([Toxic(link, "latency", LATENCY) for link in links]):
            times.harm.append(time.monotonic() - asked_s)
            healing_s = time.monotonic()
        times.heal.append(time.monotonic() - healing_s)
        ending_s = time.monotonic()
    times.down.append(time.monotonic() - ending_s)


def rows(name: str, times: Times) -> list[runs.Row]:
    """One row with its parts."""
    links = NODES * (NODES - 1)
    middle = statistics.median
    set_up = middle(with_s - without_s for with_s, without_s in zip(times.up, times.plain_up, strict=True))
    removed = middle(with_s - without_s for with_s, without_s in zip(times.down, times.plain_down, strict=True))
    parts = [
        _part("proxies set up", set_up, f"all of it {middle(times.up):.1f} s, without proxies {middle(times.plain_up):.1f} s"),
        _part("a toxic on each, read back", middle(times.harm)),
        _part("taken out of each, read back", middle(times.heal)),
        _part("proxies removed", removed, f"all of it {middle(times.down):.1f} s, without proxies {middle(times.plain_down):.1f} s"),
    ]
    got = ", ".join(part.got for part in parts)
    return runs.folded(f"{links} proxied links of {NODES} nodes ({name}): set up, harmed, healed, removed", "10 s each", got, "", parts)


def _part(what: str, took_s: float, beside: str = "") -> runs.Row:
    return runs.Row(what, f"{WITHIN_S:g} s", f"{max(took_s, 0.0):.2f} s", beside, took_s <= WITHIN_S)


def measure(count: int) -> list[runs.Row]:
    """Both runtimes, as far as they are here."""
    runtimes: list[Runtime] = [LocalRuntime()]
    if answers():
        runtimes.append(DockerRuntime())
    found = []
    for runtime in runtimes:
        times = Times()
        for number in range(count):
            with tempfile.TemporaryDirectory(prefix="nines-bench-") as folder:
                one_turn(runtime, Path(folder) / str(number), times)
        found += rows(runtime.name, times)
    if len(runtimes) < 2:
        found.append(runs.Row(f"{NODES * (NODES - 1)} proxied links (docker)", f"{WITHIN_S:g} s each", "not measured", "no engine answers"))
    return found


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(1 if chosen.quick else 3), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
