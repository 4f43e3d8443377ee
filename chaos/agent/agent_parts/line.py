"""Packets of ours over a link itself: numbered datagrams that are counted at their end, and bytes on a connection that are timed there.

    line.open    at the link's end: listen; its port, and a number for ``line.count``
    line.send    at its start: send to that port, and say how much was sent
    line.count   at its end: what has come, once all has or nothing more comes
    line.stands  the addresses of this namespace, IPv4 and IPv6

No checksum protects the datagrams: what was damaged on its way is to arrive and be seen, not to be thrown away by the kernel.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import select
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any, Final

SIOCGIFADDR: Final = 0x8915
SO_NO_CHECK: Final = 11
SO_RCVBUFFORCE: Final = 33
DATAGRAM_BYTES: Final = 200
BUFFER_BYTES: Final = 16 * 1024 * 1024
SO_MEMINFO: Final = 55
DROPS: Final = 8
"""Place of the number of those that found the buffer full (linux/sock_diag.h)."""
BURST: Final = 50
PAUSE_S: Final = 0.001
"""After so many datagrams: Linux holds 1,000 packets for a processor that is late to take them in, and drops the rest."""
CHUNK_BYTES: Final = 65536
EXPIRES_S: Final = 120.0
FILLS: Final = 0.25
"""Of a flow's bytes so many only fill buckets and queues, before the rate is that of the line."""

_numbers = itertools.count(1)
_open: dict[int, Receiver] = {}


