"""A server for the benches that is down on a schedule and stamps the truth: a black hole, or a service that accepts and hangs.

    python moody.py ADDRESS PORT MODE OUTAGES.json TRUTH.json

OUTAGES.json is a list of [begin, end] in CLOCK_MONOTONIC ns. In an outage nothing is answered, and what came in then is never
answered later either. In mode ``hang`` connections are accepted and requests read all the while. In mode ``hole`` nothing is
accepted, and the listener's accept queue is full, so that the kernel drops every SYN: clients see plain silence. TRUTH.json
gets the [begin, end] as they really were. It prints ``ready``, and ends when its standard input ends.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BACKLOG = 4


class Moody:
    """One listener, its connections, and its mood."""

    def __init__(self, address: str, port: int, mode: str) -> None:
        self.where = (address, port)
        self.hole = mode == "hole"
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.where)
        self.listener.listen(BACKLOG if self.hole else 4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.poll.register(0, select.EPOLLIN | select.EPOLLHUP)
        self.connections: dict[int, socket.socket] = {}
        self.deaf: set[int] = set()
        self.fillers: list[socket.socket] = []
        self.down = False

    def fall(self) -> int:
        """Go down; the time of it."""
        at_ns = time.monotonic_ns()
        self.down = True
        if self.hole:
            self.poll.unregister(self.listener.fileno())
            for _ in range(BACKLOG + 4):  # more than fit: the last ones hang like everybody else's
                filler = socket.socket()
                filler.setblocking(False)
                filler.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no port behind
                filler.connect_ex(self.where)
                self.fillers.append(filler)
        return at_ns

    def rise(self) -> int:
        """Come back; what was asked while down stays unanswered for ever. The time of it."""
        self.deaf.update(self.connections)
        for filler in self.fillers:
            filler.close()
        self.fillers.clear()
        if self.hole:
            self.accept()
            self.deaf.update(self.connections)
            self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.down = False
        return time.monotonic_ns()

    def accept(self) -> None:
        """Take all that wait."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[connection.fileno()] = connection
            self.poll.register(connection.fileno(), select.EPOLLIN)

    def read(self, number: int) -> None:
        """A request, or the end of a connection. Requests come in one piece and one at a time here."""
        connection = self.connections[number]
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.poll.unregister(number)
            del self.connections[number]
            self.deaf.discard(number)
            connection.close()
        elif not self.down and number not in self.deaf:
            connection.send(ANSWER)
        elif self.down:
            self.deaf.add(number)

    def serve(self, outages: list[list[int]]) -> list[list[int]]:
        """Until standard input ends; the truth."""
        edges = [edge for outage in outages for edge in outage]
        truth: list[int] = []
        while True:
            left_s = (edges[0] - time.monotonic_ns()) / 1e9 if edges else 1.0
            if left_s <= 0:
                truth.append(self.rise() if self.down else self.fall())
                edges.pop(0)
                continue
            ready, _, _ = select.select([self.poll.fileno()], [], [], min(left_s, 1.0))
            for number, _ in self.poll.poll(0) if ready else []:
                if number == 0:
                    return [truth[at : at + 2] for at in range(0, len(truth), 2)]
                if number == self.listener.fileno():
                    self.accept()
                elif number in self.connections:
                    self.read(number)


def main() -> None:
    """The command."""
    address, port, mode, outages, truth = sys.argv[1:6]
    server = Moody(address, int(port), mode)
    print("ready", flush=True)
    found = server.serve(json.loads(Path(outages).read_text(encoding="utf-8")))
    Path(truth).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
