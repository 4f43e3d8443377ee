"""How close the latency that Toxiproxy adds comes to what was asked: 50 ms, beside the direct round trip in the same run.

    python -m bench.latency_toxic [--json] [--quick]

One question a time, each on a connection of its own, counted from sending the question to the whole answer. To reach: the median
round trip with 50 ms downstream lies within 2 ms of 50 ms (so it may hold all that the way itself takes as well).
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.servers import runs
from chaos.experiment.target.spec import Ask
from chaos.net.toxiproxy.program import argv as command_of
from chaos.net.toxiproxy.program import find
from chaos.net.toxiproxy.toxics import BOTH, DOWNSTREAM, ToxicOn, ToxiproxyServer, toxics_for
from chaos.query.door import Door

API, NODE, PROXY, PORT = "127.9.0.84", "127.9.1.9", "127.9.2.9", 7000
ASKED_MS, MARGIN_MS = 50.0, 2.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@contextmanager
def node() -> Iterator[None]:
    """Answers every question at once."""
    listener = socket.create_server((NODE, PORT), backlog=64)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed below
            with connection:
                if connection.recv(65536):
                    connection.sendall(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def toxiproxy() -> Iterator[ToxiproxyServer]:
    """The real server, with one proxy to the node."""
    process = subprocess.Popen(command_of(find(build=False), API, 8474), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = ToxiproxyServer(API)
        server.wait_ready(10)
        server.create("bench", f"{PROXY}:{PORT}", f"{NODE}:{PORT}")
        yield server
    finally:
        process.kill()
        process.wait()


def round_trips_ms(address: str, count: int) -> list[float]:
    """One after the other; every one must be answered."""
    with closing(Door()) as door:
        trips = [door.ask(Ask(http=f"http://{address}:{PORT}/"), 5.0).rtt_s for _ in range(count)]
    assert None not in trips
    return [trip * 1e3 for trip in trips if trip is not None]


def under(server: ToxiproxyServer, stream: str, count: int) -> list[float]:
    """Round trips with the latency in force, jitter 0."""
    toxics = [ToxicOn("bench", toxic) for toxic in toxics_for("bench", "latency", {"latency": ASKED_MS, "jitter": 0}, stream)]
    server.add_toxics(toxics)
    try:
        return round_trips_ms(PROXY, count)
    finally:
        server.remove_toxics(toxics)


def measure(count: int) -> list[runs.Row]:
    """The rows of the table."""
    with node(), toxiproxy() as server:
        direct = statistics.median(round_trips_ms(NODE, count))
        plain = statistics.median(round_trips_ms(PROXY, count))
        down = under(server, DOWNSTREAM, count)
        both = statistics.median(under(server, BOTH, count))
        after = statistics.median(round_trips_ms(PROXY, count))
    median = statistics.median(down)
    beside = f"direct {direct:.2f} ms, through the proxy {plain:.2f} ms before and {after:.2f} ms after"
    spread = f"from {min(down):.2f} to {max(down):.2f} ms in {count} round trips"
    return [
        runs.Row(
            "latency toxic of 50 ms: median round trip", "48 to 52 ms", f"{median:.2f} ms", beside, abs(median - ASKED_MS) <= MARGIN_MS
        ),
        runs.Row("latency toxic of 50 ms: spread", "", spread),
        runs.Row("50 ms in both directions: median round trip", "", f"{both:.2f} ms"),
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    return runs.show([*measure(30 if chosen.quick else 200), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
