"""One local run: a Toxiproxy if a fault names a link, the nodes, our helpers, all of them processes of this machine.

Everything that is started goes on a list at once and carries the run's label. The end takes everything on the list, then looks by
label whether anything is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from chaos.agent.agent_parts import listening
from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable
from chaos.core.packages import versions_of
from chaos.core.values import CLIENTS, Link
from chaos.experiment.target.templates import fill
from chaos.history.events import NodeUp
from chaos.net.layers import LayeredNet
from chaos.net.toxiproxy.errors import ToxiproxyError
from chaos.net.toxiproxy.toxics import ProxyState, ToxiproxyServer
from chaos.net.transfer import EndsHere, ProxyGauge
from chaos.plan.capabilities import needed
from chaos.plugin import Deployment, Sink
from chaos.registry import orphans
from chaos.registry.runs import Claim
from chaos.runtimes.base.account import account_of
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.crowds import own_crowd
from chaos.runtimes.base.helpers import Helpers, environment
from chaos.runtimes.base.libraries import libraries
from chaos.runtimes.base.process import Child, Died
from chaos.runtimes.base.readiness import see
from chaos.runtimes.base.session import Parts, Session
from chaos.runtimes.local.clock import NodeClock, refuse_unable
from chaos.runtimes.local.layout import TOXIPROXY_PORT, LocalLayout
from chaos.runtimes.local.node import LocalNode, NodeRecipe, prepare

TOXIPROXY_READY_S = 5.0


class LocalSession(Session):
    """One run's processes and threads."""

    left_over = "processes of this run are still there"

    def __init__(self, deployment: Deployment, claim: Claim, sink: Sink, clock: Clock, state: Path | None) -> None:
        super().__init__(deployment, claim, sink, clock)
        self._state = state
        self._layout = LocalLayout(deployment, claim.block)
        self._clocks = deployment.folder / "clocks"
        self._nodes: dict[str, LocalNode] = {}
        self._others: list[tuple[Child, Died]] = []
        self._asker = Asker(self._layout, deployment.target.roles, clock)
        self._helpers = Helpers(deployment, self._layout, claim, self._breakage, sink, clock)
        for part in (self._asker, self._helpers):
            self._closing.callback(part.close)

    # --- start ---------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> Parts:
        versions_of(libraries(self._deployment.target, self._deployment.plan))
        self._prepare_nodes()
        net = self._start_proxies()
        for node in self._nodes.values():
            self._sink(self._placed(node))
            if not self._layout.part(node.info.name).after:
                node.start()
        # They load while the nodes do and while these find their leader.
        if self._deployment.plan.experiment.cluster.dns.ours:
            self._helpers.warm_dns()
        self._helpers.start_watch()
        self._helpers.warm_prober()
        return Parts(self._layout, self._nodes, net, self._asker, self._helpers, partial(own_crowd, self._layout))

    def _prepare_nodes(self) -> None:
        needs = needed(self._deployment.plan)
        for name, info in self._layout.nodes.items():
            part, context, data = self._layout.part(name), self._layout.context(name), self._layout.data(name)
            files = {relative: fill(template, context) for relative, template in part.files.items()}
            env = environment(self._claim, name) | {key: fill(value, context) for key, value in part.env.items()}
            keeps_rate = Capability.CLOCK_RATE not in needs
            own_clock = NodeClock(self._clocks / name, self._clock, keeps_rate) if Capability.OWN_CLOCK in needs else None
            if own_clock is not None:
                env |= own_clock.environment
            recipe = NodeRecipe(info, self._layout.command(name), env, data, self._log_of(name), files, account_of(part.user))
            prepare(recipe)
            self._nodes[name] = LocalNode(recipe, self._claim, self._helpers.reaper, self._sink, self._clock, own_clock)

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

    def _queue_of(self, node: str) -> int | None:
        info = self._layout.nodes[node]
        port = info.ports[self._deployment.target.parts[info.part].client_port]
        return listening.queue_of(listening.queues(), info.address, port)

    def _look_at_nodes(self) -> None:
        if Capability.OWN_CLOCK in needed(self._deployment.plan):
            refuse_unable({name: node.child.pid for name, node in self._nodes.items() if node.child is not None})

    def _how_ended(self, node: str) -> str:
        child = self._nodes[node].child
        return f" ({child.how_it_ended()})" if child else ""

    def _start_nodes(self, nodes: Sequence[str]) -> None:
        for node in nodes:
            self._nodes[node].start()

    def _run_on(self, node: str, words: list[str], log: Path, *, user: str, within_s: float) -> str:
        env, folder = environment(self._claim, "init"), self._layout.data(node)
        child = Child("init", words, env, folder, log, self._clock, account=account_of(user))
        self._adopt(child, _ignore)
        if not child.wait_end(within_s, _ignore):
            return f"did not end within {within_s:g} s"
        return f"failed: {child.how_it_ended()}" if child.exit_code != 0 else ""

    # --- proxies -------------------------------------------------------------------------------------------------------

    def _start_proxies(self) -> LayeredNet:
        """One server for the run, only if a fault names a link; nothing but those links passes through it."""
        proxies_of: dict[Link, list[str]] = {}
        for proxy in self._layout.proxies:
            proxies_of.setdefault(proxy.link, []).append(proxy.name)
        server = self._start_toxiproxy() if proxies_of else None
        gauge = None if server is None else ProxyGauge(server, EndsHere(self._layout.toxiproxy_address))
        return LayeredNet(server, proxies_of, self._asker.measure, self._clock, gauge)

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
        self._helpers.reaper.watch(child, died)

    # --- end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """By the list, then by label."""
        ends: list[tuple[Child, Died]] = list(self._others)
        for node in self._nodes.values():
            node.retire()
            if node.child is not None:
                ends.append((node.child, node.died))
        self._helpers.end_input()
        self._helpers.end_processes(ends)
        self._helpers.wait_ended()
        if self._clocks.exists():
            shutil.rmtree(self._clocks)
        left = orphans.processes_of(self._deployment.run, self._state)
        return [str(failure) for failure in orphans.end_processes(left, grace_s=0.0)]


def _ignore(_child: Child) -> None:
    """A death that means nothing to the run."""
