"""The replica: a plain HTTP service in one epoll loop, which switches between up and down within microseconds of its beat."""

from __future__ import annotations

import contextlib
import heapq
import json
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .beat import Outage, Tempo, outages
from .manners import CUTS_OPEN, ERROR, HANG, LATE, OWES, REFUSE, RESET, SILENT
from .truth import Truth

BACKLOG = 1024
DRAIN_TURNS = 4
SPIN_NS = 1_000_000
"""So long before a switch the loop stops sleeping: a sleep may end late by about this much."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
MAX_HEAD = 64 * 1024


class Settings(NamedTuple):
    """What a replica is told at its start; times in ns."""

    node: str
    address: str
    port: int
    data: Path
    manner: str
    tempo: Tempo
    seed: str
    epoch: int
    quiet: int
    late_by: int


class Connection:
    """One client. ``owed``: requests taken and not answered."""

    __slots__ = ("buffer", "owed", "socket", "unsent")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.buffer = b""
        self.unsent = b""
        self.owed = 0


class Replica:
    """Up or down, as its beat says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._manner = ""
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._late: list[tuple[int, int, Connection, bytes]] = []
        self._count = 0
        self._served = 0
        self._truth = Truth(settings.data, settings.node, settings.manner)
        self._beat: Iterator[Outage] = iter(())
        self._outage = Outage(0, 0)
        self._listen()

    def run(self) -> None:
        """For ever."""
        settings = self._settings
        self._beat = outages(settings.seed, settings.tempo, settings.epoch, time.monotonic_ns() + settings.quiet)
        self._outage = next(self._beat)
        while True:
            due = self._outage.up if self._manner else self._outage.down
            self._serve_until(due)
            if self._manner:
                self._come_up()
                self._outage = next(self._beat)
            else:
                self._go_down()

    def end(self) -> None:
        """The replica ends now: an open outage is written down as such."""
        self._truth.up(None)

    def _serve_until(self, due: int) -> None:
        """Answer until the switch is due; then once more all that has arrived by now."""
        while True:
            left = due - time.monotonic_ns()
            if left <= 0:
                break
            sleep = max(0, left - SPIN_NS)
            if self._late:
                sleep = min(sleep, max(0, self._late[0][0] - time.monotonic_ns()))
            self._turn(sleep / 1e9)
        for _ in range(DRAIN_TURNS):
            # A connection that is accepted in one turn shows its request in the next.
            if not self._turn(0):
                return

    def _turn(self, timeout_s: float) -> bool:
        """Wait for something to arrive and deal with it; whether anything did."""
        ready = self._epoll.poll(timeout_s)
        for number, events in ready:
            connection = self._connections.get(number)
            if connection is not None:
                self._on_events(connection, events)
            elif self._listener is not None and number == self._listener.fileno():
                self._accept(self._listener)
        while self._late and self._late[0][0] <= time.monotonic_ns():
            _, _, connection, answer = heapq.heappop(self._late)
            connection.owed -= 1
            self._write(connection, answer)
        return bool(ready)

    # --- the switch ----------------------------------------------------------------------------------------------------

    def _go_down(self) -> None:
        manner = self._settings.manner
        # Stamped before the close: from here on nothing is read, and what waits to be accepted is reset by it.
        at = time.monotonic_ns()
        if manner == REFUSE and self._listener is not None:
            self._epoll.unregister(self._listener)
            self._listener.close()
            self._listener = None
        if manner == SILENT:
            self._fill()
            at = time.monotonic_ns()
        self._manner = manner
        self._truth.down(at)
        if manner in CUTS_OPEN:
            for connection in list(self._connections.values()):
                self._cut(connection)

    def _come_up(self) -> None:
        manner, self._manner = self._manner, ""
        if manner == REFUSE:
            self._listen()
        if manner == SILENT and self._listener is not None:
            self._listener.listen(BACKLOG)
            self._epoll.register(self._listener, select.EPOLLIN)
        self._truth.up(time.monotonic_ns())
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if manner in OWES:
            for connection in list(self._connections.values()):
                if connection.owed:
                    self._cut(connection)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self._settings.address, self._settings.port))
        listener.listen(BACKLOG)
        self._listener = listener
        self._epoll.register(listener, select.EPOLLIN)

    def _fill(self) -> None:
        """Shrink the accept queue and fill it ourselves: the kernel then drops every further SYN."""
        if self._listener is None:
            return
        self._epoll.unregister(self._listener)
        self._accept(self._listener)
        self._listener.listen(0)
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self._settings.address, self._settings.port))
            self._fillers.append(filler)

    # --- requests ------------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = listener.accept()
                connection = Connection(accepted)
                if self._manner == RESET:
                    self._cut(connection)
                    continue
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[accepted.fileno()] = connection
                self._epoll.register(accepted, select.EPOLLIN)

    def _cut(self, connection: Connection) -> None:
        """Close it with a reset."""
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        # A closed descriptor leaves the epoll set by itself.
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _on_events(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self._write(connection, b"")
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(connection.buffer) > MAX_HEAD:
            self._close(connection)
            return
        connection.buffer += data
        while (answer := self._request(connection)) is not None:
            self._settle(connection, answer)

    def _request(self, connection: Connection) -> bytes | None:
        """The answer to the next whole request in the buffer, as it were if the replica is up."""
        head, found, rest = connection.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        size = 0
        for line in head.lower().split(b"\r\n")[1:]:
            if line.startswith(b"content-length:") and line[15:].strip().isdigit():
                size = int(line[15:])
        if len(rest) < size:
            return None
        connection.buffer = rest[size:]
        if head.split(b" ", 2)[1:2] == [b"/status"]:
            settings = self._settings
            body = json.dumps({"node": settings.node, "ready": True, "manner": settings.manner, "served": self._served}).encode()
        else:
            body = b'{"ok":true}'
        return _answer(b"200 OK", body)

    def _settle(self, connection: Connection, answer: bytes) -> None:
        """Give the answer that the present state gives."""
        if self._manner in {HANG, SILENT}:
            connection.owed += 1
        elif self._manner == LATE:
            connection.owed += 1
            self._count += 1
            heapq.heappush(self._late, (time.monotonic_ns() + self._settings.late_by, self._count, connection, answer))
        elif self._manner == ERROR:
            self._write(connection, _answer(b"503 Service Unavailable", b'{"ok":false}'))
        else:
            self._served += 1
            self._write(connection, answer)

    def _write(self, connection: Connection, data: bytes) -> None:
        if connection.socket.fileno() < 0:
            return
        waited = bool(connection.unsent)
        connection.unsent += data
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.unsent = connection.unsent[sent:]
        if bool(connection.unsent) != waited:
            self._epoll.modify(connection.socket, select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0))


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
