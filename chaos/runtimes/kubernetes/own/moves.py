"""Nodes of ours that come to live in other pods: seen by the API server's word, and all told that have to do with their addresses.

    a pod goes -> its agent says when its system ended -> the StatefulSet makes another one of the same name
    -> agent started in it, the net's rules -> layout, names in every pod, name server, role watch -> its gate is told and opened

Its data went with the pod (``emptyDir``), or is in claims that the next pod has. Nobody waits for an order to start it, as with kubelet.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import NinesError
from chaos.kube.api import Api, Stop, Thing
from chaos.kube.find import Pod
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.guests import Rejoined
from chaos.runtimes.base.agents.link import Event
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.layout import at_place
from chaos.runtimes.kubernetes.follow import follow, version_of
from chaos.runtimes.kubernetes.logs import PodLogs
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.pods import OwnPods, own_pod

JOINS_WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.25


class Moves:
    """Of one run. ``told``: who has to know that a node has moved."""

    def __init__(
        self, api: Api, namespace: str, selector: str, pods: OwnPods, layout: OwnLayout, net: Rejoined, logs: PodLogs,
        told: Callable[[str], None], breakage: Breakage, sink: Sink, clock: Clock,
    ) -> None:  # fmt: skip
        self._api = api
        self._namespace = namespace
        self._selector = selector
        self._pods = pods
        self._layout = layout
        self._net = net
        self._logs = logs
        self._told = told
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._over = threading.Event()
        self._stop = Stop()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="moves")
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """From now on."""
        for name, pod in self._pods.pods.items():
            self._logs.seen(name, pod)
        version = version_of(self._api, self._namespace, self._selector)
        self._thread = threading.Thread(target=self._follow, args=(version,), name="pods", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more of it."""
        self._over.set()
        self._stop.tell()
        if self._thread is not None:
            self._thread.join()
        self._worker.shutdown(wait=True)

    def keep_logs(self) -> None:
        """What was said in all lives is on disk when it returns."""
        self._logs.close(self._pods.pods)

    def _follow(self, version: str) -> None:
        why = follow(self._api, self._namespace, self._selector, version, self._stop, self._over.is_set, self._take)
        if not self._over.is_set():
            self._breakage.note(f"the API server's word of the pods: {why or 'it ended'}")

    def _take(self, kind: str, thing: Thing) -> None:
        pod = own_pod(thing)
        name = next((node for node, each in self._pods.pods.items() if each.name == pod.name), None)
        if name is None:
            return
        known = self._pods.pods[name]
        if pod.uid == known.uid:
            self._logs.seen(name, pod)
            if kind != "DELETED" and not pod.ending and pod.container_id:
                self._pods.pods[name] = pod  # whether it is ready
            return
        if kind == "DELETED" or pod.ending or not (pod.container_id and pod.address):
            return
        self._logs.seen(name, pod)
        self._pods.pods[name] = pod
        self._worker.submit(self._join, name, pod)

    def _join(self, name: str, pod: Pod) -> None:
        until_s = time.monotonic() + JOINS_WITHIN_S
        while not self._over.is_set():
            try:
                self._rejoin(name, pod)
            except NinesError as error:
                if self._pods.pods[name].uid != pod.uid:
                    return
                if time.monotonic() < until_s:
                    self._over.wait(LOOK_EVERY_S)
                    continue
                if not self._over.is_set():
                    self._breakage.note(f"no agent could be started in the new pod of {name} ({pod.name}): {error}")
            return

    def _rejoin(self, name: str, pod: Pod) -> None:
        pods, node = self._pods, self._pods.nodes[name]
        before = pods.agents.get(name)
        if before is not None:
            before.closing = True
            self._net.lost(name, before)
            before.close()
        node.seen(Event("down", self._clock.now_ns()))  # unless its agent has said so
        info = self._layout.move(name, pod.address, pod.machine)
        node.moved(info)
        pods.stand_in(name)
        for other in pods.nodes:
            if other != name:
                with contextlib.suppress(NinesError):  # one that is on its way to another pod is told there
                    pods.tell_hosts(other)
        self._told(name)
        self._sink(at_place(info, pod.name, self._clock))
        pods.open(name)
