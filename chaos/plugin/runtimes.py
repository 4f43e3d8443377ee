"""Runtimes: where nodes run, what is told to them, and what they find again after a crash."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from chaos.core.capabilities import REFUSALS, Capability
from chaos.core.clock import Clock
from chaos.core.values import Link
from chaos.experiment.pods import Past
from chaos.plugin.clusters import Cluster

if TYPE_CHECKING:
    from chaos.experiment.cluster import AttachSpec
    from chaos.experiment.document import Experiment
    from chaos.experiment.target.spec import Target
    from chaos.history.events import Row
    from chaos.plan.plan import Plan

COMMAND_GONE: Final = "the command that would do it is gone; what looks after it takes it back"
"""Of an errand on which nobody can be sent any more (``Runtime.at_home``)."""

Sink = Callable[["Row"], None]
"""Takes one row of the history; thread-safe, returns when the row is flushed."""


class Deployment(msgspec.Struct, frozen=True):
    """All that a runtime needs to bring a cluster up: pure data, resolved from experiment, target and plan."""

    run: str
    folder: Path
    plan: Plan
    target: Target


class Left(msgspec.Struct, frozen=True):
    """One thing that a run whose harness is gone left where its nodes ran."""

    run: str
    kind: str
    """``container``, ``machine``..."""
    subject: str
    """Its name there."""
    where: str = ""
    """Where it is, if the runtime knows several places: it is asked there again to remove it."""
    detail: str = ""


class CrashedRun(msgspec.Struct, frozen=True):
    """A run whose harness is gone, as far as anything is still known of it."""

    run: str
    folder: Path | None = None
    """None: nothing but its name is known."""
    where: str = ""
    """What the runtime gave as the place when it claimed the run."""
    harness: str = ""
    """The process that ran it, in words."""
    undone: tuple[tuple[str, str], ...] = ()
    """(action, subject) of what stands in its undo log and was not done."""
    further: tuple[str, ...] = ()
    """The other places, of a run on several hosts."""

    @property
    def places(self) -> tuple[str, ...]:
        """All of them; none where the runtime named no place."""
        return (self.where, *self.further) if self.where else ()


class Surrounding(msgspec.Struct, frozen=True):
    """A parameter of the models that is said by what runs around the nodes."""

    text: str
    """As in YAML: ``10s``, ``10s..15s``."""
    origin: str
    """Whose word it is, for people: ``kubelet's default``."""


class Told(msgspec.Struct, frozen=True):
    """What a system that runs already says of itself before a plan is made."""

    parameters: Mapping[str, str] = {}
    """Of the models, as in YAML: ``grace`` -> ``30s``."""
    name_servers: Mapping[str, int] = {}
    """Machine -> how many of those that answer names stand there; empty: nobody says it."""
    past: Mapping[str, Past] = {}
    """Node -> what the runtime remembers of its deaths."""
    unseen: str = ""
    """What could not be read, and why."""


class Spot(msgspec.Struct, frozen=True):
    """Where one node stands that runs already, or may stand that is to be started."""

    host: str
    """The machine."""
    zone: str = ""
    """That of the machine; empty where that was not asked, or nobody says it."""


