"""A run on pods that were there before it, by a harness that stands in their cluster: found, measured and harmed by guests, given back.

    find -> the clients' place -> a guest into each pod's network -> (as every session) ... -> give back

Nothing is built, started, limited or configured; and nothing is removed here: who made the harness's own pod made all the rest with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable, NinesError
from chaos.core.files import write_atomically
from chaos.core.values import CLIENTS, NodeInfo, Status
from chaos.experiment.pods import PodsSpec
from chaos.history.events import SystemSeen
from chaos.kube.api import Api, Thing
from chaos.kube.find import ROLE, RUN, Pod, choose, headless, selector_of, service_of
from chaos.kube.ports import behind
from chaos.net.needs import Needs, needs
from chaos.plan.attached import client_name
from chaos.plan.capabilities import needed
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.asker import AttachedAsker
from chaos.runtimes.base.agents.attached.session import AttachedSession
from chaos.runtimes.base.agents.crowds import AgentCrowds
from chaos.runtimes.base.agents.naming import await_name
from chaos.runtimes.base.agents.wiring import make_net
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.base.libraries import require_in_image
from chaos.runtimes.base.machines.orders import AtHome
from chaos.runtimes.base.session import Parts
from chaos.runtimes.base.surges import Surges
from chaos.runtimes.kubernetes.able import refuse_beyond, refuse_moving
from chaos.runtimes.kubernetes.guests import PodGuests
from chaos.runtimes.kubernetes.helpers import PodHelpers
from chaos.runtimes.kubernetes.hosts import PodHosts
from chaos.runtimes.kubernetes.layout import PodLayout, resolver
from chaos.runtimes.kubernetes.leftovers import FILE
from chaos.runtimes.kubernetes.loads import PodLoads
from chaos.runtimes.kubernetes.logs import PodLogs

REACHES: Final = "a Service of that name in the pods' namespace, with their labels in its selector and that port"


class PodSession(AttachedSession):
    """One run's guests, its clients, and the word that all pods are given back."""

    def __init__(
        self, deployment: Deployment, api: Api, claim: Claim, sink: Sink, clock: Clock, at_home: AtHome | None = None, *,
        traffic: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(deployment, claim, sink, clock)
        assert self._attach.pods is not None
        self._at_home = at_home
        self._hosts: PodHosts | None = None
        self._api = api
        self._spec: PodsSpec = self._attach.pods
        self._traffic = traffic
        self._name = client_name(deployment.plan.experiment) if traffic else ""
        self._layout: PodLayout
        self._guests: PodGuests | None = None
        self._helpers: PodHelpers | None = None
        self._lists_pods = False
        """Whether that name lists the pods, and is no address that stands for all of them."""
        self._named_port: int | None = None
        """Of the name that clients resolve, where its Service leads to another one of the pods."""
        self._node_logs = PodLogs(api, self._spec.namespace, self._log_of)

    # --- start ---------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> Parts:
        """Nothing of the system has changed by then."""
        api, spec = self._api, self._spec
        require_in_image(self._deployment.target, self._deployment.plan)
        service = service_of(api, spec)
        self._lists_pods = not self._passed_by(service)
        selector = selector_of(spec, service)
        things = api.listed("pods", spec.namespace, selector)
        deployment = self._deployment = self._with_their_ports(service, things)
        found = choose(things, spec, selector, len(deployment.plan.nodes))
        pods = {node.name: pod for node, pod in zip(deployment.plan.nodes, found, strict=True)}
        self._sink(SystemSeen(at_ns=self._clock.now_ns(), images={node: pod.image for node, pod in pods.items()}))
        refuse_beyond(deployment.plan, spec, service, pods)
        refuse_moving(deployment, traffic=self._traffic)
        self._refuse_passed_by(service)
        clients = self._clients_pod()
        self._claim.begins()
        addresses = {node: pod.address for node, pod in pods.items()} | {CLIENTS: str(clients["status"]["podIP"])}
        layout = self._layout = PodLayout(deployment, addresses, self._gateway, self._name, resolver(spec.namespace))
        guests = self._guests = self._make_guests(selector, pods)
        write_atomically(self._folder / FILE, msgspec.json.encode(pods))
        for name, pod in pods.items():
            self._node_logs.seen(name, pod)
        guests.tell(self._node_logs.seen)
        clients_uid = str(clients["metadata"]["uid"])
        link = guests.bring_clients(clients_uid)
        net = make_net(deployment, layout, self._measure, self._needs(service), self._clock, late=True)
        self._closing.callback(net.close)
        self._net = net
        self._tell_nodes({node: pod.name for node, pod in pods.items()})
        guests.bring_in(layout.nodes, net, self._move)
        asker = AttachedAsker(layout, deployment.target.roles, self._clock, guests.nodes)
        self._closing.callback(asker.close)
        helpers = self._helpers = PodHelpers(
            deployment, layout, self._claim, self._breakage, self._sink, self._clock, self._place_of_clients(clients_uid)
        )  # fmt: skip
        self._closing.callback(helpers.close)
        wanted = needed(deployment.plan)
        if Capability.CGROUP in wanted:
            for name, node in guests.nodes.items():
                node.loads = PodLoads(node, pods[name].limits, api, spec.namespace, partial(guests.pods.__getitem__, name), self._clock)
        if Capability.NAME_SET in wanted:
            helpers.put_before()
        self._hosts = PodHosts(self._at_home, guests, self._clock)
        return Parts(layout, guests.nodes, net, asker, helpers, AgentCrowds(layout, lambda: link).crowd, self._hosts)

    @property
    def _gateway(self) -> str:
        """Whom no rule touches."""
        return os.environ["NINES_POD_ADDRESS"]

    def _make_guests(self, selector: str, pods: Mapping[str, Pod]) -> PodGuests:
        return PodGuests(self._api, self._deployment.run, self._spec, selector, pods, self._breakage, self._sink, self._clock)

    def _place_of_clients(self, uid: str) -> str:
        """The pod whose network those enter that send."""
        return uid

    def _clients_pod(self) -> Thing:
        pods = self._api.listed("pods", self._spec.namespace, f"{RUN}={self._deployment.run},{ROLE}={CLIENTS}")
        if not pods:
            raise EnvironmentUnusable("the pod of the clients is not there", how="somebody removed it; run again")
        return pods[0]

    def _with_their_ports(self, service: Thing | None, things: Sequence[Thing]) -> Deployment:
        """The target with the ports where pods listen, which may be others than those that clients of their Service know."""
        deployment = self._deployment
        if self._name.partition(".")[0] != self._spec.service:
            return deployment
        parts = {}
        for name, part in deployment.target.parts.items():
            known = part.ports.get(part.client_port)
            if known is None:
                continue
            own = behind(service, known, things)
            if own != known:
                self._named_port = known
                parts[name] = msgspec.structs.replace(part, ports={**part.ports, part.client_port: own})
        target = msgspec.structs.replace(deployment.target, parts={**deployment.target.parts, **parts})
        return msgspec.structs.replace(deployment, target=target)

    def _passed_by(self, service: Thing | None) -> bool:
        """A proxy stands before the pods' own addresses; what goes to the address of a Service goes past it."""
        return bool(self._name) and not (self._name == self._spec.service and headless(service))

    def _needs(self, service: Thing | None) -> Needs:
        """Of a cluster that is held for faults by hand, all links but those on which no proxy is of use."""
        found = needs(self._deployment)
        if self._deployment.plan.windows or not self._passed_by(service):
            return found
        return msgspec.structs.replace(found, toxics=frozenset(link for link in found.toxics if link.source != CLIENTS))

    def _refuse_passed_by(self, service: Thing | None) -> None:
        if not self._passed_by(service) or not self._deployment.plan.windows:
            return
        for link in needs(self._deployment).toxics:
            if link.source == CLIENTS:
                raise CapabilityMissing(
                    f"the clients' connections go to the address of the Service '{self._name}', and a proxy on '{link}' would miss them",
                    how="a headless Service (clusterIP: None), or {address} in place of the name: clients then know the pods' addresses",
                )

    def _move(self, node: str, pod: Pod) -> NodeInfo:
        """The node lives in another pod, and has another address."""
        self._layout.move(node, pod.address, pod.machine, pod.labels)
        if self._helpers is not None:
            self._helpers.moved(node)
        return self._layout.nodes[node]

    def _serve_names(self, helpers: Helpers) -> None:
        """The cluster does, through a resolver of ours where faults of the name are planned."""
        assert self._guests is not None
        assert self._helpers is not None
        self._helpers.forward_names()
        if self._name:
            called = {node: pod.name for node, pod in self._guests.pods.items()}
            await_name(self._name, self._clients, self._layout, self._deployment, called, self._clock, REACHES, self._named_port)
        if self._name and self._lists_pods:
            self._helpers.follow_clusters_name()
        if self._traffic:
            helpers.warm_prober()

    def _surges(self, helpers: Helpers) -> Surges | None:
        return helpers.surges() if self._traffic else None

    # --- end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """Take ourselves away and prove it. What is not as it was."""
        guests, helpers = self._guests, self._helpers
        if helpers is not None:
            helpers.end_input()
        problems: list[str] = [] if self._hosts is None else self._hosts.all_back()
        if guests is not None:
            guests.stop_following()
            problems += [problem for node in guests.nodes if (problem := self._give_back(guests, node))]
            self._node_logs.close(guests.pods)
        if helpers is not None:
            helpers.wait_ended()
            helpers.end_processes()
        if guests is not None:
            guests.close()
        return problems

    def _give_back(self, guests: PodGuests, node: str) -> str:
        """By the guest that is there; where it cannot, by a fresh one. A pod that is gone took with it all that could be left there."""
        pod = guests.pods[node]
        left = guests.leave(node)
        if not left:
            return ""
        try:
            there = self._api.get("pods", self._spec.namespace, pod.name)
        except NinesError as error:
            return f"{pod.name}: {error}"
        if there is None or there["metadata"]["uid"] != pod.uid:
            return ""
        left = guests.leave_anew(node)
        return f"{pod.name}: {left}" if left else ""

    def _look_at_nodes(self) -> None:
        """A measurement begins with a whole system."""
        assert self._guests is not None
        dead = [node for node, each in self._guests.nodes.items() if each.status() is not Status.UP]
        if dead:
            raise EnvironmentUnusable(f"{', '.join(dead)} did not run", how="wait until the pods are ready")
        if Capability.NETEM in needed(self._deployment.plan):
            raise CapabilityMissing("queues of the kernel are not put in front of pods", how="'level: streams', or 'loss'")
