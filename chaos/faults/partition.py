"""``partition``: nothing passes between groups of nodes, or between some nodes and the clients.

    isolate n1        n1 | n2 n3         the target's nodes stay together, all other peers are the other side
    majority n1       n1 n2 | n3         the target stands on the side of a majority, with others picked at random; the rest is apart
    minority n1       n1 | n2 n3         the same on the side of what a majority leaves
    groups            [[n1, n2], [n3]]   who is not named makes one more group; ``clients`` may stand in a group
    halves            n3 n1 | n2         a random half of the part behind the name against the other
    bridge            n3 - n1 - n2       two halves, and a random node between them that sees both
    ring              n1 > n2 > n3 > n1  each node hears a majority, and no two the same
    a link            "n1 -> n2"         just these connections

``direction`` belongs to ``isolate``: ``to`` cuts what the others open to the target, ``from`` what the target opens.

A directed link names connections that its source *opens* where it is cut through Toxiproxy (runtime local), packets where it
is cut by packet rules. ``drop`` is silence, ``reject`` an immediate no.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

import msgspec

from chaos import proof
from chaos.errors import FaultNotEffective
from chaos.kinds import CLIENTS, DNS, Cut, Effect, Evidence, Link, Scene, Victims
from chaos.target import Target

MEASURE_TIMEOUT_S = 0.2


class Partition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is cut from whom, and how it feels."""

    shape: Literal["isolate", "majority", "minority", "halves", "bridge", "ring"] = "isolate"
    groups: tuple[tuple[str, ...], ...] = ()
    direction: Literal["both", "to", "from"] = "both"
    behavior: Literal["drop", "reject"] = "drop"
    include: tuple[Literal["peers", "clients", "dns"], ...] = ("peers",)
    existing: Literal["cut", "keep"] = "cut"

    takes: ClassVar[tuple[str, ...]] = ("nodes", "links", "groups")
    takes_down: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Fields that would say nothing together are refused."""
        if self.groups and self.shape != "isolate":
            raise ValueError("'groups' and 'shape' exclude each other")
        if (self.groups or self.shape != "isolate") and (self.direction != "both" or self.include != ("peers",)):
            raise ValueError("'direction' and 'include' belong to the shape 'isolate'")

    @property
    def untargeted(self) -> bool:
        """Groups and shapes of a whole part name everybody themselves."""
        return bool(self.groups) or self.shape in {"halves", "bridge", "ring"}

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Cutting only what is new needs packet rules."""
        if self.existing == "keep" and runtime == "local":
            return "'existing: keep' (cut new connections only) needs packet rules, which plain processes do not have"
        return None

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Cut, ...]:
        """Every directed link that is cut for these victims among these nodes."""
        return tuple(Cut(link, self.behavior, self.existing) for link in sorted(self._links(victims, nodes)))

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
        """Cut; no question may pass any cut link."""
        net = scene.cluster.net
        rules = self.rules(victims, list(scene.cluster.nodes))
        links = [rule.link for rule in rules]
        before = proof.link_figures(proof.ask_links(net, links, MEASURE_TIMEOUT_S))
        with scene.undo.intent("restore", ", ".join(map(str, links))):
            with net.layer(rules) as layer:
                answers = proof.ask_links(net, links, MEASURE_TIMEOUT_S)
                passing = [str(link) for link, trips in answers.items() if proof.median_rtt_s(trips) is not None]
                if passing:
                    raise FaultNotEffective(f"questions still pass on {', '.join(passing)}")
                effect = Effect(
                    layer.effective_at_ns, layer.mechanism, before, proof.link_figures(answers), lambda: self._gone(scene, links, before)
                )
                yield effect
            effect.healed_at_ns = scene.clock.now_ns()

    @staticmethod
    def _gone(scene: Scene, links: list[Link], before: proof.Figures) -> Evidence:
        answers = proof.ask_links(scene.cluster.net, links, MEASURE_TIMEOUT_S)
        figures = proof.link_figures(answers)
        # A link that did not answer before the cut (its node was down by an overlapping fault) cannot be asked to answer after it.
        silent = [
            str(link) for link, trips in answers.items() if proof.median_rtt_s(trips) is None and before.get(f"{link}.rtt_s") is not None
        ]
        return Evidence(ok=not silent, figures=figures, why=f"no answer on {', '.join(silent)}" if silent else "")
