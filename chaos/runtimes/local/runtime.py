"""``local``: nodes are plain processes on loopback addresses. Linux, no root, no Docker: the embedded default.

A run is in the registry before anything starts, and leaves it after nothing of it is left. Between the two it holds a block of
loopback addresses of its own, so that runs do not disturb each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.core.clock import Clock
from chaos.plugin import Deployment, Sink
from chaos.registry import runs as registry
from chaos.runtimes.base.cluster import RunningCluster
from chaos.runtimes.local.layout import BLOCKS, LocalLayout
from chaos.runtimes.local.ports import first_taken
from chaos.runtimes.local.session import LocalSession

BLOCKS_TRIED = 8


class LocalRuntime:
    """``kinds.Runtime`` on this machine. ``rng`` draws the address block; it has no effect on what is measured."""

    name = "local"

    def __init__(self, rng: random.Random | None = None, state: Path | None = None) -> None:
        self._rng = rng or random.SystemRandom()
        self._state = state

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always.

        The caller has asked for leftovers of earlier runs. ``EnvironmentUnusable`` for a taken port, a program that is missing or a
        node that does not become ready; ``NotHealed`` if something that was started could not be removed.
        """
        blocks = self._rng.sample(BLOCKS, BLOCKS_TRIED)

        def unusable(block: int) -> str:
            taken = first_taken(LocalLayout(deployment, block))
            return f"{taken} is taken" if taken else ""

        with (
            registry.claim(deployment.run, deployment.folder, self.name, blocks, unusable, self._state) as claim,
            LocalSession(deployment, claim, sink, clock, self._state).up() as cluster,
        ):
            yield cluster
