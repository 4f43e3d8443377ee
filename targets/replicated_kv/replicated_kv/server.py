"""The smallest HTTP/1.1 server that does: keep-alive, pipelining, answers in order, bodies by content-length."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 431: "Request Header Fields Too Large", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip
MAX_HEAD = 16 * 1024
MAX_WAITING = 512


class Request(NamedTuple):
    """``path`` without the query, still percent-encoded."""

    method: str
    path: str
    query: str
    body: bytes
    session: dict[str, str]
    """What is known of the connection that it came on; the handler's to fill."""


Reply = Callable[[int, bytes], None]
"""Answer a request, once, now or later: status and JSON body."""
Handler = Callable[[Request, Reply], None]


class BadRequest(Exception):
    """Not HTTP as this server speaks it; the connection ends with ``status``."""

    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


def answer(status: int, body: bytes, close: bool = False) -> bytes:
    """The bytes of an answer."""
    last = "connection: close\r\n" if close else ""
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n{last}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Slot:
    """The place of one answer in the row of answers."""

    __slots__ = ("answer", "close")

    def __init__(self, close: bool) -> None:
        self.answer: bytes | None = None
        self.close = close


class HttpServer(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, handler: Handler, max_body: int) -> None:
        self._handler = handler
        self._max_body = max_body
        self._buffer = bytearray()
        self._slots: deque[_Slot] = deque()
        self._transport: asyncio.Transport | None = None
        self._continued = False
        self._session: dict[str, str] = {}
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whoever waits for an answer is gone, whatever the cause
        self._transport = None
        self._slots.clear()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._read()

    def _read(self) -> None:
        """Take all whole requests out of the buffer, unless too many answers are owed."""
        try:
            while not self._ending and len(self._slots) < MAX_WAITING:
                request = self._request()
                if request is None:
                    return
                slot = self._slots[-1]
                self._handler(request, lambda status, body, slot=slot: self._reply(slot, status, body))  # type: ignore[misc]
        except BadRequest as error:
            self._ending = True
            self._slots.append(_Slot(close=True))
            self._reply(self._slots[-1], error.status, b'{"error":"bad request"}')
        if self._transport is not None and not self._ending:
            self._transport.pause_reading()

    def _request(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest(431)
            return None
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3:
            raise BadRequest(400)
        method, target, version = words
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "transfer-encoding" in headers:
            raise BadRequest(411)
        size = headers.get("content-length", "0")
        if not size.isdigit():
            raise BadRequest(400)
        if int(size) > self._max_body:
            raise BadRequest(413)
        stop = end + 4 + int(size)
        if len(self._buffer) < stop:
            if headers.get("expect", "").lower() == "100-continue" and not self._continued and not self._slots and self._transport:
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        self._continued = False
        keep = headers.get("connection", "").lower()
        self._slots.append(_Slot(close=keep == "close" or (version == "HTTP/1.0" and keep != "keep-alive")))
        path, _, query = target.partition("?")
        return Request(method, path, query, body, self._session)

    def _reply(self, slot: _Slot, status: int, body: bytes) -> None:
        slot.answer = answer(status, body, slot.close)
        if self._transport is None:
            return
        full = len(self._slots) >= MAX_WAITING
        ready = []
        while self._slots and self._slots[0].answer is not None:
            first = self._slots.popleft()
            ready.append(cast(bytes, first.answer))
            if first.close:
                self._transport.write(b"".join(ready))
                self._transport.close()
                return
        if ready:
            self._transport.write(b"".join(ready))
        if full and len(self._slots) < MAX_WAITING:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._read)


_HEX = "0123456789abcdefABCDEF"


def unquote(text: str) -> str:
    """Undo percent-encoding (UTF-8; what is no UTF-8 is kept as it is by surrogates)."""
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    data = first.encode("latin-1")
    for part in rest:
        if len(part) >= 2 and part[0] in _HEX and part[1] in _HEX:
            data += bytes([int(part[:2], 16)]) + part[2:].encode("latin-1")
        else:
            data += b"%" + part.encode("latin-1")
    return data.decode("utf-8", "surrogateescape")
