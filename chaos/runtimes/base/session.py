"""One run's cluster, from nothing to the moment at which clients can use it by its name, and back to nothing.

    brought up -> every node ready, part after part -> one leads, all vote -> pings -> the name resolves     ...     ended, proven gone

A part's init steps are run once it is ready, and before the parts that start after it.
The order is the same wherever nodes live; a runtime fills in how they are brought up, looked at and ended.
"""

from __future__ import annotations

import abc
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.experiment.target.check import waves
from chaos.experiment.target.init import InitStep
from chaos.experiment.target.templates import fill_words
from chaos.history.undo import shielded
from chaos.net.crowding import crowds, refuse_short_queues
from chaos.plugin import Deployment, HasHosts, Net, Node, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.cluster import Gather, RunningCluster
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.base.layout import Layout
from chaos.runtimes.base.readiness import Readiness, see
from chaos.runtimes.base.surges import Surges


class Parts(msgspec.Struct, frozen=True):
    """What a runtime has brought up, on its way to be ready."""

    layout: Layout
    nodes: Mapping[str, Node]
    net: Net
    asker: Asker
    helpers: Helpers
    gather: Gather
    """Holds idle connections from where the clients are."""
    hosts: HasHosts | None = None
    """Whose power can be switched."""


class Session(abc.ABC):
    """What was started is ended, however far the start came: ``_bring_up`` leaves what ``_end`` needs as it goes.

    What only has to be closed once all is ended (threads, pipes) goes on ``_closing``.
    """

    left_over: ClassVar[str] = "things of this run are still there"

    def __init__(self, deployment: Deployment, claim: Claim, sink: Sink, clock: Clock) -> None:
        self._deployment = deployment
        self._claim = claim
        self._sink = sink
        self._clock = clock
        self._folder = deployment.folder.absolute()
        self._logs = self._folder / "logs"
        self._breakage = Breakage(sink, clock)
        self._closing = ExitStack()

    @contextmanager
    def up(self) -> Iterator[RunningCluster]:
        """Start everything; leaving removes all of it, always. ``NotHealed`` if something is left."""
        try:
            yield self._start()
        finally:
            with shielded():
                self._all_ended()

    def _start(self) -> RunningCluster:
        for folder in (self._logs, self._folder / "specs"):
            folder.mkdir(parents=True, exist_ok=True)
        parts = self._bring_up()
        helpers = parts.helpers
        readiness = Readiness(self._deployment, parts.layout, parts.nodes, parts.asker, self._log_of, self._how_ended, self._clock)
        self._await_parts(readiness, parts.layout)
        refuse_short_queues(crowds(self._deployment), self._queue_of)
        self._look_at_nodes()
        helpers.start_watch()
        readiness.await_roles()
        readiness.await_pings()
        self._serve_names(helpers)
        helpers.await_watch()
        return RunningCluster(
            self._deployment, parts.nodes, parts.net, helpers.names, parts.asker, helpers.start_prober,
            lambda: self._breakage.why or helpers.reaper.failure or None, self._clock, self._surges(helpers), parts.gather,
            helpers.start_data, helpers.start_demand, parts.hosts,
        )  # fmt: skip

    def _all_ended(self) -> None:
        try:
            left = self._end()
        finally:
            self._closing.close()
        if left:
            why = "; ".join(left)
            self._claim.abandon(why)
            raise NotHealed(f"{self.left_over}: {why}; 'nines leftovers' lists them")
        self._claim.proven_gone()

    def _await_parts(self, readiness: Readiness, layout: Layout) -> None:
        """Part after part until all nodes are ready, with the init steps of each part once it is ready and the steps above are done."""
        left = list(self._deployment.target.init)
        ready: list[str] = []
        for number, wave in enumerate(waves(self._deployment.target)):
            nodes = [node for part in wave for node in layout.members(part)]
            if number:
                self._start_nodes(nodes)
            readiness.await_ready(nodes)
            ready += wave
            while left and (left[0].part or next(iter(self._deployment.target.parts))) in ready:
                self._run_step(left.pop(0), layout)

    def _run_step(self, step: InitStep, layout: Layout) -> None:
        part = step.part or next(iter(self._deployment.target.parts))
        log = self._logs / "init.log"
        for node in step.nodes_among(layout.members(part)):
            words = fill_words(step.command, layout.context(node))
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{node}: {shlex.join(words)}\n")
            failure = self._run_on(node, words, log, user=step.user or layout.part(node).user, within_s=step.within_s)
            if failure:
                raise EnvironmentUnusable(f"the init step '{' '.join(step.command)}' on {node} {failure}", how=see(log))

    def _log_of(self, node: str) -> Path:
        return self._logs / f"{node}.log"

    # --- what a runtime fills in -----------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _bring_up(self) -> Parts:
        """Start nodes and helpers, and tell where each node is."""

    @abc.abstractmethod
    def _end(self) -> list[str]:
        """End everything at once; what is left then, by looking for it."""

    @abc.abstractmethod
    def _queue_of(self, node: str) -> int | None:
        """How long the listen queue of its clients' port is; None if that cannot be seen."""

    def _start_nodes(self, nodes: Sequence[str]) -> None:  # noqa: B027 - where all run already
        """Those of parts that start after others, once these are ready; ``_bring_up`` starts the parts that wait for none."""

    def _run_on(self, node: str, words: list[str], log: Path, *, user: str, within_s: float) -> str:
        """A command where that node is, as that user; how it failed, else empty."""
        raise NotImplementedError(f"nothing runs {words} on {node} into {log} as {user} within {within_s} s")

    def _how_ended(self, node: str) -> str:  # noqa: ARG002 - for a runtime that knows
        """`` (exit status 1)``, or empty."""
        return ""

    def _look_at_nodes(self) -> None:  # noqa: B027 - there may be nothing to look at
        """They are ready: can the plan's faults be done to them? Raises if not."""

    def _serve_names(self, helpers: Helpers) -> None:
        """Until the name resolves."""
        if self._deployment.plan.experiment.cluster.dns.ours:
            helpers.serve_names()
        else:
            helpers.follow_names()

    def _surges(self, helpers: Helpers) -> Surges | None:
        """More traffic, where any is sent."""
        return helpers.surges()
