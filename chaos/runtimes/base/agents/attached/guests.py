"""Guests in systems that are not ours: heard of, their clocks known, what they tell handed on, sent away without a trace."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.values import CLIENTS
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.node import GuestNode
from chaos.runtimes.base.agents.link import AgentLink, Event
from chaos.runtimes.base.helper import Breakage

LEAVE_WITHIN_S: Final = 15.0
CLOCK_EXCHANGES: Final = 50


class Rejoined(Protocol):
    """What harms links, and is told of each network that comes and goes."""

    def check(self, source: str, agent: AgentLink) -> None:
        """Refuse what cannot be done in this network, while nothing has been."""
        ...

    def join(self, source: str, agent: AgentLink) -> None:
        """What is in force holds in this network too."""
        ...

    def lost(self, source: str, agent: AgentLink) -> None:
        """The network that this agent stands in died with its owner."""
        ...


def heard(link: AgentLink, within_s: float, bound_s: float, where: str, nearer: str) -> AgentLink:
    """It runs, and its clock is known to within ``bound_s``; ``EnvironmentUnusable`` if it is not (``where``: whose clock that is)."""
    link.hello(within_s)
    known_s = link.exchange_clocks()
    if known_s > bound_s:
        known_s = link.exchange_clocks(CLOCK_EXCHANGES)  # theirs is a busy machine, perhaps: each exchange can only narrow it down
    if known_s > bound_s:
        raise EnvironmentUnusable(
            f"the clock of {where} is known to {known_s * 1e3:.1f} ms only: a slow way there, or a very busy machine",
            how=f"fewer programs beside the run, or {nearer}",
        )
    return link


def left_by(link: AgentLink) -> str:
    """Have it take back everything; what could not be taken back."""
    return str(link.call("guest.leave", LEAVE_WITHIN_S).result.get("left") or "")


class GuestsBase(ABC):
    """All guests of one run. A runtime says how one is brought, what its nodes are, and how an old one goes."""

    def __init__(self, breakage: Breakage, sink: Sink, clock: Clock) -> None:
        self.clients: AgentLink | None = None
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._net: Rejoined | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        """Hears what becomes of the nodes."""
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guests")

    @property
    @abstractmethod
    def looked_after(self) -> Mapping[str, GuestNode]:
        """The nodes, by name."""

    @abstractmethod
    def _stop_hearing(self) -> None:
        """Have the thread that hears of the nodes end."""

    def _send_away(self, link: AgentLink) -> None:
        """Its work is done."""
        link.closing = True
        link.close()

    @property
    def agents(self) -> dict[str, AgentLink]:
        """Who stands where, now."""
        found = {name: node.guest for name, node in self.looked_after.items()} | {CLIENTS: self.clients}
        return {name: link for name, link in found.items() if link is not None}

    def _teller(
        self, name: str, node: GuestNode | None, on_down: Callable[[AgentLink], None] | None = None
    ) -> Callable[[AgentLink, Event], None]:
        def told(link: AgentLink, event: Event) -> None:
            if event.event == "orphaned" and not link.closing:
                self._breakage.note(f"the agent of {name} did not hear of us for long and healed its namespace by itself")
            elif event.event == "child_died" and not (link.closing or self._closing.is_set()):
                self._breakage.note(f"{event.child} of {link.node} ended (status {event.status})")
            elif node is not None:
                if event.event == "down" and on_down is not None:
                    on_down(link)
                node.seen(event)

        return told

    def _gone(self, link: AgentLink, why: str) -> None:
        if not self._closing.is_set():
            self._breakage.note(f"the agent of {link.node}: {why}")

    def _withdraw(self, link: AgentLink) -> None:
        """A guest that could not do its work: what it began is taken back, by itself or by whoever comes when this run ends."""
        link.closing = True
        with contextlib.suppress(NinesError):
            left_by(link)
        self._send_away(link)

    # --- the end -------------------------------------------------------------------------------------------------------

    def stop_following(self) -> None:
        """No new guests from now on; what nodes do is no event of the run any more."""
        self._closing.set()
        self._stop_hearing()
        if self._thread is not None:
            self._thread.join()
        self._worker.shutdown(wait=True)
        for node in self.looked_after.values():
            node.retire()

    def leave(self, name: str) -> str:
        """Have the guest take back everything; what could not be taken back, which is left to a fresh one."""
        guest = self.looked_after[name].guest
        if guest is None:
            return "nobody stands there"
        try:
            return left_by(guest)
        except NinesError as error:
            return str(error)

    def close(self) -> None:
        """Detach from all."""
        for link in self.agents.values():
            link.closing = True
        for link in self.agents.values():
            link.close()
