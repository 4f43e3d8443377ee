"""Just enough HTTP/1.1 for asking a node a question: the bytes of a request, and a reader of replies that is fed as bytes arrive.

Feeding instead of reading lets the blocking and the asynchronous asker share one reader, the prober's own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.core.http1 import Answer, NotHttp

LARGEST_BODY_BYTES: Final = 8 * 1024 * 1024
"""A node's status is small; anything above this is refused rather than gathered in memory."""


class BadReply(ValueError):
    """What came is not an HTTP/1.x reply, or is larger than we take."""


class Reply(msgspec.Struct, frozen=True):
    """One whole answer; ``keep_alive`` says whether the connection may carry another question."""

    status: int
    body: bytes
    keep_alive: bool


class ReplyReader:
    """Gathers one reply. ``feed`` it what arrives and call ``end`` when the other side closes; both give the reply once it is whole."""

    def __init__(self) -> None:
        self._answer = Answer(most_body=LARGEST_BODY_BYTES)
        self.started = False
        """Has any byte come?"""

    def feed(self, data: bytes) -> Reply | None:
        """Take what has arrived; ``BadReply`` if that is none."""
        self.started = self.started or bool(data)
        try:
            return self._reply(self._answer.keep) if self._answer.feed(data) else None
        except NotHttp as error:
            raise BadReply(f"not an HTTP reply: {error}") from None

    def end(self) -> Reply | None:
        """The other side has closed: the reply, if it is one that ends so; None if it is cut short."""
        return self._reply(keep_alive=False) if self._answer.ended() else None

    def _reply(self, keep_alive: bool) -> Reply:
        return Reply(status=self._answer.status, body=self._answer.body, keep_alive=keep_alive)
