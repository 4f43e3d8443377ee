"""How soon after the command a killed node is seen down, beside a bare ``os.kill`` of the same program in the same run.

    python -m bench.kill [--json] [--quick]

Seen down: a connection that was open to the node breaks. A thread waits for that and stamps it, the same for both ways; they take
turns, so that a busy machine touches both alike. To reach: the median through the harness at most 2 ms above that of the bare call.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.servers import runs
from chaos.core.clock import MonotonicClock, to_ns
from chaos.plugin import Cluster
from chaos.runtimes.local.runtime import LocalRuntime
from tests.support import echo_deployment

MORE_MS = 2.0
ADDRESS, CLIENT, PEER = "127.9.3.1", 7100, 7101
READY_S = 10.0


def connected(address: str, port: int) -> socket.socket:
    """A connection that the node has served once."""
    clock = MonotonicClock()
    until_ns = clock.now_ns() + to_ns(READY_S)
    while True:
        connection = socket.socket()
        try:
            connection.connect((address, port))
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: node\r\n\r\n")
            if connection.recv(65536):
                return connection
        except ConnectionError:
            assert clock.now_ns() < until_ns, "the node does not come up"
        connection.close()
        clock.wait_until_ns(clock.now_ns() + to_ns(0.01))


def seen_down_ms(connection: socket.socket, kill: Callable[[], None]) -> float:
    """From the command to the break of the connection."""
    seen: list[int] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass  # one of the two ways in which a connection breaks
        seen.append(time.monotonic_ns())

    thread = threading.Thread(target=wait)
    thread.start()
    waits.wait()
    began_ns = time.monotonic_ns()
    kill()
    thread.join()
    connection.close()
    return (seen[0] - began_ns) / 1e6


def bare() -> float:
    """The same program, started and killed without us."""
    command = [sys.executable, str(echo_deployment.ECHO / "echo.py"), "n1", ADDRESS, str(CLIENT), str(PEER), "0s", f"n1={ADDRESS}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        return seen_down_ms(connected(ADDRESS, CLIENT), lambda: os.kill(process.pid, signal.SIGKILL))
    finally:
        process.kill()
        process.wait()


def through_harness(cluster: Cluster) -> tuple[float, float]:
    """The same by the node's ``kill``: until seen, and how far the time of death that it gives is from that."""
    node = cluster.nodes["n1"]
    died: list[int] = []
    connection = connected(node.info.address, CLIENT)
    began_ns = time.monotonic_ns()
    seen_ms = seen_down_ms(connection, lambda: died.append(node.kill(signal.SIGKILL)))
    node.start()
    return seen_ms, (died[0] - began_ns) / 1e6 - seen_ms


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    bare_ms, ours_ms, off_ms = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NINES_STATE"] = str(Path(folder) / "state")
        deployment = echo_deployment.echo_deployment(Path(folder) / "bench-kill", echo_deployment.echo_plan("local"))
        with LocalRuntime().up(deployment, lambda _row: None, MonotonicClock()) as cluster:
            for _ in range(count):
                bare_ms.append(bare())
                seen_ms, stamp_ms = through_harness(cluster)
                ours_ms.append(seen_ms)
                off_ms.append(stamp_ms)
    ours, beside = statistics.median(ours_ms), statistics.median(bare_ms)
    return [
        runs.Row(
            "kill: command to service seen down, median",
            f"{MORE_MS:g} ms more than os.kill",
            f"{ours:.2f} ms",
            f"os.kill {beside:.2f} ms, in {count} kills each",
            ours - beside <= MORE_MS,
        ),
        runs.Row("kill: time of death given, after it was seen, median", "", f"{statistics.median(off_ms):.2f} ms"),
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if the figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(15 if chosen.quick else 60), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
