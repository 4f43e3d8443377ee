"""RPO and RTO of replicated_kv when a whole data centre is lost under load, with an asynchronous second one.

    python -m bench.kv_centres [--json] [--quick]

Both count from the death of the first centre's last node: the acknowledged writes that the second one has not, and the time until it takes
one from a client that asks there every 20 ms. The name before both is left out;
docs/replicated-kv/data-centres.md has an experiment with it.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import cast

from bench.kv_nodes import CLIENT, Nodes, wait
from bench.kv_rate import RATE_PER_S, _drive, kv_put
from bench.servers import runs

FIRST, SECOND = ("n1", "n2", "n3"), ("n4", "n5", "n6")
ZONES = ",".join([*(f"{node}=a" for node in FIRST), *(f"{node}=b" for node in SECOND)])


def loss(mirror_every: str, promote_after: str, seconds: float) -> tuple[int, float, int]:
    """Acknowledged writes that are gone, the RTO in seconds, and how many were written."""
    options = ("--zones", ZONES, "--second-centre", "async", "--mirror-every", mirror_every, "--promote-after", promote_after)
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        cluster = Nodes(Path(name), 6, options)
        try:
            for node in cluster.names:
                cluster.start(node)
            wait("the second centre has a copy", lambda: _copied(cluster)[1], every_s=0.05)
            wait("the first one takes writes", lambda: cluster.ask("n1", "PUT", "/kv/first", "1")[0] == 200)
            load = asyncio.run(_drive([(cluster.address(node), CLIENT) for node in FIRST], kv_put, seconds))
            before = max(cast(int, cluster.status(node)["applied"]) for node in FIRST)
            for node in FIRST:
                cluster.signal(node, signal.SIGKILL)
            lost_s = time.monotonic()
            gone = before - _copied(cluster)[0]
            wait("the second centre takes writes", lambda: cluster.ask("n4", "PUT", "/kv/later", "1")[0] == 200, every_s=0.02)
            return gone, time.monotonic() - lost_s, load.acknowledged
        finally:
            cluster.end()


def _copied(cluster: Nodes) -> tuple[int, bool]:
    """Up to which entry of the first centre the second one has all."""
    known = [cast(dict[str, int], cluster.status(node)["centre"]) for node in SECOND]
    return max(each["at"] for each in known), all(each["whole"] for each in known)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    rows = []
    for every, after in (("100ms", "1s"), ("1s", "3s")):
        gone, rto_s, written = loss(every, after, 3.0 if chosen.quick else 10.0)
        most_s, late_s = (0.5, 3.0) if every == "100ms" else (1.5, 5.0)
        rpo = f"{gone / RATE_PER_S:.2f} s"
        rows += [
            runs.Row(f"a copy every {every}: RPO", f"under {most_s:g} s", rpo, f"{gone} of {written} writes", gone / RATE_PER_S < most_s),
            runs.Row(f"silence of {after}: RTO", f"under {late_s:g} s", f"{rto_s:.2f} s", "", rto_s < late_s),
        ]
    return runs.show([*rows, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
