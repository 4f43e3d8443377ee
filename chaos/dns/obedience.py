"""How a name server of ours obeys orders (``orders.py``): one after the other, each answered by a row that says when it was carried out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from chaos.core.clock import Clock
from chaos.core.values import NameHarm
from chaos.core.worker import Rows
from chaos.dns.doors import Doors
from chaos.dns.orders import MISSING, MODES, REFUSED, Harms
from chaos.dns.spec import MoveOrder, NameOrder, NameSpec, Replica, order_of
from chaos.history.events import NamesOrdered


class Obedience(ABC):
    """``names``: those that may be harmed."""

    def __init__(self, names: Sequence[NameSpec], harms: Harms, doors: Doors, rows: Rows, clock: Clock) -> None:
        self._names = names
        self._harms = harms
        self._doors = doors
        self._rows = rows
        self._clock = clock
        self._orders: asyncio.Queue[NameOrder | MoveOrder] = asyncio.Queue()

    def take(self, line: bytes) -> None:
        """One line of the input."""
        self._orders.put_nowait(order_of(line))

    async def obey(self) -> None:
        """For ever."""
        while True:
            order = await self._orders.get()
            if isinstance(order, MoveOrder):
                self._move(order.moved)
            else:
                await self._carry_out(order)

    def _move(self, moved: Replica) -> None:
        """A node is at another address."""
        self._names = [spec.with_moved(moved) for spec in self._names]
        for spec in self._names:
            self._harms.known(spec)

    async def _carry_out(self, order: NameOrder) -> None:
        before = self._visible()
        why = self._why_not(order.harm) if order.on else ""
        if order.on and not why:
            self._harms.put(order.number, order.harm)
        elif not order.on:
            self._harms.take(order.number)
        why = self._prepared(order) or why
        if self._harms.has(REFUSED) and self._doors.are_open:
            self._doors.close()
            await asyncio.sleep(0)  # the loop closes sockets in its next round
        elif not self._harms.has(REFUSED) and not self._doors.are_open:
            await self._doors.open()
        at_ns = self._clock.now_ns()
        self._tell(order, before, at_ns)
        address = self._address(order.harm.record)
        self._rows.put(NamesOrdered(at_ns=at_ns, number=order.number, mode=order.harm.mode, on=order.on, address=address, why=why))

    @abstractmethod
    def _visible(self) -> list[list[str]]:
        """The nodes that the answers about each name hold now."""

    def _prepared(self, order: NameOrder) -> str:
        """What an order needs beside; why it cannot be carried out after all, and is not."""
        del order
        return ""

    @abstractmethod
    def _tell(self, order: NameOrder, before: list[list[str]], at_ns: int) -> None:
        """What an order has changed of what is visible."""

    def _why_not(self, harm: NameHarm) -> str:
        if harm.mode == MISSING and not self._address(harm.record):
            return f"there is no record of '{harm.record}'"
        return "" if harm.mode in MODES else f"'{harm.mode}' is not known"

    def _address(self, node: str) -> str:
        return next((each.address for spec in self._names for each in spec.replicas if each.node == node), "")


def told(order: NameOrder) -> str:
    """Why answers hold other nodes than before."""
    return f"{'' if order.on else 'no longer '}{order.harm.mode}"
