"""Every protocol and small shared value on one page: what the author of a plug-in reads.

    experiment -> plan -> run(plan, cluster) -> history on disk -> timeline -> estimates -> verdict -> report

*When* (schedule), *what* (fault), *to whom* (selector) and *where* (runtime) are apart. A fault is one method that returns a
context manager: entering harms, leaving heals; it has no duration and never sleeps. What happened is pushed, as rows of
``events.py``, into a ``Sink`` at the moment it happens.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from chaos.clock import Clock

if TYPE_CHECKING:
    from chaos.events import Row
    from chaos.plan import Plan
    from chaos.target import Target

CLIENTS = "clients"
"""The link endpoint for where the traffic comes from."""
DNS = "dns"
"""The link endpoint for the name server and its health checks."""

LEADER = "leader"
FOLLOWER = "follower"
VOTING = "voting"


class Status(enum.StrEnum):
    """What the process of a node does, by the word of the operating system (not of the system under test)."""

    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


class Link(msgspec.Struct, frozen=True, order=True):
    """A *directed* pair of node names or endpoints: connections that ``source`` opens to ``destination``."""

    source: str
    destination: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


class NodeInfo(msgspec.Struct, frozen=True):
    """Who a node is. ``address`` never changes within a run, whatever is done to the node."""

    name: str
    part: str
    zone: str | None
    address: str
    ports: dict[str, int]


class RoundTrip(msgspec.Struct, frozen=True):
    """One application-level question and its answer; ``rtt_s`` is None when none came, and ``error`` says why."""

    rtt_s: float | None
    error: str | None = None


class Evidence(msgspec.Struct, frozen=True):
    """What a measurement from outside showed: was the thing so, and the figures (name with unit -> value)."""

    ok: bool
    figures: dict[str, float | str | None]
    why: str = ""


# --- net ---------------------------------------------------------------------------------------------------------------


class Toxic(msgspec.Struct, frozen=True, tag_field="rule", tag="toxic"):
    """Harm to the byte stream of the connections of one link, with Toxiproxy's own names and units (ms, KB/s, µs, bytes)."""

    link: Link
    type: str
    attributes: dict[str, float]
    stream: str = "downstream"
    toxicity: float = 1.0
    existing: str = "keep"


class Cut(msgspec.Struct, frozen=True, tag_field="rule", tag="cut"):
    """Nothing passes on this link: ``drop`` is silence, ``reject`` an immediate no; ``existing`` says what of open connections."""

    link: Link
    behavior: str = "drop"
    existing: str = "cut"


Rule = Toxic | Cut


class Layer(msgspec.Struct, frozen=True):
    """A set of rules in force: since when, and by what means they were brought about."""

    effective_at_ns: int
    mechanism: str


class Net(Protocol):
    """Harm to links. Layers stack: leaving one removes its rules and no others."""

    def layer(self, rules: Sequence[Rule]) -> AbstractContextManager[Layer]:
        """Entering puts the rules in force and reads them back; leaving removes them and reads that back."""
        ...

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question from where the link starts, by the way its traffic takes, to the node at its end."""
        ...


class Passage(msgspec.Struct, frozen=True):
    """What came of some bytes that were sent through a link's harm, in one direction, on a connection of its own."""

    ended: str
    """``closed`` (in order), ``reset``, ``timed out`` (it hung to the end of the measurement), or ``refused``."""
    bytes: int = 0
    pieces: int = 0
    """In how many pieces they came, as far as the reader could tell them apart."""
    last_s: float | None = None
    """From the first byte sent to the last one received."""
    ended_s: float | None = None
    """From the first byte sent to the end seen by the reader."""
    closing_s: float | None = None
    """From the sender's close to the end seen by the reader."""

    @property
    def rate_bytes_per_s(self) -> float | None:
        """The throughput, once there was one."""
        return self.bytes / self.last_s if self.bytes and self.last_s else None


@runtime_checkable
class Gauge(Protocol):
    """A net that can send bytes of its own through what harms a link, to measure more of it than a round trip shows."""

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Send so many bytes ``upstream`` or ``downstream``, to a partner of ours, through the toxics that are in force on the link."""
        ...


# --- names -------------------------------------------------------------------------------------------------------------


class NameHarm(msgspec.Struct, frozen=True):
    """What the name server in front of the cluster is to do wrong; ``faults/dns.py`` says what each mode is."""

    mode: str
    delay_s: float = 0.0
    record: str = ""
    """A node whose record is meant."""
    ttl_s: int = 0


class LookUp(msgspec.Struct, frozen=True):
    """What a question to the name server came to. ``answer`` is its status (``NOERROR``...), None when no answer came."""

    answer: str | None
    addresses: tuple[str, ...] = ()
    ttl_s: int | None = None
    rtt_s: float | None = None
    error: str | None = None


class NamesHarmed(msgspec.Struct, frozen=True):
    """The name server does it: since when, and the address whose record is meant, where one is."""

    effective_at_ns: int
    address: str = ""


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


class TrafficOrder(msgspec.Struct, frozen=True):
    """When the traffic runs: slot i of an operation is due at ``start_ns`` + i / rate (+ its phase)."""

    start_ns: int
    duration_s: float


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


# --- faults ------------------------------------------------------------------------------------------------------------


class Victims(msgspec.Struct, frozen=True):
    """Whom a selector picked at the moment of injection: nodes, or directed links, or groups to be kept apart."""

    nodes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    role: str = "node"
    """Their role then (``leader``, ``follower``, ``groups``...): with the kind it makes the fault class, ``kill/leader``."""

    def __str__(self) -> str:
        if self.groups:
            return " | ".join(",".join(group) for group in self.groups)
        return ", ".join(self.nodes or tuple(str(link) for link in self.links))


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
