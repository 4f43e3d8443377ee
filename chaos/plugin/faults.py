"""Faults: what is done, what they may use for it, and how they prove it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.values import Evidence, Rule, Victims
from chaos.plugin.clusters import Cluster

if TYPE_CHECKING:
    from chaos.experiment.cluster import Resources
    from chaos.experiment.selectors import Selector
    from chaos.experiment.target.spec import Target


class Undo(Protocol):
    """The write-ahead log: what must be taken back is on disk before the harm is done."""

    def intent(self, action: str, subject: str) -> AbstractContextManager[None]:
        """Entering writes the intent durably; leaving *without an error* marks it done."""
        ...


class Scene(msgspec.Struct, frozen=True):
    """What a fault may use."""

    cluster: Cluster
    clock: Clock
    undo: Undo


class Effect(msgspec.Struct):
    """A fault in force. The fault fills ``healed_at_ns`` while it is left."""

    effective_at_ns: int
    mechanism: str
    before: dict[str, float | str | None]
    during: dict[str, float | str | None]
    gone: Callable[[], Evidence]
    """Measures, once healed, whether it is gone; asked again until it is or the settling time is over."""
    healed_at_ns: int | None = None
    step: Callable[[], int | None] | None = None
    """For a fault that goes on by itself (a rolling restart): does what is due now, never waits, and says when it is to be called
    again; None: it has done all it had to, and is healed at once."""


class Reference(msgspec.Struct, frozen=True):
    """A name that stands in a fault's field and must be one of the cluster's."""

    field: str
    what: str
    """``node``, ``operation``, ``port`` (of each victim's part) or ``network``."""
    name: str


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to harm: a frozen struct whose fields are its YAML, and one method. ``chaos/faults/pause.py`` is the smallest.

    All else is a declaration with a default. One that is a property here may be a class variable in a fault where it does not depend on
    the fields. Nothing outside a fault's own file knows its fields.
    """

    # What it is done to, and with what.
    takes: ClassVar[tuple[str, ...]] = ("nodes",)
    """What a selector may give it: ``nodes``, ``links``, ``groups``; nothing for one that is done to nobody in particular."""
    halts: ClassVar[bool] = False
    """Of one that acts on links: it stops the processes of its victims as well, so that nothing else can be done to them meanwhile."""
    only_processes: ClassVar[bool] = False
    """It does nothing but to processes: of a victim that runs again, nothing of it can be left."""
    hangs: ClassVar[bool] = False
    """Its victims go on accepting connections, and never answer."""
    pings: ClassVar[bool] = True
    """It proves itself by asking its victims on their clients' port; False for one that asks by other ways."""
    of_connections: ClassVar[bool] = False
    """Its links are meant as connections, which are opened one way, although its rules are about packets."""

    # What people read of it.
    by_hand: ClassVar[str] = ""
    """How it is taken back without the harness, and when it is healed: a line of the runbook."""

    drawn: ClassVar[tuple[str, ...]] = ()
    """Its fields as ``nines explore`` may draw them, each as a file writes them: ``{latency: 50ms}``. None: only where a file has it."""

    # What the models and the judgement go by (``Traits``).
    leader: ClassVar[Literal["keeps", "outlasts", "ends"]] = "keeps"
    """What becomes of a leader that it hits: it ``ends``, it is followed by another if the fault ``outlasts`` the others' patience, or
    it ``keeps`` its place."""
    polite: ClassVar[bool] = False
    """It asks a node to end, so that a system may hand over first."""
    severs: ClassVar[bool] = False
    """Nodes are cut from each other by it."""
    awaits: ClassVar[Literal["heal", "restart", "resume"]] = "heal"
    """What its victims are waited for with: a phase of the outages that it makes."""
    of_name: ClassVar[bool] = False
    """It is done to the name in front of the cluster, and to no node."""

    unpredicted: ClassVar[str] = ""
    """Why no model knows it, or not every form of it (entry points ``nines.models``)."""

    @property
    def needs(self) -> frozenset[Capability]:
        """What its runtime must offer."""
        return frozenset()

    @property
    def takes_down(self) -> bool:
        """Its victims count against ``limits.nodes_down``. See ``SaysWhoIsDown`` for one that takes down others than its victims."""
        return False

    @property
    def untargeted(self) -> bool:
        """It names its victims itself, or has none: a selector is refused, and ``pick`` is asked."""
        return False

    @property
    def endless(self) -> bool:
        """It is never taken back within the run."""
        return False

    @property
    def revival(self) -> str:
        """Who brings nodes back that it kills: ``restart`` (the harness), ``policy`` (the runtime), ``none``. Empty: that is no choice."""
        return ""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Whom it keeps apart, named in its own fields."""
        return ()

    @property
    def network(self) -> str:
        """The one of the nodes' networks that it is about; empty: all of them."""
        return ""

    @property
    def order(self) -> str:
        """How it takes its victims: ``together``, ``rolling`` (one after the other, by name) or ``leader-last``."""
        return "together"

    @property
    def last_first(self) -> bool:
        """One after the other it takes them from the last name to the first."""
        return False

    @property
    def ends_within_s(self) -> float | None:
        """So long its nodes may take to end before they are killed; 0: at once, None: as they or whoever runs them have it."""
        return None

    @property
    def role(self) -> str:
        """Of victims that no selector gave: with the kind it makes the fault class."""
        return ""

    @property
    def side(self) -> str:
        """What comes before the role of a selector's victims, where others are taken with them: ``majority``."""
        return ""

    @property
    def whom(self) -> str:
        """Whom it is done to without a selector, in words."""
        return " | ".join(",".join(group) for group in self.groups)

    @property
    def names(self) -> tuple[Reference, ...]:
        """What its fields call by name."""
        return ()

    def refuses(self, target: Selector) -> tuple[str, str] | None:
        """Why it cannot be meant with this selector: what is wrong, and what would be right."""
        del target
        return None

    def target_lacks(self, target: Target) -> str | None:
        """What a target lacks, so that it cannot be done or proven there."""
        del target
        return None

    def pick(self, members: Sequence[str]) -> Victims:
        """Whom it is done to without a selector, of these nodes in this (random) order. ``BadInput`` if they are too few."""
        del members
        return Victims(groups=self.groups, role="groups") if self.groups else Victims(role=self.role)

    def orders(self, members: Sequence[str]) -> list[list[str]]:
        """Orders of the members that bring ``pick`` to all that it may come to touch: by default each of them once in front."""
        return [[*members[start:], *members[:start]] for start in range(len(members))] or [[]]

    def widen(self, victims: Victims, members: Sequence[str], others: Sequence[str], protect: Collection[str]) -> Victims:
        """The victims of a selector with whom else it takes: ``others`` of their part's members, in this (random) order."""
        del members, others, protect
        return victims

    @abstractmethod
    def inject(self, scene: Scene, victims: Victims) -> AbstractContextManager[Effect]:
        """Enter: harm, prove from outside that it took (else heal and raise ``FaultNotEffective``). Leave: heal."""


@runtime_checkable
class SaysWhoIsDown(Protocol):
    """A fault that takes down others than its victims, or not all of them at once."""

    def cuts(self, victims: Victims, nodes: Sequence[str]) -> frozenset[str]:
        """The nodes that are down or cut off at one time, at worst."""
        ...


@runtime_checkable
class ActsOnLinks(Protocol):
    """A fault that harms links, and can say which ones."""

    def rules(self, victims: Victims, nodes: Sequence[str]) -> Sequence[Rule]:
        """The rules for these victims among these nodes: pure, so that the plan knows which links must be prepared."""
        ...


@runtime_checkable
class NeedsLimits(Protocol):
    """A fault that may begin only where the nodes have limits."""

    def lacks(self, resources: Resources) -> tuple[str, str] | None:
        """What of the resources is not such that it may begin: what is wrong, and what would be right."""
        ...


@runtime_checkable
class NeedsOfMachine(Protocol):
    """A fault that some machines cannot do, on a runtime whose nodes are processes of this machine."""

    def lacks_here(self, target: Target) -> str | None:
        """What this machine lacks for it, and how to get it; None if nothing."""
        ...
