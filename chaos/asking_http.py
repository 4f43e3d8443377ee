"""Just enough HTTP/1.1 for asking a node a question: the bytes of a request, and a reader of replies that is fed as bytes arrive.

Feeding instead of reading lets the blocking and the asynchronous asker share one reader. It knows replies with a
length, chunked ones and those that end with the connection (RFC 9112 section 6.3), and passes over interim replies (1xx).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

LARGEST_BODY_BYTES: Final = 8 * 1024 * 1024
"""A node's status is small; anything above this is refused rather than gathered in memory."""
_LARGEST_HEAD_BYTES: Final = 64 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |\r\n)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked[ \t]*\r\n", re.IGNORECASE)
_CONNECTION: Final = re.compile(rb"\r\nconnection:[ \t]*([^\r]*)\r\n", re.IGNORECASE)


class BadReply(ValueError):
    """What came is not an HTTP/1.x reply, or is larger than we take."""


class Reply(msgspec.Struct, frozen=True):
    """One whole answer; ``keep_alive`` says whether the connection may carry another question."""

    status: int
    body: bytes
    keep_alive: bool


def request_bytes(host: str, port: int, path: str, body: str | None, *, keep_alive: bool) -> bytes:
    """A GET, or a POST of JSON where a body is given."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}:{port}", "Accept: application/json, */*"]
    content = b"" if body is None else body.encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class ReplyReader:
    """Gathers one reply. ``feed`` it what arrives and call ``end`` when the other side closes; both give the reply once it is whole."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._body_at = 0
        """Where the body begins; 0 while the head is incomplete."""
        self._status = 0
        self._length: int | None = None
        self._chunked = False
        self._keep_alive = False

    @property
    def started(self) -> bool:
        """Has any byte come?"""
        return bool(self._data)

    def feed(self, data: bytes) -> Reply | None:
        """Take what has arrived."""
        self._data += data
        if not self._body_at and not self._read_head():
            return None
        if self._chunked:
            return self._chunks()
        if len(self._data) - self._body_at > LARGEST_BODY_BYTES:
            raise BadReply(f"a reply of more than {LARGEST_BODY_BYTES} bytes")
        if self._length is not None and len(self._data) >= self._body_at + self._length:
            return self._reply(bytes(self._data[self._body_at : self._body_at + self._length]))
        return None

    def end(self) -> Reply | None:
        """The other side has closed: the reply, if it is one that ends so; None if it is cut short."""
        if not self._body_at or self._chunked or self._length is not None:
            return None
        self._keep_alive = False
        return self._reply(bytes(self._data[self._body_at :]))

    def _reply(self, body: bytes) -> Reply:
        return Reply(status=self._status, body=body, keep_alive=self._keep_alive)

    def _read_head(self) -> bool:
        while True:
            at = self._data.find(b"\r\n\r\n")
            if at < 0:
                if len(self._data) > _LARGEST_HEAD_BYTES or not b"HTTP/1.".startswith(bytes(self._data[:7])):
                    raise BadReply(f"not an HTTP reply: {bytes(self._data[:40])!r}")
                return False
            head = bytes(self._data[: at + 2])
            line = _STATUS_LINE.match(head)
            if line is None:
                raise BadReply(f"not an HTTP reply: {head[:40]!r}")
            self._status = int(line[2])
            if self._status >= 200:
                break
            del self._data[: at + 4]  # an interim reply; the real one follows
        self._body_at = at + 4
        length = _LENGTH.search(head)
        self._chunked = _CHUNKED.search(head) is not None
        if self._status in {204, 304}:
            self._length, self._chunked = 0, False
        elif length is not None and not self._chunked:
            self._length = int(length[1])
        connection = _CONNECTION.search(head)
        word = connection[1].strip().lower() if connection else b""
        self._keep_alive = word == b"keep-alive" if line[1] == b"0" else word != b"close"
        return True

    def _chunks(self) -> Reply | None:
        """Walk the chunks anew: replies here are small, and most come in one piece."""
        data, at, body = self._data, self._body_at, bytearray()
        while True:
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                return None
            try:
                size = int(bytes(data[at:line_end]).split(b";")[0], 16)
            except ValueError:
                raise BadReply(f"not a chunk size: {bytes(data[at:line_end])[:20]!r}") from None
            if size == 0:
                return self._reply(bytes(body)) if self._after_last_chunk(line_end) else None
            if len(body) + size > LARGEST_BODY_BYTES:
                raise BadReply(f"a reply of more than {LARGEST_BODY_BYTES} bytes")
            start = line_end + 2
            if len(data) < start + size + 2:
                return None
            body += data[start : start + size]
            at = start + size + 2

    def _after_last_chunk(self, line_end: int) -> bool:
        """Trailers, if any, end with an empty line."""
        return self._data.startswith(b"\r\n", line_end + 2) or self._data.find(b"\r\n\r\n", line_end + 2) >= 0
