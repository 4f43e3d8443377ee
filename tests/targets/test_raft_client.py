"""The way to a peer: links that swallow everything, break or refuse; each request ends exactly once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from replicated_kv.client import LOST, MAX_CONNECTIONS, UNSENT, Channel
from replicated_kv.server import HttpServer, Reply, Request, unquote

BEAT_S, HANG_S = 0.02, 0.1


class Peer:
    """A server that can swallow requests, remembers how many connections it has, and counts what it answered."""

    def __init__(self) -> None:
        self.swallows = False
        self.open = 0
        self.most = 0
        self.answered = 0
        self.connections: list[asyncio.BaseTransport] = []
        self.server: asyncio.Server

    async def listen(self) -> int:
        """Returns the port."""
        self.server = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    def _connection(self) -> HttpServer:
        peer = self

        class Counted(HttpServer):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                peer.open += 1
                peer.most = max(peer.most, peer.open)
                peer.connections.append(transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                peer.open -= 1
                super().connection_lost(exc)

        return Counted(self._on_request, 1000)

    def _on_request(self, request: Request, reply: Reply) -> None:
        if not self.swallows:
            self.answered += 1
            reply(200, request.body)


async def beat(channel: Channel, ends: list[int], times: int) -> None:
    """Post once a beat."""
    for _ in range(times):
        channel.post("/beat", b"x", lambda status, _: ends.append(status))
        await asyncio.sleep(BEAT_S)


def test_a_silent_link_is_left_and_the_peer_is_heard_again_at_once() -> None:
    """While everything is swallowed each beat knocks anew, boundedly; the first beats after the end of it are answered."""

    async def scene() -> None:
        peer = Peer()
        channel = Channel("127.0.0.1", await peer.listen(), BEAT_S, HANG_S)
        ends: list[int] = []
        await beat(channel, ends, 5)
        assert (ends, peer.most) == ([200] * 5, 1)
        peer.swallows = True
        await beat(channel, ends, 30)
        assert 1 < peer.most <= MAX_CONNECTIONS
        peer.swallows = False
        healed = peer.answered
        await beat(channel, ends, 3)
        assert peer.answered > healed
        await asyncio.wait_for(_until(lambda: len(ends) == 38), 5)
        assert {200, LOST} <= set(ends) <= {200, LOST, UNSENT}
        peer.server.close()

    asyncio.run(scene())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_a_refused_connection_was_surely_not_sent() -> None:
    """Nobody listens: the request ends as never sent, not as perhaps done."""

    async def scene() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            channel = Channel("127.0.0.1", port, BEAT_S, HANG_S)
            ends: list[int] = []
            await beat(channel, ends, 2)
            await asyncio.wait_for(_until(lambda: len(ends) == 2), 5)
            assert ends == [UNSENT, UNSENT]

    asyncio.run(scene())


def test_a_broken_connection_loses_what_it_owes() -> None:
    """The peer dies with requests on their way: they may have been done."""

    async def scene() -> None:
        peer = Peer()
        channel = Channel("127.0.0.1", await peer.listen(), 1.0, 5.0)
        ends: list[int] = []
        await beat(channel, ends, 1)
        peer.swallows = True
        await beat(channel, ends, 3)
        peer.server.close()
        for connection in peer.connections:
            cast(asyncio.Transport, connection).abort()
        await asyncio.wait_for(_until(lambda: len(ends) == 4), 5)
        assert ends == [200, LOST, LOST, LOST]

    asyncio.run(scene())


def test_percent_encoding_is_undone() -> None:
    """Valid escapes are bytes of UTF-8, others stay as written."""
    assert unquote("a%20b%D0%BA%zz%") == "a bк%zz%"
    assert unquote("%FF").encode("utf-8", "surrogateescape") == b"\xff"


def test_a_second_network_takes_over() -> None:
    """Whether the first way swallows everything or refuses, the second one is used within some beats, and the other way round."""

    async def scene() -> None:
        first, second = Peer(), Peer()
        ports = await first.listen(), await second.listen()
        channel = Channel("127.0.0.1", ports[0], BEAT_S, HANG_S, second=("127.0.0.1", ports[1]))
        ends: list[int] = []
        while ends.count(200) < 5:
            await beat(channel, ends, 1)
        assert first.answered
        first.swallows = True
        while not second.answered:
            await beat(channel, ends, 1)
        ends.clear()
        while ends.count(200) < 20:
            await beat(channel, ends, 1)
        first.swallows, second.swallows = False, True
        heard = first.answered
        while first.answered == heard:
            await beat(channel, ends, 1)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_refused_network_is_no_hindrance() -> None:
    """Nobody listens on the first way: every second attempt gets through, and stays."""

    async def scene() -> None:
        gone, peer = Peer(), Peer()
        port, other = await gone.listen(), await peer.listen()
        gone.server.close()
        await gone.server.wait_closed()
        channel = Channel("127.0.0.1", port, BEAT_S, HANG_S, second=("127.0.0.1", other))
        ends: list[int] = []
        while peer.answered < 10:
            await beat(channel, ends, 1)
        assert ends.count(200) >= 9

    asyncio.run(asyncio.wait_for(scene(), 30))
