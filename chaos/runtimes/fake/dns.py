"""The name in front of the virtual cluster: the real rules of who is in the set, fed by checks in virtual time.

Grids, time-outs and numbering are those of the real name server; only the questions are virtual.
"""

from __future__ import annotations

import bisect
import functools

from chaos.core.clock import to_ns
from chaos.core.errors import CapabilityMissing
from chaos.core.values import DNS, LEADER, Link, NameHarm
from chaos.dns.health import Change, Health
from chaos.experiment.cluster import Dns
from chaos.history.events import DnsChanged
from chaos.plugin import Sink
from chaos.runtimes.fake.faces import Face, Meets
from chaos.runtimes.fake.simulation import Simulation

HEALTH_CHECKED = "health-checked"
READY = "ready"
STALE = "stale"


class VirtualDns:
    """Checks, the set, and what the set was at any time before now."""

    def __init__(self, name: str, spec: Dns, nodes: tuple[str, ...], sim: Simulation, sink: Sink) -> None:
        if spec.weights:
            raise CapabilityMissing("weighted names are not modelled in virtual time", how="use the runtime 'local'")
        self._name = name
        self._spec = spec
        self._nodes = nodes
        self._sim = sim
        self._sink = sink
        self._health = Health(nodes, fall=spec.check.fall, rise=spec.check.rise)
        self._waiting: dict[str, list[int]] = {node: [] for node in nodes}
        """Checks that hang at a node, by number: answered if it comes to itself before their time-out."""
        self._starts_ns: list[int] = []
        self._sets: list[tuple[str, ...]] = []
        self._harms: dict[int, NameHarm] = {}

    def order(self, number: int, harm: NameHarm | None) -> None:
        """From now on it does this wrong, or no longer."""
        if harm is not None:
            self._harms[number] = harm
        else:
            self._harms.pop(number, None)
        if harm is None or harm.mode != STALE:
            self._announce("" if harm is None else harm.record, "as it should be again" if harm is None else harm.mode)

    @property
    def members(self) -> tuple[str, ...]:
        """The set now."""
        return self._sets[-1] if self._sets else ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """All that the name may stand for."""
        return self._nodes

    def start(self) -> None:
        """The first check of every node, then its grid."""
        checked = self._spec.balancer == HEALTH_CHECKED
        if checked:
            for node in self._nodes:
                self._check(node, 0)
        self._announce("", "start")
        if not checked:
            return
        self._sim.on_change.append(self._wake_waiting)
        every_ns = to_ns(self._spec.check.every_s)
        for index, node in enumerate(self._nodes):
            start_ns = self._sim.now_ns + every_ns * index // len(self._nodes)
            self._sim.at(start_ns, functools.partial(self._beat, node, start_ns, 0))

    def members_at(self, at_ns: int) -> tuple[str, ...]:
        """The set then."""
        index = bisect.bisect_right(self._starts_ns, at_ns) - 1
        return self._sets[index] if index >= 0 else ()

    def _beat(self, node: str, start_ns: int, number: int) -> None:
        self._check(node, number + 1)
        following = number + 1
        self._sim.at(start_ns + following * to_ns(self._spec.check.every_s), functools.partial(self._beat, node, start_ns, following))

    def _check(self, node: str, number: int) -> None:
        face, timeout_ns = self._face(node), to_ns(self._spec.check.timeout_s)
        silent = face.meets in {Meets.WAITS, Meets.LOST} or face.latency_ns > timeout_ns
        if silent:
            if face.meets is Meets.WAITS:
                self._waiting[node].append(number)
            self._sim.at(self._sim.now_ns + timeout_ns, functools.partial(self._time_out, node, number))
        elif face.latency_ns and number:
            self._sim.at(self._sim.now_ns + face.latency_ns, functools.partial(self._result, node, number, face))
        else:
            self._result(node, number, face)

    def _face(self, node: str) -> Face:
        face = self._sim.way(Link(DNS, node))
        wanted = self._spec.check.what
        if face.meets is Meets.ANSWER and wanted.startswith("role:") and wanted.removeprefix("role:") not in self._sim.holds(node):
            return Face(Meets.ERROR, face.latency_ns)
        if face.meets is Meets.ANSWER and wanted == READY and self._sim.parameters.ready_by_quorum:
            return self._sim.behind(node, face)
        return face

    def _time_out(self, node: str, number: int) -> None:
        if number in self._waiting[node]:
            self._waiting[node].remove(number)
        self._take(self._health.result(node, number, ok=False, why="timed out"))

    def _wake_waiting(self) -> None:
        for node, numbers in self._waiting.items():
            face = self._face(node)
            if not numbers or face.meets in {Meets.WAITS, Meets.LOST}:
                continue
            for number in numbers:
                self._result(node, number, face)
            numbers.clear()

    def _result(self, node: str, number: int, face: Face) -> None:
        ok = face.meets is Meets.ANSWER
        why = f"not {LEADER}" if face.meets is Meets.ERROR else str(face.meets.value)
        self._take(self._health.result(node, number, ok=ok, why="" if ok else why))

    def _take(self, change: Change | None) -> None:
        if change is not None and self._starts_ns:
            self._announce(change.node, change.why)

    def _announce(self, changed: str, why: str) -> None:
        if any(harm.mode == STALE for harm in self._harms.values()):
            return
        checked = self._spec.balancer == HEALTH_CHECKED
        live = self._health.answered(fail_open=self._spec.fail_open) if checked else frozenset(self._nodes)
        members = tuple(node for node in self._nodes if node in live)
        for zone in self._spec.order:
            first = tuple(node for node in members if self._sim.nodes[node].info.zone == zone)
            if first:
                members = first
                break
        members = tuple(node for node in members if node not in {harm.record for harm in self._harms.values()})
        if self._sets and self._sets[-1] == members:
            return
        self._starts_ns.append(self._sim.now_ns)
        self._sets.append(members)
        self._sink(DnsChanged(at_ns=self._sim.now_ns, name=self._name, nodes=list(members), changed=changed, why=why))
