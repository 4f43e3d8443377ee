"""All that one local run has started, and its end.

    Toxiproxy and its proxies -> nodes -> ready -> init steps -> a leader -> name server -> the name resolves

Everything that is started goes on a list at once and carries the run's label. The end takes everything on the list, then looks by
label whether anything is left.
"""

from __future__ import annotations

import shlex
import shutil
from functools import partial
from pathlib import Path

import msgspec

from chaos.agent.agent_parts import listening
from chaos.core.clock import Clock, to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable, NotHealed
from chaos.core.values import CLIENTS, Link, TrafficOrder
from chaos.experiment.target.templates import fill
from chaos.history.events import DnsChanged, NamesOrdered, NodeUp, Row
from chaos.net.crowding import crowds, refuse_short_queues
from chaos.net.layers import LayeredNet
from chaos.net.toxiproxy.errors import ToxiproxyError
from chaos.net.toxiproxy.toxics import ProxyState, ToxiproxyServer
from chaos.net.transfer import EndsHere, ProxyGauge
from chaos.plugin import Deployment, Sink
from chaos.registry import orphans
from chaos.registry.runs import Claim
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.cluster import RunningCluster
from chaos.runtimes.base.crowds import own_crowd
from chaos.runtimes.base.helper import Breakage, Helper
from chaos.runtimes.base.names import ServerNames
from chaos.runtimes.base.process import Child, Died, Reaper, end_all
from chaos.runtimes.base.readiness import Readiness, see
from chaos.runtimes.base.specs import dns_spec, expected_set, prober_spec, surge_spec, watch_spec
from chaos.runtimes.base.surges import Spares, SurgeOrder, Surges
from chaos.runtimes.base.wants import CLOCKS, skews, wants
from chaos.runtimes.local.clock import NodeClock, refuse_unable
from chaos.runtimes.local.helpers import Crew, environment
from chaos.runtimes.local.layout import DNS_PORT, TOXIPROXY_PORT, LocalLayout
from chaos.runtimes.local.node import LocalNode, NodeRecipe, prepare
from chaos.traffic.lookup import exchange

HELPER_READY_S = 10.0
TOXIPROXY_READY_S = 5.0
RESOLVES_WITHIN_S = 10.0
INIT_WITHIN_S = 60.0
STOP_GRACE_S = 0.6
"""From SIGTERM to SIGKILL when a run is over: its nodes have nothing left to save."""


