"""How long ten nodes take to come up and answer in containers, beside parallel raw calls to the engine for as many containers.

    python -m bench.docker_up [--json] [--quick]

Needs a Docker engine. Ours: from the order to the moment at which the cluster can be used by its name, its end apart. Beside: a network,
then as many containers (a pair for each node, name server, prober) of the same images, created and started by as many threads,
half of them joined to another one as systems are, none waited for. They take turns. To reach: at most 1.3 times. And the time that
a run of 3 nodes takes beyond its planned duration, images present, from the command to its end: at most 12 s.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.docker_deployment import echoes
from bench.servers import runs
from chaos.core.clock import MonotonicClock
from chaos.engine.connection import Engine, connect
from chaos.engine.images.ensure import ensure_harness
from chaos.engine.leftovers import RUN, remove
from chaos.engine.networks import make_network
from chaos.plugin import Deployment
from chaos.runtimes.docker.runtime import DockerRuntime

NODES = 10
TIMES = 1.3
OVER_S = 12.0
AT_ONCE = 16
EXPERIMENT = """\
experiment: bench-over
question: What does a run take beyond its plan?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 50/s}, judge: write}
baseline: 2s
faults: [{name: pause, pause: {}, target: leader, at: 1s, for: 1s}]
settle: 5s
"""


def ours_s(deployment: Deployment) -> tuple[float, float]:
    """Until it can be used, and until it is gone."""
    began_s = time.monotonic()
    with DockerRuntime().up(deployment, lambda _row: None, MonotonicClock()):
        up_s = time.monotonic()
    return up_s - began_s, time.monotonic() - up_s


def raw_s(engine: Engine, image: str, number: int) -> float:
    """The bare calls."""
    api, run = engine.client.api, f"bench-raw-{os.getpid()}-{number}"
    labels = {RUN: run}
    began_s = time.monotonic()
    _, subnet = make_network(engine, f"nines-{run}", labels, random.Random())

    def one(index: int, joins: str = "") -> str:
        host = {"NetworkMode": f"container:{joins}", "PidMode": f"container:{joins}"} if joins else {"NetworkMode": f"nines-{run}"}
        config = {"Image": image, "Cmd": ["sleep", "1000"], "Labels": labels, "HostConfig": host}
        if not joins:
            address = {"IPAMConfig": {"IPv4Address": str(subnet[10 + index])}}
            config["NetworkingConfig"] = {"EndpointsConfig": {f"nines-{run}": address}}
        made: str = api.create_container_from_config(config)["Id"]
        api.start(made)
        return made

    def node(index: int) -> None:
        one(0, joins=one(index)) if index < NODES else one(index)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(node, range(NODES + 2)))
        return time.monotonic() - began_s
    finally:
        assert remove(api, run) == []


def over_s(folder: Path) -> tuple[float, float]:
    """What a run took beyond its plan, and its plan."""
    file = folder / "over.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    from chaos.api import order

    planned_s = order(file).plan.duration_s
    into = folder / f"over-{os.getpid()}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "chaos", "run", str(file), "--quiet", "--folder", str(into)]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    return time.monotonic() - began_s - planned_s, planned_s


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    ours, ends, raw = [], [], []
    with tempfile.TemporaryDirectory() as name, connect() as engine:
        folder = Path(name)
        image = ensure_harness(engine)
        for number in range(count):
            raw.append(raw_s(engine, image, number))
            up_s, end_s = ours_s(echoes(folder / str(number), NODES))
            ours.append(up_s)
            ends.append(end_s)
        over = [over_s(folder)[0] for _ in range(count)]
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, raw, strict=True))
    return [
        runs.Row(
            f"docker: {NODES} nodes up and answering, median",
            f"at most {TIMES:g} times the raw calls",
            f"{ratio:.2f} times ({statistics.median(ours):.1f} s)",
            f"raw calls for {2 * NODES + 2} containers {statistics.median(raw):.1f} s",
            ratio <= TIMES,
        ),
        runs.Row(f"docker: {NODES} nodes taken down, median", "", f"{statistics.median(ends):.1f} s"),
        runs.Row(
            "docker: a run of 3 nodes beyond its planned duration, median", f"{OVER_S:g} s", f"{statistics.median(over):.1f} s", "",
            statistics.median(over) <= OVER_S,
        ),
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(2 if chosen.quick else 5), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
