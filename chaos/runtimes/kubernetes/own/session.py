"""A run on a cluster of ours in pods, by a harness that stands in the same Kubernetes cluster.

    pods found -> clients' and name server's places -> an agent in each node's pod, its rules, its command -> (as every session) ... -> logs

Pods are neither made nor removed here: who made the harness's own pod made them with it, and they go with it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link, RoundTrip
from chaos.history.events import SystemSeen
from chaos.kube import commands
from chaos.kube.api import Api, Thing
from chaos.kube.find import ROLE, RUN
from chaos.kube.own import NODES, PART, OwnPlace, grouped
from chaos.net.needs import needs
from chaos.plan.capabilities import needed
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.crowds import AgentCrowds
from chaos.runtimes.base.agents.link import AgentLink, mapped_into
from chaos.runtimes.base.agents.wiring import ask_over, make_net, placed, queue_of
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.base.libraries import require_in_image
from chaos.runtimes.base.machines.orders import AtHome
from chaos.runtimes.base.session import Parts, Session
from chaos.runtimes.kubernetes.able import refuse_moving, starts_nodes
from chaos.runtimes.kubernetes.hosts import PodHosts
from chaos.runtimes.kubernetes.layout import resolver
from chaos.runtimes.kubernetes.logs import PodLogs
from chaos.runtimes.kubernetes.own.helpers import OwnHelpers
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.loads import give_loads
from chaos.runtimes.kubernetes.own.moves import Moves
from chaos.runtimes.kubernetes.own.pods import OwnPods, pods_of, selector_of
from chaos.runtimes.kubernetes.pipes import Pipes

NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
ENGINE: Final = "engine"
REFUSE_EACH: Final = "open('/proc/sys/net/ipv4/icmp_ratelimit', 'w').write('0')"
"""Each datagram to a closed port is refused (icmp(7)). By default the kernel says so about once a second."""
ENTER_WITHIN_S: Final = 20.0
READY_WITHIN_S: Final = 60.0
"""Kubelet asks by itself, and not often."""
ANSWER_AGED_S: Final = 60.0
"""CoreDNS may keep an answer for 30 s, and Kubernetes takes a moment to tell it of a pod that is ready."""


class OwnSession(Session):
    """One run's agents, helpers and nodes."""

    def __init__(
        self, deployment: Deployment, api: Api, claim: Claim, sink: Sink, clock: Clock, at_home: AtHome | None = None
    ) -> None:  # fmt: skip
        super().__init__(deployment, claim, sink, clock)
        self._api = api
        self._namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        self._layout: OwnLayout
        self._pods: OwnPods | None = None
        self._helpers: OwnHelpers | None = None
        self._pipes: list[Pipes] = []
        self._loaders: list[AgentLink] = []
        self._moves: Moves | None = None
        self._hosts = PodHosts(at_home, None, clock)

    # --- start ---------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> Parts:
        deployment, plan = self._deployment, self._deployment.plan
        require_in_image(deployment.target, plan)
        refuse_moving(deployment)
        groups = grouped({node.name: node.part for node in plan.nodes}, plan.experiment.cluster.kubernetes)
        pods = pods_of(self._api, self._namespace, deployment.run, groups)
        places = {role: self._place(role) for role in (CLIENTS, *([DNS] if plan.experiment.cluster.dns.ours else []))}
        self._claim.begins()
        self._sink(SystemSeen(at_ns=self._clock.now_ns(), images=self._images()))
        addresses = {node: pod.address for node, pod in pods.items()}
        addresses |= {role: str(thing["status"]["podIP"]) for role, thing in places.items()}
        moves = Capability.DELETES in needed(plan)
        layout = self._layout = OwnLayout(
            deployment, addresses, os.environ["NINES_POD_ADDRESS"], self._service(), resolver(self._namespace), moves=moves
        )  # fmt: skip
        net = make_net(deployment, layout, self._measure, needs(deployment), self._clock)
        self._closing.callback(net.close)
        for row in placed(layout, self._clock, {node: pod.name for node, pod in pods.items()}):
            self._sink(row)
        found = self._pods = OwnPods(
            self._api, self._namespace, pods, layout, net, self._logs, self._breakage, self._sink, self._clock
        )  # fmt: skip
        asker = Asker(layout, deployment.target.roles, self._clock)
        self._closing.callback(asker.close)
        uids = {role: str(thing["metadata"]["uid"]) for role, thing in places.items()}
        helpers = self._helpers = OwnHelpers(
            deployment, layout, self._claim, self._breakage, self._sink, self._clock, uids, found.agents
        )  # fmt: skip
        self._closing.callback(helpers.close)
        self._stand_at_ends(uids, found)
        self._warm(helpers, uids)
        if needed(plan) & {Capability.CGROUP, Capability.SHARED_DISK}:
            self._loaders += give_loads(
                self._api, self._namespace, deployment.run, found.nodes, {node: pod.name for node, pod in pods.items()}, found.agents,
                found.gone, self._sink, self._clock,
            )  # fmt: skip
        found.bring_up(lambda node: not layout.part(node).after)
        if moves:
            logs = PodLogs(self._api, self._namespace, self._log_of)
            self._moves = Moves(
                self._api, self._namespace, selector_of(deployment.run), found, layout, net, logs, helpers.moved,
                self._breakage, self._sink, self._clock,
            )  # fmt: skip
            self._moves.begin()
        return Parts(layout, found.nodes, net, asker, helpers, AgentCrowds(layout, lambda: found.agents.get(CLIENTS)).crowd, self._hosts)

    def _place(self, role: str) -> Thing:
        pods = self._api.listed("pods", self._namespace, f"{RUN}={self._deployment.run},{ROLE}={role}")
        if not pods:
            raise EnvironmentUnusable(f"the pod of '{role}' is not there", how="somebody removed it; run again")
        return pods[0]

    def _images(self) -> dict[str, str]:
        """Part -> what the machines made its containers of."""
        found = {}
        for pod in self._api.listed("pods", self._namespace, f"{RUN}={self._deployment.run},{ROLE}={NODES}"):
            states: list[Thing] = pod["status"].get("containerStatuses") or [{}]
            found[pod["metadata"]["labels"][PART]] = str(states[0].get("imageID") or states[0].get("image") or "")
        return found

    def _service(self) -> str:
        """What clients resolve where the cluster's name server answers."""
        dns = self._deployment.plan.experiment.cluster.dns
        part = dns.part or next(iter(self._deployment.target.parts))
        return OwnPlace(self._deployment.run, self._namespace, "").named(part) if dns.balancer == ENGINE else ""

    def _stand_at_ends(self, uids: dict[str, str], found: OwnPods) -> None:
        """An agent where clients or name server are, if a fault begins or ends there."""
        named = {end for link in self._deployment.plan.links for end in (link.source, link.destination)}
        if Capability.CONNECTIONS in needed(self._deployment.plan):
            named.add(CLIENTS)
        for role in named & set(uids):
            pipes = Pipes(commands.clients(uids[role]), os.environ)
            self._pipes.append(pipes)
            found.stands(role, AgentLink(
                None, uids[role], node=role, clock=self._clock, on_event=found.note, on_gone=found.gone,
                on_clock=mapped_into(self._sink, self._clock), streams=pipes,
            ))  # fmt: skip

    def _warm(self, helpers: OwnHelpers, uids: dict[str, str]) -> None:
        if DNS in uids:
            words = commands.in_pod(uids[DNS], (*commands.ENTER, "python3", "-c", REFUSE_EACH))
            try:
                subprocess.run(words, check=True, capture_output=True, text=True, timeout=ENTER_WITHIN_S)
            except subprocess.CalledProcessError as error:
                how = "a cluster whose privileged pods may write below /proc/sys/net"
                raise EnvironmentUnusable(f"the name server's place cannot be set up: {error.stderr.strip()}", how=how) from error
            helpers.warm_dns()
        helpers.warm_watch()
        helpers.warm_prober()

    def _serve_names(self, helpers: Helpers) -> None:
        if not self._service():
            super()._serve_names(helpers)
            return
        self._up.await_ready(READY_WITHIN_S)  # whoever asks before is answered with some of them, and so again until that answer is old
        helpers.follow_names(ANSWER_AGED_S)

    def _measure(self, link: Link, timeout_s: float) -> RoundTrip:
        return ask_over(self._layout, self._up.agents, link, timeout_s)

    @property
    def _up(self) -> OwnPods:
        assert self._pods is not None
        return self._pods

    def _queue_of(self, node: str) -> int | None:
        return queue_of(self._layout, self._up.agents, node)

    def _how_ended(self, node: str) -> str:
        self._up.keep_logs()
        how = self._up.how_ended(node)
        return f" ({how})" if how else ""

    def _start_nodes(self, nodes: Sequence[str]) -> None:
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="pods") as pool:
            list(pool.map(lambda node: self._up.nodes[node].start(), nodes))

    def _run_on(self, node: str, words: list[str], log: Path, *, user: str, within_s: float) -> str:
        return self._up.execute(node, words, log, user, within_s)

    # --- end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """The systems, their logs, then all else that we started here. The pods go with the harness's own; until then their gates wait."""
        pods, helpers = self._pods, self._helpers
        if helpers is not None:
            helpers.end_input()
        problems = self._hosts.all_back()
        if pods is not None:
            pods.retire()
            if self._moves is not None:
                self._moves.stop()
            if starts_nodes(self._deployment.plan):  # else kubelet would start them again
                pods.end_systems()
            if self._moves is not None:
                self._moves.keep_logs()
            else:
                for problem in pods.keep_logs():
                    self._note(problem)
        if helpers is not None:
            helpers.wait_ended()
            helpers.end_processes()
        if pods is not None:
            for problem in pods.leave():
                self._note(problem)
            pods.close()
        for loader in self._loaders:
            loader.closing = True
            loader.close()
        for pipes in self._pipes:
            pipes.end()
        return problems

    def _note(self, problem: str) -> None:
        with (self._logs / "harness.log").open("a", encoding="utf-8") as file:
            file.write(f"{problem}\n")
