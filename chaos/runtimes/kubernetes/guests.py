"""A guest in the network of each node's pod, over all lives of its containers, and in the pod that takes its place.

    watch of the API server -> whose pod is it, where is it now -> a guest joins its network -> the rules in force join too

The guests of one machine are started in the DaemonSet's pod there. A pod's network outlives its containers: when kubelet starts one again,
the same guest sees it, and every rule holds.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective, NinesError
from chaos.core.values import CLIENTS, NodeInfo
from chaos.experiment.pods import PodsSpec
from chaos.history.events import NodeUp
from chaos.kube import commands
from chaos.kube.api import Api, Stop, Thing
from chaos.kube.find import ROLE, RUN, Pod, pod_of
from chaos.kube.objects import CONTAINER, GUESTS
from chaos.kube.streams import Exec
from chaos.plugin import Sink
from chaos.runtimes.base.agents.link import AgentLink, Event, mapped_into
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.kubernetes.node import PodNode
from chaos.runtimes.kubernetes.pipes import Pipes

HELLO_WITHIN_S: Final = 20.0
LEAVE_WITHIN_S: Final = 15.0
CLOCK_BOUND_S: Final = 0.010
"""A clock that is known worse than this tells too little of when things happened."""
CLOCK_EXCHANGES: Final = 50


class Rejoined(Protocol):
    """What harms links, and is told of each network that comes and goes."""

    def check(self, source: str, agent: AgentLink) -> None:
        """Refuse what cannot be done in this network, while nothing has been."""
        ...

    def join(self, source: str, agent: AgentLink) -> None:
        """What is in force holds in this network too."""
        ...

    def lost(self, source: str, agent: AgentLink) -> None:
        """The network that this agent stands in died with its pod."""
        ...


class PodGuests:
    """All guests of one run, and its nodes."""

    def __init__(
        self, api: Api, run: str, spec: PodsSpec, selector: str, pods: Mapping[str, Pod], breakage: Breakage, sink: Sink, clock: Clock
    ) -> None:  # fmt: skip
        self.clients: AgentLink | None = None
        self.nodes: dict[str, PodNode] = {}
        self.pods = dict(pods)
        self._api = api
        self._run = run
        self._spec = spec
        self._selector = selector
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._net: Rejoined | None = None
        self._move: Callable[[str, Pod], NodeInfo] | None = None
        self._there: dict[str, str] = {}
        """Machine -> the pod in which its guests are started."""
        self._pipes: Pipes | None = None
        self._vacant: set[str] = set()
        self._closing = threading.Event()
        self._stop = Stop()
        self._thread: threading.Thread | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guests")

    @property
    def agents(self) -> dict[str, AgentLink]:
        """Who stands where, now."""
        found = {name: node.guest for name, node in self.nodes.items()} | {CLIENTS: self.clients}
        return {name: link for name, link in found.items() if link is not None}

    # --- at the start --------------------------------------------------------------------------------------------------

    def bring_clients(self, pod: str) -> AgentLink:
        """Into the network of the clients' pod, by its uid: a child of ours, since it is on this machine."""
        self._pipes = Pipes(commands.clients(pod), os.environ)
        self.clients = self._linked(CLIENTS, AgentLink(
            None, pod, node=CLIENTS, clock=self._clock, on_event=self._teller(CLIENTS, None), on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock), streams=self._pipes,
        ))  # fmt: skip
        return self.clients

    def bring_in(self, infos: Mapping[str, NodeInfo], net: Rejoined, move: Callable[[str, Pod], NodeInfo]) -> None:
        """A guest into each pod, all at once; from then on into each that takes its place, of which ``move`` is told first."""
        self._net, self._move = net, move
        selector = f"{RUN}={self._run},{ROLE}={GUESTS}"
        for thing in self._api.listed("pods", self._spec.namespace, selector):
            self._there[thing["spec"].get("nodeName") or ""] = thing["metadata"]["name"]
        assert self.clients is not None
        net.join(CLIENTS, self.clients)
        for name, info in infos.items():
            self.nodes[name] = PodNode(info, partial(self._delete, name), self._sink, self._clock)
        version = str(self._api.page("pods", self._spec.namespace, self._selector)["metadata"]["resourceVersion"])
        self._thread = threading.Thread(target=self._follow, args=(version,), name="pods", daemon=True)
        self._thread.start()
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="guests") as pool:
            entered = {name: pool.submit(self._enter, name, self.pods[name]) for name in infos}
            links = {name: each.result() for name, each in entered.items()}  # before anything is done to any of them
            for each in [pool.submit(self._join, name, links[name]) for name in infos]:
                each.result()

    def _delete(self, name: str, grace_s: float | None) -> None:
        pod = self.pods[name]
        whole_s = None if grace_s is None else math.ceil(grace_s)
        if not self._api.remove("pods", self._spec.namespace, pod.name, grace_s=whole_s, uid=pod.uid):
            raise FaultNotEffective(f"the pod {pod.name} ({name}) is gone already")

    def _enter(self, name: str, pod: Pod) -> AgentLink:
        there = self._there.get(pod.machine)
        if there is None:
            raise EnvironmentUnusable(
                f"no guest can be started on the machine {pod.machine}, where the pod {pod.name} ({name}) is",
                how="it takes pods that tolerate everything; see 'kubectl describe daemonset'",
            )
        command = commands.guest(pod.uid, pod.container_id, shared=pod.shared)
        link = self._linked(name, AgentLink(
            None, pod.container_id, node=name, clock=self._clock, on_event=self._teller(name, self.nodes[name]), on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock), streams=Exec(self._api, self._spec.namespace, there, CONTAINER, command),
        ))  # fmt: skip
        link.call("status")  # by its answer we have heard of the main process, if there is one
        assert self._net is not None
        self._net.check(name, link)
        return link

    def _join(self, name: str, link: AgentLink) -> None:
        assert self._net is not None
        try:
            self._net.join(name, link)
        except NinesError:
            link.closing = True
            with contextlib.suppress(NinesError):
                link.call("guest.leave", LEAVE_WITHIN_S)
            link.close()
            raise
        before = self.nodes[name].host(link)
        if before is not None:
            before.closing = True
            before.close()

    def _linked(self, name: str, link: AgentLink) -> AgentLink:
        link.hello(HELLO_WITHIN_S)
        bound_s = link.exchange_clocks()
        if bound_s > CLOCK_BOUND_S:
            bound_s = link.exchange_clocks(CLOCK_EXCHANGES)  # theirs is a busy machine, perhaps: each exchange can only narrow it down
        if bound_s > CLOCK_BOUND_S:
            raise EnvironmentUnusable(
                f"the clock of {name}'s machine is known to {bound_s * 1e3:.1f} ms only: a slow way there, or a very busy machine",
                how="fewer programs beside the run, or harness and nodes in one region",
            )
        return link

    def _teller(self, name: str, node: PodNode | None) -> Callable[[AgentLink, Event], None]:
        def told(link: AgentLink, event: Event) -> None:
            if event.event == "orphaned" and not link.closing:
                self._breakage.note(f"the agent of {name} did not hear of us for long and healed its namespace by itself")
            elif event.event == "child_died" and not (link.closing or self._closing.is_set()):
                self._breakage.note(f"{event.child} of {link.node} ended (status {event.status})")
            elif node is not None:
                node.seen(event)

        return told

    def _gone(self, link: AgentLink, why: str) -> None:
        if not self._closing.is_set():
            self._breakage.note(f"the agent of {link.node}: {why}")

    # --- what happens to pods ------------------------------------------------------------------------------------------

    def _follow(self, version: str) -> None:
        why = ""
        try:
            while not self._closing.is_set():
                for kind, thing in self._api.watch("pods", self._spec.namespace, self._selector, version, self._stop):
                    if kind == "ERROR":
                        raise EnvironmentUnusable(f"the watch of pods ended: {thing.get('message', thing)}", how="see the API server")
                    version = str(thing["metadata"]["resourceVersion"])
                    self._take(kind, thing)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if not self._closing.is_set():
            self._breakage.note(f"the API server's word of the pods: {why or 'it ended'}")

    def _take(self, kind: str, thing: Thing) -> None:
        """A pod that is going leaves a place; the next one that runs and is nobody's takes one, its own if it has the name."""
        if RUN in thing["metadata"].get("labels", {}):
            return
        pod = pod_of(thing, self._spec)
        known = {each.uid: node for node, each in self.pods.items()}
        if pod.uid in known:
            if kind == "DELETED" or pod.ending:
                self._vacant.add(known[pod.uid])
            return
        if kind == "DELETED" or pod.ending or not (pod.container_id and pod.address):
            return
        named = next((node for node, each in self.pods.items() if each.name == pod.name), None)
        node = named if named is not None else next(iter(sorted(self._vacant)), None)
        if node is None:
            return  # there are more of them than there were: it is no node of this run
        self._vacant.discard(node)
        self.pods[node] = pod
        self._worker.submit(self._join_again, node, pod)

    def _join_again(self, name: str, pod: Pod) -> None:
        node = self.nodes[name]
        assert self._net is not None
        assert self._move is not None
        try:
            if self._closing.is_set():
                return
            if node.guest is not None:
                node.guest.closing = True
                self._net.lost(name, node.guest)
            node.moved(info := self._move(name, pod))
            self._join(name, self._enter(name, pod))
            self._sink(placed_at(info, pod, self._clock))
        except NinesError as error:
            if not self._closing.is_set():
                self._breakage.note(f"no guest could join {name} ({pod.name}) again: {error}")

    # --- the end -------------------------------------------------------------------------------------------------------

    def stop_following(self) -> None:
        """No new guests from now on; what nodes do is no event of the run any more."""
        self._closing.set()
        self._stop.tell()
        if self._thread is not None:
            self._thread.join()
        self._worker.shutdown(wait=True)
        for node in self.nodes.values():
            node.retire()

    def leave(self, name: str) -> str:
        """Have the guest take back everything; what could not be taken back."""
        guest = self.nodes[name].guest
        if guest is None:
            return "nobody stands there"
        try:
            return str(guest.call("guest.leave", LEAVE_WITHIN_S).result.get("left") or "")
        except NinesError as error:
            return str(error)

    def leave_anew(self, name: str) -> str:
        """The same by a fresh guest, where the one that was there could not."""
        try:
            return give_back(self._api, self._spec.namespace, self._there.get(self.pods[name].machine, ""), self.pods[name], self._clock)
        except NinesError as error:
            return str(error)

    def close(self) -> None:
        """Detach from all."""
        for link in self.agents.values():
            link.closing = True
        for link in self.agents.values():
            link.close()
        if self._pipes is not None:
            self._pipes.end()


def placed_at(info: NodeInfo, pod: Pod, clock: Clock) -> NodeUp:
    """Where a node is now."""
    return NodeUp(
        at_ns=clock.now_ns(), node=info.name, part=info.part, zone=info.zone, address=info.address, ports=info.ports,
        client_address=info.address, networks=info.networks, container=pod.name,
    )  # fmt: skip


def give_back(api: Api, namespace: str, there: str, pod: Pod, clock: Clock) -> str:
    """One pod as it was before we came, by a fresh guest: no rule, nothing frozen. What could not be taken back."""
    if not there:
        return f"{pod.name}: no pod of ours is on its machine {pod.machine}"
    link = AgentLink(
        None, pod.container_id, node=pod.name, clock=clock,
        streams=Exec(api, namespace, there, CONTAINER, commands.guest(pod.uid, pod.container_id, shared=pod.shared)),
    )  # fmt: skip
    try:
        link.hello(HELLO_WITHIN_S)
        return str(link.call("guest.leave", LEAVE_WITHIN_S).result.get("left") or "")
    finally:
        link.close()