class Receiver:
    """One socket at the end of a link, and what came to it."""

    def __init__(self, kind: str, *, ipv6: bool = False, port: int = 0) -> None:
        self.kind = kind
        self.first: list[int] = []
        """Numbers in the order of their first arrival."""
        self.seen: set[int] = set()
        self.doubled = 0
        self.damaged = 0
        self.chunks: list[tuple[int, int]] = []
        """Of a flow: when, and how many bytes until then."""
        self.ended = "timed out"
        self.last_ns = 0
        self.full = 0
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        if kind == "udp":
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            except PermissionError:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.bind(("::" if ipv6 else "0.0.0.0", port))  # noqa: S104 - of a namespace of ours
        if kind == "tcp":
            self.socket.listen(1)
        self.socket.settimeout(EXPIRES_S)
        self.overrun_before = overrun()
        self.port: int = self.socket.getsockname()[1]
        self.done = threading.Event()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            if self.kind == "udp":
                self._datagrams()
            else:
                self._bytes()
        self.done.set()

    def _datagrams(self) -> None:
        while True:
            data = self.socket.recv(DATAGRAM_BYTES + 1)
            self.last_ns = time.monotonic_ns()
            number = int.from_bytes(data[:4], "big")
            if data != datagram(number):
                self.damaged += 1
            elif number in self.seen:
                self.doubled += 1
            else:
                self.seen.add(number)
                self.first.append(number)

    def _bytes(self) -> None:
        connection, _ = self.socket.accept()
        count = 0
        with connection:
            connection.settimeout(EXPIRES_S)
            try:
                while data := connection.recv(CHUNK_BYTES):
                    count += len(data)
                    self.last_ns = time.monotonic_ns()
                    self.chunks.append((self.last_ns, count))
                self.ended = "closed"
            except TimeoutError:
                pass
            except OSError:
                self.ended = "reset"

    def close(self) -> None:
        """Nothing more is taken."""
        if self.kind == "udp":
            self.full = struct.unpack("9I", self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[DROPS]
        # A thread that waits in the kernel for this socket is woken by its end, not by its being closed.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def figures(self) -> dict[str, Any]:
        """What has come."""
        if self.kind == "udp":
            return {
                "arrived": len(self.first), "doubled": self.doubled, "damaged": self.damaged, "early": early(self.first),
                "overrun": overrun() - self.overrun_before + self.full,
            }  # fmt: skip
        total = self.chunks[-1][1] if self.chunks else 0
        began = next((chunk for chunk in self.chunks if chunk[1] >= total * FILLS), None)
        after = total - began[1] if began else 0
        span_s = (self.chunks[-1][0] - began[0]) / 1e9 if began else 0.0
        return {"ended": self.ended, "bytes": after, "total": total, "pieces": len(self.chunks), "last_s": span_s or None}


def overrun() -> int:
    """Packets that the kernel of this machine threw away since it could not keep up, whomever they were for."""
    lines = Path("/proc/net/softnet_stat").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


def datagram(number: int) -> bytes:
    """Number and a filling that depends on it."""
    return struct.pack(">I", number) + bytes((number + place) & 255 for place in range(DATAGRAM_BYTES - 4))


def early(order: list[int]) -> int:
    """How many came before one that was sent before them."""
    lowest, found = None, 0
    for number in reversed(order):
        if lowest is not None and lowest < number:
            found += 1
        else:
            lowest = number
    return found


def do_open(_agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """Listen on a port of its own, or on ``port`` if there is one; ``kind``: udp or tcp; ``ipv6``: there, else over IPv4."""
    number = next(_numbers)
    receiver = _open[number] = Receiver(command["kind"], ipv6=command.get("ipv6", False), port=command.get("port", 0))
    return {"result": {"number": number, "port": receiver.port}}


def do_send(agent: Any, command: dict[str, Any]) -> None:  # noqa: ANN401
    """``amount`` datagrams, a few at a time, or bytes on one connection, to ``address`` and ``port``."""
    send = _send_datagrams if command["kind"] == "udp" else _send_bytes
    agent.later(command["id"], lambda: {"result": send(command["address"], command["port"], command["amount"], command["within_s"])})


def _send_datagrams(address: str, port: int, count: int, _within_s: float) -> dict[str, Any]:
    ready = [datagram(number) for number in range(count)]
    refused = 0
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        try:
            sender.connect((address, port))
        except OSError:
            return {"sent": count, "refused": count}  # there is no way there
        for number, data in enumerate(ready):
            if number % BURST == BURST - 1:
                time.sleep(PAUSE_S)
            try:
                sender.send(data)
            except ConnectionError:
                refused += 1
            except PermissionError:
                refused += 1  # a packet rule drops it before it leaves: as lost as any other
    return {"sent": count, "refused": refused}


def _send_bytes(address: str, port: int, size: int, within_s: float) -> dict[str, Any]:
    until_s = time.monotonic() + within_s
    sent = 0
    try:
        with socket.create_connection((address, port), timeout=within_s) as connection:
            connection.setblocking(False)
            chunk = memoryview(bytes(CHUNK_BYTES))
            while sent < size and (left_s := until_s - time.monotonic()) > 0:
                if select.select([], [connection], [], left_s)[1]:
                    sent += connection.send(chunk[: min(CHUNK_BYTES, size - sent)])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    except OSError as error:
        return {"sent": sent, "error": str(error)}
    return {"sent": sent}


def do_stands(_agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """``addresses``: of every interface but loopback, separated by blanks; not those that may move on to another node (virtual ones)."""
    return {"result": {"addresses": " ".join([*_ipv4(), *_ipv6()])}}


def _ipv4() -> list[str]:
    """The first one of each interface, which the engine gave: a virtual one comes after it."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                answer = fcntl.ioctl(any_socket, SIOCGIFADDR, struct.pack("256s", name.encode()))
                found.append(socket.inet_ntoa(answer[20:24]))
    return sorted(each for each in found if not each.startswith("127."))


def _ipv6() -> list[str]:
    """Those that stand for a network; a virtual one stands for itself alone (/128)."""
    try:
        text = Path("/proc/net/if_inet6").read_text(encoding="ascii")
    except FileNotFoundError:
        return []  # a kernel without IPv6
    lines = [line.split() for line in text.splitlines()]
    there = [line[0] for line in lines if line[5] != "lo" and int(line[2], 16) < 128]
    return sorted(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(each)) for each in there)


def do_count(agent: Any, command: dict[str, Any]) -> None:  # noqa: ANN401
    """What came to the socket ``number``: all of ``amount``, or all until nothing more came for ``quiet_s``; it is closed then."""
    receiver = _open.pop(command["number"])
    agent.later(command["id"], lambda: _count(receiver, command["amount"], command["quiet_s"], command["within_s"]))


def _count(receiver: Receiver, amount: int, quiet_s: float, within_s: float) -> dict[str, Any]:
    began_ns = time.monotonic_ns()
    while not receiver.done.wait(0.005):
        now_ns = time.monotonic_ns()
        if receiver.kind == "udp" and now_ns - max(began_ns, receiver.last_ns) > quiet_s * 1e9:
            break
        # Copies may follow the last one of all.
        if receiver.kind == "udp" and len(receiver.first) + receiver.damaged >= amount and now_ns - receiver.last_ns > quiet_s * 2.5e8:
            break
        if now_ns - began_ns > within_s * 1e9:
            break
    receiver.close()
    return {"result": receiver.figures()}


def heal(_agent: Any) -> list[str]:  # noqa: ANN401
    """Close what is still open."""
    while _open:
        _open.popitem()[1].close()
    return []
