"""Since when nobody answers: asked without a pause, each over its own link, while something else takes the answers away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Link
from chaos.plugin import Net

SILENT_WITHIN_S: Final = 10.0
"""After what should silence them has been done."""
TIMED_OUT: Final = "timed out"
NOBODY_THERE: Final = frozenset({TIMED_OUT, "no route to host"})
"""Of a machine that is gone: some seconds later whoever forwards to it has found out, and says so."""
_AGAIN_S: Final = 0.005


class Silence:
    """A silent link is one whose questions time out, or find nobody; one that is refused an answer has been answered."""

    def __init__(self, net: Net, links: Sequence[Link], clock: Clock, timeout_s: float) -> None:
        self._net = net
        self._links = tuple(links)
        self._clock = clock
        self._timeout_s = timeout_s
        self._since: dict[Link, int | None] = dict.fromkeys(self._links)
        """When the first question was sent after the last one that was answered; None while answers come."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(link,), name=f"silence of {link}", daemon=True) for link in self._links]

    def __enter__(self) -> Silence:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def since_ns(self, within_s: float) -> int:
        """When the last of them fell silent, each by a question that was not answered. ``FaultNotEffective`` if one still answers then."""
        until_ns = self._clock.now_ns() + to_ns(within_s)
        while None in self._since.values():
            if self._clock.now_ns() > until_ns:
                loud = ", ".join(str(link) for link, at_ns in self._since.items() if at_ns is None)
                raise FaultNotEffective(f"not silent within {to_s(to_ns(within_s)):g} s: {loud}")
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(_AGAIN_S))
        return max((at_ns for at_ns in self._since.values() if at_ns is not None), default=self._clock.now_ns())

    def _ask(self, link: Link) -> None:
        while not self._over.is_set():
            sent_ns = self._clock.now_ns()
            try:
                trip = self._net.measure(link, self._timeout_s)
            except FaultNotEffective:
                return  # nobody is there to ask: the link counts as loud, and the fault says so
            if trip.error not in NOBODY_THERE:
                self._since[link] = None
            elif self._since[link] is None:
                self._since[link] = sent_ns
            self._over.wait(_AGAIN_S)
