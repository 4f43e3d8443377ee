"""Reading HTTP/1.1 answers, strictly (RFC 9112): status line, headers, then a body by length, in chunks, or until the end.

``whole`` reads the usual answer, one that came in one piece with a length; ``Answer`` reads any, piece by piece.
"""

from __future__ import annotations

from typing import Final

HEAD_LIMIT: Final = 65_536
LINE_LIMIT: Final = 4_096
MOST_INTERIM: Final = 32
"""Answers like 100 Continue before the one that counts."""
MOST_DIGITS: Final = 16
MOST_BODY: Final = 64 * 1024 * 1024
"""Of a body that something is looked for in; one that nobody looks at may have any length."""
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
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
    """One answer as it comes in. ``feed`` is true when it is complete; bytes after its end make the connection unfit for reuse.

    Each byte of a body is copied once, and not at all with ``keep_body`` false: where nothing looks at the body, it is only counted.
    """

    def __init__(self, *, bodiless: bool = False, keep_body: bool = True, most_body: int = MOST_BODY) -> None:
        self.status = 0
        self.keep = True
        self._bodiless = bodiless
        self._keep_body = keep_body
        self._most_body = most_body
        self._body = bytearray()
        self._head_bytes = bytearray()
        self._lines: list[bytes] = []
        self._interim = 0
        self._left = -1
        """Bytes of body still to come, of a chunk with its line end; -1: the head is not read yet."""
        self._chunked = False
        self._until_end = False
        self._line = bytearray()
        """A line between chunks that has not come whole yet."""
        self._trailer = False
        self._trailer_bytes = 0

    @property
    def body(self) -> bytes:
        """All that came of it; empty where it is not kept."""
        return bytes(self._body)

    def header(self, name: bytes) -> str:
        """The value of the first header of that name, given in small letters; empty where there is none."""
        for line in self._lines:
            key, _, value = line.partition(b":")
            if key.lower() == name:
                return value.strip().decode("latin-1")
        return ""

    def feed(self, data: bytes) -> bool:
        """Take more bytes; true: complete. ``NotHttp`` if they are no answer."""
        if self._left < 0:
            rest = self._head(data)
            if rest is None:
                return False
            data = rest
        if self._until_end:
            self._add(data, 0, len(data))
            return False
        return self._chunks(data) if self._chunked else self._length(data)

    @property
    def plain_length(self) -> int:
        """After the head alone: the length of the body, if it has one and the connection may be kept; else -1."""
        return self._left if self.keep and self._left >= 0 and not self._chunked and not self._until_end else -1

    def ended(self) -> bool:
        """The other side closed: true if that is how this answer ends."""
        return self._until_end

    def _add(self, data: bytes, start: int, end: int) -> None:
        if not self._keep_body:
            return
        if len(self._body) + end - start > self._most_body:
            raise NotHttp(f"a body of more than {self._most_body:,} bytes, in which something is looked for")
        self._body += memoryview(data)[start:end]

    def _head(self, data: bytes) -> bytes | None:
        """What follows the head; None while the head is not whole."""
        held = self._head_bytes
        seen = max(0, len(held) - 3)
        held += data
        while True:
            end = held.find(b"\r\n\r\n", seen)
            if end < 0 or end > HEAD_LIMIT:
                if len(held) > HEAD_LIMIT:
                    raise NotHttp("the head of the answer has no end")
                if not b"HTTP/1.".startswith(held[:7]):
                    raise NotHttp(f"{bytes(held[:40])!r}")
                return None
            lines = bytes(held[:end]).split(b"\r\n")
            del held[: end + 4]
            seen = 0
            self._status_line(lines[0])
            if self.status >= 200 or self.status == 101:
                break
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise NotHttp(f"more than {MOST_INTERIM} answers before the answer")
        self._lines = lines[1:]
        self._headers(self._lines)
        rest = bytes(held)
        held.clear()
        return rest

    def _status_line(self, line: bytes) -> None:
        version, _, rest = line.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or len(rest[:3]) != 3 or rest[3:4] not in (b"", b" "):
            raise NotHttp(f"not a status line: {line[:80]!r}")
        self.status = int(rest[:3])
        if self.status < 100:
            raise NotHttp(f"not a status: {rest[:3]!r}")
        self.keep = version == b"HTTP/1.1"

    def _headers(self, lines: list[bytes]) -> None:
        length: int | None = None
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or not _TOKEN.issuperset(name):
                raise NotHttp(f"not a header: {line[:80]!r}")
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                if not value.isdigit() or len(value) > MOST_DIGITS or (length is not None and length != int(value)):
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

    def _length(self, data: bytes) -> bool:
        count = min(self._left, len(data))
        self._add(data, 0, count)
        self._left -= count
        if self._left == 0 and count < len(data):
            self.keep = False
        return self._left == 0

    def _chunks(self, data: bytes) -> bool:
        at = 0
        while at < len(data):
            if self._left > 0:
                at = self._chunk(data, at)
                continue
            end = data.find(b"\n", at)
            upto = len(data) if end < 0 else end + 1
            self._line += data[at:upto]
            at = upto
            if len(self._line) > LINE_LIMIT:
                raise NotHttp("a line between chunks has no end")
            if end >= 0 and self._line_came():
                if at < len(data):
                    self.keep = False
                return True
        return False

    def _chunk(self, data: bytes, at: int) -> int:
        """Bytes of a chunk, and of its line end; where they stop."""
        count = min(self._left, len(data) - at)
        body = min(count, max(0, self._left - 2))
        if body:
            self._add(data, at, at + body)
        for offset in range(body, count):
            if data[at + offset] != b"\r\n"[2 - (self._left - offset)]:
                raise NotHttp("a chunk without its line end")
        self._left -= count
        return at + count

    def _line_came(self) -> bool:
        """A whole line between chunks, or of the trailer; true: it was the last."""
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise NotHttp(f"a line between chunks without its end: {line[:40]!r}")
        if self._trailer:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > HEAD_LIMIT:
                raise NotHttp("the trailer of the answer has no end")
            return line == b"\r\n"
        size = line[:-2].partition(b";")[0].strip()
        if not size or len(size) > MOST_DIGITS or not _HEX.issuperset(size):
            raise NotHttp(f"not a chunk size: {size[:40]!r}")
        if int(size, 16) == 0:
            self._trailer = True
        else:
            self._left = int(size, 16) + 2
        return False