class Runtime:
    """Where nodes run: what it can do is declared, ``up`` does it.

    What is started must be found again after a crash. ``chaos.registry.runs.claim`` enters the run before anything is started; processes
    with ``Claim.labels`` in their environment are ended by ``nines heal`` without more; all else is for ``leftovers`` and ``heal``.
    """

    name: ClassVar[str]
    offers: ClassVar[frozenset[Capability]]
    """What it can do truthfully, at best; ``lacks`` says where it cannot."""
    attached: ClassVar[frozenset[Capability] | None] = None
    """What it can do to nodes that it attaches to and did not start; None: it attaches to nothing."""
    attaches: ClassVar[frozenset[str]] = frozenset({"containers"})
    """What of (``AttachSpec.kind``), if it attaches at all."""
    words: ClassVar[Mapping[Capability, str]] = {}
    """Why it lacks one, where it knows better than the general words."""
    surroundings: ClassVar[Mapping[str, Surrounding]] = {}
    """What it does to nodes by itself, as parameters of the models (``back_off``, ``readiness_every``); targets and experiments may
    say otherwise."""
    virtual: ClassVar[bool] = False
    """Its nodes live in virtual time: it needs no machine, and what it shows is simulated."""
    at_home: Callable[[str, str], str] | None = None
    """Has something done to a host (what, which) where the command is that this harness has travelled from; why it could not be done, empty
    if it was (``COMMAND_GONE``: it is owed there). None: nobody is there."""
    preference: ClassVar[int] = 0
    """Where nobody names a runtime, the highest that suits is chosen; 0: never."""

    @abstractmethod
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> AbstractContextManager[Cluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always."""

    # --- what it can do --------------------------------------------------------------------------------------------------

    @classmethod
    def lacks(cls, need: Capability, target: Target, *, attached: bool = False) -> str:
        """Why it cannot do that to this target; empty if it can."""
        del target
        offered = (cls.attached or frozenset()) if attached else cls.offers
        return "" if need in offered else cls.words.get(need) or REFUSALS[need]

    @classmethod
    def around(cls, experiment: Experiment) -> Mapping[str, Surrounding]:
        """Its ``surroundings``, as far as they concern nodes of this experiment."""
        del experiment
        return cls.surroundings

    @classmethod
    def target_lacks(cls, target: Target, part: str) -> tuple[str, str] | None:
        """Why a part of a target cannot run there: what is wrong, and what to do about it."""
        del target, part
        return None

    @classmethod
    def link_lacks(cls, link: Link, target: Target) -> str:
        """Why this one link cannot be harmed; empty if it can."""
        del link, target
        return ""

    @classmethod
    def suits(cls, target: Target) -> str:
        """Why it is chosen for this target where nobody names a runtime; empty if it would not do here."""
        del target
        return ""

    @classmethod
    def place(cls) -> str:
        """Where on this machine or beyond it runs, for people; empty if there is no question."""
        return ""

    @classmethod
    def elsewhere(cls, plan: Plan) -> AbstractContextManager[object | None]:
        """What the harness must travel to for this plan, while it is connected: an engine, a cluster; None where nothing travels."""
        del plan
        return nullcontext(None)

    @classmethod
    def disk(cls) -> Path | None:
        """A folder of this machine where it keeps what nodes write, beside the run folder."""
        return None

    # --- what runs already -----------------------------------------------------------------------------------------------

    @classmethod
    def by_hand(cls) -> Runtime:
        """One that attaches without traffic, for a single fault by hand."""
        return cls()

    @classmethod
    def held_lacks(cls, plan: Plan, known: frozenset[Capability]) -> tuple[str, str] | None:
        """Why the one fault of this plan cannot be done by hand, though a run could do it: what is wrong, what to do. ``known``: what the
        faults need that the held cluster's own experiment plans, for which it was prepared."""
        del plan, known
        return None

    @classmethod
    def running(cls, attach: AttachSpec) -> dict[str, list[str]]:
        """The names of what runs and could be attached to: service -> names in the order of their nodes; under an empty name of a label."""
        del attach
        return {}

    @classmethod
    def spots(cls, attach: AttachSpec, named: Collection[str]) -> Sequence[Spot]:
        """Where they stand now, in the order of their nodes; ``named``: hosts and zones that somebody speaks of. Empty: it cannot tell."""
        del attach, named
        return []

    @classmethod
    def labels(cls, attach: AttachSpec, parts: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Part -> what each of its nodes is labelled with now, in their order; empty: nothing labels them, or it cannot tell."""
        del attach, parts
        return {}

    @classmethod
    def told(cls, attach: AttachSpec) -> Told:
        """What it says of itself, as far as it can be asked; changes nothing and refuses nothing."""
        del attach
        return Told()

    @classmethod
    def ground(cls, experiment: Experiment) -> Sequence[Spot]:
        """The hosts that nodes of ours can be placed on, beside those that the experiment names; empty: there are none."""
        del experiment
        return []

    @classmethod
    def keeper(cls, experiment: Experiment) -> str:
        """Who makes the volumes in which nodes of ours have their data, as far as that can be asked; empty: nobody, or it is not known."""
        del experiment
        return ""

    @classmethod
    def stays(cls, plan: Plan) -> str:
        """What nobody can take away again after such a run, in words: said before it. Empty: nothing stays."""
        del plan
        return ""

    @classmethod
    def contradictions(cls, plan: Plan) -> list[tuple[str, str, str]]:
        """What of a plan does not fit what runs there now: path in the experiment, what is wrong, what would be right.

        Looks only; empty where nothing runs yet, or cannot be looked at.
        """
        del plan
        return []

    # --- after a crash ---------------------------------------------------------------------------------------------------

    @classmethod
    def leftovers(cls, crashed: Sequence[CrashedRun], state: Path, *, thorough: bool) -> list[Left]:
        """What these runs left; ``thorough``: also what runs left that no record tells of. Changes nothing."""
        del crashed, state, thorough
        return []

    @classmethod
    def called(cls, folder: Path) -> Mapping[str, str]:
        """Node -> its own name, of a run in this folder that attached to what was there before; also while it goes on."""
        del folder
        return {}

    @classmethod
    def heal(cls, run: CrashedRun, left: Sequence[Left], state: Path) -> list[tuple[Left | None, str]]:
        """Remove what this run left, proving each thing gone; what could not be, and why (None: of the run as a whole). Safe to repeat."""
        del run, left, state
        return []
