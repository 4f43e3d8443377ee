"""Orders to the name server of a run: lines on its standard input, each answered by a row when it is carried out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.values import LookUp, NameHarm, NamesHarmed
from chaos.dns.spec import NameOrder
from chaos.history.events import NamesOrdered
from chaos.runtimes.base.helper import Helper
from chaos.traffic.lookup import look_up

OBEYS_WITHIN_S = 2.0


class ServerNames:
    """``kinds.Names`` over the process that serves the name."""

    def __init__(self, server: Helper, name: str, host: str, port: int, clock: Clock) -> None:
        self._server = server
        self._name = name
        self._host = host
        self._port = port
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._said: dict[tuple[int, bool], NamesOrdered] = {}
        self._came = threading.Condition(self._lock)

    def told(self, row: NamesOrdered) -> None:
        """The server's word, as it comes."""
        with self._came:
            self._said[row.number, row.on] = row
            self._came.notify_all()

    @contextmanager
    def harm(self, order: NameHarm) -> Iterator[NamesHarmed]:
        """Tell the server; leaving tells it to stop, and ``NotHealed`` if it does not say that it did."""
        number = next(self._numbers)
        said = self._tell(NameOrder(number, True, order))
        if said is None or said.why:
            why = said.why if said else self._silence()
            if said is None:
                self._tell(NameOrder(number, False, order))
            raise FaultNotEffective(f"the name server could not be told to do '{order.mode}': {why}")
        try:
            yield NamesHarmed(said.at_ns, said.address)
        finally:
            if self._tell(NameOrder(number, False, order)) is None:
                raise NotHealed(f"the name server does not say that it has stopped doing '{order.mode}': {self._silence()}")

    def look_up(self, timeout_s: float) -> LookUp:
        """Asked over the wire."""
        return look_up(self._name, self._host, self._port, timeout_s, self._clock)

    def _silence(self) -> str:
        """Whose doing it is."""
        return self._server.child.unheard() or "it does not answer"

    def _tell(self, order: NameOrder) -> NamesOrdered | None:
        """What it says to it, or None if it says nothing."""
        key = (order.number, order.on)
        if not self._server.child.tell(msgspec.json.encode(order)):
            return None
        with self._came:
            self._came.wait_for(lambda: key in self._said, timeout=OBEYS_WITHIN_S)
            return self._said.pop(key, None)
