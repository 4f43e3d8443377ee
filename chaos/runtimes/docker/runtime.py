"""``docker``: each node is a pair of containers on a network that belongs to the run alone.

The agent's container owns a node's network and process namespaces, the system's container joins them: rules stand before the
system's first packet and survive its restart, a signal comes from inside the node, and nothing needs root on our side.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.experiment.cluster import AttachSpec
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan
from chaos.plugin import CrashedRun, Deployment, Left, Runtime, Sink

if TYPE_CHECKING:
    from chaos.runtimes.base.cluster import RunningCluster
    from chaos.runtimes.base.session import Session

C = Capability
_ALONE: Final[Mapping[Capability, str]] = {
    C.RESTART_POLICY: "a target that insists on being PID 1 is killed by the engine, which then does not act on its restart policy",
    C.OWN_CLOCK: "a target that insists on being PID 1 has nobody beside it to see which clock it reads",
    C.OPEN_FILES: "a target that insists on being PID 1 has nobody beside it who could limit it",
    C.HOSTS: "a target that insists on being PID 1 tells its deaths by its engine, and the clocks of several engines are not one",
    C.CGROUP: "a target that insists on being PID 1 has a process namespace that our agent does not see: it could not end the load there",
}
"""What a system's own namespace of processes keeps from us."""
_THEIRS: Final = "what it uses up would have to be given limits first, and those of what already runs are not changed"
_ATTACHED: Final[Mapping[Capability, str]] = {
    C.DATA: "it would take away what is not ours to make again",
    C.NETWORKS: "which of its networks is meant is said by 'attach.network'",
    C.NAME_SET: "its names are answered by a server that takes no orders of ours",
    C.OWN_CLOCK: "its processes read the clock that they were started with",
    C.OPEN_FILES: _THEIRS,
    C.CGROUP: _THEIRS,
    C.HOSTS: "what already runs is attached to on one engine",
    C.DISKS: "its disks are not ours: they have no limit of ours, and cannot be mounted anew",
}
"""Why it is not done to containers that run already."""