class Session:
    """One run's processes and threads."""

    def __init__(self, deployment: Deployment, claim: Claim, sink: Sink, clock: Clock) -> None:
        self._deployment = deployment
        self._claim = claim
        self._sink = sink
        self._clock = clock
        self._layout = LocalLayout(deployment, claim.block)
        self._logs = deployment.folder / "logs"
        self._clocks = deployment.folder / "clocks"
        self._nodes: dict[str, LocalNode] = {}
        self._others: list[tuple[Child, Died]] = []
        self._in_set: frozenset[str] = frozenset()
        self._dns: Helper
        self._watch: Helper | None = None
        self._net: LayeredNet
        self._names: ServerNames
        self._breakage = Breakage(sink, clock)
        self._asker = Asker(self._layout, deployment.target.roles, clock)
        self._reaper = Reaper(clock)
        self._crew = Crew(deployment, claim, self._reaper, self._breakage, sink, clock)
        self._spares = Spares(self._crew.make_spare)

    # --- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> RunningCluster:
        """Up to the moment at which a client can use the cluster by its name."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._prepare_nodes()
        self._start_proxies()
        for node in self._nodes.values():
            self._sink(self._placed(node))
            node.start()
        self._warm_helpers()
        readiness = self._readiness()
        readiness.await_ready()
        self._refuse_crowds()
        if wants(self._deployment.plan, CLOCKS):
            refuse_unable({name: node.child.pid for name, node in self._nodes.items() if node.child is not None})
        for step in self._deployment.target.init:
            self._run_init(step)
        readiness.await_roles()
        readiness.await_pings()
        self._begin_to_serve()
        return RunningCluster(
            self._deployment, self._nodes, self._net, self._names, self._asker, self._start_prober, self._broken, self._clock,
            Surges(self._deployment, self._spares, self._go, self._clock), partial(own_crowd, self._layout),
        )  # fmt: skip

    def _start_prober(self, order: TrafficOrder) -> Helper:
        where, target_folder = (self._layout.dns_address, DNS_PORT), self._deployment.target.folder
        spec = prober_spec(self._deployment, self._layout, order, where, str(self._deployment.folder), target_folder)
        return self._crew.start_prober(msgspec.json.encode(spec))

    def _go(self, helper: Helper, order: SurgeOrder) -> None:
        where, target_folder = (self._layout.dns_address, DNS_PORT), self._deployment.target.folder
        spec = surge_spec(self._deployment, self._layout, order, where, str(self._deployment.folder), target_folder)
        self._crew.feed(helper, msgspec.json.encode(spec))

    def _broken(self) -> str | None:
        return self._breakage.why or self._reaper.failure or None

    def _prepare_nodes(self) -> None:
        clocks = wants(self._deployment.plan, CLOCKS)
        for name, info in self._layout.nodes.items():
            part, context, data = self._layout.part(name), self._layout.context(name), self._layout.data(name)
            files = {relative: fill(template, context) for relative, template in part.files.items()}
            env = environment(self._claim, name) | {key: fill(value, context) for key, value in part.env.items()}
            own_clock = NodeClock(self._clocks / name, self._clock, not skews(self._deployment.plan)) if clocks else None
            if own_clock is not None:
                env |= own_clock.environment
            recipe = NodeRecipe(info, self._layout.command(name), env, data, self._logs / f"{name}.log", files)
            prepare(recipe)
            self._nodes[name] = LocalNode(recipe, self._claim, self._reaper, self._sink, self._clock, own_clock)

    def _placed(self, node: LocalNode) -> NodeUp:
        info = node.info
        return NodeUp(
            at_ns=self._clock.now_ns(),
            node=info.name,
            part=info.part,
            zone=info.zone,
            address=info.address,
            ports=info.ports,
            client_address=self._layout.address(Link(CLIENTS, info.name)),
        )

    def _refuse_crowds(self) -> None:
        seen = listening.queues()

        def queue_of(node: str) -> int | None:
            info = self._layout.nodes[node]
            return listening.queue_of(seen, info.address, info.ports[self._deployment.target.parts[info.part].client_port])

        refuse_short_queues(crowds(self._deployment), queue_of)

    def _readiness(self) -> Readiness:
        return Readiness(
            self._deployment, self._layout, self._nodes, self._asker, lambda name: self._logs / f"{name}.log", self._how_ended, self._clock
        )

    def _how_ended(self, name: str) -> str:
        child = self._nodes[name].child
        return f" ({child.how_it_ended()})" if child else ""

    def _run_init(self, step: dict[str, str]) -> None:
        command = step.get("command", "")
        node = step.get("node") or next(iter(self._nodes))
        if node not in self._nodes or not command:
            raise BadInput(f"init step {step}: needs a command, and a node of this cluster", right="{node: n1, command: ...}")
        words = command.splitlines() if "\n" in command else shlex.split(command)
        context, log = self._layout.context(node), self._logs / "init.log"
        filled = [fill(word, context) for word in words]
        child = Child("init", filled, environment(self._claim, "init"), self._layout.data(node), log, self._clock)
        self._adopt(child, _ignore)
        if not child.wait_end(INIT_WITHIN_S, _ignore):
            raise EnvironmentUnusable(f"the init step '{command}' did not end within {INIT_WITHIN_S:g} s", how=see(log))
        if child.exit_code != 0:
            raise EnvironmentUnusable(f"the init step '{command}' failed: {child.how_it_ended()}", how=see(log))

    # --- proxies -------------------------------------------------------------------------------------------------------

    def _start_proxies(self) -> None:
        """One server for the run, only if a fault names a link; nothing but those links passes through it."""
        proxies_of: dict[Link, list[str]] = {}
        for proxy in self._layout.proxies:
            proxies_of.setdefault(proxy.link, []).append(proxy.name)
        server = self._start_toxiproxy() if proxies_of else None
        gauge = None if server is None else ProxyGauge(server, EndsHere(self._layout.toxiproxy_address))
        self._net = LayeredNet(server, proxies_of, self._asker.measure, self._clock, gauge)

    def _start_toxiproxy(self) -> ToxiproxyServer:
        from chaos.net.toxiproxy import program as toxiproxy_server

        host, log = self._layout.toxiproxy_address, self._logs / "toxiproxy.log"
        command = toxiproxy_server.argv(toxiproxy_server.find(build=False), host, TOXIPROXY_PORT)
        child = Child(
            "toxiproxy", command, environment(self._claim, "toxiproxy") | {"LOG_LEVEL": "warn"}, self._deployment.folder, log, self._clock
        )
        self._adopt(child, self._toxiproxy_died)
        server = ToxiproxyServer(host, TOXIPROXY_PORT, clock=self._clock)
        try:
            server.wait_ready(TOXIPROXY_READY_S)
            server.check_version()
            server.create_all(
                [ProxyState(proxy.name, f"{proxy.host}:{proxy.port}", proxy.upstream, enabled=True) for proxy in self._layout.proxies]
            )
        except ToxiproxyError as error:
            raise EnvironmentUnusable(f"Toxiproxy does not do its work: {error}", how=see(log)) from error
        return server

    def _toxiproxy_died(self, child: Child) -> None:
        if not child.commanded:
            self._breakage.note(f"toxiproxy: {child.how_it_ended()}")

    def _adopt(self, child: Child, died: Died) -> None:
        self._others.append((child, died))
        self._claim.note_process(child.name, child.pid)
        self._reaper.watch(child, died)

    # --- helpers -------------------------------------------------------------------------------------------------------

    def _warm_helpers(self) -> None:
        """They load while the nodes do and while these find their leader."""
        self._dns = self._crew.warm("dns", "chaos.dns.server", self._note_set)
        self._names = ServerNames(self._dns, self._layout.name, self._layout.dns_address, DNS_PORT, self._clock)
        watch = watch_spec(self._deployment, self._layout)
        if any(node.roles or node.marks for node in watch.nodes):
            self._watch = self._crew.warm("watch", "chaos.query.watcher")
            self._crew.feed(self._watch, msgspec.json.encode(watch))
        self._crew.warm_prober()
        self._spares.warm(self._deployment.plan)

    def _begin_to_serve(self) -> None:
        self._crew.feed(self._dns, msgspec.json.encode(dns_spec(self._deployment, self._layout, DNS_PORT)))
        self._dns.wait_ready(HELPER_READY_S)
        if self._watch is not None:
            self._watch.wait_ready(HELPER_READY_S)
        self._await_name()

    def _note_set(self, row: Row) -> None:
        if isinstance(row, DnsChanged) and row.name == self._layout.name:
            self._in_set = frozenset(row.nodes)
        elif isinstance(row, NamesOrdered):
            self._names.told(row)

    def _await_name(self) -> None:
        """Until the set holds every node that it is to hold."""
        expected = expected_set(self._deployment, self._layout)
        until_ns = self._clock.now_ns() + to_ns(RESOLVES_WITHIN_S)
        while not self._in_set or not self._in_set >= expected:
            if self._breakage.why or self._clock.now_ns() >= until_ns:
                missing = ", ".join(sorted(expected - self._in_set)) or "any node"
                why = self._breakage.why or f"its check did not hold within {RESOLVES_WITHIN_S:g} s"
                raise EnvironmentUnusable(
                    f"the name {self._layout.name} does not answer with {missing}: {why}", how=see(self._logs / "dns.log")
                )
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(0.005))
        self._resolve_once()

    def _resolve_once(self) -> None:
        """As a client does it: over the wire."""
        import dns.exception

        try:
            answer = exchange(self._layout.name, self._layout.dns_address, DNS_PORT, RESOLVES_WITHIN_S)
        except (dns.exception.DNSException, OSError) as error:
            raise EnvironmentUnusable(f"the name server does not answer: {error}", how=see(self._logs / "dns.log")) from error
        if not answer.answer:
            raise EnvironmentUnusable(f"the name {self._layout.name} has no address", how=see(self._logs / "dns.log"))

    # --- end -----------------------------------------------------------------------------------------------------------

    def end(self, state: Path | None) -> None:
        """End everything at once, prove by label that nothing is left, stop the threads. ``NotHealed`` if something is."""
        ends: list[tuple[Child, Died]] = list(self._others)
        for node in self._nodes.values():
            node.retire()
            if node.child is not None:
                ends.append((node.child, node.died))
        ends += self._crew.end_input()
        end_all(ends, STOP_GRACE_S, self._clock)
        self._crew.close()
        self._reaper.close()
        self._asker.close()
        if self._clocks.exists():
            shutil.rmtree(self._clocks)
        left = orphans.processes_of(self._deployment.run, state)
        failures = orphans.end_processes(left, grace_s=0.0)
        if failures:
            why = "; ".join(map(str, failures))
            self._claim.abandon(why)
            raise NotHealed(f"processes of this run are still there: {why}; 'nines leftovers' lists them")
        self._claim.proven_gone()


def _ignore(_child: Child) -> None:
    """A death that means nothing to the run."""
