"""All that one run has started on the engine, and its end.

    networks -> for each node at once: agent, rules, system -> ready -> init steps -> the name server answers -> the name resolves

Name server, role watch and prober are started beside the nodes and let go when it is their turn. The end removes everything that
carries the run's label, then asks by label whether anything is left.
"""

from __future__ import annotations

import random
import shlex
import signal
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable, NotHealed
from chaos.core.values import CLIENTS, DNS, Link, RoundTrip
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.engine.images.ensure import ensure_harness, ensure_target
from chaos.engine.packet_rules import require_packet_rules
from chaos.engine.queues import require_queues
from chaos.experiment.target.templates import fill
from chaos.history.events import DnsChanged, NamesOrdered, Row
from chaos.net.needs import needs
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.cluster import RunningCluster
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.readiness import Readiness, see
from chaos.runtimes.base.specs import expected_set
from chaos.runtimes.base.wants import CROWDS, wants
from chaos.runtimes.docker.containers import NETWORK, Containers, pool
from chaos.runtimes.docker.crowds import AgentCrowds
from chaos.runtimes.docker.helpers import Helpers
from chaos.runtimes.docker.layout import DNS_PORT, ENGINE, DockerLayout
from chaos.runtimes.docker.net.net import DockerNet
from chaos.runtimes.docker.pairs import Pairs
from chaos.runtimes.docker.supplies import provide, supplies, tools_image
from chaos.runtimes.docker.wiring import ask_over, engine_names, make_net, make_networks, placed, refuse_crowds
from chaos.traffic.lookup import exchange

HELPER_READY_S = 15.0
RESOLVES_WITHIN_S = 10.0
INIT_WITHIN_S = 60.0
STOP_GRACE_S = 0.6
"""From SIGTERM to removal when a run is over: its nodes have nothing left to save."""


