"""Throughput of ``replicated_kv`` at 1, 3 and 5 nodes, and what it says: the law that fits, or that the host was the limit.

    python -m bench.scalability [--json] [--quick]

Thirty-two connections write as fast as they are answered. Where the nodes and the load together use up the host's cores, the throughput
is the host's and not the system's: the fit must refuse, and on a small machine that is the right answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.kv_nodes import CLIENT, nodes
from bench.kv_rate import Client, kv_put
from bench.servers import runs
from chaos.core.errors import BadInput
from chaos.predict.scalability import BUSY, Point, fit

OBJECTIVE_S = 0.25
SIZES = (1, 3, 5)
CONNECTIONS = 32


def busy_s() -> tuple[float, float]:
    """Seconds that all cores were busy, and that they were there, since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - fields[3] - fields[4]) / ticks, sum(fields) / ticks


def measured(size: int, duration_s: float) -> Point:
    """One cluster under load, its host watched."""
    with tempfile.TemporaryDirectory() as folder, nodes(Path(folder), size) as cluster:
        leader = cluster.leader() or cluster.names[0]
        before, begun_s = busy_s(), time.monotonic()
        answers, late_s = asyncio.run(saturate(cluster.address(leader), duration_s))
        after, spent_s = busy_s(), time.monotonic() - begun_s
    busy = min(1.0, (after[0] - before[0]) / (after[1] - before[1])) if spent_s > 0 else 1.0
    return Point(size, answers / duration_s, late_s, busy)


async def saturate(address: str, duration_s: float) -> tuple[int, float]:
    """Acknowledged writes, and the 99th percentile of their latency: each connection sends its next one when it has its answer."""
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, address, CLIENT))[1] for _ in range(CONNECTIONS)]
    ends_s, latencies_s, left, over = loop.time() + duration_s, [], CONNECTIONS, asyncio.Event()

    def begin(client: Client, number: int) -> None:
        sent_s = loop.time()

        def done(status: int) -> None:
            nonlocal left
            if status == 200:
                latencies_s.append(loop.time() - sent_s)
            if loop.time() < ends_s and status:
                begin(client, number + CONNECTIONS)
                return
            left -= 1
            if not left:
                over.set()

        client.send(kv_put(number), done)

    for number, client in enumerate(clients):
        begin(client, number)
    await asyncio.wait_for(over.wait(), duration_s + 10.0)
    ordered = sorted(latencies_s)
    return len(ordered), ordered[int(0.99 * (len(ordered) - 1))]


def main(argv: list[str] | None = None) -> int:
    """Print the rows."""
    chosen = runs.arguments(str(__doc__), argv)
    duration_s = 2.0 if chosen.quick else 8.0
    points = [measured(size, duration_s) for size in SIZES]
    rows: list[runs.Row] = [
        runs.Row(f"writes to {point.nodes} node{'s' if point.nodes > 1 else ''} of replicated_kv", "",
            f"{point.per_s:,.0f}/s, p99 {point.latency_s * 1e3:.0f} ms", f"host {point.host_busy:.0%} busy", True)
        for point in points
    ]  # fmt: skip
    host_was_the_limit = any(point.host_busy > BUSY for point in points)
    try:
        law = fit(points, OBJECTIVE_S)
        said = f"contention {law.contention:.2f}, coherency {law.coherency:.3f}, efficiency {law.efficiency[SIZES[-1]]:.0%}"
        refused = False
    except BadInput as error:
        said, refused = f"refused: {error.message}", True
    rows.append(
        runs.Row(
            "fit of scalability", "refused where the host was the limit", said, f"{os.cpu_count()} cores", refused or not host_was_the_limit
        )
    )
    return runs.show(rows, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
