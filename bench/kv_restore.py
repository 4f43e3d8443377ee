"""What checkpoints and backups of replicated_kv buy: time until ready by log length, and RPO and RTO when every disk is lost.

    python -m bench.kv_restore [--json] [--quick]

To reach: with backups every second, what is lost is not older than two seconds; and a node with checkpoints is ready in a time that does
not grow with what was ever written.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path

from bench.kv_nodes import CLIENT, Nodes, nodes, wait
from bench.kv_rate import RATE_PER_S, _drive, kv_put
from bench.servers import runs

EVERY_S = 1.0


def written(cluster: Nodes, seconds: float) -> int:
    """Load through all nodes; how many writes were acknowledged."""
    return asyncio.run(_drive([(cluster.address(node), CLIENT) for node in cluster.names], kv_put, seconds)).acknowledged


def ready_ms(compact_after: int, seconds: float) -> tuple[int, float]:
    """Entries written, and how long a killed node takes from its start until it listens."""
    with (
        tempfile.TemporaryDirectory(prefix="nines-bench-") as name,
        nodes(Path(name), options=("--compact-after", str(compact_after))) as cluster,
    ):
        count = written(cluster, seconds)
        follower = next(each for each in cluster.names if each != cluster.leader())
        cluster.signal(follower, signal.SIGKILL)
        begun, listening = cluster.start(follower)
        return count, (listening - begun) / 1e6


def disaster(seconds: float) -> tuple[float, float, int]:
    """RPO and RTO in seconds, and the acknowledged writes that are gone, when all nodes and disks are lost under load."""
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        place = Path(name) / "elsewhere"
        options = ("--backup", str(place), "--backup-every", f"{EVERY_S}s", "--restore", "on")
        with nodes(Path(name), options=options) as cluster:
            written(cluster, seconds)
            before = max(int(cluster.status(node)["applied"] or 0) for node in cluster.names)
            for node in cluster.names:
                cluster.signal(node, signal.SIGKILL)
                for path in (Path(name) / node).iterdir():
                    path.unlink()
            newest = max(place.glob("backup-*[0-9]"))
            begun = time.monotonic()
            for node in cluster.names:
                cluster.start(node)
            wait("a write is taken", lambda: cluster.ask("n1", "PUT", "/kv/first", "1")[0] == 200, within_s=30)
            rto_s = time.monotonic() - begun
            gone = before - int(newest.name[-12:])
            return gone / RATE_PER_S, rto_s, gone


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    seconds = 3.0 if chosen.quick else 20.0
    count, long_ms = ready_ms(10**9, seconds)
    _, short_ms = ready_ms(1000, seconds)
    rpo_s, rto_s, gone = disaster(seconds)
    rows = [
        runs.Row(f"ready after a kill, {count} writes, no checkpoint", "", f"{long_ms:.0f} ms", "", True),
        runs.Row("the same, a checkpoint every 1,000", "not slower", f"{short_ms:.0f} ms", "", short_ms < long_ms * 1.2),
        runs.Row(
            f"every disk lost, backups every {EVERY_S:g} s: RPO", "under 2 s", f"{rpo_s:.2f} s", f"{gone} acknowledged writes", rpo_s < 2
        ),
        runs.Row("RTO, from the start of the nodes to the first write", "under 5 s", f"{rto_s:.2f} s", "", rto_s < 5),
        runs.machine(),
    ]
    return runs.show(rows, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
