"""One run on the engine: networks, then for each node at once its agent, its rules and its system.

Name server, role watch and prober are started beside the nodes and let go when it is their turn. The end removes everything that
carries the run's label, then asks by label whether anything is left.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link, RoundTrip
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.engine.images.build import image_id
from chaos.engine.images.ensure import ensure_clients, ensure_harness, ensure_target
from chaos.engine.images.foreign import used
from chaos.engine.limits import require_limits
from chaos.engine.packet_rules import require_packet_rules
from chaos.engine.queues import require_queues
from chaos.history.events import DnsChanged, SystemSeen
from chaos.net.needs import needs
from chaos.plan.capabilities import needed
from chaos.plan.traits import made
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.crowds import AgentCrowds
from chaos.runtimes.base.agents.wiring import ask_over, make_net, placed, queue_of
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.base.libraries import libraries
from chaos.runtimes.base.machines.orders import AtHome
from chaos.runtimes.base.session import Parts, Session
from chaos.runtimes.docker.commands import run_in
from chaos.runtimes.docker.containers import NETWORK, Containers, pool
from chaos.runtimes.docker.helpers import ContainerHelpers
from chaos.runtimes.docker.hosts.hosts import LOG, Hosts
from chaos.runtimes.docker.hosts.places import Places
from chaos.runtimes.docker.layout import ENGINE, DockerLayout
from chaos.runtimes.docker.pairs import Pairs
from chaos.runtimes.docker.supplies import provide, supplies, tools_image
from chaos.runtimes.docker.wiring import engine_names, make_networks

STOP_GRACE_S = 0.6
"""From SIGTERM to removal when a run is over: its nodes have nothing left to save."""


class DockerSession(Session):
    """One run's containers, networks, volumes and threads."""

    def __init__(
        self, deployment: Deployment, engines: Mapping[str, Engine], claim: Claim, sink: Sink, clock: Clock, rng: random.Random,
        at_home: AtHome | None = None,
    ) -> None:  # fmt: skip
        """``engines``: by host, the one that this process stands beside first; one of no name for a run on one engine."""
        super().__init__(deployment, claim, sink, clock)
        self._at_home = at_home
        self._engines = engines
        self._engine = next(iter(engines.values()))
        self._rng = rng
        on = {host: Containers(engine, deployment.run, leftovers_docker.labels(claim)) for host, engine in engines.items()}
        self._places = Places(on, {node.name: node.zone for node in deployment.plan.nodes if node.zone in on})
        self._containers = self._places.first
        self._hosts: Hosts | None = None
        self._layout: DockerLayout
        self._pairs: Pairs | None = None
        self._helpers: ContainerHelpers | None = None

    # --- start ---------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> Parts:
        deployment = self._deployment
        for engine in self._engines.values():
            require_limits(engine.facts, deployment.plan.experiment.cluster.resources)
        harness_image = ensure_harness(self._engine)
        clients_image = ensure_clients(
            self._engine, harness_image, libraries(deployment.target, deployment.plan), plugins=used(deployment.plan, ("probes",))
        )
        # After the probers' image, which a client library may be missing for: that is said before minutes of building.
        images = {part: ensure_target(self._engine, deployment.target, part) for part in {node.part for node in deployment.plan.nodes}}
        self._sink(
            SystemSeen(at_ns=self._clock.now_ns(), images={part: image_id(self._engine, name) or name for part, name in images.items()})
        )
        needed = supplies(deployment.plan)
        tools = tools_image(self._engine) if needed.tools else ""
        if len(self._engines) > 1:
            self._hosts = Hosts(deployment, self._engines, self._places, self._logs / LOG, self._at_home)
            self._hosts.provide_images(harness_image, images, tools)
        for engine in self._engines.values():
            if deployment.plan.links:
                require_packet_rules(engine, harness_image)
            require_queues(engine, harness_image, needs(deployment).queues)
        networks = engine_names(deployment.run, deployment.plan.experiment.cluster.networks)
        self._claim.begins()
        labels = self._containers.labels("", NETWORK)
        if self._hosts is None:
            subnets = make_networks(self._engine, networks, labels, self._rng)
        else:
            subnets = self._hosts.tie(networks, labels, harness_image, self._rng)
        for each in self._places if tools else ():
            provide(each, tools)
        layout = self._layout = DockerLayout(deployment, *subnets)
        net = make_net(deployment, layout, self._measure, needs(deployment), self._clock)
        self._closing.callback(net.close)
        asker = Asker(layout, deployment.target.roles, self._clock)
        self._closing.callback(asker.close)
        helpers = self._helpers = ContainerHelpers(
            deployment,
            layout,
            self._containers,
            networks[0],
            (harness_image, clients_image),
            self._claim,
            self._breakage,
            self._sink,
            self._clock,
        )
        self._closing.callback(helpers.close)
        pairs = self._pairs = Pairs(
            self._places, layout, networks, harness_image, images, net, deployment.plan.experiment.cluster.resources,
            _restarts(deployment), needed, self._logs, self._breakage, self._sink, self._clock,
        )  # fmt: skip
        self._closing.callback(pairs.close)
        self._bring_all_up(pairs, helpers)
        power = None if self._hosts is None else self._hosts.power(pairs)
        return Parts(layout, pairs.nodes, net, asker, helpers, AgentCrowds(layout, lambda: pairs.agents.get(CLIENTS)).crowd, power)

    def _bring_all_up(self, pairs: Pairs, helpers: ContainerHelpers) -> None:
        """All at once; the first failure is raised when all have ended, so that nothing is made behind the back of the end."""
        named = {end for link in self._deployment.plan.links for end in (link.source, link.destination)}
        if Capability.CONNECTIONS in needed(self._deployment.plan):
            named.add(CLIENTS)
        jobs: list[Callable[[], object]] = [helpers.warm_watch]
        target = self._deployment.target
        jobs += [
            lambda info=info: pairs.bring_up(info, starts=not target.parts[info.part].after)  # type: ignore[misc]
            for info in self._layout.nodes.values()
        ]

        def helper(place: str, warm: Callable[[], None]) -> None:
            if place in named:
                helpers.owners[place] = pairs.agent(place).container
            warm()

        if self._deployment.plan.experiment.cluster.dns.ours:
            jobs.append(lambda: helper(DNS, helpers.warm_dns))
        jobs.append(lambda: helper(CLIENTS, helpers.warm_prober))
        for row in placed(self._layout, self._clock):
            self._sink(row)
        pairs.watch()
        with pool() as workers:
            futures: list[Future[object]] = [workers.submit(job) for job in jobs]
            wait(futures)
        for future in futures:
            future.result()

    def _measure(self, link: Link, timeout_s: float) -> RoundTrip:
        return ask_over(self._layout, self._pairs_up.agents, link, timeout_s)

    @property
    def _pairs_up(self) -> Pairs:
        assert self._pairs is not None
        return self._pairs

    def _queue_of(self, node: str) -> int | None:
        return queue_of(self._layout, self._pairs_up.agents, node)

    def _look_at_nodes(self) -> None:
        if supplies(self._deployment.plan).clocks:
            self._pairs_up.refuse_unable_clocks()

    def _how_ended(self, node: str) -> str:
        return self._pairs_up.last_words(node)

    def _start_nodes(self, nodes: Sequence[str]) -> None:
        with pool() as workers:
            list(workers.map(lambda node: self._pairs_up.nodes[node].start(), nodes))

    def _run_on(self, node: str, words: list[str], log: Path, *, user: str, within_s: float) -> str:
        return run_in(self._places.of(node).api, self._pairs_up.systems[node], words, log, user=user, within_s=within_s)

    def _serve_names(self, helpers: Helpers) -> None:
        if self._layout.balancer != ENGINE:
            super()._serve_names(helpers)
            return
        # The engine tells nobody what its name server answers; it answers with every node whose agent lives.
        nodes = [name for name, info in self._layout.nodes.items() if info.part == self._layout.dns_part]
        self._sink(DnsChanged(at_ns=self._clock.now_ns(), name=self._layout.name, nodes=nodes, why="start"))

    # --- end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """Ask, end, then remove what carries the run's label; what the engines then still have."""
        pairs, helpers = self._pairs, self._helpers
        problems = [] if self._hosts is None else self._hosts.all_on()
        if helpers is not None:
            helpers.end_input()
        if pairs is not None:
            self._end_nodes(pairs)
        if helpers is not None:
            helpers.wait_ended()
            helpers.end_processes()
        if pairs is not None:
            for link in pairs.agents.values():
                link.closing = True  # its end is ours now
        with pool() as workers:
            for left in workers.map(self._remove_from, self._places.on):
                problems += left
        return problems

    def _remove_from(self, host: str) -> list[str]:
        on = f" on {host}" if host else ""
        try:
            left = leftovers_docker.remove(self._places.on[host].api, self._deployment.run)
        except EnvironmentUnusable as error:
            return [f"what is left on {host or 'the engine'} is not known: {error.what}"]
        return [f"{kind} {name}{on} ({reason})" for kind, name, reason in left]

    def _end_nodes(self, pairs: Pairs) -> None:
        """SIGTERM to all, a short grace, then take the last lines of their logs; what still runs is removed with its container."""

        def end(name: str) -> None:
            node, log = pairs.nodes[name], pairs.logs.get(name)
            if log is None:
                return
            node.end(signal.SIGTERM)
            if not node.wait_down(STOP_GRACE_S):
                node.end(signal.SIGKILL)
            log.finish()

        for node in pairs.nodes.values():
            node.retire()
        with pool() as workers:
            list(workers.map(end, list(pairs.nodes)))


def _restarts(deployment: Deployment) -> bool:
    """Whether containers need a restart policy: only where a death relies on it, since it would undo any other one."""
    ways = {made(spec).revival for spec in deployment.plan.experiment.faults} - {""}
    if "policy" in ways and len(ways) > 1:
        raise BadInput(
            f"faults with 'recovery: policy' and with '{', '.join(sorted(ways - {'policy'}))}' in one experiment",
            right="one of them: the restart policy of a container would bring it back whatever the other one wants",
        )
    return "policy" in ways
