"""``fake``: the same experiments on a virtual cluster in virtual time. No process, no socket, no waiting: a minute takes a moment.

For tests, of this program and of its users' own experiments: the plan, the faults, the history and the judgement are the real
ones, only the cluster is a simulation (``simulation.py`` says what it models). Questions cost no virtual time. Give it a
``ManualClock``; with a real clock it works too, and takes its time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from signal import Signals
from typing import ClassVar

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable, FaultNotEffective
from chaos.core.values import LEADER, VOTING, Cut, Link, LookUp, NameHarm, NamesHarmed, NodeInfo, RoundTrip, Rule, Status, TrafficOrder
from chaos.history.events import NodeUp
from chaos.plugin import Deployment, Layer, Runtime, Sink
from chaos.runtimes.fake.dns import VirtualDns
from chaos.runtimes.fake.faces import Meets
from chaos.runtimes.fake.parameters import FakeParameters
from chaos.runtimes.fake.simulation import BASE_NS, Simulation, VirtualNode, check_rules, infos
from chaos.runtimes.fake.traffic import VirtualTraffic
from chaos.traffic.spec import orders

FATAL = frozenset({"KILL", "TERM", "INT", "QUIT", "ABRT", "SEGV", "BUS", "ILL", "HUP"})
DOMAIN = "nines.test"
STEP_S = 0.01
MECHANISM = "virtual"
WORDS = {Meets.REFUSED: "refused", Meets.CLOSED: "closed without an answer", Meets.ERROR: "status 503"}
SILENT = "timed out"


class _World:
    """What all faces of one virtual cluster share: the simulation, one lock, and the traffic that runs."""

    def __init__(self, sim: Simulation, clock: Clock) -> None:
        self.sim = sim
        self.clock = clock
        self.lock = threading.RLock()
        self.traffic: VirtualTraffic | None = None

    @contextmanager
    def now(self) -> Iterator[Simulation]:
        """The simulation, caught up with the clock."""
        with self.lock:
            self.sim.catch_up()
            if self.traffic is not None:
                self.traffic.catch_up(self.sim.now_ns)
            yield self.sim


class FakeNode:
    """``kinds.Node`` in virtual time."""

    def __init__(self, name: str, world: _World) -> None:
        self._name = name
        self._world = world

    @property
    def info(self) -> NodeInfo:
        """Who it is."""
        return self._world.sim.nodes[self._name].info

    def status(self) -> Status:
        """Of the virtual process."""
        with self._world.now() as sim:
            return sim.nodes[self._name].status

    def kill(self, signal: int) -> int:
        """Dies at once of a signal that ends a process; others do nothing to it."""
        with self._world.now() as sim:
            self._must_run(sim, "kill")
            word = Signals(signal).name
            return sim.kill(self._name, word) if word.removeprefix("SIG") in FATAL else sim.now_ns

    def start(self) -> int:
        """Begins again; ready after its restart time."""
        with self._world.now() as sim:
            if sim.nodes[self._name].status is not Status.DOWN:
                raise AssertionError(f"{self._name} runs already")
            return sim.start(self._name)

    def pause(self) -> int:
        """Frozen at once."""
        with self._world.now() as sim:
            self._must_run(sim, "pause")
            return sim.pause(self._name)

    def resume(self) -> int:
        """Goes on at once; a dead node stays dead."""
        with self._world.now() as sim:
            return sim.now_ns if sim.nodes[self._name].status is Status.DOWN else sim.resume(self._name)

    def _must_run(self, sim: Simulation, verb: str) -> None:
        if sim.nodes[self._name].status is Status.DOWN:
            raise FaultNotEffective(f"cannot {verb} {self._name}: it is not running")


class FakeNet:
    """``kinds.Net`` in virtual time, with the limits of the stream proxies that it stands for."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self._numbers = itertools.count(1)

    @contextmanager
    def layer(self, rules: Sequence[Rule]) -> Iterator[Layer]:
        """In force at once, gone at once."""
        self._refuse(rules)
        number = next(self._numbers)
        with self._world.now() as sim:
            sim.put_layer(number, tuple(rules))
            layer = Layer(sim.now_ns, MECHANISM)
        try:
            yield layer
        finally:
            with self._world.now() as sim:
                sim.take_layer(number)

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """What a question on that link would meet now."""
        with self._world.now() as sim:
            return _round_trip(sim, link, timeout_s)

    def networks_of(self, link: Link) -> tuple[str, ...]:
        """All of the plan's among nodes, else the first."""
        networks = self._world.sim.networks
        return networks if {link.source, link.destination} <= self._world.sim.nodes.keys() else networks[:1]

    def measure_on(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        """Whether a connection would pass there now, whatever its ends do."""
        with self._world.now() as sim:
            passes = sim.cut(link, network) is None
        return RoundTrip(to_s(BASE_NS)) if passes and to_s(BASE_NS) <= timeout_s else RoundTrip(None, SILENT)

    def _refuse(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            if rule.link not in self._world.sim.proxied:
                raise CapabilityMissing(
                    f"no proxy stands in the link {rule.link}", how="only links that the plan's faults name can be harmed"
                )
            if isinstance(rule, Cut) and rule.existing == "keep":
                raise CapabilityMissing(f"{rule.link}: new connections cannot be cut and open ones kept", how="use 'existing: cut'")
        why = check_rules(tuple(rules))
        if why is not None:
            raise CapabilityMissing(why, how="use the runtime 'local'")


class FakeNames:
    """``kinds.Names`` in virtual time: what can be done to the set alone."""

    def __init__(self, dns: VirtualDns, ttl_s: float, world: _World) -> None:
        self._dns = dns
        self._ttl_s = ttl_s
        self._world = world
        self._numbers = itertools.count(1)

    @contextmanager
    def harm(self, order: NameHarm) -> Iterator[NamesHarmed]:
        """In force at once, gone at once."""
        number = next(self._numbers)
        with self._world.now() as sim:
            self._dns.order(number, order)
            harmed = NamesHarmed(sim.now_ns, sim.nodes[order.record].info.address if order.record else "")
        try:
            yield harmed
        finally:
            with self._world.now():
                self._dns.order(number, None)

    def look_up(self, timeout_s: float) -> LookUp:  # noqa: ARG002 - it answers at once
        """The set now."""
        with self._world.now() as sim:
            return LookUp("NOERROR", tuple(sim.nodes[node].info.address for node in self._dns.members), int(self._ttl_s), 0.0)


class FakeTraffic:
    """``kinds.Traffic``."""

    def __init__(self, traffic: VirtualTraffic, world: _World) -> None:
        self._traffic = traffic
        self._world = world

    def stop(self) -> None:
        """No slot that is due after now."""
        with self._world.now() as sim:
            self._traffic.stop(sim.now_ns)


class FakeCluster:
    """``kinds.Cluster`` in virtual time."""

    def __init__(self, deployment: Deployment, world: _World, dns: VirtualDns, sink: Sink) -> None:
        self._deployment = deployment
        self._world = world
        self._dns = dns
        self._sink = sink
        self._nodes = {name: FakeNode(name, world) for name in world.sim.nodes}
        self._net = FakeNet(world)
        self._names = FakeNames(dns, deployment.plan.experiment.cluster.dns.ttl_s, world)

    @property
    def nodes(self) -> Mapping[str, FakeNode]:
        """By name, in the order of the plan."""
        return self._nodes

    @property
    def net(self) -> FakeNet:
        """The links that the plan names."""
        return self._net

    @property
    def names(self) -> FakeNames:
        """The name in front of the cluster."""
        return self._names

    def roles(self) -> dict[str, frozenset[str]]:
        """As every node would say now."""
        with self._world.now() as sim:
            return {name: sim.holds(name) for name in sim.nodes}

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Whether the node would answer now, asked past every rule."""
        with self._world.now() as sim:
            return _round_trip(sim, Link("", node), timeout_s)

    def broken(self) -> str | None:
        """Nothing of a virtual harness dies; but whoever looks lets time have its way."""
        with self._world.now():
            return None

    @contextmanager
    def traffic(self, order: TrafficOrder) -> Iterator[FakeTraffic]:
        """Virtual clients; leaving lets the clock go on to the last slot's deadline. On an exception they end early."""
        plan = self._deployment.plan
        spec = plan.experiment.traffic
        world = self._world
        with world.now() as sim:
            traffic = VirtualTraffic(
                self._deployment.folder / "observations.bin", order, orders(spec.operations, plan.operations), spec.client,
                plan.experiment.cluster.dns.ttl_s, sim.nodes, self._dns, plan.seed, self._sink,
            )  # fmt: skip
            world.traffic = traffic
        running = FakeTraffic(traffic, world)
        try:
            yield running
        except BaseException:
            running.stop()
            raise
        finally:
            world.clock.wait_until_ns(traffic.over_ns)
            with world.now() as sim:
                world.traffic = None
                traffic.finish(max(sim.now_ns, traffic.over_ns))


class FakeRuntime(Runtime):
    """``Runtime`` in virtual time."""

    name: ClassVar[str] = "fake"
    virtual: ClassVar[bool] = True
    offers: ClassVar[frozenset[Capability]] = frozenset({
        Capability.SIGNALS, Capability.STARTS, Capability.LINKS, Capability.NETWORKS, Capability.NAME_SET,
    })  # fmt: skip
    words: ClassVar[Mapping[Capability, str]] = {
        Capability.DATA: "virtual nodes have no data that could be lost",
        Capability.SESSIONS: "virtual nodes keep no data, so nothing could be lost or found",
        Capability.STREAMS: "virtual links carry no bytes",
        Capability.PACKET_RULES: "virtual links carry no packets",
        Capability.NAME_ANSWERS: "virtual clients always get an answer, so that only 'mode: stale' and 'mode: missing' can be done",
    }

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[FakeCluster]:
        """All nodes start; the clock goes on until every one is ready and the name holds those that it is to hold."""
        plan, target = deployment.plan, deployment.target
        logs = deployment.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        ports = {name: part.ports for name, part in target.parts.items()}
        nodes = {
            name: VirtualNode(info, logs / f"{name}.log")
            for name, info in infos(
                {node.name: (node.part, node.zone) for node in plan.nodes}, ports, plan.experiment.cluster.networks
            ).items()
        }
        sim = Simulation(
            FakeParameters.of(plan), nodes, frozenset(plan.links), frozenset(target.roles), frozenset(target.marks), plan.seed, sink, clock,
            plan.experiment.cluster.networks,
        )  # fmt: skip
        world = _World(sim, clock)
        for node in nodes.values():
            info = node.info
            place = NodeUp(at_ns=sim.now_ns, node=info.name, part=info.part, zone=info.zone, address=info.address, ports=info.ports)
            sink(msgspec.structs.replace(place, client_address=info.address, networks=info.networks))
            sim.start(info.name)
        served = plan.experiment.cluster.dns.part or next(iter(target.parts))
        members = tuple(node.name for node in plan.nodes if node.part == served)
        within_s = max(part.ready.within_s for part in target.parts.values())
        _wait(world, within_s, lambda: all(node.ready for node in nodes.values()), "every node is ready")
        wanted = {LEADER, VOTING} & target.roles.keys() if plan.has_roles else set()
        _wait(world, within_s, lambda: _together(sim, members, wanted), "the nodes come together")
        dns = VirtualDns(f"{served}.{DOMAIN}", plan.experiment.cluster.dns, members, sim, sink)
        dns.start()
        _wait(world, within_s, lambda: bool(dns.members), "the name has an address")
        yield FakeCluster(deployment, world, dns, sink)


def _together(sim: Simulation, members: Sequence[str], wanted: Collection[str]) -> bool:
    """One node leads and all vote, as far as the target has such roles."""
    roles = [sim.holds(name) for name in members]
    one_leads = sum(LEADER in held for held in roles) == 1
    return (LEADER not in wanted or one_leads) and (VOTING not in wanted or all(VOTING in held for held in roles))


def _wait(world: _World, within_s: float, until: Callable[[], bool], what: str) -> None:
    began_ns = world.clock.now_ns()
    while True:
        with world.now():
            if until():
                return
        now_ns = world.clock.now_ns()
        if to_s(now_ns - began_ns) > within_s:
            raise EnvironmentUnusable(f"not within {within_s:g} s of virtual time: {what}", how="see 'restart' in the target's model")
        world.clock.wait_until_ns(now_ns + to_ns(STEP_S))


def _round_trip(sim: Simulation, link: Link, timeout_s: float) -> RoundTrip:
    face = sim.way(link)
    if face.meets is Meets.ANSWER and to_s(face.latency_ns) <= timeout_s:
        return RoundTrip(to_s(face.latency_ns))
    return RoundTrip(None, WORDS.get(face.meets, SILENT))
