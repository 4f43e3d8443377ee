"""Whom a name service that is not ours answers with: asked all the time, told as the changes of its set."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import LookUp
from chaos.history.events import DnsChanged
from chaos.plugin import Sink
from chaos.runtimes.base.layout import Layout
from chaos.traffic.lookup import look_up

EVERY_S: Final = 0.05
TIMEOUT_S: Final = 0.5


class Follower:
    """Asks as a client without a cache does. An answer that does not come changes nothing: clients keep the last one.

    ``asked``: the name as it goes over the wire, if it is not the one that people see; ``server``: who answers it.
    """

    def __init__(self, layout: Layout, sink: Sink, clock: Clock, asked: str = "", server: tuple[str, int] | None = None) -> None:
        self._name = layout.name
        self._asked = asked or layout.name
        self._server = server or layout.answers
        self._nodes = {info.address: name for name, info in layout.nodes.items() if info.part == layout.dns_part}
        self._sink = sink
        self._clock = clock
        self._told: list[str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nines-names", daemon=True)

    def await_all(self, within_s: float) -> None:
        """Until every node of the part is in the answer; ``EnvironmentUnusable`` says what was answered instead."""
        until_ns = self._clock.now_ns() + to_ns(within_s)
        while True:
            said = self._ask()
            if said.addresses and set(self._nodes) <= set(said.addresses):
                self._tell(said, "start")
                return
            if self._clock.now_ns() >= until_ns:
                got = said.error or f"{said.answer} with {', '.join(said.addresses) or 'no address'}"
                raise EnvironmentUnusable(
                    f"the name service at {self._server[0]}:{self._server[1]} does not answer {self._name} with all of"
                    f" {', '.join(self._nodes)} within {within_s:g} s: {got}",
                    how="its records must hold the nodes' addresses; its log is in the run folder if it is a part of the target",
                )
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(EVERY_S))

    def moved(self, node: str, address: str) -> None:
        """It is at another address from now on; while the old one is still answered, the node is what is meant by it."""
        self._nodes = {**self._nodes, address: node}

    def start(self, told: Iterable[str] | None = None) -> None:
        """Go on asking, in a thread; ``told``: whom the history has as the first answer."""
        self._told = self._told if told is None else sorted(told)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def close(self) -> None:
        """Wait until nobody asks any more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> LookUp:
        return look_up(self._asked, *self._server, TIMEOUT_S, self._clock)

    def _follow(self) -> None:
        while not self._stop.wait(EVERY_S):
            said = self._ask()
            if not said.error and not self._stop.is_set():
                self._tell(said, "the name service answers so")

    def _tell(self, said: LookUp, why: str) -> None:
        nodes = sorted({self._nodes[address] for address in said.addresses if address in self._nodes})
        if nodes == self._told:
            return
        changed = ", ".join(sorted(set(nodes) ^ set(self._told or nodes)))
        self._told = nodes
        self._sink(DnsChanged(at_ns=self._clock.now_ns(), name=self._name, nodes=nodes, changed=changed, why=why))
