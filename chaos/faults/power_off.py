"""``power_off``: the machine goes dark. From one instant on nothing comes from it and nothing reaches it, then its processes are dead.

``kill`` is a *loud* failure: the kernel of a living machine closes the sockets of a dead process and refuses at once. A machine
without power says nothing at all: every attempt costs its whole time-out, and connections stay open on the other side until
somebody gives up. So the silence comes first here: packet rules at the node and at everyone else, then the kill behind them,
whose resets nobody hears. They are two outages and two predictions.

With ``by: command`` a whole host loses its power, by a command of its own: a Docker host (``cluster.hosts``), or a machine of a Kubernetes
cluster (``attach.kubernetes.hosts``). Its nodes, our agents and what runs them go. That it is silent is seen by questions of the clients'
place, one after the other. On power Docker's engine is awaited, then our agents stand again, then the processes are started; on Kubernetes
kubelet starts them, and our agents follow.

On power the machine comes up (the rules go first, its network refuses), then its process. Data that was written survives, as it
does a crash of the process; what a real loss of power takes from a disk's cache does not happen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.system import SIGKILL
from chaos.core.values import CLIENTS, DNS, Cut, Evidence, Link, RoundTrip, Status, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base.nodes import HEALED_ALIVE, NodeFault, start_dead
from chaos.faults.base.silence import NOBODY_THERE, SILENT_WITHIN_S, TIMED_OUT, Silence
from chaos.plugin import Effect, HasHosts, Scene

MEASURE_TIMEOUT_S = 0.2
ZONE = "zone:"


class PowerOff(NodeFault, frozen=True, forbid_unknown_fields=True):
    """What brings the machine back: ``restart`` (the harness, after the schedule's ``for``) or ``none`` (dark to the end)."""

    recovery: Literal["restart", "none"] = "restart"
    by: Literal["rules", "command"] = "rules"
    """Packet rules and a kill at each node, or the command of the host that all of them stand on."""

    halts: ClassVar[bool] = True
    only_processes: ClassVar[bool] = False
    leader: ClassVar[Literal["ends"]] = "ends"
    awaits: ClassVar[Literal["restart"]] = "restart"
    drawn: ClassVar[tuple[str, ...]] = ("{}",)
    by_hand: ClassVar[str] = (
        "Remove the packet rules at the node and its peers (`nft delete table inet nines` in each one's network namespace), then "
        f"start the process again with the same data and address. {HEALED_ALIVE}"
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """Rules and signals; of a command, hosts that it switches."""
        if self.by == "command":
            return frozenset({Capability.SIGNALS, Capability.HOSTS})
        return frozenset({Capability.SIGNALS, Capability.STARTS, Capability.PACKET_RULES})

    @property
    def endless(self) -> bool:
        """It stays dark."""
        return self.recovery == "none"

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Cut, ...]:
        """Every packet of the victims, to and from everyone."""
        links = set()
        for node in victims.nodes:
            for other in (*(name for name in nodes if name != node), CLIENTS, DNS):
                links |= {Link(node, other), Link(other, node)}
        return tuple(Cut(link) for link in sorted(links))

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Silence, then death; nobody may get an answer, not even a refusal."""
        with (self._by_command if self.by == "command" else self._by_rules)(scene, victims) as effect:
            yield effect

    @contextmanager
    def _by_command(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """The host is switched off while its nodes are asked; ``went_dark`` is told since when none answers."""
        cluster, host = scene.cluster, victims.role.removeprefix(ZONE)
        if not isinstance(cluster, HasHosts):
            raise FaultNotEffective("this cluster stands on no hosts that could be switched off")
        nodes = cluster.nodes
        ways = [Link(CLIENTS, node) for node in victims.nodes]
        ways += [Link(other, node) for node in victims.nodes for other in nodes if other not in victims.nodes]
        before_trips = proof.ask_links(cluster.net, ways, MEASURE_TIMEOUT_S)
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes)) | proof.link_figures(before_trips)
        started_ns: list[int] = []
        with ExitStack() as undo:
            undo.enter_context(scene.undo.intent("power_on", host))
            try:
                asked = [Link(CLIENTS, node) for node in victims.nodes if nodes[node].status() is not Status.DOWN]
                with Silence(cluster.net, asked, scene.clock, MEASURE_TIMEOUT_S) as silence:
                    cluster.switch_off(host)
                    dark_ns = silence.since_ns(SILENT_WITHIN_S)
                cluster.went_dark(host, dark_ns)
                answers = proof.ask_links(cluster.net, ways, MEASURE_TIMEOUT_S)
                during: proof.Figures = {f"{node}.process": str(nodes[node].status()) for node in victims.nodes}
                during |= proof.link_figures(answers)
                self._prove(scene, victims, answers, {})
                effect = Effect(
                    dark_ns, f"the command that switches host '{host}' off", before, during,
                    lambda: self._gone(scene, victims, ways, [], before),
                )  # fmt: skip
                yield effect
            finally:
                if not self.endless:
                    cluster.switch_on(host)
                    started_ns += start_dead(scene, victims.nodes)
            effect.healed_at_ns = max(started_ns, default=None)

    @contextmanager
    def _by_rules(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        net, nodes = scene.cluster.net, scene.cluster.nodes
        rules = self.rules(victims, list(nodes))
        ways = [Link(CLIENTS, node) for node in victims.nodes]
        ways += [Link(other, node) for node in victims.nodes for other in nodes if other not in victims.nodes]
        further = proof.beyond(net, ways)
        before_trips = proof.ask_links(net, ways, MEASURE_TIMEOUT_S)
        passed = proof.ask_ways(net, further, MEASURE_TIMEOUT_S)
        further = [way for way in further if passed[way].rtt_s is not None]
        before = proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes)) | proof.link_figures(before_trips)
        before |= proof.link_figures({proof.way_text(way): [passed[way]] for way in further})
        started_ns: list[int] = []
        with ExitStack() as undo:
            undo.enter_context(scene.undo.intent("restore", ", ".join(str(rule.link) for rule in rules)))
            try:
                with net.layer(rules) as layer:
                    for node in victims.nodes:
                        undo.enter_context(scene.undo.intent("start", node))
                        nodes[node].kill(SIGKILL)
                    answers = proof.ask_links(net, ways, MEASURE_TIMEOUT_S)
                    during: proof.Figures = {f"{node}.process": str(nodes[node].status()) for node in victims.nodes}
                    during |= proof.link_figures(answers)
                    beyond = proof.ask_ways(net, further, MEASURE_TIMEOUT_S)
                    during |= proof.link_figures({proof.way_text(way): [trip] for way, trip in beyond.items()})
                    self._prove(scene, victims, answers, beyond)
                    mechanism = f"{layer.mechanism}; then SIGKILL"
                    effect = Effect(
                        layer.effective_at_ns, mechanism, before, during, lambda: self._gone(scene, victims, ways, further, before)
                    )  # fmt: skip
                    yield effect
            finally:
                started_ns += [] if self.endless else start_dead(scene, victims.nodes)
            effect.healed_at_ns = max(started_ns, default=None)

    def _prove(
        self, scene: Scene, victims: Victims, answers: dict[Link, list[RoundTrip]], further: dict[proof.Way, RoundTrip]
    ) -> None:  # fmt: skip
        alive = [node for node in victims.nodes if scene.cluster.nodes[node].status() is not Status.DOWN]
        if alive:
            raise FaultNotEffective(f"{', '.join(alive)} still ran after SIGKILL")
        silent = NOBODY_THERE if self.by == "command" else {TIMED_OUT}
        loud = [f"{link} ({trip.error or 'answers'})" for link, trips in answers.items() for trip in trips if trip.error not in silent]
        loud += [f"{proof.way_text(way)} ({trip.error or 'answers'})" for way, trip in further.items() if trip.error != TIMED_OUT]
        if loud:
            raise FaultNotEffective(f"not silent: {', '.join(loud)}")

    def _gone(
        self, scene: Scene, victims: Victims, ways: list[Link], further: list[proof.Way], before: proof.Figures
    ) -> Evidence:  # fmt: skip
        up = self.gone(scene, victims)
        if self.endless:
            return up
        answers = proof.ask_links(scene.cluster.net, ways, MEASURE_TIMEOUT_S)
        silent = [
            str(link)
            for link, trips in answers.items()
            if proof.median_rtt_s(trips) is None and before.get(f"{link}.rtt_s") is not None
        ]  # fmt: skip
        silent += [proof.way_text(way) for way, trip in proof.ask_ways(scene.cluster.net, further, MEASURE_TIMEOUT_S).items() if trip.error]
        why = "; ".join(part for part in (up.why, f"no answer on {', '.join(silent)}" if silent else "") if part)
        return Evidence(ok=up.ok and not silent, figures=up.figures | proof.link_figures(answers), why=why)
