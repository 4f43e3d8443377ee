"""Bytes of ours through a link's harm: what a bandwidth, a late close or a limit does cannot be seen in a round trip.

The toxics are read from the server as they are in force on the link's own proxy, and put on a proxy beside it that leads to a
partner of ours. So it is the same server and the same toxics, and the system under test is not bothered with bytes that mean
nothing to it. One connection carries the bytes, one way; both its ends are where the server is, so one clock takes the times.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from chaos.agent.agent_parts import passage
from chaos.core.values import Passage
from chaos.net.toxiproxy.toxics import ToxiproxyServer

LOOPBACK: Final = "127.0.0.1"
GRACE_S: Final = 2.0
"""Beyond the time that a transfer may take, so long for the way to the agent and back on a busy machine."""

_numbers = itertools.count(1)


class Ends(Protocol):
    """Both ends of a connection of ours, in the network that a server stands in."""

    host: str
    """Where they are, and where the server can reach them and they it."""

    def listen(self) -> int:
        """The port of a partner that awaits one connection."""
        ...

    def send(self, partner: int, port: int, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Connect to the port of a proxy that leads to this partner, and send; the partner is gone afterwards."""
        ...

    def forget(self, partner: int) -> None:
        """The partner is gone, if it is there still."""
        ...


class EndsHere:
    """Both in this process."""

    def __init__(self, host: str) -> None:
        self.host = host

    def listen(self) -> int:
        """The port of a partner."""
        return passage.listen(self.host)

    def send(self, partner: int, port: int, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """What the reader saw."""
        return Passage(**passage.send(self.host, partner, port, stream, size_bytes, timeout_s))

    def forget(self, partner: int) -> None:
        """No partner any more."""
        passage.forget(partner)


class Answer(Protocol):
    """What is needed of ``link.Answer``."""

    @property
    def result(self) -> Mapping[str, float | str | None]:
        """What the command's part of the agent found."""
        ...


class Agent(Protocol):
    """What is needed of ``link.AgentLink``."""

    def call(self, do: str, timeout_s: float = ..., **fields: object) -> Answer:
        """Have it done inside the namespace."""
        ...


class EndsThere:
    """Both in an agent's namespace, where its Toxiproxy server is: nothing of it leaves that node."""

    host = LOOPBACK

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def listen(self) -> int:
        """The port of a partner."""
        return msgspec.convert(self._agent.call("passage.listen").result["port"], int, strict=False)

    def send(self, partner: int, port: int, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """What the reader saw."""
        answer = self._agent.call(
            "passage.send", 2 * timeout_s + GRACE_S, partner=partner, port=port, stream=stream, size_bytes=size_bytes, within_s=timeout_s
        )
        return msgspec.convert(answer.result, Passage, strict=False)

    def forget(self, partner: int) -> None:
        """No partner any more."""
        self._agent.call("passage.forget", partner=partner)


class ProxyGauge:
    """Measures on one server, between two ends of ours beside it."""

    def __init__(self, server: ToxiproxyServer, ends: Ends) -> None:
        self._server = server
        self._ends = ends

    def passage(self, proxy: str, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Through what is in force on this proxy now. Raises a ``NinesError`` if server or agent do not do their part."""
        state = self._server.proxy(proxy)
        if state is None or not state.enabled:
            return Passage("refused")
        name = f"{proxy}.gauge{next(_numbers)}"
        toxics = tuple(msgspec.structs.replace(toxic, name=f"gauge_{number}") for number, toxic in enumerate(state.toxics))
        host = self._ends.host
        partner = self._ends.listen()
        try:
            made = self._server.create(name, f"{host}:0", f"{host}:{partner}", toxics=toxics)
            try:
                return self._ends.send(partner, int(made.listen.rpartition(":")[2]), stream, size_bytes, timeout_s)
            finally:
                self._server.delete(name)
        finally:
            self._ends.forget(partner)
