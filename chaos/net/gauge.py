"""Bytes of ours through a link's harm: what a bandwidth, a late close or a limit does cannot be seen in a round trip.

The toxics are read from the server as they are in force on the link's own proxy, and put on a proxy beside it that leads to a
partner of ours. So it is the same server and the same toxics, and the system under test is not bothered with bytes that mean
nothing to it. One connection carries the bytes, one way; the partner at its other end takes the times, by the same clock.
"""

from __future__ import annotations

import itertools
import socket
import threading
from typing import Final

import msgspec

from chaos.clock import Clock, to_s
from chaos.kinds import Passage
from chaos.net.toxiproxy import DOWNSTREAM, ToxiproxyServer

CHUNK_BYTES: Final = 65536
SEND: Final = b"n"

_numbers = itertools.count(1)


class ProxyGauge:
    """Measures on one server; ``host`` is an address of this machine that the server can reach, and that can reach it."""

    def __init__(self, server: ToxiproxyServer, host: str, clock: Clock) -> None:
        self._server = server
        self._host = host
        self._clock = clock

    def passage(self, proxy: str, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Through what is in force on this proxy now. Raises ``ToxiproxyError`` if the server does not do its part."""
        state = self._server.proxy(proxy)
        if state is None or not state.enabled:
            return Passage("refused")
        name = f"{proxy}.gauge{next(_numbers)}"
        toxics = tuple(msgspec.structs.replace(toxic, name=f"gauge_{number}") for number, toxic in enumerate(state.toxics))
        with socket.create_server((self._host, 0)) as partner:
            partner.settimeout(timeout_s)
            port = partner.getsockname()[1]
            made = self._server.create(name, f"{self._host}:0", f"{self._host}:{port}", toxics=toxics)
            try:
                return self._measure(partner, int(made.listen.rpartition(":")[2]), stream, size_bytes, timeout_s)
            finally:
                self._server.delete(name)

    def _measure(self, partner: socket.socket, port: int, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        try:
            client = socket.create_connection((self._host, port), timeout=timeout_s)
            accepted, _ = partner.accept()
        except OSError:
            return Passage("refused")
        with client, accepted:
            for end in (client, accepted):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(timeout_s)
            sender, reader = (accepted, client) if stream == DOWNSTREAM else (client, accepted)
            return _Transfer(sender, reader, size_bytes, self._clock).run(timeout_s)


class _Transfer:
    """One way, once."""

    def __init__(self, sender: socket.socket, reader: socket.socket, size_bytes: int, clock: Clock) -> None:
        self._sender = sender
        self._reader = reader
        self._size = size_bytes
        self._clock = clock
        self._closed_ns: int | None = None

    def run(self, timeout_s: float) -> Passage:
        """The reader's view."""
        began_ns = self._clock.now_ns()
        thread = threading.Thread(target=self._send, name="gauge", daemon=True)
        thread.start()
        passage = self._read(began_ns)
        self._sender.close()
        thread.join(timeout=timeout_s)
        return passage

    def _send(self) -> None:
        try:
            for start in range(0, self._size, CHUNK_BYTES):
                self._sender.sendall(SEND * min(CHUNK_BYTES, self._size - start))
            self._closed_ns = self._clock.now_ns()
            self._sender.shutdown(socket.SHUT_WR)
        except OSError:
            return  # cut off in the middle: the reader tells what it saw of that

    def _read(self, began_ns: int) -> Passage:
        count = pieces = 0
        last_ns: int | None = None
        ended = "timed out"
        try:
            while data := self._reader.recv(CHUNK_BYTES):
                count += len(data)
                pieces += 1
                last_ns = self._clock.now_ns()
            ended = "closed"
        except TimeoutError:
            pass
        except OSError:
            ended = "reset"
        ended_ns = self._clock.now_ns()
        return Passage(
            ended=ended,
            bytes=count,
            pieces=pieces,
            last_s=None if last_ns is None else to_s(last_ns - began_ns),
            ended_s=to_s(ended_ns - began_ns) if ended != "timed out" else None,
            closing_s=to_s(ended_ns - self._closed_ns) if self._closed_ns is not None and ended != "timed out" else None,
        )
