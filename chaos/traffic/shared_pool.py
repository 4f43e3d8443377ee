"""A client's few connections: opened where the name says at that moment, then used in turn, until they fail or grow too old.

    free -> asked -> answered -> free | too old: closed
              |`-> lost: closed, and a request that waits may open another one
              `--> left by its request (``timeout: none``): not free before its answer comes, or its end

The engine asks ``reuse`` before it looks at any name: a request goes out on the connection that was free longest; or it opens a new one,
for which the engine finds an address; or, with all of them in use, it waits until it is cut.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.core.clock import to_ns
from chaos.history.observations import Why
from chaos.traffic.http_client import Connection, Judge, Pool, Request, why_not_connected
from chaos.traffic.probe import Slot

if TYPE_CHECKING:
    from chaos.experiment.client import ConnectionPool
    from chaos.traffic.tls_client import Client


class Waiting:
    """A request that waits for a connection."""

    __slots__ = ("fresh", "slot")
    why = Why.POOL

    def __init__(self, slot: Slot, fresh: Callable[[Slot], None]) -> None:
        self.slot: Slot | None = slot
        self.fresh = fresh

    def cut(self) -> bool:
        """It has waited for too long; nothing of it was sent."""
        self.slot = None
        return False


class SharedPool(Pool):
    """See the module. ``size`` counts all connections, also those that are being opened or that a request has left behind."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, port: int, request: Request, judge: Judge, policy: ConnectionPool, *, bodiless: bool = False,
        looks: bool = True, client: Client | None = None, clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        super().__init__(loop, port, request, judge, bodiless=bodiless, looks=looks, client=client)
        self._policy = policy
        self._lifetime_ns = None if policy.lifetime_s is None else to_ns(policy.lifetime_s)
        self._clock_ns = clock_ns
        self._free: deque[Connection] = deque()
        self._born_ns: dict[Connection, int] = {}
        self._queue: deque[Waiting] = deque()
        self._serving = False

    def reuse(self, slot: Slot, fresh: Callable[[Slot], None]) -> bool:
        """Send it on a connection that is there, or have it wait for one; false if it may open another one."""
        if not self._queue and self._on_a_free_one(slot):
            return True
        if len(self.open) < self._policy.size and not self._queue:
            return False
        self._wait(slot, fresh)
        return True

    def send(self, slot: Slot) -> None:
        """On a new connection, at the slot's address; unless others took the last place while its name was looked up."""
        if len(self.open) >= self._policy.size:
            self._wait(slot, self.send)
            return
        try:
            connection = self._connection(self, slot.address, self)
        except OSError as error:
            slot.end(*why_not_connected(error.errno or 0))
            return
        if self._policy.tcp_user_timeout_s is not None:
            connection.set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(self._policy.tcp_user_timeout_s * 1e3)))
        self._born_ns[connection] = self._clock_ns()
        connection.connect(slot, self.request(slot))

    def append(self, connection: Connection) -> None:
        """An answer came whole: the connection is free again."""
        self._free.append(connection)
        self._serve_soon()

    def gone(self, connection: Connection) -> None:
        """Its place is free for another one."""
        super().gone(connection)
        self._born_ns.pop(connection, None)
        self._serve_soon()

    def close(self) -> None:
        """Reset every connection; who waits goes on waiting."""
        self._queue.clear()
        super().close()

    def _on_a_free_one(self, slot: Slot) -> bool:
        free = self._free
        for _ in range(len(free)):
            connection = free.popleft()
            if connection.gone:
                continue
            if self._too_old(connection):
                connection.drop()
                continue
            if connection.address in slot.tried and any(each.address not in slot.tried for each in free):
                free.append(connection)  # a further attempt goes elsewhere first
                continue
            slot.address = connection.address
            if connection.still_open() and connection.ask(slot, self.request(slot)):
                return True
        return False

    def _too_old(self, connection: Connection) -> bool:
        return self._lifetime_ns is not None and self._clock_ns() - self._born_ns[connection] >= self._lifetime_ns

    def _wait(self, slot: Slot, fresh: Callable[[Slot], None]) -> None:
        waiting = Waiting(slot, fresh)
        slot.carrier = waiting
        slot.address = ""
        self._queue.append(waiting)

    def _serve_soon(self) -> None:
        """Not from within a connection that is being answered or dropped."""
        if self._queue and not self._serving:
            self._serving = True
            self.loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._serving = False
        places = len(self._free) + self._policy.size - len(self.open)
        while self._queue and places > 0:
            waiting = self._queue.popleft()
            slot = waiting.slot
            if slot is None:
                continue
            places -= 1
            slot.carrier = None
            if not self._on_a_free_one(slot):
                waiting.fresh(slot)
