"""One listener that a test has misbehave, and attempts sent to it one at a time, on one event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping

from chaos.experiment.client import ClientPolicy
from chaos.history.observations import Outcome, Why
from chaos.traffic.http_client import Pool
from chaos.traffic.loop import new_loop
from chaos.traffic.probe import Probe, Setup, Slot

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """One listener on the test's own loop; a test says what each connection does with each request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str = "127.0.0.1", port: int = 0) -> None:
        self.loop = loop
        self.listener = socket.create_server((address, port))
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.answer: Callable[[socket.socket], None] = lambda connection: connection.sendall(ANSWER)
        self.resets = 0
        loop.add_reader(self.listener.fileno(), self._accept)

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        self.connections.append(connection)
        self.loop.add_reader(connection.fileno(), self._read, connection)

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            self.resets += 1
            data = b""
        if not data:
            self.hang_up(connection)
            return
        self.requests.append(data)
        self.answer(connection)

    def hang_up(self, connection: socket.socket, reset: bool = False) -> None:
        if connection.fileno() < 0:
            return
        self.loop.remove_reader(connection.fileno())
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def close(self) -> None:
        for connection in self.connections:
            self.hang_up(connection)
        if self.listener.fileno() >= 0:
            self.loop.remove_reader(self.listener.fileno())
            self.listener.close()


class Bench:
    """A loop, a server, and attempts sent one at a time."""

    def __init__(self) -> None:
        self.loop = new_loop()
        self.server = Server(self.loop)
        self.count = 0
        self.ended: list[tuple[Outcome, Why]] = []

    def setup(self, client: ClientPolicy | None = None, ways: Mapping[str, str] | None = None, **options: str) -> Setup:
        words = {"client": str(self.server.port)}
        return Setup(loop=self.loop, operation="op", does="write", options=options, words=words, client=client, ways=ways)

    def begin(self, probe: Probe | Pool) -> Slot:
        slot = Slot()
        slot.index, slot.key, slot.value = self.count, f"k{self.count}", f"v{self.count}"
        slot.address = "127.0.0.1"
        slot.carrier, slot.status, slot.attempts, slot.tried = None, 0, 1, ()
        slot.ended = lambda _, outcome, why: self.ended.append((outcome, why))
        self.count += 1
        probe.send(slot)
        return slot

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 5.0
        while not condition():
            assert time.monotonic() < end_s, "what was awaited did not happen within five seconds"
            self.loop.run_until_complete(asyncio.sleep(0))

    def one(self, probe: Probe | Pool) -> tuple[Outcome, Why]:
        before = len(self.ended)
        self.begin(probe)
        self.until(lambda: len(self.ended) > before)
        return self.ended[-1]
