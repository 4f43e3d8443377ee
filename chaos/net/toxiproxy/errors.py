"""What can go wrong between us and a Toxiproxy server, told apart by what the caller would do about it.

The server sends its errors as ``{"error", "status"}`` in JSON but calls them plain text, and its own time-out handler answers
503 with an HTML page: so bodies are looked at, content types are not.
"""

from __future__ import annotations

import html
import re
from typing import ClassVar

import msgspec

from chaos.core.errors import NinesError


class ToxiproxyError(NinesError):
    """Any of them; ``status`` is the HTTP status, None if there was no answer."""

    exit_code: ClassVar[int] = 5

    def __init__(self, what: str, *, server: str, status: int | None = None) -> None:
        self.what = what
        self.server = server
        self.status = status
        super().__init__(f"Toxiproxy at {server}: {what}")


class NoAnswer(ToxiproxyError):
    """It did not answer in time, or not at all: the change may or may not have been made."""


class NotThere(ToxiproxyError):
    """No such proxy or toxic (404)."""


class AlreadyThere(ToxiproxyError):
    """A proxy or toxic of that name exists (409)."""


class Refused(ToxiproxyError):
    """It does not take what we asked for (400, and any other 4xx)."""


class Broken(ToxiproxyError):
    """It failed by its own word (5xx), or answered what cannot be read."""


class NotAsAsked(ToxiproxyError):
    """It said yes, but read back it is otherwise."""


class _Said(msgspec.Struct, frozen=True):
    error: str


_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")


def words(body: bytes) -> str:
    """The message in an error's body: the JSON ``error`` field, else the text without tags, cut to a line."""
    try:
        return msgspec.json.decode(body, type=_Said).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        text = _SPACE.sub(" ", html.unescape(_TAG.sub(" ", body.decode("utf-8", "replace")))).strip()
        return text[:120] or "an empty answer"


def of_status(status: int, body: bytes, server: str) -> ToxiproxyError:
    """The error that an answer with such a status is."""
    kinds: dict[int, type[ToxiproxyError]] = {404: NotThere, 409: AlreadyThere}
    kind = kinds.get(status, Refused if 400 <= status < 500 else Broken)
    return kind(f"{words(body)} (status {status})", server=server, status=status)
