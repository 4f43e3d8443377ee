"""A node's answer to a question over HTTP/1.1: the prober's own parser (``core.http1``), fed as bytes arrive."""

from __future__ import annotations

import msgspec

from chaos.agent.agent_words import LARGEST_BODY_BYTES, NOT_HTTP
from chaos.core.http1 import Answer, NotHttp


class BadReply(ValueError):
    """What came is not an HTTP/1.x reply, or is larger than we take."""


class Reply(msgspec.Struct, frozen=True):
    """One whole answer; ``keep_alive`` says whether the connection may carry another question, ``date`` what stands in that header."""

    status: int
    body: bytes
    keep_alive: bool
    date: str = ""


class ReplyReader:
    """Gathers one reply. ``feed`` it what arrives and call ``end`` when the other side closes; both give the reply once it is whole.

    ``dated``: with its ``date``, which makes two replies differ that say the same.
    """

    def __init__(self, *, dated: bool = False) -> None:
        self._dated = dated
        self._answer = Answer(most_body=LARGEST_BODY_BYTES)
        self.started = False
        """Has any byte come?"""

    def feed(self, data: bytes) -> Reply | None:
        """Take what has arrived; ``BadReply`` if that is none."""
        self.started = self.started or bool(data)
        try:
            return self._reply(self._answer.keep) if self._answer.feed(data) else None
        except NotHttp as error:
            raise BadReply(f"{NOT_HTTP}: {error}") from None

    def end(self) -> Reply | None:
        """The other side has closed: the reply, if it is one that ends so; None if it is cut short."""
        return self._reply(keep_alive=False) if self._answer.ended() else None

    def _reply(self, keep_alive: bool) -> Reply:
        date = self._answer.header(b"date") if self._dated else ""
        return Reply(status=self._answer.status, body=self._answer.body, keep_alive=keep_alive, date=date)
