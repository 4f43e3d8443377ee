"""Bytes of ours through a link's harm, both ends of the connection in this namespace, timed by one clock.

    {"do": "passage.listen"}                                        -> {"result": {"port": 40123}}      a partner that awaits a connection
    {"do": "passage.send", "partner": 40123, "port": 21977, ...}    -> {"result": {"ended": "closed", "bytes": 4000, ...}}

The harness puts a proxy between the two ports in the meantime. ``net/transfer.py`` says what is measured with it, and uses these very
functions where it stands in the same namespace itself.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

CHUNK_BYTES = 65536
LISTENS_FOR_S = 10.0
"""A partner to whom nobody comes within this time is of no use to anyone any more."""

_partners: dict[int, socket.socket] = {}
_lock = threading.Lock()


class Agent(Protocol):
    """What is needed of ``agent.Agent``."""

    def later(self, number: object, work: Callable[[], dict[str, Any]]) -> None:
        """Do it in a thread, and answer the command of this number with what it returns."""
        ...


def do_listen(_agent: object, _command: dict[str, Any]) -> dict[str, Any]:
    """A partner for one connection."""
    return {"result": {"port": listen("127.0.0.1")}}


def do_send(agent: Agent, command: dict[str, Any]) -> None:
    """Connect, send so many bytes one way, tell what the reader saw; it may take ``within_s``, so a thread does it."""

    def work() -> dict[str, Any]:
        return {
            "result": send("127.0.0.1", command["partner"], command["port"], command["stream"], command["size_bytes"], command["within_s"])
        }

    agent.later(command["id"], work)


def do_forget(_agent: object, command: dict[str, Any]) -> dict[str, Any]:
    """The partner is not needed after all."""
    forget(command["partner"])
    return {}


def heal(_agent: object) -> list[str]:
    """No partner listens any more; what goes on ends by its time limit."""
    for port in list(_partners):
        forget(port)
    return []


def listen(host: str) -> int:
    """The port of a partner there."""
    partner = socket.create_server((host, 0))
    partner.settimeout(LISTENS_FOR_S)
    port = int(partner.getsockname()[1])
    with _lock:
        _partners[port] = partner
    return port


def forget(port: int) -> None:
    """No connection to it any more."""
    with _lock:
        partner = _partners.pop(port, None)
    if partner is not None:
        partner.close()


def send(host: str, partner_port: int, port: int, stream: str, size_bytes: int, timeout_s: float) -> dict[str, Any]:
    """From the connecting end to the partner (``upstream``) or back (``downstream``): what the reader saw, as ``kinds.Passage`` has it."""
    with _lock:
        partner = _partners.pop(partner_port, None)
    if partner is None:
        raise ValueError(f"no partner listens on port {partner_port}")
    with partner:
        partner.settimeout(timeout_s)
        try:
            client = socket.create_connection((host, port), timeout=timeout_s)
        except OSError:
            return {"ended": "refused"}
        with client:
            try:
                accepted, _ = partner.accept()
            except OSError:
                return {"ended": "refused"}
            with accepted:
                for end in (client, accepted):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    end.settimeout(timeout_s)
                sender, reader = (accepted, client) if stream == "downstream" else (client, accepted)
                return _Transfer(sender, reader, size_bytes).run(timeout_s)


class _Transfer:
    """One way, once."""

    def __init__(self, sender: socket.socket, reader: socket.socket, size_bytes: int) -> None:
        self._sender = sender
        self._reader = reader
        self._size_bytes = size_bytes
        self._closed_ns: int | None = None

    def run(self, timeout_s: float) -> dict[str, Any]:
        began_ns = time.monotonic_ns()
        thread = threading.Thread(target=self._send, name="passage", daemon=True)
        thread.start()
        seen = self._read(began_ns)
        self._sender.close()
        thread.join(timeout=timeout_s)
        return seen

    def _send(self) -> None:
        try:
            for start in range(0, self._size_bytes, CHUNK_BYTES):
                self._sender.sendall(b"n" * min(CHUNK_BYTES, self._size_bytes - start))
            self._closed_ns = time.monotonic_ns()
            self._sender.shutdown(socket.SHUT_WR)
        except OSError:
            return  # cut off in the middle: the reader tells what it saw of that

    def _read(self, began_ns: int) -> dict[str, Any]:
        count = pieces = 0
        last_ns: int | None = None
        ended = "timed out"
        try:
            while data := self._reader.recv(CHUNK_BYTES):
                count += len(data)
                pieces += 1
                last_ns = time.monotonic_ns()
            ended = "closed"
        except TimeoutError:
            pass
        except OSError:
            ended = "reset"
        ended_ns = time.monotonic_ns()
        over = ended != "timed out"
        return {
            "ended": ended,
            "bytes": count,
            "pieces": pieces,
            "last_s": None if last_ns is None else (last_ns - began_ns) / 1e9,
            "ended_s": (ended_ns - began_ns) / 1e9 if over else None,
            "closing_s": (ended_ns - self._closed_ns) / 1e9 if over and self._closed_ns is not None else None,
        }