class Session:
    """One run's containers, networks, volumes and threads."""

    def __init__(self, deployment: Deployment, engine: Engine, claim: Claim, sink: Sink, clock: Clock, rng: random.Random) -> None:
        self._deployment = deployment
        self._engine = engine
        self._claim = claim
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._folder = deployment.folder.absolute()
        self._logs = self._folder / "logs"
        self._containers = Containers(engine, deployment.run, leftovers_docker.labels(claim))
        self._breakage = Breakage(sink, clock)
        self._in_set: frozenset[str] = frozenset()
        self._layout: DockerLayout
        self._pairs: Pairs | None = None
        self._helpers: Helpers | None = None
        self._asker: Asker | None = None
        self._net: DockerNet | None = None
        self._readiness: Readiness

    # --- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> RunningCluster:
        """Up to the moment at which a client can use the cluster by its name."""
        deployment = self._deployment
        for folder in (self._logs, self._folder / "specs"):
            folder.mkdir(parents=True, exist_ok=True)
        images = {part: ensure_target(self._engine, deployment.target, part) for part in {node.part for node in deployment.plan.nodes}}
        harness_image = ensure_harness(self._engine)
        if deployment.plan.links:
            require_packet_rules(self._engine, harness_image)
        require_queues(self._engine, harness_image, needs(deployment).queues)
        needed = supplies(deployment.plan)
        tools = tools_image(self._engine) if needed.tools else ""
        networks = engine_names(deployment.run, deployment.plan.experiment.cluster.networks)
        self._claim.begins()
        subnets = make_networks(self._engine, networks, self._containers.labels("", NETWORK), self._rng)
        if tools:
            provide(self._containers, tools)
        layout = self._layout = DockerLayout(deployment, *subnets)
        net = self._net = make_net(deployment, layout, self._measure, needs(deployment), self._clock)
        asker = self._asker = Asker(layout, deployment.target.roles, self._clock)
        pairs = self._pairs = Pairs(
            self._containers, layout, networks, harness_image, images, net, deployment.plan.experiment.cluster.resources,
            _restarts(deployment), needed, self._logs, self._breakage, self._sink, self._clock,
        )  # fmt: skip
        helpers = self._helpers = Helpers(
            deployment, layout, self._containers, networks[0], harness_image, self._claim, self._breakage, self._sink, self._clock
        )
        self._readiness = Readiness(
            deployment, layout, pairs.nodes, asker, lambda node: self._logs / f"{node}.log", pairs.last_words, self._clock
        )
        self._bring_all_up()
        self._readiness.await_ready()
        refuse_crowds(deployment, layout, pairs.agents)
        if needed.clocks:
            pairs.refuse_unable_clocks()
        for step in deployment.target.init:
            self._run_init(step)
        helpers.start_watch()
        self._readiness.await_roles()
        self._readiness.await_pings()
        self._serve_names()
        crowds = AgentCrowds(layout, lambda: pairs.agents.get(CLIENTS))
        return RunningCluster(
            deployment, pairs.nodes, net, helpers.names, asker, helpers.start_prober, self._broken, self._clock,
            helpers.surges(), crowds.crowd,
        )  # fmt: skip

    def _bring_all_up(self) -> None:
        """All at once; the first failure is raised when all have ended, so that nothing is made behind the back of the end."""
        assert self._pairs is not None
        assert self._helpers is not None
        pairs, helpers = self._pairs, self._helpers
        named = {end for link in self._deployment.plan.links for end in (link.source, link.destination)}
        if wants(self._deployment.plan, CROWDS):
            named.add(CLIENTS)
        jobs: list[Callable[[], object]] = [lambda info=info: pairs.bring_up(info) for info in self._layout.nodes.values()]  # type: ignore[misc]

        def helper(place: str, warm: Callable[[str], None]) -> None:
            warm(pairs.agent(place).container if place in named else "")

        if self._layout.balancer != ENGINE:
            jobs.append(lambda: helper(DNS, lambda agent: helpers.warm_dns(agent, self._note_set)))
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
        assert self._pairs is not None
        return ask_over(self._layout, self._pairs.agents, link, timeout_s)

    def _broken(self) -> str | None:
        failure = self._helpers.failure if self._helpers is not None else ""
        return self._breakage.why or failure or None

    def _run_init(self, step: dict[str, str]) -> None:
        assert self._pairs is not None
        command = step.get("command", "")
        node = step.get("node") or next(iter(self._layout.nodes))
        if node not in self._layout.nodes or not command:
            raise BadInput(f"init step {step}: needs a command, and a node of this cluster", right="{node: n1, command: ...}")
        words = command.splitlines() if "\n" in command else shlex.split(command)
        filled = [fill(word, self._layout.context(node)) for word in words]
        api, log = self._containers.api, self._logs / "init.log"
        with translated(f"the init step '{command}' on {node}"):
            execution = api.exec_create(self._pairs.systems[node], filled)["Id"]
            said: bytes = api.exec_start(execution)
            code = api.exec_inspect(execution)["ExitCode"]
        with log.open("ab") as file:
            file.write(said)
        if code != 0:
            raise EnvironmentUnusable(f"the init step '{command}' failed: exit status {code}", how=see(log))

    # --- names ---------------------------------------------------------------------------------------------------------

    def _serve_names(self) -> None:
        assert self._helpers is not None
        if self._layout.balancer == ENGINE:
            # The engine tells nobody what its name server answers; it answers with every node whose agent lives.
            nodes = [name for name, info in self._layout.nodes.items() if info.part == self._layout.dns_part]
            self._sink(DnsChanged(at_ns=self._clock.now_ns(), name=self._layout.name, nodes=nodes, why="start"))
        else:
            self._helpers.serve_names(HELPER_READY_S)
            self._await_name()
        self._helpers.await_watch(HELPER_READY_S)

    def _note_set(self, row: Row) -> None:
        if isinstance(row, DnsChanged) and row.name == self._layout.name:
            self._in_set = frozenset(row.nodes)
        elif isinstance(row, NamesOrdered) and self._helpers is not None and self._helpers.names is not None:
            self._helpers.names.told(row)

    def _await_name(self) -> None:
        """Until the set holds every node that it is to hold."""
        expected, log = expected_set(self._deployment, self._layout), self._logs / "dns.log"
        until_ns = self._clock.now_ns() + to_ns(RESOLVES_WITHIN_S)
        while not self._in_set or not self._in_set >= expected:
            if self._breakage.why or self._clock.now_ns() >= until_ns:
                missing = ", ".join(sorted(expected - self._in_set)) or "any node"
                why = self._breakage.why or f"its check did not hold within {RESOLVES_WITHIN_S:g} s"
                raise EnvironmentUnusable(f"the name {self._layout.name} does not answer with {missing}: {why}", how=see(log))
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(0.005))
        self._resolve_once(log)

    def _resolve_once(self, log: Path) -> None:
        """As a client does it: over the wire."""
        import dns.exception

        try:
            answer = exchange(self._layout.name, self._layout.dns_address, DNS_PORT, RESOLVES_WITHIN_S)
        except (dns.exception.DNSException, OSError) as error:
            raise EnvironmentUnusable(f"the name server does not answer: {error}", how=see(log)) from error
        if not answer.answer:
            raise EnvironmentUnusable(f"the name {self._layout.name} has no address", how=see(log))

    # --- end -----------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """End everything at once, prove by label that nothing is left, stop the threads. ``NotHealed`` if something is."""
        pairs, helpers = self._pairs, self._helpers
        if helpers is not None:
            helpers.end_input()
        if pairs is not None:
            self._end_nodes(pairs)
        if helpers is not None:
            helpers.wait_ended()
        if pairs is not None:
            for link in pairs.agents.values():
                link.closing = True  # its end is ours now
        left = leftovers_docker.remove(self._containers.api, self._deployment.run)
        if pairs is not None:
            pairs.close()
        if helpers is not None:
            helpers.close()
        if self._asker is not None:
            self._asker.close()
        if self._net is not None:
            self._net.close()
        if left:
            why = "; ".join(f"{kind} {name} ({reason})" for kind, name, reason in left)
            self._claim.abandon(why)
            raise NotHealed(f"things of this run are still there: {why}; 'nines leftovers' lists them")
        self._claim.proven_gone()

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
    deadly = [spec for spec in deployment.plan.experiment.faults if spec.kind in ("kill", "memory")]
    ways = {str(spec.params.get("recovery", "restart")) for spec in deadly}
    if "policy" in ways and len(ways) > 1:
        raise BadInput(
            f"faults with 'recovery: policy' and with '{', '.join(sorted(ways - {'policy'}))}' in one experiment",
            right="one of them: the restart policy of a container would bring it back whatever the other one wants",
        )
    return "policy" in ways
