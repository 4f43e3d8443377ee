"""Edges of outages on metronome in a container, from the prober's container, beside its truth log: the bounds are those of local.

    python -m bench.docker_edges [--json] [--quick]

Needs a Docker engine. One run a manner (refuse, reset, error, hang) and rate, through the cluster's name; see ``bench.edges`` for what
is compared and to reach. Prober, name server and replica share the machine's cores with the engine, as in any run.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import edges
from bench.servers import runs
from chaos.api import order_text
from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.values import TrafficOrder
from chaos.engine.connection import Engine, connect
from chaos.history import observations
from chaos.measure import slots as timeline_slots
from chaos.plugin import Deployment
from chaos.runtimes.docker.runtime import DockerRuntime

TRUTH = "/var/lib/metronome/truth.jsonl"
LEAD_IN_S = 0.5
EXPERIMENT = """\
experiment: bench-edges
question: Are edges seen where they are?
cluster:
  target: metronome
  nodes: 1
  settings: {{manner: {manner}, seed: {seed}, down_min: 20ms, down_max: 3s, up_min: 200ms, up_max: 600ms, quiet: 0s}}
  dns: {{balancer: round-robin}}
traffic:
  operations: {{read: {rate:g}/s}}
  client: {{timeout: 100ms, attempts: 1, other_address: false, deadline: 100ms}}
baseline: 1s
duration: {duration:g}s
settle: 1s
"""


def truth_of(engine: Engine, container: str, folder: Path) -> NDArray[np.float64]:
    """The replica's own log, taken out of its container."""
    stream, _ = engine.client.api.get_archive(container, TRUTH)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        member = tar.extractfile("truth.jsonl")
        assert member is not None
        (folder / "truth.jsonl").write_bytes(member.read())
    return edges.truth_of(folder)


def measure(engine: Engine, manner: str, number: int, rate_per_s: float, duration_s: float, folder: Path) -> edges.Found:
    """One run against one manner."""
    folder.mkdir(parents=True)
    text = EXPERIMENT.format(manner=manner, seed=number, rate=rate_per_s, duration=duration_s)
    ordered = order_text(text, folder / "bench.yaml", runtime="docker")
    clock = MonotonicClock()
    where = folder / f"bench-edges-{os.getpid()}-{number}-{rate_per_s:.0f}"
    where.mkdir()
    deployment = Deployment(run=where.name, folder=where, plan=ordered.plan, target=ordered.target)
    with DockerRuntime().up(deployment, lambda _row: None, clock) as cluster:
        start_ns = clock.now_ns() + to_ns(LEAD_IN_S)
        with cluster.traffic(TrafficOrder(start_ns, duration_s)):
            clock.wait_until_ns(start_ns + to_ns(duration_s))
        truth_ns = truth_of(engine, f"nines-{where.name}-n1", folder)
    records = observations.read(where / "observations.bin")
    slots = timeline_slots.lay_out(
        records, operation=0, start_ns=start_ns, rate_per_s=rate_per_s, deadline_s=edges.TIMEOUT_S,
        limit=round(duration_s * rate_per_s) + 2, promised=None,
    )  # fmt: skip
    found = timeline_slots.find_outages(slots, edges.OPENS, edges.CLOSES, 0.0)
    truth_s = (truth_ns - start_ns) / 1e9
    whole = (truth_s[:, 0] > 0) & (truth_s[:, 1] < duration_s - edges.TAIL_S)
    late_ns = records["sent"] - records["due"]
    counted = (records["sent"] > 0) & (late_ns <= 0.5e9 / rate_per_s)
    # An outage that was open when the traffic began has no start that could be seen.
    begun_s = truth_s[~whole & (truth_s[:, 0] <= 0), 1]
    first_s = float(begun_s.max()) if len(begun_s) else -1.0
    seen = found.only(found.first_bad_s > first_s)
    return edges.compare(manner, slots, seen, truth_s[whole], float(np.mean(late_ns[counted])) / 1e9)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    duration_s = 8.0 if chosen.quick else 24.0
    short: list[str] = []
    rows: list[runs.Row] = []
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name, connect() as engine:
        os.environ["NINES_STATE"] = f"{name}/state"
        for rate_per_s, share in ((200.0, 1.0), (1000.0, 0.99)):
            found = [
                measure(engine, manner, number, rate_per_s, duration_s, Path(name) / f"{manner}-{rate_per_s:.0f}")
                for number, manner in enumerate(edges.MANNERS, 1)
            ]
            said, shown = edges.table(rate_per_s, share, found)
            short.append(said)
            rows += shown
    reach = "within 1 slot: all at 200 slots/s, 99 % at 1,000 (the rest flagged); mean error within 0.1 slot; none missed or invented"
    table = runs.folded("outage edges on metronome in a container", reach, "; ".join(short), "its truth log", rows)
    return runs.show([*table, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
