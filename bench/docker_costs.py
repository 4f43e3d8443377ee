"""What the machinery of a run on docker costs beside the nodes: processor time of each part while nothing is broken.

    python -m bench.docker_costs [--json] [--quick]

Needs a Docker engine. A run of so many nodes of the target ``metronome``, which answer and do nothing else, at ten requests a second;
between baseline and its only fault the processor time of every process is read twice from ``/proc``, with what its dead children took.
To reach: harness, role watch, agents and name server together at most 1 % of a core a node. The prober is apart, since its price is
that of its rate (``prober_rate``); so are the nodes, and the engine with its shims. And a run of 25 nodes must come to a decided verdict.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from bench.servers import runs
from chaos.engine.connection import connect
from chaos.engine.leftovers import HARNESS, ROLE

NODES = 9
MANY = 25
SHARE_PER_NODE = 0.01
FROM_S = 5.0
"""After the first slot: what starting has left to do is done by then."""
OURS = ("harness", "watch", "agent", "dns")
EXPERIMENT = """\
experiment: bench-costs
question: What does a run cost while nothing is broken?
cluster: {{target: metronome, nodes: {nodes}, runtime: docker, dns: {{balancer: health-checked, ttl: 1s}}, settings: {{quiet: 3600s}}}}
traffic: {{operations: {{write: 10/s}}, judge: write}}
baseline: 2s
faults: [{{name: cut, partition: {{}}, target: {{any: 1}}, at: {at_s}s, for: 1s}}]
settle: 5s
limits: {{nodes_down: 1}}
"""
Costs = dict[str, float]
"""Cores by part."""


def ticks(pid: int) -> tuple[int, int]:
    """Of a process and its dead children: ticks, and its parent."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]), int(fields[1])


def taken(roots: dict[int, str]) -> Counter[str]:
    """Ticks so far of each part: each process counts to the nearest ancestor in ``roots``."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = ticks(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    sums: Counter[str] = Counter()
    for pid, (spent, _) in found.items():
        at: int | None = pid
        while at in found and at not in roots:
            at = found[at][1]
        if at in roots:
            sums[roots[at]] += spent
    return sums


def parts(harness: int) -> dict[int, str]:
    """The first process of each part: our containers by their label, the engine that answers, and the shims of our containers."""
    roots = {harness: "harness"}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = ticks(int(entry.name))[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"chaos.query.watcher" in words and parent == harness:
            roots[int(entry.name)] = "watch"
    with connect() as engine:
        api = engine.client.api
        roots[engine_pid(engine.facts.host)] = "engine"
        for each in api.containers(filters={"label": HARNESS}):
            if each["Labels"][HARNESS].startswith(f"{harness}:"):
                first = api.inspect_container(each["Id"])["State"]["Pid"]
                roots[first] = each["Labels"][ROLE]
                roots[ticks(first)[1]] = "engine"
    return roots


def engine_pid(host: str) -> int:
    """Of the process at the other end of the engine's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(urlsplit(host).path)
        pid, _, _ = struct.unpack("3i", door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid)


def begun(history: Path, process: subprocess.Popen[bytes]) -> float:
    """When the first slot was due, on the monotonic clock."""
    while process.poll() is None:
        if history.exists():
            for line in history.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n") and '"start_ns"' in line:
                    return float(json.loads(line)["start_ns"]) / 1e9
        time.sleep(0.05)
    raise RuntimeError(f"the run ended with {process.returncode} before it began")


def costs(folder: Path, nodes: int, window_s: float) -> tuple[Costs, int]:
    """Cores that each part took in the window, and the exit status of the run."""
    file = folder / f"costs-{nodes}.yaml"
    file.write_text(EXPERIMENT.format(nodes=nodes, at_s=FROM_S + window_s), encoding="utf-8")
    into = folder / f"costs-{nodes}-{os.getpid()}"
    command = [sys.executable, "-m", "chaos", "run", str(file), "--quiet", "--folder", str(into)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        start_s = begun(into / "history.jsonl", process)
        time.sleep(max(0.0, start_s + FROM_S - time.monotonic()))
        roots = parts(process.pid)
        before, before_s = taken(roots), time.monotonic()
        time.sleep(window_s)
        after, wall_s = taken(roots), time.monotonic() - before_s
        status = process.wait()
    after.subtract(before)
    return {part: spent / os.sysconf("SC_CLK_TCK") / wall_s for part, spent in after.items()}, status


def rows(found: Costs, nodes: int) -> list[runs.Row]:
    """One row that is asked, and one for each part."""
    ours = sum(found.get(part, 0.0) for part in OURS)
    apart = {"prober": found.get("prober", 0.0), "nodes": found.get("system", 0.0), "engine": found.get("engine", 0.0)}
    details = [runs.Row(f"· {part}", "", f"{found.get(part, 0.0):.2%} of a core") for part in OURS]
    return [
        runs.Row(
            f"docker: ours for {nodes} idle nodes: harness, watch, agents, name server",
            f"at most {SHARE_PER_NODE:.0%} of a core a node",
            f"{ours / nodes:.2%} a node ({ours:.1%})",
            ", ".join(f"{part} {share:.1%}" for part, share in apart.items()),
            ours / nodes <= SHARE_PER_NODE,
        ),
        *details,
    ]


def many(found: Costs, status: int) -> runs.Row:
    """So many nodes that two cores are full of them."""
    share = sum(found.get(part, 0.0) for part in OURS) / MANY
    said = {0: "decided (pass)", 1: "decided (fail)", 3: "open (exit 3)"}.get(status, f"exit {status}")
    return runs.Row(
        f"docker: a run of {MANY} nodes", "a decided verdict", said, f"ours: {share:.2%} of a core a node", status in (0, 1)
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    window_s = 8.0 if chosen.quick else 25.0
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        found, status = costs(Path(name), NODES, window_s)
        crowd = many(*costs(Path(name), MANY, window_s))
    if status not in (0, 3):
        few = [runs.Row(f"docker: ours for {NODES} idle nodes", "", f"the run ended with {status}", "", False)]
    else:
        few = rows(found, NODES)
    return runs.show([*few, crowd, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
