"""How long ten nodes take to come up and answer in containers, and a run beyond its plan, beside raw calls to the engine for as many.

    python -m bench.docker_up [--json] [--quick]

Needs a Docker engine. Ours: from the order to the moment at which the cluster can be used by its name, its end apart. Beside: a network,
then as many containers (a pair for each node, name server, prober) of the same images, created and started by as many threads,
half of them joined to another one as systems are, none waited for. They take turns. To reach: at most 1.3 times. And the time that
a run of 3 nodes takes beyond its planned duration, images present, from the command to its end: at most 3 s more than 1.3 times what the
raw calls take to start and remove as many containers. Where that time goes is told by the rows of its history.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
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
FEW = 3
TIMES = 1.3
OVER_S = 3.0
"""And 1.3 times the raw calls."""
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


def raw_s(engine: Engine, image: str, nodes: int, number: int) -> tuple[float, float]:
    """The bare calls: until all run, and until all are gone."""
    api, run = engine.client.api, f"bench-raw-{os.getpid()}-{nodes}-{number}"
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
        one(0, joins=one(index)) if index < nodes else one(index)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(node, range(nodes + 2)))
        up_s = time.monotonic()
    finally:
        assert remove(api, run) == []
    return up_s - began_s, time.monotonic() - up_s


def over_s(folder: Path) -> tuple[float, dict[str, float]]:
    """What a run took beyond its plan, and where that went."""
    file = folder / "over.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    from chaos.api import order

    planned_s = order(file).plan.duration_s
    into = folder / f"over-{os.getpid()}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "chaos", "run", str(file), "--quiet", "--folder", str(into)]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ended_s = time.monotonic()
    assert done.returncode in (0, 3), done.stderr
    return ended_s - began_s - planned_s, spent(into / "history.jsonl", began_s, planned_s, ended_s)


def spent(history: Path, began_s: float, planned_s: float, ended_s: float) -> dict[str, float]:
    """Seconds of each part of a run beside its plan, which add up to all that it took beyond."""
    rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    at = {row["row"]: row["at_ns"] / 1e9 for row in reversed(rows)}  # the first of each
    start_s = next(row["start_ns"] for row in rows if row["row"] == "traffic_started") / 1e9
    up_s = max(row["at_ns"] for row in rows if row["row"] == "node" and row["at_ns"] / 1e9 < start_s) / 1e9
    edges = {
        "program loaded, plan made": at["run_started"],
        "engine asked, images and network": at["node_placed"],
        "containers made and started": up_s,
        "nodes ready, roles held, name answers": at["traffic_started"],
        "lead-in of the traffic": start_s,
        "traffic ended": at["traffic_ended"] - planned_s,
        "containers ended and removed": at["run_ended"] - planned_s,
        "judged and written": ended_s - planned_s,
    }
    return dict(zip(edges, (until_s - from_s for from_s, until_s in pairwise([began_s, *edges.values()])), strict=True))


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    ours, ends, raw, overs, bare = [], [], [], [], []
    with tempfile.TemporaryDirectory() as name, connect() as engine:
        folder = Path(name)
        image = ensure_harness(engine)
        over_s(folder)  # what is asked of an engine once, and remembered
        for number in range(count):
            raw.append(raw_s(engine, image, NODES, number)[0])
            up_s, end_s = ours_s(echoes(folder / str(number), NODES))
            ours.append(up_s)
            ends.append(end_s)
            bare.append(sum(raw_s(engine, image, FEW, number)))
            overs.append(over_s(folder))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, raw, strict=True))
    limit_s, took_s = OVER_S + TIMES * statistics.median(bare), statistics.median(each for each, _ in overs)
    parts = {part: statistics.median(each[part] for _, each in overs) for part in overs[0][1]}
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
            f"docker: a run of {FEW} nodes beyond its planned duration, median",
            f"{OVER_S:g} s and {TIMES:g} times the raw calls: {limit_s:.1f} s",
            f"{took_s:.1f} s",
            f"raw calls to start and remove {2 * FEW + 2} containers {statistics.median(bare):.1f} s",
            took_s <= limit_s,
        ),
        *(runs.Row(f"· {part}", "", f"{part_s:.2f} s") for part, part_s in parts.items()),
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(2 if chosen.quick else 5), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
