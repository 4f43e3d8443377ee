"""``cage``: nodes are plain processes, as on the runtime ``local``, each with a cage of its own below ``NINES_CAGES``: a folder with a key.

A runtime that makes something which no process label finds again: the cages. So it says itself what crashed runs left, and removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from chaos.plugin import Capability, Clock, CrashedRun, Deployment, Left, Sink
from chaos.runtimes.base.cluster import RunningCluster
from chaos.runtimes.local.runtime import LocalRuntime


def cages() -> Path:
    """Where they are."""
    return Path(os.environ.get("NINES_CAGES", "/tmp/nines-cages"))


class CageRuntime(LocalRuntime):
    """Local processes in cages."""

    name: ClassVar[str] = "cage"
    preference: ClassVar[int] = 0
    offers: ClassVar[frozenset[Capability]] = LocalRuntime.offers - {Capability.SURGES}

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Cages first; they go last."""
        mine = cages() / deployment.run
        for node in deployment.plan.nodes:
            (mine / node.name).mkdir(parents=True)
            (mine / node.name / "key").write_text(deployment.run, encoding="utf-8")
        try:
            with super().up(deployment, sink, clock) as cluster:
                yield cluster
        finally:
            shutil.rmtree(mine)

    @classmethod
    def leftovers(cls, crashed: Sequence[CrashedRun], state: Path, *, thorough: bool) -> list[Left]:
        """The cages of these runs."""
        del state, thorough
        return [Left(each.run, "cage", cage.name) for each in crashed for cage in sorted((cages() / each.run).glob("*"))]

    @classmethod
    def heal(cls, run: CrashedRun, left: Sequence[Left], state: Path) -> list[tuple[Left | None, str]]:
        """Away with them; proven by a look."""
        del state
        shutil.rmtree(cages() / run.run, ignore_errors=True)
        return [(each, "its cage is still there") for each in left if (cages() / run.run / each.subject).exists()]
