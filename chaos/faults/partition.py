"""``partition``: nothing passes between groups of nodes, or between some nodes and the clients.

    isolate n1        n1 | n2 n3         the target's nodes stay together, all other peers are the other side
    majority n1       n1 n2 | n3         the target stands on the side of a majority, with others picked at random; the rest is apart
    minority n1       n1 | n2 n3         the same on the side of what a majority leaves
    groups            [[n1, n2], [n3]]   who is not named makes one more group; ``clients`` may stand in a group
    halves            n3 n1 | n2         a random half of the part behind the name against the other
    bridge            n3 - n1 - n2       two halves, and a random node between them that sees both
    ring              n1 > n2 > n3 > n1  each node hears a majority, and no two the same
    a link            "n1 -> n2"         just these connections

``by: host`` cuts the network of a whole machine where the machine stands, and not only that of its nodes: who runs them hears nothing
of it either, and takes it for lost after a while. ``network`` cuts packets of that one of the nodes' networks alone; without it all of
them are cut.

``direction`` belongs to ``isolate``: ``to`` cuts what the others open to the target, ``from`` what the target opens.

A directed link names connections that its source *opens* where it is cut through Toxiproxy (runtime local), packets where it
is cut by packet rules. ``drop`` is silence, ``reject`` an immediate no.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.values import CLIENTS, DNS, Cut, Evidence, Link, RoundTrip, Victims
from chaos.experiment.selectors import LinkTo, Same, Selector
from chaos.experiment.tables import DISTINCT
from chaos.faults.base import evidence as proof
from chaos.faults.base.hosts import whole_host
from chaos.plan import shapes
from chaos.plan.candidates import NothingMatched
from chaos.plugin import Effect, Fault, Net, Reference, Scene

MEASURE_TIMEOUT_S = 0.2
CUT_BY_HAND = 'of the cut links again (Toxiproxy: `POST /proxies/<name>`, `{"enabled": true}`).'
ASKED_AGAIN = 5

Answers = dict[proof.Way, RoundTrip]


class Partition(Fault, frozen=True, forbid_unknown_fields=True):
    """Who is cut from whom, and how it feels."""

    shape: Literal["isolate", "majority", "minority", "halves", "bridge", "ring"] = "isolate"
    groups: tuple[Annotated[tuple[str, ...], DISTINCT], ...] = ()
    direction: Literal["both", "to", "from"] = "both"
    behavior: Literal["drop", "reject"] = "drop"
    include: tuple[Literal["peers", "clients", "dns"], ...] = ("peers",)
    existing: Literal["cut", "keep"] = "cut"
    network: str = ""
    port: str = ""
    by: Literal["rules", "host"] = "rules"

    takes: ClassVar[tuple[str, ...]] = ("nodes", "links", "groups")
    takes_down: ClassVar[bool] = True
    leader: ClassVar[Literal["outlasts"]] = "outlasts"
    severs: ClassVar[bool] = True
    drawn: ClassVar[tuple[str, ...]] = ("{}", "{direction: to}", "{direction: from}")
    by_hand: ClassVar[str] = f"Enable the proxies {CUT_BY_HAND} It is healed when both sides answer each other."

    def __post_init__(self) -> None:
        """Fields that would say nothing together are refused."""
        if self.groups and self.shape != "isolate":
            raise ValueError("'groups' and 'shape' exclude each other")
        if (self.groups or self.shape != "isolate") and (self.direction != "both" or self.include != ("peers",)):
            raise ValueError("'direction' and 'include' belong to the shape 'isolate'")
        more = (self.groups, self.shape, self.direction, self.behavior, self.include, self.existing, self.network, self.port)
        if self.by == "host" and more != ((), "isolate", "both", "drop", ("peers",), "cut", "", ""):
            raise ValueError("'by: host' cuts everything off a host: leave the other fields out")
        if self.port and self.network:
            raise ValueError("'port' and 'network' exclude each other: a proxy stands in ports, a packet rule in networks")

    @property
    def needs(self) -> frozenset[Capability]:
        """Links; to cut one network or new connections only needs more."""
        found = {Capability.LINKS}
        found |= {Capability.HOST_CUTS} if self.by == "host" else set()
        found |= {Capability.NETWORKS} if self.network else set()
        found |= {Capability.PORT_CUTS} if self.port else set()
        return frozenset(found | ({Capability.NEW_CONNECTIONS} if self.existing == "keep" else set()))

    # --- to whom -------------------------------------------------------------------------------------------------------

    @property
    def untargeted(self) -> bool:
        """Groups and shapes of a whole part name everybody themselves."""
        return bool(self.groups) or self.shape in shapes.WHOLE

    @property
    def role(self) -> str:
        """Of a whole part: its shape; of groups: that they are such."""
        return self.shape if self.shape in shapes.WHOLE else "groups"

    @property
    def side(self) -> str:
        """Of others that stand on the side of the target."""
        return self.shape if self.shape in shapes.SIDED else ""

    @property
    def whom(self) -> str:
        """The groups, or everybody."""
        return " | ".join(",".join(group) for group in self.groups) or "all nodes"

    @property
    def names(self) -> tuple[Reference, ...]:
        """The network is one of the cluster's, the port one of each node that is cut off."""
        if self.port:
            return (Reference("port", "port", self.port),)
        return (Reference("network", "network", self.network),) if self.network else ()

    def refuses(self, target: Selector) -> tuple[str, str] | None:
        """Fields that contradict a selector."""
        if self.groups:
            return "'groups' and 'target' exclude each other", "one of them"
        if isinstance(target, LinkTo) and self.shape in shapes.SIDED:
            return "a link has no shape", "a node, such as leader or n2"
        if isinstance(target, LinkTo) and self.direction != "both":
            return "a link has its direction by its arrow", "leave 'direction' out: ->, or <-> for both"
        if isinstance(target, Same) and self.shape in shapes.SIDED:
            return "a shape picks who stands where by itself", "a node, such as leader or n2"
        return None

    def pick(self, members: Sequence[str]) -> Victims:
        """The groups, or a shape of the whole part."""
        if self.groups:
            return Victims(groups=self.groups, role="groups")
        if len(members) < (3 if self.shape == shapes.BRIDGE else 2):
            raise NothingMatched(f"{len(members)} nodes make no '{self.shape}'")
        if self.shape == shapes.HALVES:
            return Victims(groups=shapes.halves(members), role=self.shape)
        links = shapes.bridge(members) if self.shape == shapes.BRIDGE else shapes.ring(members)
        if not links:
            raise NothingMatched(f"{len(members)} nodes make no '{self.shape}': every majority is all of them")
        return Victims(links=links, role=self.shape)

    def orders(self, members: Sequence[str]) -> list[list[str]]:
        """A ring is turned in vain: every two nodes must come to opposite places of it."""
        return shapes.opposites(members) if self.shape == shapes.RING else super().orders(members)

    def widen(self, victims: Victims, members: Sequence[str], others: Sequence[str], protect: Collection[str]) -> Victims:
        """So many others with the victims, the first in this order, as make a majority or a minority of their part."""
        if not self.side or not victims.nodes:
            return victims
        count = shapes.side_size(self.shape, len(members))
        # The smaller side is the one that is cut off: no protected node may come to stand there.
        first = [*victims.nodes, *(name for name in members if name in protect and self.shape == shapes.MAJORITY)]
        if count < len(first) or count > len(first) + len(others):
            raise NothingMatched(f"{len(first)} of {len(members)} nodes cannot stand in a {self.shape} of {count}")
        together = {*first, *others[: count - len(first)]}
        sides = shapes.side([name for name in members if name in together] + [name for name in members if name not in together], count)
        return Victims(groups=sides, role=f"{self.shape}:{victims.role}")

    # --- harm ----------------------------------------------------------------------------------------------------------

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Cut, ...]:
        """Every directed link that is cut for these victims among these nodes."""
        return tuple(Cut(link, self.behavior, self.existing, self.network, self.port) for link in sorted(self._links(victims, nodes)))

    def _links(self, victims: Victims, nodes: Sequence[str]) -> set[Link]:
        if victims.links:
            return set(victims.links)
        groups = victims.groups or self.groups
        if groups:
            named = {member for group in groups for member in group}
            # A shape is one of its own part: nodes of other parts, and protected ones, see everybody.
            rest = tuple(node for node in nodes if node not in named) if self.groups else ()
            sides = [*groups, rest] if rest else list(groups)
            return {
                Link(one, other)
                for side in sides
                for one in side
                for another in sides
                if another is not side
                for other in another
                if other not in {CLIENTS, DNS}
            }
        links: set[Link] = set()
        inside = victims.nodes
        if self.by == "host":
            peers = [node for node in nodes if node not in inside]
            both = {link for node in inside for other in peers for link in (Link(node, other), Link(other, node))}
            return both | {Link(CLIENTS, node) for node in inside}
        outside = [node for node in nodes if node not in inside] if "peers" in self.include else []
        for node in inside:
            if self.direction != "from":
                links |= {Link(other, node) for other in outside}
                links |= {Link(end, node) for end in (CLIENTS, DNS) if end in self.include}
            if self.direction != "to":
                links |= {Link(node, other) for other in outside}
        return links

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Cut; no question may pass any cut link on a cut network, and on the other ones all pass that did."""
        if self.by == "host":
            with whole_host(scene, victims) as cut:
                yield cut
            return
        net = scene.cluster.net
        rules = self.rules(victims, list(scene.cluster.nodes))
        links = {rule.link: None for rule in rules}
        ways = proof.ways(net, list(links))
        if self.port:  # questions of ours on further addresses go to ports of ours, which are not cut
            ways = [(link.at(port), "") for link in links for port in self._ports_asked(scene, link)]
        before = proof.ask_ways(net, ways, MEASURE_TIMEOUT_S)
        with scene.undo.intent("restore", ", ".join(str(rule.link) for rule in rules)):
            with net.layer(rules) as layer:
                answers = proof.ask_ways(net, ways, MEASURE_TIMEOUT_S)
                self._check(net, before, answers)
                effect = Effect(layer.effective_at_ns, layer.mechanism, _figures(before), _figures(answers), lambda: _gone(net, before))
                yield effect
            effect.healed_at_ns = layer.healed_at_ns or scene.clock.now_ns()

    def _ports_asked(self, scene: Scene, link: Link) -> list[str]:
        """The one that is cut, and the others of the link's end, which must go on answering; no names where all are cut."""
        node = scene.cluster.nodes.get(link.destination)
        others = [port for port in node.info.ports if port != self.port] if self.port and node is not None else []
        return [self.port, *others]

    def _check(self, net: Net, before: Answers, answers: Answers) -> None:
        """Raise unless just what was to be cut is silent; one that should pass is asked again, since a busy machine may be late."""
        cut = {way for way in answers if way[0].port == self.port and (not self.network or way[1] in ("", self.network))}
        passing = [proof.way_text(way) for way in answers if way in cut and answers[way].rtt_s is not None]
        if passing:
            raise FaultNotEffective(f"questions still pass on {', '.join(passing)}")
        for _ in range(ASKED_AGAIN):
            late = [way for way in _silent(before, answers) if way not in cut]
            if not late:
                return
            answers |= proof.ask_ways(net, late, MEASURE_TIMEOUT_S)
        silent = [proof.way_text(way) for way in _silent(before, answers) if way not in cut]
        if silent:
            raise FaultNotEffective(f"nothing passes any more on {', '.join(silent)}, which was not to be cut")


def _gone(net: Net, before: Answers) -> Evidence:
    answers = proof.ask_ways(net, list(before), MEASURE_TIMEOUT_S)
    # A link that did not answer before the cut (its node was down by an overlapping fault) cannot be asked to answer after it.
    silent = ", ".join(map(proof.way_text, _silent(before, answers)))
    return Evidence(ok=not silent, figures=_figures(answers), why=f"no answer on {silent}" if silent else "")


def _silent(before: Answers, now: Answers) -> list[proof.Way]:
    """Those that answered before."""
    return [way for way, trip in now.items() if trip.rtt_s is None and before[way].rtt_s is not None]


def _figures(answers: Answers) -> proof.Figures:
    return proof.link_figures({proof.way_text(way): [trip] for way, trip in answers.items()})
