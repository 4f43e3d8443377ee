"""The other nodes as this one meets them: ways to them, who they prove to be, and whether they are alive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .client import Channel, Done
from .members import Places
from .monitor import Monitor
from .server import Reply
from .settings import Settings

if TYPE_CHECKING:
    from .handshake import Caller


class Peers:
    """The ways of one node to all others, for the consensus and, apart from that, for what clients' requests are handed on by."""

    def __init__(self, settings: Settings, disk_delay_ms: Callable[[], float]) -> None:
        self._settings = settings
        self._disk_delay_ms = disk_delay_ms
        self._places: Places = {}
        self._channels: dict[str, Channel] = {}
        self.forwards: dict[str, Channel] = {}
        """Ways for requests of clients: a batch of them never waits behind the consensus, or it behind them."""
        self.monitor = Monitor(settings.detector, settings.timing.heartbeat, settings.detector_timeout, settings.detector_phi)
        self._called = None
        if settings.secret:
            from .handshake import Called

            self._called = Called(
                settings.secret, settings.node, lambda name: name in self._places or name in settings.peers or name in settings.far
            )
        if settings.detector != "off":
            self._say_alive()

    def meet(self, places: Places) -> None:
        """These are the members now: open channels to those that are new, forget those that are gone."""
        if self._places == places:
            return
        told, self._places = self._settings, dict(places)
        others = [name for name in places if name != told.node]
        beat_s, hang_s = told.timing.heartbeat / 1e9, told.timing.election_min / 1e9
        for channels in (self._channels, self.forwards):
            for name in [each for each in channels if each not in others]:
                channels.pop(name)
            for name in others:
                if name not in channels:
                    # What this node was told itself comes first: the way to a peer may be a proxy of its own.
                    host, _, port = places[name].rpartition(":")
                    address = told.peers.get(name) or (host, int(port))
                    channels[name] = Channel(*address, beat_s, hang_s, self.greeter(name), told.second.get(name))
        if told.detector != "off":
            self.monitor.watch(others, time.monotonic_ns())

    def post(self, to: str, path: str, body: bytes, done: Done) -> None:
        """Send; nothing to one that is no member any more."""
        if to in self._channels:
            self._channels[to].post(path, body, done)

    def admits(self, path: str, body: bytes, session: dict[str, str], reply: Reply) -> bool:
        """May this connection speak? Where peers have to prove who they are the handshake is answered here, and strangers are refused."""
        if self._called is None or "node" in session:
            return True
        if path in {"/raft/hello", "/raft/prove"}:
            reply(*self._called.answer(path, body, session))
        else:
            reply(401, b'{"error":"who are you?"}')
        return False

    def heard(self, body: bytes) -> None:
        """Another node says that it is alive."""
        name, disk_ms = json.loads(body)
        self.monitor.heard(name, disk_ms, time.monotonic_ns())

    def greeter(self, name: str) -> Callable[[], Caller] | None:
        """What opens a connection to that peer, where peers have to prove who they are."""
        if not self._settings.secret:
            return None
        from .handshake import Caller

        return lambda: Caller(self._settings.secret, self._settings.node, name)

    def _say_alive(self) -> None:
        """Tell all others, at each heartbeat, that this node is there and how its disk does."""
        self.monitor.awake(time.monotonic_ns())
        body = json.dumps([self._settings.node, self._disk_delay_ms()]).encode()
        for channel in self._channels.values():
            channel.post("/raft/alive", body, _ignored)
        asyncio.get_running_loop().call_later(self._settings.timing.heartbeat / 1e9, self._say_alive)


def _ignored(status: int, answer: bytes) -> None:
    pass
