"""Acknowledged writes of replicated_kv on three nodes at 1,000 a second, through leader and followers, beside etcd under the same load.

    python -m bench.kv_rate [--json] [--quick]

Open loop: write i is due at start + i/rate whatever happened before, and its latency counts from its due time. The load, the
three nodes and everything else share this machine. To reach: all acknowledged, 99th percentile well under 50 ms; idle nodes under 2 % of
a core. Closed loop, 64 clients: 2,000 acknowledged, fsynced quorum writes a second, and 5,000 reads a second from one node. The memory of a
leader with a frozen follower does not grow with what is written.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from bench.kv_nodes import CLIENT, Nodes, claim_block, nodes, wait
from bench.servers import runs

RATE_PER_S = 1000.0
KEYS = 100
VALUE = b"%020d"
TIMEOUT_S = 2.0


class Load(NamedTuple):
    """What a run of the load showed; latencies in ms, sorted."""

    acknowledged: int
    sent: int
    latencies_ms: list[float]

    def at(self, share: float) -> float:
        """A quantile."""
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


class Client(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._done: Callable[[int], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is gone, whatever the cause
        self.transport = None
        self._finish(0)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if found and len(rest) >= size:
            self._buffer = b""
            self._finish(int(head[9:12]))

    def send(self, data: bytes, done: Callable[[int], None]) -> None:
        """Ask; ``done`` gets the status, 0 if the connection broke."""
        self._done = done
        if self.transport is None:
            self._finish(0)
        else:
            self.transport.write(data)

    def _finish(self, status: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status)


def kv_put(number: int) -> bytes:
    """A write in the protocol of replicated_kv."""
    return b"PUT /kv/k%d HTTP/1.1\r\nhost: kv\r\ncontent-length: 20\r\n\r\n" % (number % KEYS) + VALUE % number


def etcd_put(number: int) -> bytes:
    """The same write by etcd's JSON gateway."""
    key, value = base64.b64encode(b"k%d" % (number % KEYS)), base64.b64encode(VALUE % number)
    body = b'{"key":"%b","value":"%b"}' % (key, value)
    return b"POST /v3/kv/put HTTP/1.1\r\nhost: etcd\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def _drive(addresses: list[tuple[str, int]], request: Callable[[int], bytes], duration_s: float) -> Load:
    loop = asyncio.get_running_loop()
    free: list[deque[Client]] = [deque() for _ in addresses]
    count = round(RATE_PER_S * duration_s)
    latencies: list[float] = []
    acknowledged = 0
    ended = asyncio.Semaphore(0)
    start_s = loop.time() + 0.2

    async def one(number: int) -> None:
        nonlocal acknowledged
        place = number % len(addresses)
        if free[place]:
            client = free[place].popleft()
        else:
            _, client = await loop.create_connection(Client, *addresses[place])
        answer: asyncio.Future[int] = loop.create_future()
        client.send(request(number), lambda status: None if answer.done() else answer.set_result(status))
        try:
            status = await asyncio.wait_for(answer, TIMEOUT_S)
        except TimeoutError:
            status = 0
        latencies.append((loop.time() - start_s - number / RATE_PER_S) * 1e3)
        acknowledged += status == 200
        if status:
            free[place].append(client)
        ended.release()

    tasks = set()
    for number in range(count):
        while (left_s := start_s + number / RATE_PER_S - loop.time()) > 0:
            await asyncio.sleep(left_s)
        task = loop.create_task(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for _ in range(count):
        await ended.acquire()
    return Load(acknowledged, count, sorted(latencies))


def kv_get(number: int) -> bytes:
    """A read of the node's own copy."""
    return b"GET /kv/k%d?local=1 HTTP/1.1\r\nhost: kv\r\n\r\n" % (number % KEYS)


async def _closed(addresses: list[tuple[str, int]], request: Callable[[int], bytes], clients: int, duration_s: float) -> float:
    """Each client sends its next request when the last one is answered; answers with 200 a second."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + duration_s
    good = sent = 0
    ended = asyncio.Semaphore(0)

    def next_one(client: Client) -> None:
        nonlocal sent
        if loop.time() >= end_s:
            ended.release()
            return
        sent += 1
        client.send(request(sent), lambda status: answered(client, status))

    def answered(client: Client, status: int) -> None:
        nonlocal good
        good += status == 200
        loop.call_soon(next_one, client)

    for number in range(clients):
        _, client = await loop.create_connection(Client, *addresses[number % len(addresses)])
        next_one(client)
    for _ in range(clients):
        await ended.acquire()
    return good / duration_s


def closed(addresses: list[tuple[str, int]], request: Callable[[int], bytes], clients: int, duration_s: float) -> float:
    """Answers a second, after a short warm-up."""
    asyncio.run(_closed(addresses, request, clients, 0.5))
    return asyncio.run(_closed(addresses, request, clients, duration_s))


def resident_mb(pid: int) -> float:
    """Memory that a process has in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def frozen_follower(folder: Path, seconds: float) -> tuple[float, float, int]:
    """A leader's MB after each half of a load of large values while one follower is frozen, and the MB written in each half."""
    size = 10_000

    def large(number: int) -> bytes:
        return b"PUT /kv/k%d HTTP/1.1\r\nhost: kv\r\ncontent-length: %d\r\n\r\n" % (number % KEYS, size) + b"x" * size

    with nodes(folder, options=("--compact-bytes", "4000000")) as cluster:
        leader = cast(str, cluster.leader())
        frozen = next(name for name in cluster.names if name != leader)
        cluster.signal(frozen, signal.SIGSTOP)
        found = []
        for _ in range(2):
            rate = closed([(cluster.address(leader), CLIENT)], large, 16, seconds)
            found.append(resident_mb(cluster.running[leader].pid))
        cluster.signal(frozen, signal.SIGCONT)
        return found[0], found[1], round(rate * seconds * size / 1e6)


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that these processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def idle_share(cluster: Nodes, seconds: float) -> float:
    """The largest share of a core that an idle node uses."""
    pids = [process.pid for process in cluster.running.values()]
    before = [cpu_s([pid]) for pid in pids]
    time.sleep(seconds)
    return max(cpu_s([pid]) - used for pid, used in zip(pids, before, strict=True)) / seconds


@contextmanager
def etcd(folder: Path) -> Iterator[list[tuple[str, int]]]:
    """Three etcd nodes that are healthy."""
    block, claim = claim_block()
    processes = []
    addresses = [f"127.{block}.1.{number}" for number in (1, 2, 3)]
    peers = ",".join(f"n{number}=http://{address}:2380" for number, address in enumerate(addresses, 1))
    try:
        for number, address in enumerate(addresses, 1):
            client, peer = f"http://{address}:2379", f"http://{address}:2380"
            command = ["etcd", "--name", f"n{number}", "--data-dir", str(folder / f"n{number}"), "--initial-cluster", peers]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
            command += ["--initial-advertise-peer-urls", peer, "--log-level", "error"]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        wait("etcd takes a write", lambda: asyncio.run(_drive([(addresses[0], 2379)], etcd_put, 0.001)).acknowledged == 1, every_s=0.1)
        yield [(address, 2379) for address in addresses]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        claim.close()


def drive(addresses: list[tuple[str, int]], request: Callable[[int], bytes], duration_s: float) -> Load:
    """Warm the connections up, then load."""
    asyncio.run(_drive(addresses, request, 0.5))
    return asyncio.run(_drive(addresses, request, duration_s))


def shown(load: Load) -> str:
    """One line."""
    return f"{load.acknowledged}/{load.sent} acknowledged; p50 {load.at(0.5):.1f}, p99 {load.at(0.99):.1f}, max {load.at(1):.1f} ms"


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    duration_s = 4.0 if chosen.quick else 15.0
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name, nodes(Path(name)) as cluster:
        idle = idle_share(cluster, 3.0)
        begun, before = time.monotonic(), cpu_s([process.pid for process in cluster.running.values()])
        load = drive([(cluster.address(node), CLIENT) for node in cluster.names], kv_put, duration_s)
        used = (cpu_s([process.pid for process in cluster.running.values()]) - before) / (time.monotonic() - begun)
        leader = (cluster.address(cast(str, cluster.leader())), CLIENT)
        writes_per_s = closed([leader], kv_put, 64, duration_s)
        reads_per_s = closed([leader], kv_get, 64, duration_s)
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        first_mb, second_mb, written_mb = frozen_follower(Path(name), duration_s)
    beside = "etcd is not installed"
    if shutil.which("etcd"):
        with tempfile.TemporaryDirectory(prefix="nines-bench-") as name, etcd(Path(name)) as addresses:
            beside = "etcd: " + shown(drive(addresses, etcd_put, duration_s))
    every = load.acknowledged == load.sent
    rows = [
        runs.Row("replicated_kv, 1,000 writes/s, 3 nodes", "all acknowledged", shown(load), beside, every),
        runs.Row("its 99th percentile", "under 50 ms", f"{load.at(0.99):.1f} ms", f"three nodes, {used:.0%} of a core", load.at(0.99) < 50),
        runs.Row("64 clients, fsynced quorum writes", "2,000 /s", f"{writes_per_s:,.0f} /s", "", writes_per_s >= 2000),
        runs.Row("64 clients, reads of one node", "5,000 /s", f"{reads_per_s:,.0f} /s", "", reads_per_s >= 5000),
        runs.Row(
            "a leader's memory with a frozen follower",
            "+20 MB at most",
            f"{first_mb:.0f}, then {second_mb:.0f} MB",
            f"{written_mb} MB written in between",
            second_mb < first_mb + 20,
        ),
        runs.Row("an idle node", "under 2 % of a core", f"{idle:.1%}", "", idle < 0.02),
        runs.machine(),
    ]
    return runs.show(rows, chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
