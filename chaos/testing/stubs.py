"""A cluster of stubs: what is done to it is noted, and may fail on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Link, NodeInfo, RoundTrip, Rule, Status, TrafficOrder
from chaos.plugin import Layer, Traffic


class StubNode:
    """Notes what is done to it; ``deaf`` ignores all of it, ``broken`` refuses."""

    def __init__(self, name: str, *, deaf: bool = False, broken: bool = False) -> None:
        self.info = NodeInfo(name, "data", None, "127.0.0.1", {})
        self.deaf = deaf
        self.broken = broken
        self.state = Status.UP

    def status(self) -> Status:
        return self.state

    def _do(self, state: Status) -> int:
        if self.broken:
            raise FaultNotEffective(f"{self.info.name} is broken")
        if not self.deaf:
            self.state = state
        return 1

    def kill(self, signal: int) -> int:
        return self._do(Status.DOWN)

    def start(self) -> int:
        return self._do(Status.UP)

    def pause(self) -> int:
        return self._do(Status.PAUSED)

    def resume(self) -> int:
        return self._do(Status.UP)


class StubNet:
    """Round trips of 1 ms, plus what is in force (or ``adds_s`` in its place), unless ``deaf``."""

    def __init__(self, *, deaf: bool = False, adds_s: float | None = None) -> None:
        self.deaf = deaf
        self.adds_s = adds_s
        self.rules: list[Rule] = []

    @contextmanager
    def layer(self, rules: Sequence[Rule]) -> Iterator[Layer]:
        self.rules += rules
        try:
            yield Layer(7, "stub")
        finally:
            self.rules = []

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        rtt_s = 0.001
        for rule in self.rules if not self.deaf else []:
            if rule.link == link:
                if not hasattr(rule, "attributes"):
                    return RoundTrip(None, "timed out")
                rtt_s += rule.attributes["latency"] / 1e3
        if self.rules and self.adds_s is not None:
            rtt_s = 0.001 + self.adds_s
        return RoundTrip(rtt_s)


class StubCluster:
    """Three nodes and a net."""

    def __init__(self, nodes: Sequence[StubNode], net: StubNet) -> None:
        self._nodes = {node.info.name: node for node in nodes}
        self.net = net

    @property
    def nodes(self) -> Mapping[str, StubNode]:
        return self._nodes

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        return RoundTrip(0.001) if self._nodes[node].status() is Status.UP else RoundTrip(None, "refused")

    def roles(self) -> dict[str, frozenset[str]]:
        return {}

    def broken(self) -> str | None:
        return None

    def traffic(self, order: TrafficOrder) -> AbstractContextManager[Traffic]:
        raise AssertionError("no traffic here")
