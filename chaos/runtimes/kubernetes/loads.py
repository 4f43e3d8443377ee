"""What the limits of a pod's container are used up by: processes of its guest, in the container's own control groups.

They count against the container's limits of processor and memory, and nothing of its files or namespaces is touched. They write to the
disk of the machine's containers, where guests have theirs: that of images, logs and volumes of the kind emptyDir.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.values import Allowed, Load, Loaded, NodeInfo, Room, Status, Usage, Work
from chaos.kube.api import Api, Thing
from chaos.kube.find import Pod
from chaos.runtimes.base.agents.link import AgentLink

STARVED: Final = "OOM"
"""What is noted of a death for want of memory."""
KILLED: Final = "OOMKilled"
"""Kubelet's word for it."""
BEGINS_WITHIN_S: Final = 8.0
"""An interpreter each, perhaps on a machine that is busy."""
TOLD_WITHIN_S: Final = 6.0
"""Kubelet looks at its containers once a second, and tells the API server after that."""
LOOK_EVERY_S: Final = 0.25
APART_S: Final = 5.0
"""The wall clocks of two machines may be, and the API cuts off what is less than a second."""
GRACE_S: Final = 4.0
SCRATCH: Final = "/tmp"  # noqa: S108 - in the guests' own container
_NUMBERS: Final = itertools.count(1)


class Loadable(Protocol):
    """What of a node is needed here."""

    @property
    def info(self) -> NodeInfo:
        """Who it is."""
        ...

    @property
    def guest(self) -> AgentLink | None:
        """Whoever looks after its container from outside; None between two pods."""
        ...

    def status(self) -> Status:
        """Whether it runs."""
        ...

    def doom(self, how: str) -> None:
        """A death from now on is a fault's doing."""
        ...

    def last_death_ns(self) -> int:
        """0: it has not died yet."""
        ...


class PodLoads:
    """``plugin.Loads`` of one node. ``pod``: the one that it is now."""

    def __init__(self, node: Loadable, allowed: Allowed, api: Api, namespace: str, pod: Callable[[], Pod], clock: Clock) -> None:
        self._node = node
        self._allowed = allowed
        self._api = api
        self._namespace = namespace
        self._pod = pod
        self._clock = clock

    @property
    def allowed(self) -> Allowed:
        """Its container's limits."""
        return self._allowed

    @property
    def _link(self) -> AgentLink:
        if self._node.guest is None:
            raise FaultNotEffective(f"nobody looks after {self._node.info.name} now")
        return self._node.guest

    @property
    def _beside(self) -> AgentLink:
        """Who knows the system's processes from all others of its container."""
        return self._link

    def _is_gone(self, link: AgentLink) -> bool:
        """Whoever began a load: its pod is another one by now."""
        return self._node.guest is not link

    def _taken(self, order: Load) -> float:
        """By each worker of a load of memory."""
        return order.bytes / order.workers

    def usage(self) -> Usage:
        """Read by the guest, where the container sees its own groups."""
        answer = self._link.call("resources.usage")
        figures = {name: float(value or 0) for name, value in answer.result.items()}
        return Usage(answer.at_ns, figures["cpu_s"], figures["throttled_s"], figures["memory_bytes"])

    def work(self) -> Work:
        """Of every load on the node together."""
        answer = self._link.call("burden.work")
        figures = {name: float(value or 0) for name, value in answer.result.items()}
        return Work(answer.at_ns, figures["run_s"], figures["wait_s"], figures["written_bytes"])

    def scratch(self) -> Room:
        """The disk of the machine's containers."""
        found = self._link.call("disks.room", folder=SCRATCH).result
        size, free, took_s = found["size_bytes"], found["free_bytes"], found["write_s"]
        return Room(float(size or 0), float(free or 0), None if took_s is None else float(took_s), str(found["write_error"]))

    @contextmanager
    def load(self, order: Load) -> Iterator[Loaded]:
        """Begun and ended by the guest; a load dies with the container's main process."""
        name = self._node.info.name
        if self._node.status() is Status.DOWN:
            raise FaultNotEffective(f"{name} cannot be loaded: it is not running")
        number, began_ns, since_s = str(next(_NUMBERS)), self._clock.now_ns(), time.time()
        link = self._link
        if order.kind == "memory":
            self._node.doom(STARVED)
        fatal = order.kind == "memory" and order.bytes >= (self._allowed.memory_bytes or 0)
        if fatal:
            self._expose()
        loaded = Loaded(
            began_ns, f"{order.workers} x {order.kind} in the container's control groups",
            lambda: self._died_ns(began_ns), lambda: self._starved(since_s, began_ns),
        )  # fmt: skip
        try:
            amount = order.busy if order.kind == "cpu" else self._taken(order) if order.kind == "memory" else order.bytes
            loaded.effective_at_ns = link.call(
                "burden.begin", timeout_s=BEGINS_WITHIN_S + GRACE_S, kind=order.kind, amount=amount, workers=order.workers, number=number,
                within_s=BEGINS_WITHIN_S,
            ).at_ns  # fmt: skip
            yield loaded
        finally:
            loaded.ended = self._end(link, number)
            if fatal and not self._is_gone(link):
                self._cover()
            if order.kind == "memory":
                self._node.doom("")

    def _expose(self) -> None:
        """The system is to die of a want of memory; its next life has the score that kubelet gives it."""
        self._beside.call("resources.expose")

    def _cover(self) -> None:
        """The reverse."""
        self._beside.call("resources.cover")

    def _end(self, link: AgentLink, number: str) -> int:
        if self._is_gone(link):
            return 0  # its pod is another one, and nothing of what was in the old one is left
        try:
            return int(link.call("burden.end", number=number).result["ended"] or 0)
        except FaultNotEffective as error:
            raise NotHealed(f"the load on {self._node.info.name} could not be ended: {error}") from error

    def _died_ns(self, since_ns: int) -> int | None:
        at_ns = self._node.last_death_ns()
        return at_ns if at_ns > since_ns else None

    def _starved(self, since_s: float, since_ns: int) -> bool:
        """By kubelet's word of the container's last death; where it died at all, waited for."""
        until_s = time.monotonic() + (0.0 if self._died_ns(since_ns) is None else TOLD_WITHIN_S)
        while True:
            thing = self._api.get("pods", self._namespace, self._pod().name)
            if thing is not None and _starved(thing, self._pod().container, since_s):
                return True
            if time.monotonic() >= until_s:
                return False
            time.sleep(LOOK_EVERY_S)


def _starved(thing: Thing, container: str, since_s: float) -> bool:
    states = thing.get("status", {}).get("containerStatuses") or []
    state: Thing = next((each for each in states if each["name"] == container), {})
    for life in ("state", "lastState"):
        ended = (state.get(life) or {}).get("terminated") or {}
        if ended.get("reason") == KILLED and datetime.fromisoformat(ended["finishedAt"]).timestamp() >= since_s - APART_S:
            return True
    return False
