"""``docker``: each node is a pair of containers on a network that belongs to the run alone.

The agent's container owns a node's network and process namespaces, the system's container joins them: rules stand before the
system's first packet and survive its restart, a signal comes from inside the node, and nothing needs root on our side.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.core.clock import Clock
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import connect
from chaos.plugin import Deployment, Sink
from chaos.registry import runs as registry
from chaos.runtimes.base.cluster import RunningCluster
from chaos.runtimes.base.session import Session
from chaos.runtimes.docker.attach.session import AttachedSession
from chaos.runtimes.docker.session import DockerSession


class DockerRuntime:
    """``kinds.Runtime`` on the engine of this machine. ``rng`` draws the subnet; it has no effect on what is measured.

    Without ``traffic``, a system that is attached to need not have a name that clients resolve.
    """

    name = "docker"

    def __init__(
        self, rng: random.Random | None = None, state: Path | None = None, host: str | None = None, *, traffic: bool = True
    ) -> None:
        self._traffic = traffic
        self._rng = rng or random.SystemRandom()
        self._state = state
        self._host = host

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always.

        ``EnvironmentUnusable`` for an engine that will not do, leftovers of an earlier run, an image that cannot be had or a node
        that does not become ready; ``NotHealed`` if something that was started could not be removed.
        """
        with connect(self._host) as engine:
            leftovers_docker.refuse(engine, self._state)
            with registry.claim(deployment.run, deployment.folder, self.name, state=self._state, engine=engine.facts.host) as claim:
                session: Session
                if deployment.plan.experiment.cluster.attach is not None:
                    session = AttachedSession(deployment, engine, claim, sink, clock, traffic=self._traffic)
                else:
                    session = DockerSession(deployment, engine, claim, sink, clock, self._rng)
                with session.up() as cluster:
                    yield cluster
