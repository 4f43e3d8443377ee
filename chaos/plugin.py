"""Every protocol on one page: what the author of a plug-in reads. The values that they pass on are in ``core/values.py``.

    experiment -> plan -> run(plan, cluster) -> history on disk -> timeline -> estimates -> verdict -> report

*When* (schedule), *what* (fault), *to whom* (selector) and *where* (runtime) are apart. A fault is one method that returns a
context manager: entering harms, leaving heals; it has no duration and never sleeps. What happened is pushed, as rows of
``history/events.py``, into a ``Sink`` at the moment it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

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
    from chaos.experiment.target.spec import Target
    from chaos.history.events import Row
    from chaos.plan.plan import Plan


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
class Removable(Protocol):
    """A node whose machine can be taken away altogether; ``start`` then begins it anew."""

    def remove(self, *, data: bool) -> int:
        """Kill it, and with ``data`` delete all that it had written; the time of its death."""
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
class GathersCrowds(Protocol):
    """A cluster to whose nodes connections can be held open from where its clients are."""

    def crowd(self, node: str, port: str, count: int) -> AbstractContextManager[Crowd]:
        """Entering opens so many (``FaultNotEffective`` if they cannot be had); leaving closes them all."""
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


class Runtime(Protocol):
    """Where nodes run."""

    name: str

    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> AbstractContextManager[Cluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always."""
        ...


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


class Fault(Protocol):
    """One way to harm. The implementing struct's fields are its YAML: ``chaos/faults/pause.py`` is the smallest."""

    def inject(self, scene: Scene, victims: Victims) -> AbstractContextManager[Effect]:
        """Enter: harm, prove from outside that it took (else heal and raise ``FaultNotEffective``). Leave: heal."""
        ...
