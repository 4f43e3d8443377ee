"""A running cluster, wherever it runs: whom to ask, how to harm links, how to send traffic through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import CapabilityMissing, FaultNotEffective
from chaos.core.values import ClockReading, RoundTrip, TrafficOrder
from chaos.plugin import Crowd, Deployment, HasHosts, Layer, Names, Net, Node, Surge
from chaos.query.clock import question_of
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.helper import Helper
from chaos.runtimes.base.surges import Surges
from chaos.traffic.data_order import FIRST_ROUND_S

PROBER_READY_S = 20.0
PROBER_END_S = 10.0
"""After the last slot's deadline the prober has so long to write its last byte."""

StartProber = Callable[[TrafficOrder], Helper]
StartData = Callable[[TrafficOrder], Helper | None]
"""The clients that write and read data, or what a changing rate asks beyond the even requests; None where the plan has none."""
Gather = Callable[[str, str, int], AbstractContextManager[Crowd]]
"""Hold so many connections to that port of that node."""


class ProberTraffic:
    """``kinds.Traffic``: the prober process, and those that send what a changing rate asks, or write and read data, beside it."""

    def __init__(self, *senders: Helper | None) -> None:
        self._senders = [each for each in senders if each is not None]

    def stop(self) -> None:
        """Their input ends: they send no further slot, wait for those under way, and write their end."""
        for each in self._senders:
            each.end_input()


class RunningCluster:
    """``kinds.Cluster``, made of the parts that a runtime gives it."""

    def __init__(
        self,
        deployment: Deployment,
        nodes: Mapping[str, Node],
        net: Net,
        names: Names | None,
        asker: Asker,
        start_prober: StartProber,
        broken: Callable[[], str | None],
        clock: Clock,
        surges: Surges | None = None,
        gather: Gather | None = None,
        start_data: StartData | None = None,
        start_demand: StartData | None = None,
        hosts: HasHosts | None = None,
    ) -> None:
        self._deployment = deployment
        self._nodes = nodes
        self._net = net
        self._names = names
        self._asker = asker
        self._start_prober = start_prober
        self._start_data = start_data
        self._start_demand = start_demand
        self._surges = surges
        self._gather = gather
        self._hosts = hosts
        self._broken = broken
        self._clock = clock

    @property
    def nodes(self) -> Mapping[str, Node]:
        """By name, in the order of the plan."""
        return self._nodes

    @property
    def net(self) -> Net:
        """The links that the plan names."""
        return self._net

    @property
    def names(self) -> Names:
        """The name server that is ours; ``CapabilityMissing`` where the name is answered by somebody else."""
        if self._names is None:
            raise CapabilityMissing("the name is answered by a server that is not ours", how="balancer: health-checked, or round-robin")
        return self._names

    def roles(self) -> dict[str, frozenset[str]]:
        """Asked of every node now, at the same time."""
        return self._asker.roles()

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Whether the node answers, asked directly."""
        return self._asker.ping(node, timeout_s)

    def read_clock(self, node: str, timeout_s: float) -> ClockReading:
        """What the node says that the time is, by the question that its target has for it."""
        question = question_of(self._deployment.target, self._nodes[node].info.part)
        if question is None:
            return ClockReading(None, error="nothing that this target answers tells its time")
        return self._asker.clock(question, node, timeout_s)

    def change_members(self, change: str, node: str, timeout_s: float) -> str | None:
        """By the target's own word for it."""
        told = self._deployment.target.membership
        if told is None:
            return "the target does not say how nodes join and leave"
        return self._asker.change_members(told.join if change == "join" else told.leave, node, timeout_s)

    def lists(self, node: str, timeout_s: float) -> dict[str, bool | None]:
        """Nobody says anything of a target that has no members."""
        told = self._deployment.target.membership
        return {} if told is None else self._asker.lists(told.listed, node, timeout_s)

    def surge(self, operation: str, rate_per_s: float) -> AbstractContextManager[Surge]:
        """More traffic, of the operation that is judged if none is named."""
        if self._surges is None:
            raise FaultNotEffective("nobody sends traffic to this cluster, so nobody can send more of it")
        return self._surges.surge(operation or self._deployment.plan.judge, rate_per_s)

    def crowd(self, node: str, port: str, count: int) -> AbstractContextManager[Crowd]:
        """Idle connections from where the clients are."""
        if self._gather is None:
            raise FaultNotEffective("nobody stands where the clients of this cluster are")
        return self._gather(node, port, count)

    @property
    def _several(self) -> HasHosts:
        if self._hosts is None:
            raise FaultNotEffective("this cluster stands on no hosts that could be switched off")
        return self._hosts

    def switch_off(self, host: str) -> None:
        """By the experiment's command."""
        self._several.switch_off(host)

    def went_dark(self, host: str, at_ns: int) -> None:
        """Its nodes are down."""
        self._several.went_dark(host, at_ns)

    def switch_on(self, host: str) -> None:
        """By the experiment's command; what is ours stands there again."""
        self._several.switch_on(host)

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        """Where it stands."""
        return self._several.cut_off(host)

    def cordon(self, host: str) -> int:
        """Through whoever runs it."""
        return self._several.cordon(host)

    def uncordon(self, host: str) -> None:
        """As it was."""
        self._several.uncordon(host)

    def broken(self) -> str | None:
        """Which part of the harness has died; None while all is well."""
        return self._broken()

    @contextmanager
    def traffic(self, order: TrafficOrder) -> Iterator[ProberTraffic]:
        """The prober, until its last record is on disk. On an exception it is asked to end early.

        ``broken`` tells if it ended otherwise than by its last row.
        """
        prober = self._start_prober(order)
        data = None if self._start_data is None else self._start_data(order)
        demand = None if self._start_demand is None else self._start_demand(order)
        for helper in (prober, data, demand):
            if helper is not None:
                helper.wait_ready(PROBER_READY_S)
        traffic = ProberTraffic(prober, data, demand)
        try:
            yield traffic
        except BaseException:
            traffic.stop()
            raise
        finally:
            self._await_end(prober, order)
            if demand is not None:
                self._await_end(demand, order)
            if data is not None:
                spec = self._deployment.plan.experiment.data
                self._await_end(data, order, FIRST_ROUND_S + (0.0 if spec is None else spec.settle_s))

    def _await_end(self, prober: Helper, order: TrafficOrder, more_s: float = 0.0) -> None:
        now_ns = self._clock.now_ns()
        end_ns = now_ns if prober.asked_to_end else max(now_ns, order.start_ns + to_ns(order.duration_s))
        deadline_s = self._deployment.plan.experiment.traffic.client.deadline_s
        prober.must_finish(to_s(end_ns - now_ns) + deadline_s + PROBER_END_S + more_s)
