"""The nodes of a cluster of ours: in each pod an agent, which is told what its gate is to start, and when.

    pod found -> agent started in its sidecar -> says hello, its clock is known -> the net's rules -> the gate is told the command -> opened

All nodes go this way at the same time. A container that dies is kubelet's to start; a system that dies behind its gate is ours.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.values import NodeInfo
from chaos.experiment.pods import PodsSpec
from chaos.experiment.target.templates import fill
from chaos.kube import commands, gate
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.find import ROLE, RUN, Pod, pod_of
from chaos.kube.own import AGENT, GROUP, NODES, PART, SYSTEM, Group
from chaos.kube.streams import Exec, run
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.guests import Rejoined, heard, left_by
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused, Event, mapped_into
from chaos.runtimes.base.agents.node import KILL_WITHIN_S
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.kubernetes.guests import CLOCK_BOUND_S, HELLO_WITHIN_S
from chaos.runtimes.kubernetes.orders import PodOrders
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.node import OwnNode

PREPARE_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.5
SILENT_WITHIN_S: Final = 5.0
SILENT_S: Final = 0.2
LOOK_FOR_SILENCE_S: Final = 0.01
LOG_LINES: Final = 100_000
LOG_WHOLE_S: Final = 7 * 24 * 3600
"""All that was said in a pod of ours is the run's, and none stands so long."""
STOP_GRACE_S: Final = 0.6
OPEN_WITHIN_S: Final = 20.0
"""More than the agent itself waits for a gate."""


def pods_of(api: Api, namespace: str, run: str, nodes: Mapping[str, Group]) -> dict[str, Pod]:
    """Node -> its pod. ``nodes``: node -> its group; the first of a group is its pod number 0."""
    found: dict[tuple[str, int], dict[int, Pod]] = {}
    for thing in api.listed("pods", namespace, selector_of(run)):
        metadata = thing["metadata"]
        key, number = (metadata["labels"][PART], int(metadata["labels"].get(GROUP, 0))), int(str(metadata["name"]).rpartition("-")[2])
        found.setdefault(key, {})[number] = own_pod(thing)
    placed: dict[str, Pod] = {}
    counts: dict[tuple[str, int], int] = {}
    for node, group in nodes.items():
        key = group.part, group.number
        number = counts.get(key, 0)
        counts[key] = number + 1
        pod = found.get(key, {}).get(number)
        if pod is None or not pod.address:
            of_group = f", group {group.number}" if group.number else ""
            raise EnvironmentUnusable(
                f"the pod of {node} ({group.part}{of_group}, number {number}) is not there", how="somebody removed it; run again"
            )
        placed[node] = pod
    return placed


def selector_of(run: str) -> str:
    """Of its nodes' pods."""
    return f"{RUN}={run},{ROLE}={NODES}"


def own_pod(thing: Thing) -> Pod:
    """As the API server tells of it."""
    return pod_of(thing, PodsSpec(namespace="", container=SYSTEM))


