"""A cluster that is up, and faults that are done to it: what the tests of faults share on either runtime."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.core.clock import MonotonicClock, to_ns, to_s
from chaos.core.values import Victims
from chaos.history.events import NodeChanged, Row
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Deployment, Effect, Fault, ReadsClocks, Runtime, Scene

N1 = Victims(nodes=("n1",))
WITHIN_S = 30.0
READ_S = 0.2
"""A clock is read at least so exactly."""


class Stage:
    """A cluster, and what is asked of it."""

    def __init__(self, scene: Scene, folder: Path, rows: list[Row]) -> None:
        self.scene = scene
        self.folder = folder
        self.undo = folder / "undo.jsonl"
        self.rows = rows

    def wait(self, until: Callable[[], bool]) -> None:
        """Until it is so."""
        clock = self.scene.clock
        limit_ns = clock.now_ns() + to_ns(WITHIN_S)
        while not until():
            assert clock.now_ns() < limit_ns
            self.let_pass(0.02)

    def offset_s(self, node: str) -> float:
        """What it says itself, once it answers."""
        cluster = self.scene.cluster
        assert isinstance(cluster, ReadsClocks)
        found: list[float] = []

        def told() -> bool:
            reading = cluster.read_clock(node, 2.0)
            if reading.offset_s is not None and reading.bound_s < READ_S:
                found.append(reading.offset_s)
            return bool(found)

        self.wait(told)
        return found[0]

    def gained_s(self, node: str, rate: float, since_ns: int) -> float:
        """By how much its clock is ahead of one that has run at this rate since then."""
        found_s = self.offset_s(node)
        return found_s - (rate - 1) * to_s(self.scene.clock.now_ns() - since_ns)

    def reborn(self, node: str) -> None:
        """Killed, and started again."""
        self.scene.cluster.nodes[node].kill(signal.SIGKILL)
        self.scene.cluster.nodes[node].start()

    def let_pass(self, seconds: float) -> None:
        """That time goes by: what must not happen within it is then looked for."""
        self.scene.clock.wait_until_ns(self.scene.clock.now_ns() + to_ns(seconds))

    def changes_of(self, node: str) -> list[NodeChanged]:
        """What became of that node."""
        return [row for row in self.rows if isinstance(row, NodeChanged) and row.node == node]

    @contextmanager
    def harmed(self, fault: Fault, victims: Victims = N1) -> Iterator[Effect]:
        """In force inside; afterwards proven gone, with nothing left to be undone."""
        with fault.inject(self.scene, victims) as effect:
            assert pending(self.undo)
            yield effect
        assert effect.healed_at_ns is not None
        self.wait_gone(effect)

    def wait_gone(self, effect: Effect) -> None:
        """Until it says so; nothing is left to be undone then."""
        self.wait(lambda: effect.gone().ok)
        assert pending(self.undo) == []


@contextmanager
def staged(runtime: Runtime, deployment: Deployment) -> Iterator[Stage]:
    """Up; leaving proves that nothing of it is left."""
    clock, rows = MonotonicClock(), []
    with runtime.up(deployment, rows.append, clock) as up:
        yield Stage(Scene(cluster=up, clock=clock, undo=UndoLog(deployment.folder / "undo.jsonl")), deployment.folder, rows)