class DockerRuntime(Runtime):
    """``Runtime`` on the engine of this machine. ``rng`` draws the subnet; it has no effect on what is measured.

    Without ``traffic``, a system that is attached to need not have a name that clients resolve.
    """

    name: ClassVar[str] = "docker"
    preference: ClassVar[int] = 20
    offers: ClassVar[frozenset[Capability]] = frozenset(Capability) - {C.HERE, C.DELETES}
    attached: ClassVar[frozenset[Capability] | None] = frozenset({
        C.SIGNALS, C.STARTS, C.RESTART_POLICY, C.LINKS, C.STREAMS, C.PORTS, C.PORT_CUTS, C.PACKET_RULES, C.NETEM, C.NEW_CONNECTIONS,
        C.CONNECTIONS, C.SURGES, C.ENGINE_NAMES, C.SESSIONS,
    })  # fmt: skip

    def __init__(
        self, rng: random.Random | None = None, state: Path | None = None, host: str | None = None, *, traffic: bool = True
    ) -> None:
        self._traffic = traffic
        self._rng = rng or random.SystemRandom()
        self._state = state
        self._host = host

    @classmethod
    def lacks(cls, need: Capability, target: Target, *, attached: bool = False) -> str:
        """Less to containers that are not ours, and to a system that stands alone in its namespace."""
        if attached and need not in (cls.attached or ()):
            return _ATTACHED.get(need) or super().lacks(need, target, attached=True)
        return (_ALONE.get(need, "") if target.pid1 else "") or super().lacks(need, target, attached=attached)

    @classmethod
    def target_lacks(cls, target: Target, part: str) -> tuple[str, str] | None:
        """An image to start it from."""
        if target.parts[part].docker is not None:
            return None
        how = f"add 'parts.{part}.docker: {{image: ..., command: [...]}}' to {target.folder}/target.yaml"
        return f"'{target.name}' does not say how its part '{part}' runs as a container", how

    @classmethod
    def suits(cls, target: Target) -> str:
        """Where all of a target can run in containers, and there is an engine."""
        from chaos.engine.connection import answers

        return "an engine answers" if all(part.docker is not None for part in target.parts.values()) and answers() else ""

    @classmethod
    def place(cls) -> str:
        """Which engine: the settings of the docker command may lead anywhere."""
        from chaos.engine.connection import connect

        try:
            with connect(checked=False) as engine:
                return f" on {engine.facts}" + (" (elsewhere: the harness travels there)" if engine.facts.elsewhere else "")
        except NinesError as error:
            return f" ({str(error).splitlines()[0]})"  # the run itself is about to be refused for it

    @classmethod
    @contextmanager
    def elsewhere(cls, plan: Plan) -> Iterator[object | None]:
        """The engine, where nodes could not be reached from here; of several hosts that of the first."""
        from chaos.engine.connection import connect

        hosts = plan.experiment.cluster.hosts
        first = next(iter(hosts), "")
        try:
            engine = connect(hosts[first].engine if hosts else None, checked=False)
        except EnvironmentUnusable as error:
            raise EnvironmentUnusable(f"host '{first}': {error.what}", how=error.how) if hosts else error from error
        with engine:
            yield engine if engine.facts.elsewhere else None

    @classmethod
    def disk(cls) -> Path | None:
        """The engine's data folder, where that is on this machine."""
        from chaos.engine.connection import connect

        with connect() as engine:
            return Path(engine.facts.data_root) if engine.facts.local and engine.facts.data_root else None

    @classmethod
    def leftovers(cls, crashed: Sequence[CrashedRun], state: Path, *, thorough: bool) -> list[Left]:
        """On the engines that crashed runs used, and every engine that runs of this state folder ever used if ``thorough``."""
        from chaos.runtimes.docker.leftovers import leftovers

        return leftovers(crashed, state, thorough=thorough)

    @classmethod
    def by_hand(cls) -> DockerRuntime:
        """Without a name that clients resolve."""
        return cls(traffic=False)

    @classmethod
    def running(cls, attach: AttachSpec) -> dict[str, list[str]]:
        """As the engine lists them."""
        from chaos.engine.connection import connect
        from chaos.runtimes.docker.attach.find import names_of

        with connect() as engine:
            return names_of(engine.client.api, attach)

    @classmethod
    def labels(cls, attach: AttachSpec, parts: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Of the containers, as the engine lists them."""
        from chaos.engine.connection import connect
        from chaos.runtimes.docker.attach.find import listed

        with connect() as engine:
            api = engine.client.api
            return {part: [each["Labels"] for each in listed(api, attach, attach.services_of(part, parts))[0]] for part in parts}

    @classmethod
    def contradictions(cls, plan: Plan) -> list[tuple[str, str, str]]:
        """Of containers that are attached to."""
        from chaos.engine.connection import connect
        from chaos.runtimes.docker.attach.names import contradictions

        if plan.experiment.cluster.attach is None:
            return []
        try:
            with connect() as engine:
                return contradictions(engine.client.api, plan)
        except EnvironmentUnusable:
            return []

    @classmethod
    def called(cls, folder: Path) -> Mapping[str, str]:
        """The container that each node is."""
        from chaos.runtimes.docker.attach.find import containers_of

        return containers_of(folder)

    @classmethod
    def heal(cls, run: CrashedRun, left: Sequence[Left], state: Path) -> list[tuple[Left | None, str]]:
        """Containers, networks and volumes of the run away, containers that are not ours as they were."""
        from chaos.runtimes.docker.leftovers import heal

        return heal(run, left, state)

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always.

        ``EnvironmentUnusable`` for an engine that will not do, leftovers of an earlier run, an image that cannot be had or a node
        that does not become ready; ``NotHealed`` if something that was started could not be removed.
        """
        from chaos.engine import leftovers as leftovers_docker
        from chaos.engine.connection import connect
        from chaos.registry import runs as registry
        from chaos.runtimes.docker.attach.session import ContainerSession
        from chaos.runtimes.docker.hosts.engines import connected
        from chaos.runtimes.docker.session import DockerSession

        specs = deployment.plan.experiment.cluster.hosts
        with ExitStack() as stack:
            engines = connected(specs, stack) if specs else {"": stack.enter_context(connect(self._host))}
            for each in engines.values():
                leftovers_docker.refuse(each, self._state)
            first, *further = (each.facts.host for each in engines.values())
            claimed = registry.claim(deployment.run, deployment.folder, self.name, state=self._state, engine=first, further=tuple(further))
            with claimed as claim:
                session: Session
                if deployment.plan.experiment.cluster.attach is not None:
                    session = ContainerSession(deployment, engines[""], claim, sink, clock, traffic=self._traffic)
                else:
                    session = DockerSession(deployment, engines, claim, sink, clock, self._rng, self.at_home)
                with session.up() as cluster:
                    yield cluster