class OwnPods:
    """All agents and nodes of one run."""

    def __init__(
        self, api: Api, namespace: str, pods: Mapping[str, Pod], layout: OwnLayout, net: Rejoined, logs: Path, breakage: Breakage,
        sink: Sink, clock: Clock,
    ) -> None:  # fmt: skip
        self.agents: dict[str, AgentLink] = {}
        self.pods = dict(pods)
        self.closing = False
        self._api = api
        self._namespace = namespace
        self._layout = layout
        self._net = net
        self._logs = logs
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._stands: dict[str, Pod] = {}
        """Node -> the pod in which its agent is."""
        self._silent: set[str] = set()
        """Whose agent did not answer at the end: nobody waits for it again."""
        self._before: dict[str, bytes] = {}
        """Node -> what its pod had said when we came: nothing, unless another harness was here."""
        self.nodes = {name: self._node(info) for name, info in layout.nodes.items()}

    def _node(self, info: NodeInfo) -> OwnNode:
        name = info.name
        orders = PodOrders(self._api, self._namespace, name, lambda: self.pods[name], lambda: self._uid_of(name))
        return OwnNode(
            info, orders, partial(self._open, name), partial(self.how_ended, name), partial(self._anew, name), self._sink, self._clock
        )  # fmt: skip

    def _uid_of(self, name: str) -> str:
        """Of the pod in which an agent stands."""
        return self._stands[name].uid if name in self._stands else ""

    def bring_up(self, starts: Callable[[str], bool]) -> None:
        """All at once; those that start later wait behind their gates."""
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="pods") as pool:
            for each in [pool.submit(self._bring_up, name, starts(name)) for name in self.nodes]:
                each.result()

    def _bring_up(self, name: str, starts: bool) -> None:
        self._before[name] = self._said(self.pods[name].name)
        self.stand_in(name, empty=True)
        if starts:
            self.nodes[name].start()

    def stand_in(self, name: str, *, empty: bool = False) -> None:
        """An agent in the node's present pod, whose gate is told what it is to start; ``empty``: without what its folders hold from before.

        A pod that follows another one keeps what it finds: its claims hold the data of that one.
        """
        node, pod = self.nodes[name], self.pods[name]
        link = self.stands(name, AgentLink(
            None, pod.name, node=name, clock=self._clock, on_event=self._told(node), on_gone=self.gone,
            on_clock=mapped_into(self._sink, self._clock), streams=Exec(self._api, self._namespace, pod.name, AGENT, commands.SIDECAR),
        ))  # fmt: skip
        node.host(link)
        if self._layout.moves:
            self.tell_hosts(name)
        self._prepare(name, empty=empty)
        self._stands[name] = pod

    def tell_hosts(self, name: str) -> None:
        """Where all nodes are now, into this one's pod."""
        self.agents[name].call("gate.hosts", text=self._layout.hosts(name, self.pods[name].name))

    def stands(self, name: str, link: AgentLink) -> AgentLink:
        """An agent at a node, or where clients or the name server are: its clock known, the rules of the net around it."""
        heard(link, HELLO_WITHIN_S, CLOCK_BOUND_S, f"{name}'s machine", "harness and nodes in one region")
        with self._lock:
            self.agents[name] = link
        self._net.join(name, link)
        return link

    def _prepare(self, name: str, *, empty: bool = False) -> None:
        layout, part = self._layout, self._layout.part(name)
        context, folders = layout.context(name), layout.folders(name)
        environment = {key: fill(value, context) for key, value in part.env.items()}
        files = {f"{folders[0]}/{path}": fill(text, context) for path, text in part.files.items()}
        account = self._account(name, part.user)
        self.agents[name].call(
            "gate.prepare", PREPARE_WITHIN_S, life=gate.life(layout.command(name), environment, account), files=files,
            empty=list(folders) if empty else [], folders=list(folders), owner=None if account is None else [account.uid, account.gid],
        )  # fmt: skip

    def _account(self, name: str, user: str) -> gate.Account | None:
        """Who that is in the system's image; None for whoever its containers run as."""
        if not user:
            return None
        try:
            found = self.agents[name].call("gate.account", user=user).result
        except AgentRefused as error:
            raise EnvironmentUnusable(str(error), how=f"an image that has that user, or another 'user' in the target of {name}") from error
        return msgspec.convert(found, gate.Account, strict=False)

    def open(self, name: str) -> None:
        """Of a pod that has taken another one's place: its life is told when the agent sees it."""
        self._open(name)

    def _open(self, name: str) -> None:
        self.agents[name].call("gate.open", OPEN_WITHIN_S)

    def _anew(self, name: str) -> None:
        """With empty folders, at the same address."""
        self._prepare(name, empty=True)

    def how_ended(self, name: str) -> str:
        """By the gate's own word, if it outlives the system; else by kubelet's."""
        status = str(self.agents[name].call("gate.ended").result.get("status") or "")
        if status:
            return f"exit status {status}"
        pod: Thing = self._api.get("pods", self._namespace, self.pods[name].name) or {}
        states = pod.get("status", {}).get("containerStatuses") or ()
        ended = next((each["state"].get("terminated") for each in states if each["name"] == SYSTEM), None)
        return f"exit status {ended['exitCode']}" if ended else ""

    def execute(self, name: str, words: list[str], log: Path, user: str, within_s: float) -> str:
        """A command in the system's container, with the system's own variables; how it failed, else empty."""
        context = self._layout.context(name)
        environment = {key: fill(value, context) for key, value in self._layout.part(name).env.items()}
        script = gate.life(words, environment, self._account(name, user))
        well, text = run(self._api, self._namespace, self.pods[name].name, SYSTEM, ["/bin/sh", "-c", script], within_s)
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
        return "" if well else f"failed, or did not end within {within_s:g} s"

    def await_ready(self, within_s: float) -> None:
        """Until kubelet calls all of them ready; ``EnvironmentUnusable`` with those that it does not."""
        until_ns = self._clock.now_ns() + to_ns(within_s)
        while waiting := [name for name, pod in self.pods.items() if not self._ready(pod)]:
            if self._clock.now_ns() > until_ns:
                how = "its readiness probe asks the path of the target's 'ready' without reading the answer"
                raise EnvironmentUnusable(f"kubelet does not call {', '.join(waiting)} ready within {within_s:g} s", how=how)
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_EVERY_S))

    def _ready(self, pod: Pod) -> bool:
        status = (self._api.get("pods", self._namespace, pod.name) or {}).get("status", {})
        return any(each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ())

    def _told(self, node: OwnNode) -> Callable[[AgentLink, Event], None]:
        def told(link: AgentLink, event: Event) -> None:
            self.note(link, event)
            node.seen(event)

        return told

    def note(self, link: AgentLink, event: Event) -> None:
        """A part of ours that died, or an agent that believed us dead: the run is unknown from then on."""
        if link.closing or self.closing:
            return
        if event.event == "child_died":
            self._breakage.note(f"{event.child} of {link.node} ended (status {event.status})")
        elif event.event == "orphaned":
            self._breakage.note(f"the agent of {link.node} did not hear of us for long and healed its namespace by itself")

    def gone(self, link: AgentLink, why: str) -> None:
        """It will say nothing more; where its pod goes, that is its end."""
        if self.closing or link.closing:
            return
        if self._layout.moves and link.node in self.nodes and self._went(link.node):
            link.closing = True
            self._await_silence(link.node)
            self.nodes[link.node].seen(Event("down", self._clock.now_ns()))
            return
        self._breakage.note(f"the agent of {link.node}: {why}")

    def _await_silence(self, name: str) -> None:
        """Its agent may be ended before its system: until nobody listens at its old address, or so long that it makes no difference."""
        until_ns = self._clock.now_ns() + to_ns(SILENT_WITHIN_S)
        place = (self._stands[name].address, self._layout.nodes[name].ports[self._layout.part(name).client_port])
        while self.nodes[name].runs and self._clock.now_ns() < until_ns:
            try:
                socket.create_connection(place, SILENT_S).close()
            except OSError:
                return
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_FOR_SILENCE_S))

    def _went(self, name: str) -> bool:
        """By the API server's word."""
        pod = self.pods[name]
        try:
            there = self._api.get("pods", self._namespace, pod.name)
        except NinesError:
            return False
        return there is None or there["metadata"]["uid"] != self._uid_of(name) or "deletionTimestamp" in there["metadata"]

    # --- the end -------------------------------------------------------------------------------------------------------

    def keep_logs(self) -> list[str]:
        """What the systems said, over all their lives behind one gate; why one could not be had."""
        problems = []
        for name, pod in self.pods.items():
            try:
                (self._logs / f"{name}.log").write_bytes(self._said(pod.name).removeprefix(self._before.get(name, b"")))
            except NinesError as error:
                problems.append(f"the log of {name}: {error}")
        return problems

    def _said(self, pod: str) -> bytes:
        """In the life of its container before, if kubelet started it again, and in the present one."""
        before = b""
        with contextlib.suppress(Refused):
            before = self._api.log(self._namespace, pod, SYSTEM, LOG_WHOLE_S, LOG_LINES, previous=True)
        return before + self._api.log(self._namespace, pod, SYSTEM, LOG_WHOLE_S, LOG_LINES, previous=False)

    def end_systems(self) -> None:
        """SIGTERM to all, a short grace, SIGKILL. Their containers live on: the gates wait, as before the run."""
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="pods") as pool:
            list(pool.map(self._end_system, self.agents.keys() & self.nodes.keys()))

    def _end_system(self, name: str) -> None:
        node, link = self.nodes[name], self.agents[name]
        try:
            for number, within_s in ((signal.SIGTERM, STOP_GRACE_S), (signal.SIGKILL, KILL_WITHIN_S)):
                if node.runs:
                    with contextlib.suppress(AgentRefused):  # it is dead already
                        link.call("kill", signal=number, wait=False)
                        link.call("resume")
                    node.wait_down(within_s)
        except AgentGone:
            self._silent.add(name)

    def leave(self) -> list[str]:
        """Every agent takes back what it did in its network, as one that is let go of would do later by itself; what could not be."""
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="pods") as pool:
            return list(filter(None, pool.map(self._left_by, self.agents)))

    def _left_by(self, name: str) -> str:
        if name in self._silent:
            return f"in the pod of {name}: its agent does not answer, and takes back by itself what it did"
        try:
            left = left_by(self.agents[name])
        except NinesError as error:
            left = str(error)
        return f"in the pod of {name}: {left}" if left else ""

    def retire(self) -> None:
        """What happens from now on is no event of the run."""
        self.closing = True
        for node in self.nodes.values():
            node.retire()
        for link in self.agents.values():
            link.closing = True

    def close(self) -> None:
        """Detach from all."""
        self.closing = True
        for link in self.agents.values():
            link.close()
