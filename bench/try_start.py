"""From `nines try` to the first good request of its clients, beside raw calls to the engine for as many containers.

    python -m bench.try_start [--json] [--quick]

Needs a Docker engine; images are present. Ours: from the start of the command, on a Compose project that is down, to the first request that
was answered well, by the records of its clients. Then the command is interrupted, and takes everything down. Beside: a network, then as
many containers of the same images (two of the service, a guest for each, the clients' place and the sender), created and started by as
many threads, guests joined to their containers; none is waited for. They take turns. To reach: at most 1.5 times plus 3 s.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.servers import runs
from chaos.engine.connection import Engine, connect
from chaos.engine.images.ensure import ensure_base, ensure_harness
from chaos.engine.leftovers import RUN, remove
from chaos.engine.networks import make_network
from chaos.history import observations
from chaos.history.observations import Outcome

TIMES, OVER_S = 1.5, 3.0
REPLICAS = 2
SERVE = ["python3", "-m", "http.server", "8080"]
COMPOSE = """name: ninesbench
services:
  web: {{image: "{image}", command: {command}, init: true, stop_grace_period: 0s, deploy: {{replicas: {replicas}}}}}
"""
WITHIN_S = 300.0


def ours_s(folder: Path, number: int) -> float:
    """Until the first good answer; the project is down again when this returns."""
    run = folder / f"run-{number}"
    command = [sys.executable, "-m", "chaos", "try", "compose.yaml", "--probe", "http://web:8080/", "--quick", "--folder", str(run)]
    environment = {**os.environ, "NINES_STATE": str(folder / "state"), "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    began_ns = time.monotonic_ns()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    try:
        while True:
            found = observations.read(run / "observations.bin")
            good = found[found["outcome"] == Outcome.OK]
            if len(good):
                return (int(good["done"].min()) - began_ns) / 1e9
            if process.poll() is not None or time.monotonic_ns() - began_ns > WITHIN_S * 1e9:
                raise AssertionError(process.communicate()[0])
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN_S)


def raw_s(engine: Engine, base: str, harness: str, number: int) -> float:
    """The bare calls, until all run."""
    api, run = engine.client.api, f"bench-try-{os.getpid()}-{number}"
    labels = {RUN: run}
    began_s = time.monotonic()
    make_network(engine, f"nines-{run}", labels, random.Random())

    def one(image: str, command: list[str], joins: str = "") -> str:
        mode = f"container:{joins}" if joins else f"nines-{run}"
        made: str = api.create_container_from_config(
            {"Image": image, "Cmd": command, "Labels": labels, "HostConfig": {"NetworkMode": mode}}
        )["Id"]
        api.start(made)
        return made

    def replica() -> None:
        one(harness, ["sleep", "1000"], joins=one(base, SERVE))

    def clients() -> None:
        one(harness, ["sleep", "1000"], joins=one(harness, ["sleep", "1000"]))

    try:
        with ThreadPoolExecutor(REPLICAS + 1) as pool:
            for each in [pool.submit(work) for work in (*[replica] * REPLICAS, clients)]:
                each.result()
        return time.monotonic() - began_s
    finally:
        assert remove(api, run) == []


def measure(count: int) -> list[runs.Row]:
    """The row of the table."""
    ours, raw = [], []
    with tempfile.TemporaryDirectory() as name, connect() as engine:
        folder, base, harness = Path(name), ensure_base(engine), ensure_harness(engine)
        (folder / "compose.yaml").write_text(COMPOSE.format(image=base, command=SERVE, replicas=REPLICAS), encoding="utf-8")
        ours_s(folder, -1)  # what is asked of an engine once, and remembered
        for number in range(count):
            raw.append(raw_s(engine, base, harness, number))
            ours.append(ours_s(folder, number))
    limit_s, took_s = TIMES * statistics.median(raw) + OVER_S, statistics.median(ours)
    return [
        runs.Row(
            "docker: from nines try to the first good request, median",
            f"{TIMES:g} times the raw calls and {OVER_S:g} s: {limit_s:.1f} s",
            f"{took_s:.1f} s",
            f"raw calls for {2 * REPLICAS + 2} containers {statistics.median(raw):.1f} s (n = {count})",
            took_s <= limit_s,
        )
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if the figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(2 if chosen.quick else 5), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
