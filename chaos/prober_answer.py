"""Reading HTTP/1.1 answers, strictly (RFC 9112): status line, headers, then a body by length, in chunks, or until the end.

``whole`` reads the usual answer, one that came in one piece with a length; ``Answer`` reads any, piece by piece.
"""

from __future__ import annotations

from typing import Final

HEAD_LIMIT: Final = 65_536
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

_KEPT_HEADS: Final = 256
_plain: dict[bytes, tuple[int, int]] = {}
"""Heads seen before: servers repeat themselves, and this is the hottest place of the prober."""


class NotHttp(ValueError):
    """The bytes are no answer by the standard."""


def whole(data: bytes) -> tuple[int, int] | None:
    """(status, where the body begins) if ``data`` is exactly one plain answer with a length that may keep its connection; else None."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    plain = _plain.get(head)
    if plain is None:
        plain = _plain_head(head)
        if len(_plain) >= _KEPT_HEADS:
            _plain.clear()
        _plain[head] = plain
    status, length = plain
    return (status, end + 4) if length == len(data) - end - 4 else None


def _plain_head(head: bytes) -> tuple[int, int]:
    """(status, length of the body) of a head that asks for nothing special; length -1 for any other, and for what is no head."""
    answer = Answer()
    try:
        answer.feed(head + b"\r\n\r\n")
    except NotHttp:
        return 0, -1
    return answer.status, answer.plain_length


class Answer:
    """One answer as it comes in. ``feed`` is true when it is complete; bytes after its end make the connection unfit for reuse."""

    def __init__(self, *, bodiless: bool = False) -> None:
        self.status = 0
        self.body = b""
        self.keep = True
        self._bodiless = bodiless
        self._buffer = b""
        self._left = -1
        """Bytes of body still to come; -1: the head is not read yet."""
        self._chunked = False
        self._until_end = False
        self._trailer = False

    def feed(self, data: bytes) -> bool:
        """Take more bytes; true: complete. ``NotHttp`` if they are no answer."""
        self._buffer += data
        if self._left < 0 and not self._head():
            return False
        if self._until_end:
            self.body += self._take(len(self._buffer))
            return False
        done = self._chunks() if self._chunked else self._length()
        if done and self._buffer:
            self.keep = False
        return done

    @property
    def plain_length(self) -> int:
        """After the head alone: the length of the body, if it has one and the connection may be kept; else -1."""
        return self._left if self.keep and self._left >= 0 and not self._chunked and not self._until_end else -1

    def ended(self) -> bool:
        """The other side closed: true if that is how this answer ends."""
        return self._until_end

    def _take(self, count: int) -> bytes:
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_LIMIT:
                    raise NotHttp("the head of the answer has no end")
                if not b"HTTP/1.".startswith(self._buffer[:7]):
                    raise NotHttp("the answer does not begin with HTTP/1.")
                return False
            lines = self._take(end + 4)[:-4].split(b"\r\n")
            self._status_line(lines[0])
            if self.status >= 200 or self.status == 101:
                break
        self._headers(lines[1:])
        return True

    def _status_line(self, line: bytes) -> None:
        version, _, rest = line.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or len(rest[:3]) != 3 or rest[3:4] not in (b"", b" "):
            raise NotHttp(f"not a status line: {line[:80]!r}")
        self.status = int(rest[:3])
        self.keep = version == b"HTTP/1.1"

    def _headers(self, lines: list[bytes]) -> None:
        length: int | None = None
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or not _TOKEN.issuperset(name):
                raise NotHttp(f"not a header: {line[:80]!r}")
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                if not value.isdigit() or (length is not None and length != int(value)):
                    raise NotHttp(f"not a length: {value[:40]!r}")
                length = int(value)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked":
                    raise NotHttp(f"unknown transfer coding {value[:40]!r}")
                self._chunked = True
            elif name == b"connection":
                words = {word.strip() for word in value.lower().split(b",")}
                self.keep = b"close" not in words and (self.keep or b"keep-alive" in words)
        if self._bodiless or self.status in (101, 204, 304):
            self._chunked, length = False, 0
        if self._chunked and length is not None:
            raise NotHttp("both a length and chunks")
        self._until_end = length is None and not self._chunked
        self._left = length or 0
        if self._until_end:
            self.keep = False

    def _length(self) -> bool:
        piece = self._take(self._left)
        self.body += piece
        self._left -= len(piece)
        return self._left == 0

    def _chunks(self) -> bool:
        """``_left`` counts the rest of a chunk with its line end; 0 at the start of one."""
        while True:
            if self._trailer:
                end = self._buffer.find(b"\r\n")
                if end < 0:
                    return False
                if not self._take(end + 2)[:-2]:
                    return True
                continue
            if self._left == 0:
                end = self._buffer.find(b"\r\n")
                if end < 0:
                    return False
                size = self._take(end + 2)[:-2].partition(b";")[0].strip()
                if not size or any(digit not in b"0123456789abcdefABCDEF" for digit in size):
                    raise NotHttp(f"not a chunk size: {size[:40]!r}")
                if int(size, 16) == 0:
                    self._trailer = True
                    continue
                self._left = int(size, 16) + 2
            if len(self._buffer) < self._left:
                return False
            chunk = self._take(self._left)
            self._left = 0
            if not chunk.endswith(b"\r\n"):
                raise NotHttp("a chunk without its line end")
            self.body += chunk[:-2]
