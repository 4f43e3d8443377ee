"""A guest in the network of each node's pod, over all lives of its containers, and in the pod that takes its place.

    watch of the API server -> whose pod is it, where is it now -> a guest joins its network -> the rules in force join too

The guests of one machine are started in the DaemonSet's pod there. A pod's network outlives its containers: when kubelet starts one again,
the same guest sees it, and every rule holds.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective, NinesError, NotHealed
from chaos.core.values import CLIENTS, NodeInfo, Status
from chaos.experiment.pods import PodsSpec
from chaos.kube import commands
from chaos.kube.api import Api, Stop, Thing
from chaos.kube.find import ROLE, RUN, Pod, pod_of
from chaos.kube.objects import CONTAINER, GUESTS
from chaos.kube.streams import Exec
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.guests import GuestsBase, Rejoined, heard, left_by
from chaos.runtimes.base.agents.link import AgentLink, mapped_into
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.layout import at_place
from chaos.runtimes.kubernetes.follow import follow, version_of
from chaos.runtimes.kubernetes.node import Orders, PodNode
from chaos.runtimes.kubernetes.orders import PodOrders
from chaos.runtimes.kubernetes.pipes import Pipes

HELLO_WITHIN_S: Final = 20.0
BOOT_S: Final = 300.0
"""A machine boots, and kubelet starts what was there, within this."""
LOOK_EVERY_S: Final = 0.25
JOINS_WITHIN_S: Final = 20.0
POWER_OFF: Final = "POWER_OFF"
GIVEN_UP: Final = "GIVEN_UP"
"""Of a node whose machine was struck by a fault of ours for longer than the cluster waits."""
CLOCK_BOUND_S: Final = 0.010
"""A clock that is known worse than this tells too little of when things happened."""


class PodGuests(GuestsBase):
    """All guests of one run, and its nodes."""

    def __init__(
        self, api: Api, run: str, spec: PodsSpec, selector: str, pods: Mapping[str, Pod], breakage: Breakage, sink: Sink, clock: Clock
    ) -> None:  # fmt: skip
        super().__init__(breakage, sink, clock)
        self.nodes: dict[str, PodNode] = {}
        self.pods = dict(pods)
        self._api = api
        self._run = run
        self._spec = spec
        self._selector = selector
        self._move: Callable[[str, Pod], NodeInfo] | None = None
        self._there: dict[str, str] = {}
        """Machine -> the pod in which its guests are started."""
        self._stands: dict[str, str] = {}
        """Node -> the uid of the pod in which its guest stands."""
        self._pipes: Pipes | None = None
        self._vacant: set[str] = set()
        self.on_word: Callable[[str, Pod], None] | None = None
        """Told of each word of the API server about a node's pod."""
        self._before: dict[str, dict[str, str]] = {}
        """Machine that was switched off -> the nodes there, each with its container's life."""
        self._before_there: dict[str, str] = {}
        """The same of our own pod there."""
        self._struck: set[str] = set()
        """Machines that faults of ours made silent."""
        self._stop = Stop()

    def tell(self, told: Callable[[str, Pod], None]) -> None:
        """From now on."""
        self.on_word = told

    @property
    def looked_after(self) -> Mapping[str, PodNode]:
        """The nodes, by name."""
        return self.nodes

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
            orders = PodOrders(self._api, self._spec.namespace, name, partial(self.pods.__getitem__, name), partial(self._stands_in, name))
            self.nodes[name] = self._node(name, info, orders)
            self.nodes[name].labelled(self.pods[name].labels)
        version = version_of(self._api, self._spec.namespace, self._selector)
        self._thread = threading.Thread(target=self._follow, args=(version,), name="pods", daemon=True)
        self._thread.start()
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="guests") as pool:
            entered = {name: pool.submit(self._enter, name, self.pods[name]) for name in infos}
            links = {name: each.result() for name, each in entered.items()}  # before anything is done to any of them
            for each in [pool.submit(self._join, name, self.pods[name], links[name]) for name in infos]:
                each.result()

    def _stands_in(self, name: str) -> str:
        return self._stands.get(name, "")

    def _node(self, name: str, info: NodeInfo, orders: Orders) -> PodNode:
        del name
        return PodNode(info, orders, self._sink, self._clock)

    def _streams(self, name: str, pod: Pod) -> Exec:
        """Those of a guest that is started for a pod."""
        there = self._there.get(pod.machine)
        if there is None:
            raise EnvironmentUnusable(
                f"no guest can be started on the machine {pod.machine}, where the pod {pod.name} ({name}) is",
                how="it takes pods that tolerate everything; see 'kubectl describe daemonset'",
            )
        command = commands.guest(pod.uid, pod.container_id, shared=pod.shared)
        return Exec(self._api, self._spec.namespace, there, CONTAINER, command)

    def _enter(self, name: str, pod: Pod) -> AgentLink:
        link = self._linked(name, AgentLink(
            None, pod.container_id, node=name, clock=self._clock, on_event=self._teller(name, self.nodes[name]), on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock), streams=self._streams(name, pod),
        ))  # fmt: skip
        link.call("status")  # by its answer we have heard of the main process, if there is one
        assert self._net is not None
        self._net.check(name, link)
        return link

    def _join(self, name: str, pod: Pod, link: AgentLink) -> None:
        assert self._net is not None
        try:
            self._net.join(name, link)
        except NinesError:
            self._withdraw(link)
            raise
        self._stands[name] = pod.uid
        before = self.nodes[name].host(link)
        if before is not None:
            self._send_away(before)

    def _linked(self, name: str, link: AgentLink) -> AgentLink:
        return heard(link, HELLO_WITHIN_S, CLOCK_BOUND_S, f"{name}'s machine", "harness and nodes in one region")

    # --- what happens to pods ------------------------------------------------------------------------------------------

    def _follow(self, version: str) -> None:
        why = follow(self._api, self._spec.namespace, self._selector, version, self._stop, self._closing.is_set, self._take)
        if not self._closing.is_set():
            self._breakage.note(f"the API server's word of the pods: {why or 'it ended'}")

    def _take(self, kind: str, thing: Thing) -> None:
        """A pod that is going leaves a place; the next one that runs and is nobody's takes one, its own if it has the name."""
        if RUN in thing["metadata"].get("labels", {}):
            return
        pod = pod_of(thing, self._spec)
        known = {each.uid: node for node, each in self.pods.items()}
        if pod.uid in known and self.on_word is not None:
            self.on_word(known[pod.uid], pod)
        if pod.uid in known:
            name = known[pod.uid]
            if kind == "DELETED" or pod.ending:
                self._vacant.add(name)
                if pod.given_up and pod.machine in self._struck:
                    self.nodes[name].doom(GIVEN_UP)
            elif pod.container_id:
                self.pods[name] = pod  # whether it is ready, its labels, and its container's present life
                if self._stands_in(name) == pod.uid:
                    self.nodes[name].labelled(pod.labels)
                    if pod.address not in ("", self.nodes[name].info.address) and pod.machine not in self._before:
                        self._worker.submit(self._join_again, name, pod)  # its network was made anew
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
        until_s = time.monotonic() + JOINS_WITHIN_S
        while not self._closing.is_set():
            try:
                self._rejoin(name, pod)
            except NinesError as error:  # our own pod there may be as new as this one
                if time.monotonic() < until_s and self.pods[name].uid == pod.uid:
                    self._closing.wait(LOOK_EVERY_S)
                    continue
                if not self._closing.is_set() and self.pods[name].uid == pod.uid:
                    self._breakage.note(f"no guest could join {name} ({pod.name}) again: {error}")
            return

    def _rejoin(self, name: str, pod: Pod) -> None:
        node = self.nodes[name]
        assert self._net is not None
        assert self._move is not None
        if node.guest is not None:
            node.guest.closing = True
            self._net.lost(name, node.guest)
        node.moved(info := self._move(name, pod))
        node.labelled(self.pods[name].labels)  # which may have changed since
        self._join(name, pod, self._enter(name, pod))
        node.doom("")
        self._sink(at_place(info, pod.name, self._clock))

    def in_machine(self, host: str) -> AgentLink:
        """An agent in the network of the machine itself, which is about to be cut off; whose it is closes it."""
        self._struck.add(host)
        there = self._there.get(host)
        if there is None:
            raise FaultNotEffective(f"no pod of ours is on the machine '{host}'")
        streams = Exec(self._api, self._spec.namespace, there, CONTAINER, commands.machine())
        return self._linked(host, AgentLink(
            None, there, node=host, clock=self._clock, on_event=self._teller(host, None), on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock), streams=streams,
        ))  # fmt: skip

    # --- what happens to machines --------------------------------------------------------------------------------------

    def expect(self, host: str) -> None:
        """It is about to go: the end of the guests there is then no surprise."""
        self._struck.add(host)
        self._before[host] = {name: pod.container_id for name, pod in self.pods.items() if pod.machine == host}
        self._before_there[host] = self._life_of_ours(host)
        for name in self._before[host]:
            self.nodes[name].doom(POWER_OFF)
            if (guest := self.nodes[name].guest) is not None:
                guest.closing = True

    def stays(self, host: str) -> bool:
        """It did not go after all: whether all guests there can still be spoken to."""
        guests = [self.nodes[name].guest for name in self._before.get(host, ())]
        for name in self._before.get(host, ()):
            self.nodes[name].doom("")
        for guest in guests:
            if guest is None or guest.gone:
                return False
            try:
                guest.call("ping")
            except NinesError:
                return False
            guest.closing = False
        return True

    def went_dark(self, host: str, at_ns: int) -> None:
        """It has been silent since then: whoever stands there is dead."""
        assert self._net is not None
        for name in self._before[host]:
            node = self.nodes[name]
            if node.guest is not None:
                self._net.lost(name, node.guest)
                node.guest.close()
            node.went_dark(at_ns)

    def await_back(self, host: str) -> None:
        """Its power is on: until a guest stands in each pod that was there, or in the one that took its place. ``NotHealed`` if not."""
        until_s = time.monotonic() + BOOT_S
        waits = dict(self._before.get(host, {}))
        while waits:
            for name, life in list(waits.items()):
                if self._is_back(host, name, life):
                    self.nodes[name].doom("")
                    del waits[name]
            if waits and time.monotonic() > until_s:
                called = ", ".join(f"{self.pods[name].name} ({name})" for name in waits)
                raise NotHealed(f"after the power of '{host}' was on, no guest stood again within {BOOT_S:g} s in {called}")
            time.sleep(LOOK_EVERY_S if waits else 0.0)

    def _is_back(self, host: str, name: str, life: str) -> bool:
        """One node: in the same pod in another life, where our own pod has another one too; or in another pod."""
        node, pod = self.nodes[name], self.pods[name]
        stands = node.guest is not None and not node.guest.closing and self._stands_in(name) == pod.uid
        if stands:
            return node.status() is Status.UP
        if pod.machine == host and pod.container_id not in ("", life) and self._life_of_ours(host) not in ("", self._before_there[host]):
            with contextlib.suppress(NinesError):  # the machine may not be all there yet: it is tried again
                self._worker.submit(self._rejoin, name, pod).result()
        return False

    def _life_of_ours(self, host: str) -> str:
        """The container of the DaemonSet's pod there; empty while it has none."""
        thing = self._api.get("pods", self._spec.namespace, self._there.get(host, "")) if host in self._there else None
        states = (thing or {}).get("status", {}).get("containerStatuses") or ()
        return next((str(each.get("containerID") or "") for each in states if "running" in (each.get("state") or {})), "")

    # --- the end -------------------------------------------------------------------------------------------------------

    def _stop_hearing(self) -> None:
        self._stop.tell()

    def leave_anew(self, name: str) -> str:
        """The same by a fresh guest, where the one that was there could not."""
        try:
            return give_back(self._api, self._spec.namespace, self._there.get(self.pods[name].machine, ""), self.pods[name], self._clock)
        except NinesError as error:
            return str(error)

    def close(self) -> None:
        """Detach from all."""
        super().close()
        if self._pipes is not None:
            self._pipes.end()


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
        return left_by(link)
    finally:
        link.close()
