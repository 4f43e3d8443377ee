"""The one page that the author of a plug-in reads: what faults, probes, runtimes, reports and models are, and what they are given.

    experiment -> plan -> run(plan, cluster) -> history on disk -> timeline -> estimates -> verdict -> report

    nines.faults     a class ``Fault``       what is done, and how it is proven
    nines.models     a ``Model``             what that should come to, for the fault of the same name
    nines.runtimes   a class ``Runtime``     where nodes run; ``up`` gives a ``Cluster`` of ``Node``s, with a ``Net``
    nines.probes     a ``Build``             how one operation of the traffic is sent: ``build(setup)`` gives a ``Probe``
    nines.reports    a function              from a ``Report`` to text
    nines.checks     a class ``Check``       what is found wrong in the data that clients wrote and read
    nines.exports    a function              from a run folder to text, for another tool

*When* (schedule), *what* (fault), *to whom* (selector) and *where* (runtime) are apart. A fault is one method that returns a
context manager: entering harms, leaving heals; it has no duration and never sleeps. What a fault ``needs`` and a runtime ``offers`` are
the words of ``Capability``. What happened is pushed, as rows of ``history/events.py``, into a ``Sink`` at the moment it happens.

Everything in ``__all__`` can be imported from here. ``chaos.testing`` has checks for each kind; docs/extending.md shows one of each.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, runtime_checkable

import msgspec

from chaos.core.capabilities import REFUSALS, Capability
from chaos.core.clock import Clock
from chaos.core.values import (
    Allowed,
    ClockReading,
    Evidence,
    Held,
    Link,
    Load,
    Loaded,
    LookUp,
    NameHarm,
    NamesHarmed,
    NodeInfo,
    OpenFiles,
    Passage,
    Room,
    RoundTrip,
    Rule,
    Sent,
    Status,
    TrafficOrder,
    Train,
    Usage,
    Victims,
    Work,
)

if TYPE_CHECKING:
    from chaos.core.clock import to_ns, to_s
    from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable, FaultNotEffective, NotHealed
    from chaos.core.units import Bytes, BytesPerSecond, PerSecond, Ratio, Seconds
    from chaos.core.values import Cut, Loss, Shaping, Toxic
    from chaos.data.check import Breach, Budget, Check, Finding, Undecided
    from chaos.data.operations import DataHistory, KeyHistory, Operation
    from chaos.experiment.cluster import AttachSpec, Resources
    from chaos.experiment.document import Experiment
    from chaos.experiment.selectors import Selector
    from chaos.experiment.target.spec import Target
    from chaos.faults.base import evidence
    from chaos.history.events import Row
    from chaos.history.observations import Outcome, Why
    from chaos.plan.plan import Plan
    from chaos.predict.scenarios.case import Case
    from chaos.predict.scenarios.client import Scenario
    from chaos.registry.runs import Claim, claim
    from chaos.results.report import Report
    from chaos.traffic.probe import Build, Carrier, Probe, SaysValue, Setup, Slot, StartsSomething, Template, Written, reads

__all__ = [
    "ActsOnLinks",
    "Allowed",
    "AttachSpec",
    "BadInput",
    "Breach",
    "Budget",
    "Build",
    "Bytes",
    "BytesPerSecond",
    "Capability",
    "CapabilityMissing",
    "Carrier",
    "Case",
    "Check",
    "Claim",
    "Clock",
    "ClockReading",
    "Cluster",
    "CrashedRun",
    "Crowd",
    "Cut",
    "DataHistory",
    "Deletable",
    "Deployment",
    "Disks",
    "Effect",
    "EnvironmentUnusable",
    "Evictable",
    "Evidence",
    "Fault",
    "FaultNotEffective",
    "Finding",
    "GathersCrowds",
    "Gauge",
    "HasAddresses",
    "HasDisks",
    "HasHosts",
    "HasLoads",
    "HasMembers",
    "HasNames",
    "HasNetworks",
    "Held",
    "KeyHistory",
    "KillsServing",
    "Layer",
    "Left",
    "LimitsFiles",
    "Line",
    "Link",
    "Load",
    "Loaded",
    "Loads",
    "LookUp",
    "Loss",
    "Model",
    "NameHarm",
    "Names",
    "NamesHarmed",
    "NeedsLimits",
    "NeedsOfMachine",
    "Net",
    "Node",
    "NodeInfo",
    "NotHealed",
    "OpenFiles",
    "Operation",
    "Outcome",
    "Passage",
    "PerSecond",
    "Plan",
    "Probe",
    "Ratio",
    "ReadsClocks",
    "Reference",
    "Removable",
    "Report",
    "Resources",
    "Room",
    "RoundTrip",
    "Row",
    "Rule",
    "Runtime",
    "SaysValue",
    "SaysWhoIsDown",
    "Scenario",
    "Scene",
    "Seconds",
    "Selector",
    "SendsSurges",
    "Sent",
    "SetsClock",
    "Setup",
    "Shaping",
    "Sink",
    "Slot",
    "Spot",
    "StartsSomething",
    "Status",
    "Surge",
    "Surrounding",
    "Target",
    "Template",
    "Toxic",
    "Traffic",
    "TrafficOrder",
    "Train",
    "Undecided",
    "Undo",
    "Usage",
    "Victims",
    "Why",
    "Work",
    "Written",
    "claim",
    "evidence",
    "reads",
    "to_ns",
    "to_s",
]

_FROM: Final = {
    "chaos.core.clock": (
        "to_ns",
        "to_s",
    ),
    "chaos.core.errors": (
        "BadInput",
        "CapabilityMissing",
        "EnvironmentUnusable",
        "FaultNotEffective",
        "NotHealed",
    ),
    "chaos.core.units": (
        "Bytes",
        "BytesPerSecond",
        "PerSecond",
        "Ratio",
        "Seconds",
    ),
    "chaos.core.values": (
        "Cut",
        "Loss",
        "Shaping",
        "Toxic",
    ),
    "chaos.data.check": (
        "Breach",
        "Budget",
        "Check",
        "Finding",
        "Undecided",
    ),
    "chaos.data.operations": (
        "DataHistory",
        "KeyHistory",
        "Operation",
    ),
    "chaos.experiment.cluster": ("AttachSpec", "Resources"),
    "chaos.experiment.selectors": ("Selector",),
    "chaos.experiment.target.spec": ("Target",),
    "chaos.faults.base": ("evidence",),
    "chaos.history.events": ("Row",),
    "chaos.history.observations": (
        "Outcome",
        "Why",
    ),
    "chaos.plan.plan": ("Plan",),
    "chaos.predict.scenarios.case": ("Case",),
    "chaos.predict.scenarios.client": ("Scenario",),
    "chaos.registry.runs": (
        "Claim",
        "claim",
    ),
    "chaos.results.report": ("Report",),
    "chaos.traffic.probe": (
        "Build",
        "Carrier",
        "Probe",
        "SaysValue",
        "Setup",
        "Slot",
        "StartsSomething",
        "Template",
        "Written",
        "reads",
    ),
}
"""Where those names are that are loaded only when they are asked for."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of any kind
    module = next((module for module, names in _FROM.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in _THINKING:
            raise
        return type(name, (_Judged,), {})
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")


COMMAND_GONE: Final = "the command that would do it is gone; what looks after it takes it back"
"""Of an errand on which nobody can be sent any more (``Runtime.at_home``)."""
_THINKING: Final = ("numpy", "scipy")
"""What only predicting and judging import: a harness beside an engine that is elsewhere acts, and has neither."""


class _Judged:
    """Stands for what is only where runs are predicted and judged, so that a plug-in's module loads where its fault is done."""

    def __init__(self, *_: object, **__: object) -> None:
        from chaos.core.errors import EnvironmentUnusable

        raise EnvironmentUnusable(
            f"{type(self).__name__} is not here: this process does runs and judges none", how="judge where the command is"
        )


class Layer(msgspec.Struct):
    """A set of rules in force: since when, and by what means they were brought about. The net fills ``healed_at_ns`` while it is left."""

    effective_at_ns: int
    mechanism: str
    healed_at_ns: int | None = None
    """When the last of the rules was gone; None while they are in force, and where that could not be told."""


class Net(Protocol):
    """Harm to links. Layers stack: leaving one removes its rules and no others."""

    def layer(self, rules: Sequence[Rule]) -> AbstractContextManager[Layer]:
        """Entering puts the rules in force and reads them back; leaving removes them and reads that back."""
        ...

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question from where the link starts, by the way its traffic takes, to the node at its end."""
        ...


@runtime_checkable
class Gauge(Protocol):
    """A net that can send bytes of its own through what harms a link, to measure more of it than a round trip shows."""

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Send so many bytes ``upstream`` or ``downstream``, to a partner of ours, through the toxics that are in force on the link."""
        ...


@runtime_checkable
class Line(Protocol):
    """A net that can send packets of its own over a link itself, past no harm that is on it, and count what arrives at its end."""

    def train(self, link: Link, datagrams: int, timeout_s: float) -> Train:
        """So many datagrams, a few at a time; ``timeout_s`` is how long the last ones may be under way."""
        ...

    def flow(self, link: Link, size_bytes: int, timeout_s: float) -> Passage:
        """So many bytes on one connection; the first quarter only fills the line, so that ``last_s`` and ``bytes`` begin after it."""
        ...


@runtime_checkable
class HasNetworks(Protocol):
    """A net of nodes that stand on several networks, each of which can be cut alone."""

    def networks_of(self, link: Link) -> tuple[str, ...]:
        """The names of those that both its ends stand on, in their order; empty where networks have none."""
        ...

    def measure_on(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        """How long a connection of ours takes to open over this link on one of them."""
        ...


@runtime_checkable
class HasAddresses(Protocol):
    """A net whose ends may have more addresses than the plan knows (IPv6). Each is a way of its own, harmed and proven like the rest."""

    def beyond(self, link: Link) -> tuple[str, ...]:
        """Those of the link's end that can be reached from its start and measured."""
        ...

    def measure_to(self, link: Link, there: str, timeout_s: float) -> RoundTrip:
        """How long a connection of ours takes to open to one of them."""
        ...

    def train_to(self, link: Link, there: str, datagrams: int, timeout_s: float) -> Train:
        """``Line.train`` to one of them."""
        ...


class Names(Protocol):
    """Harm to the name in front of the cluster. Several at a time add up; leaving one takes away that one."""

    def harm(self, order: NameHarm) -> AbstractContextManager[NamesHarmed]:
        """Entering tells the server and waits until it says that it does so; ``FaultNotEffective`` if it does not."""
        ...

    def look_up(self, timeout_s: float) -> LookUp:
        """Ask the name server for the cluster's name, as a client without a cache would."""
        ...


@runtime_checkable
class HasNames(Protocol):
    """A cluster whose name server takes orders."""

    @property
    def names(self) -> Names: ...


# --- nodes, clusters, runtimes -----------------------------------------------------------------------------------------


class Node(Protocol):
    """One running copy of the system under test. Each verb returns when it has happened, with the CLOCK_MONOTONIC ns of it."""

    @property
    def info(self) -> NodeInfo: ...

    def status(self) -> Status:
        """What its process does right now."""
        ...

    def kill(self, signal: int) -> int:
        """Send the signal to the whole node; for a fatal one, return the time of *death*."""
        ...

    def start(self) -> int:
        """Start it again with the same data and address; the time its process began. Not yet ready."""
        ...

    def pause(self) -> int:
        """Freeze it: its sockets stay, nothing answers."""
        ...

    def resume(self) -> int:
        """Let it go on."""
        ...


@runtime_checkable
class KillsServing(Protocol):
    """A node whose main process starts others that serve: those can be killed alone, and what the main one does then be seen."""

    def serving(self) -> tuple[int, ...]:
        """Processes that listen on a port of the node, its main one left out; their numbers as the node has them."""
        ...

    def kill_serving(self, signal: int) -> int:
        """Signal these; the time of the last death. ``FaultNotEffective`` if there is none, or one lives on."""
        ...


@runtime_checkable
class Removable(Protocol):
    """A node whose machine can be taken away altogether; ``start`` then begins it anew."""

    def remove(self, *, data: bool) -> int:
        """Kill it, and with ``data`` delete all that it had written; the time of its death."""
        ...


@runtime_checkable
class Deletable(Protocol):
    """A node that can be given up through whoever runs it, who then makes another in its place, at another address perhaps."""

    def delete(self, grace_s: float | None) -> int:
        """Have it deleted, with its own grace if none is said (0: at once); when that was ordered, or with no grace when it was dead."""
        ...

    def replaced(self) -> bool:
        """Whether another one stands in the place of the one that was given up last, ready by the word of who made it."""
        ...


@runtime_checkable
class Evictable(Deletable, Protocol):
    """A node that can be asked to go, which a budget for disruptions may forbid."""

    def evict(self, grace_s: float | None) -> str:
        """Ask for it, with its own grace if none is said; why it may not go now, empty if it goes."""
        ...


@runtime_checkable
class SetsClock(Protocol):
    """A node whose wall clock is its own, and no other's."""

    def set_clock(self, offset_s: float, rate: float) -> int:
        """From now on it is so far ahead of the true time and runs at that rate (1: as the true one); 0 and 1 make it true again."""
        ...


@runtime_checkable
class ReadsClocks(Protocol):
    """A cluster whose nodes can be asked what their wall clocks say."""

    def read_clock(self, node: str, timeout_s: float) -> ClockReading:
        """One question to the node itself."""
        ...


@runtime_checkable
class LimitsFiles(Protocol):
    """A node whose processes can be denied further file descriptors."""

    def open_files(self) -> OpenFiles:
        """As the kernel has it now."""
        ...

    def limit_files(self, left: int) -> OpenFiles:
        """Each of its processes may open so many more; what that came to."""
        ...

    def unlimit_files(self) -> OpenFiles:
        """The limits that they had before; a process that began since then keeps its own."""
        ...


class Crowd(Protocol):
    """Idle connections of ours to a node."""

    def established(self) -> int:
        """How many of them stand, by the word of this side's kernel."""
        ...


@runtime_checkable
class HasHosts(Protocol):
    """A cluster on several hosts, whose power is switched by commands that the experiment names; some can be closed to new nodes."""

    def switch_off(self, host: str) -> None:
        """Run the command; it has ended. ``FaultNotEffective`` if it failed. Whether the host is silent is for others to see."""
        ...

    def went_dark(self, host: str, at_ns: int) -> None:
        """It was seen silent: its nodes are down since then."""
        ...

    def switch_on(self, host: str) -> None:
        """Run the other command, wait for the engine, tie the host to the others, and have its agents stand again; no system runs yet,
        unless somebody else starts it.

        ``NotHealed`` if one of it does not come about. A host that is on stays as it is.
        """
        ...

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        """Entering cuts its network, all of it; leaving, or the end of this process, heals it. It heals by itself if nobody renews it."""
        ...

    def cordon(self, host: str) -> int:
        """No new node comes to stand there; when that was seen. ``FaultNotEffective`` where it is so already, or nobody can."""
        ...

    def uncordon(self, host: str) -> None:
        """As it was; ``NotHealed`` if that does not come about. A host that was not closed by us stays as it is."""
        ...


@runtime_checkable
class GathersCrowds(Protocol):
    """A cluster to whose nodes connections can be held open from where its clients are."""

    def crowd(self, node: str, port: str, count: int) -> AbstractContextManager[Crowd]:
        """Entering opens so many (``FaultNotEffective`` if they cannot be had); leaving closes them all."""
        ...


@runtime_checkable
class HasMembers(Protocol):
    """A cluster whose nodes can be asked to let one of them join or leave, by what the target declares (``membership``)."""

    def change_members(self, change: str, node: str, timeout_s: float) -> str | None:
        """Ask the other nodes one by one, and at last itself, to let it ``join`` or ``leave``, until one says yes; else why none did."""
        ...

    def lists(self, node: str, timeout_s: float) -> Mapping[str, bool | None]:
        """Whether it is a member, as each other node of its part says; None for one that does not answer."""
        ...


class Surge(Protocol):
    """Traffic beside the measured one."""

    began_ns: int
    """When its first slot was due."""

    def sent(self) -> Sent:
        """Slots that have ended."""
        ...


@runtime_checkable
class SendsSurges(Protocol):
    """A cluster to whose name more traffic can be sent, which no figure of the run counts."""

    def surge(self, operation: str, rate_per_s: float) -> AbstractContextManager[Surge]:
        """Entering begins to send; leaving ends it and waits for the last answer."""
        ...


class Loads(Protocol):
    """What can be put upon a node inside its own limits, and seen of it from outside."""

    @property
    def allowed(self) -> Allowed: ...

    def load(self, order: Load) -> AbstractContextManager[Loaded]:
        """Entering starts it and waits until its processes run; leaving ends it and reads back that none is left."""
        ...

    def usage(self) -> Usage:
        """By now; ``FaultNotEffective`` when the node is down."""
        ...

    def work(self) -> Work:
        """What the processes of all loads on the node have done so far."""
        ...

    def scratch(self) -> Room:
        """The disk that a load of kind io writes to, which all nodes share."""
        ...


class Disks(Protocol):
    """The data folders of a node, each a disk of limited size, held from outside its system."""

    def room(self) -> Room:
        """Of the one with the least left, by a write of ours."""
        ...

    def fill(self, share: float | None, size_bytes: int | None) -> AbstractContextManager[Held]:
        """Lay so much on each of them, or as much as makes that share of it taken (1: to the last page)."""
        ...

    def lock(self) -> AbstractContextManager[Held]:
        """Make all of them read-only; ``FaultNotEffective`` while the system has a file open for writing."""
        ...


@runtime_checkable
class HasLoads(Protocol):
    """A node that can be given load."""

    @property
    def loads(self) -> Loads: ...


@runtime_checkable
class HasDisks(Protocol):
    """A node with disks of limited size."""

    @property
    def disks(self) -> Disks: ...


class Traffic(Protocol):
    """The prober at work, in its own process; leaving its context waits for the last slot's deadline and the last byte on disk."""

    def stop(self) -> None:
        """End early: no slot that is due after now is sent."""
        ...


class Cluster(Protocol):
    """What runs. Role, DNS-set and node changes reach the ``Sink`` given to ``Runtime.up`` by themselves."""

    @property
    def nodes(self) -> Mapping[str, Node]: ...

    @property
    def net(self) -> Net: ...

    def roles(self) -> dict[str, frozenset[str]]:
        """Ask every node now which roles it holds; a node that does not answer holds none."""
        ...

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Ask a node directly, past every rule of ours, whether it answers."""
        ...

    def broken(self) -> str | None:
        """Which part of the harness itself (name server, watch, prober, Toxiproxy) has died; such a run is unknown, never a node fault."""
        ...

    def traffic(self, order: TrafficOrder) -> AbstractContextManager[Traffic]:
        """Send the plan's traffic through the cluster's name and write ``observations.bin``."""
        ...


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


class Spot(msgspec.Struct, frozen=True):
    """Where one node stands that runs already."""

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


# --- faults ------------------------------------------------------------------------------------------------------------


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


# --- predictions -------------------------------------------------------------------------------------------------------


def _as_it_is(case: Case) -> Case | None:
    return case


class Model(msgspec.Struct, frozen=True):
    """How faults of one kind are predicted (entry points ``nines.models``, by the name of the fault): pure, from what is known before.

    ``build`` is told who is struck, in what role, for how long, and draws what then becomes of clients. It alone reads the fault's own
    fields, as ``case.facts.params``.
    """

    build: Callable[[Case], Scenario | None]
    """None for what is not modelled of it."""
    understands: Callable[[Case], Case | None] = _as_it_is
    """The case in other words, where one form of the fault is another one in disguise; None for a form that is not modelled."""
    whole: bool = False
    """Nobody's role matters to it. Else victims are the leader or followers when ``build`` is asked, and a mixture is asked twice."""
