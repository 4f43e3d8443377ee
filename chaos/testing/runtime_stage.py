"""Where the contract of runtimes (``runtimes.py``) is tried: one runtime, its clock, and all rows that it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from chaos.core.capabilities import REFUSALS
from chaos.core.clock import Clock, ManualClock, MonotonicClock, to_ns
from chaos.core.values import CLIENTS, DNS, LEADER, Link
from chaos.history.events import ClockMapped, NodeChanged, RoleChanged, Row
from chaos.plugin import Capability, Cluster, Deployment, Runtime

RowKind = TypeVar("RowKind", bound=Row)
NODES = ("n1", "n2", "n3")
PEERS = tuple(Link(one, other) for one in NODES for other in NODES if one != other)
ALL_LINKS = PEERS + tuple(Link(end, node) for end in (CLIENTS, DNS) for node in NODES)
WITHIN_S = 10.0
PING_S = 5.0


class RuntimeStage:
    """One runtime, its clock, and all rows that it wrote."""

    def __init__(self, runtime: Runtime, folder: Path, deployment: Callable[[Path, tuple[Link, ...]], Deployment]) -> None:
        self.runtime = runtime
        self.folder = folder
        self.clock: Clock = ManualClock() if runtime.virtual else MonotonicClock()
        self.rows: list[Row] = []
        self.rates_per_s: dict[str, float] = {}
        self._deployment = deployment

    @contextmanager
    def cluster(self, links: tuple[Link, ...] = (), needs: Sequence[Capability] = ()) -> Iterator[Cluster]:
        """The cluster, up. The test is skipped with the runtime's words where it lacks something: links to harm, one of ``needs``."""
        self.require(*([Capability.LINKS] if links else []), *needs)
        deployment = self._deployment(self.folder, links)
        operations = deployment.plan.experiment.traffic.operations
        self.rates_per_s = {name: spec.rate_per_s for name, spec in operations.items()}
        with self.runtime.up(deployment, self.rows.append, self.clock) as cluster:
            yield cluster

    def require(self, *needs: Capability) -> None:
        """Skip the test unless the runtime offers all of it."""
        for need in needs:
            if need not in self.runtime.offers:
                pytest.skip(f"the runtime '{self.runtime.name}' lacks '{need}': {self.runtime.words.get(need) or REFUSALS[need]}")

    @property
    def slack_ns(self) -> int:
        """By how much a time that a node's machine told may be off: 0 where all read one clock."""
        return max((to_ns(row.bound_s) for row in self.of(ClockMapped) if row.bound_s is not None), default=0)

    def of(self, kind: type[RowKind]) -> list[RowKind]:
        """The rows of one kind so far."""
        return [row for row in self.rows if isinstance(row, kind)]

    def wait(self, cluster: Cluster, until: Callable[[], bool], what: str) -> None:
        """Let time go on until it is so."""
        limit_ns = self.clock.now_ns() + to_ns(WITHIN_S)
        while not until():
            assert self.clock.now_ns() < limit_ns, f"not within {WITHIN_S} s: {what}"
            assert cluster.broken() is None
            self.clock.wait_until_ns(self.clock.now_ns() + to_ns(0.02))
            cluster.broken()

    def leaders(self, cluster: Cluster) -> list[str]:
        """Who says that it leads."""
        return [node for node, roles in cluster.roles().items() if LEADER in roles]

    def told_leaders(self) -> list[tuple[str, bool]]:
        """Who began and ceased to lead, as the history has it."""
        return [(row.node, row.holds) for row in self.of(RoleChanged) if row.role == LEADER]

    def told_to_lead(self) -> set[str]:
        """Who leads now, by the last word on each node: two may for a moment, while they start."""
        return {node for node, holds in dict(self.told_leaders()).items() if holds}


def down_and_up(stage: RuntimeStage, node: str) -> list[NodeChanged]:
    """What happened to a node's process, after its first start."""
    return [row for row in stage.of(NodeChanged) if row.node == node][1:]
