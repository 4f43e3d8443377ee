"""A cluster that is up, and faults that are done to it, on any runtime; ``virtual`` in virtual time, where a minute takes a moment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chaos.core import plugins as tables
from chaos.core.clock import Clock, ManualClock, MonotonicClock, to_ns, to_s
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

    def __init__(self, scene: Scene, deployment: Deployment, rows: list[Row]) -> None:
        folder = deployment.folder
        self.plan = deployment.plan
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
    """Up; leaving removes it. In virtual time where that is the runtime's."""
    clock: Clock = ManualClock() if runtime.virtual else MonotonicClock()
    rows: list[Row] = []
    with runtime.up(deployment, rows.append, clock) as up:
        yield Stage(Scene(cluster=up, clock=clock, undo=UndoLog(deployment.folder / "undo.jsonl")), deployment, rows)


EXPERIMENT: Final = """
experiment: stage
question: What does it do to a virtual cluster?
cluster: {target: replicated_kv, nodes: 3, dns: {check: {every: 100ms, timeout: 100ms}}}
traffic: {operations: {write: 50/s}}
baseline: 1s
faults: FAULTS
settle: 10s
"""


@contextmanager
def virtual(folder: Path, *entries: str, experiment: str = EXPERIMENT) -> Iterator[Stage]:
    """Three nodes of ``replicated_kv`` in virtual time. ``entries``: faults as they are written, whose links are prepared for harm.

    ``experiment`` may be another one, with the word FAULTS where they go.
    """
    from chaos.api import order_text

    written = "[" + ", ".join(entries) + "]"
    ordered = order_text(experiment.replace("FAULTS", written), folder / "experiment.yaml", runtime="fake")
    folder.mkdir(parents=True, exist_ok=True)
    deployment = Deployment(run=folder.name, folder=folder, plan=ordered.plan, target=ordered.target)
    runtime: Runtime = tables.find("runtimes", ordered.plan.runtime)()
    with staged(runtime, deployment) as stage:
        yield stage
