"""replicated_kv: the time without a leader after a SIGKILL of the leader, beside the formula that Nines predicts it with.

    python -m bench.kv_failover [--json] [--quick]

Models, delay blocks: the minimum of the time-outs U(a, b) of the n - 1 followers, less the time U(0, h) since the last beat, mean
a + (b - a)/n - h/2; what is on top (round trips of poll and vote, saves, split votes) is reported as such. Also measured: from the start of
a process until it listens (``restart``), and from there until it votes (``resync``). The kill comes at a random phase of the beat.
"""

from __future__ import annotations

import random
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import cast

from bench.kv_nodes import Nodes, nodes, wait
from bench.servers import runs

A_S, B_S, H_S = 0.5, 1.0, 0.1
SAMPLES = 200_000


def model(size: int) -> list[float]:
    """Draws of the leaderless time without round trips, sorted."""
    draw = random.Random(1)
    return sorted(min(draw.uniform(A_S, B_S) for _ in range(size - 1)) - draw.uniform(0, H_S) for _ in range(SAMPLES))


def one(cluster: Nodes, phase_s: float) -> dict[str, float]:
    """Kill the leader, await the next, start the dead one again; all times in seconds."""
    old = cluster.leader()
    if old is None:
        raise RuntimeError("a settled cluster has a leader")
    term = cast(int, cluster.status(old)["term"])
    time.sleep(phase_s)
    killed = cluster.signal(old, signal.SIGKILL)
    found: dict[str, int] = {}

    def elected() -> bool:
        for name in cluster.running:
            status = cluster.status(name)
            if status.get("state") == "leader":
                found["elected"] = cast(int, status["leader_elected_ns"])
                found["started"] = cast(int, status["election_started_ns"])
                found["term"] = cast(int, status["term"])
        return bool(found)

    wait("a new leader", elected, every_s=0.005)
    begun, listening = cluster.start(old)
    wait(f"{old} votes", lambda: bool(cluster.status(old).get("voting")), every_s=0.002)
    voting = time.monotonic_ns()
    wait("all nodes vote", cluster.settled, every_s=0.01)
    return {
        "leaderless_s": (found["elected"] - killed) / 1e9,
        "election_s": (found["elected"] - found["started"]) / 1e9,
        "rounds": found["term"] - term,
        "restart_s": (listening - begun) / 1e9,
        "resync_s": (voting - listening) / 1e9,
    }


def distance(sample: list[float], drawn: list[float]) -> float:
    """Kolmogorov's distance between a sample and many draws of the model."""
    found = 0.0
    place = 0
    for number, value in enumerate(sorted(sample)):
        while place < len(drawn) and drawn[place] <= value:
            place += 1
        share = place / len(drawn)
        found = max(found, abs(share - number / len(sample)), abs(share - (number + 1) / len(sample)))
    return found


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout. None is judged: one sample in twenty is far from the formula that it was drawn from."""
    chosen = runs.arguments(__doc__ or "", argv)
    times = 20 if chosen.quick else 100
    phase = random.Random(3)
    with tempfile.TemporaryDirectory() as folder, nodes(Path(folder)) as cluster:
        rows = [one(cluster, phase.uniform(0, 3 * H_S)) for _ in range(times)]
    drawn = model(3)
    leaderless_s = [row["leaderless_s"] for row in rows]
    on_top_s = statistics.median(row["election_s"] for row in rows)
    apart, limit = distance(leaderless_s, [value + on_top_s for value in drawn]), 1.358 / times**0.5
    restarts_s = [row["restart_s"] for row in rows]
    resyncs_s = [row["resync_s"] for row in rows]
    split = sum(row["rounds"] > 1 for row in rows)
    got = f"{statistics.mean(leaderless_s):.3f} s (s.d. {statistics.stdev(leaderless_s):.3f} s), Kolmogorov's distance {apart:.3f}"
    beside = f"the formula: {statistics.mean(drawn) + on_top_s:.3f} s (s.d. {statistics.stdev(drawn):.3f} s)"
    table = [
        runs.Row(f"replicated_kv, {times} leader kills: without a leader", "", got, f"{beside}; 5 % of all samples are over {limit:.3f}"),
        runs.Row("· from candidacy to leader, median", "", f"{on_top_s * 1e3:.1f} ms", f"{split} split votes"),
        runs.Row(
            "· from process start to listening, median", "", f"{statistics.median(restarts_s):.3f} s", f"at most {max(restarts_s):.3f} s"
        ),
        runs.Row(
            "· from listening to voting, mean", "", f"{statistics.mean(resyncs_s):.3f} s", f"{min(resyncs_s):.3f} to {max(resyncs_s):.3f} s"
        ),
    ]
    return runs.show([*table, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
