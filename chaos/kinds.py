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
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

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
    """Where clients and the harness reach it."""
    ports: dict[str, int]
    networks: dict[str, str] = {}
    """Network -> its address there, in their order, where they have names."""

    @property
    def peer_address(self) -> str:
        """Where other nodes reach it: on the last network."""
        return [self.address, *self.networks.values()][-1]


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


TIMERS_LATE_S: Final = 0.001
"""So late, at most, end Toxiproxy's timers, which wait for whole milliseconds of ``epoll_wait(2)``; delays are ordered so much shorter."""


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
    network: str = ""
    """Only packets of this one of the nodes' networks; empty: of all of them."""


class Loss(msgspec.Struct, frozen=True, tag_field="rule", tag="loss"):
    """Each packet of this link is lost with the probability ``share``, whatever it carries and whatever became of the one before."""

    link: Link
    share: float


class Shaping(msgspec.Struct, frozen=True, tag_field="rule", tag="shaping"):
    """What the kernel's queue in front of this link does to all packets that enter it."""

    link: Link
    what: str
    """``rate`` (``amount`` in bytes/s), ``delay`` (in s), or ``loss``, ``duplicate``, ``corrupt``, ``reorder`` (a share of the packets)."""
    amount: float
    correlation: float = 0.0
    """How much the fate of a packet depends on that of the one before it, in [0, 1]."""
    jitter_s: float = 0.0
    distribution: str = ""
    """Of the jitter: none for uniform, else the name of one of the tables of ``tc``."""
    delay_s: float = 0.0
    """``reorder``: by how much those that are not early are held back."""


Rule = Toxic | Cut | Loss | Shaping


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


class Train(msgspec.Struct, frozen=True):
    """What came of numbered datagrams of ours that were sent one way over a link."""

    sent: int
    arrived: int
    """Different ones, whole."""
    doubled: int = 0
    """Copies beyond the first."""
    damaged: int = 0
    early: int = 0
    """Those that overtook one that was sent before them."""
    overrun: int = 0
    """Packets that the machine itself threw away meanwhile, too busy to take them in: no fault's doing."""


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


class ClockReading(msgspec.Struct, frozen=True):
    """What a node's own wall clock said when it was asked, held against this machine's."""

    offset_s: float | None
    """How far it is ahead; None when no answer came, and ``error`` says why."""
    bound_s: float = 0.0
    """The reading may be wrong by so much: half the round trip, and what the answer's own resolution adds."""
    error: str | None = None


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


class OpenFiles(msgspec.Struct, frozen=True):
    """Of the process of a node that may open the fewest more descriptors."""

    open: int
    limit: int
    """Its soft limit: the first descriptor number that it may not have."""
    left: int
    """How many more it may open: the free numbers below the limit."""
    lowered: bool = False
    """A fault of ours holds the limit down."""


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


class Sent(msgspec.Struct, frozen=True):
    """What a surge came to so far."""

    sent: int
    ok: int
    span_s: float
    """From the first slot that was due to the last one that ended."""


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


# --- resources ---------------------------------------------------------------------------------------------------------


class Allowed(msgspec.Struct, frozen=True):
    """What each node may use at most; None: no limit."""

    cpus: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None


class Load(msgspec.Struct, frozen=True):
    """What is to use up a node's own limits beside its system: ``kind`` is cpu, memory or io."""

    kind: str
    workers: int
    busy: float = 1.0
    """cpu: the share of one processor that each worker is to keep busy."""
    bytes: int = 0
    """memory: what is held, by all workers together; io: the size of each worker's file."""


class Loaded(msgspec.Struct):
    """A load in force: since when, and by what means. The load itself fills ``ended``."""

    effective_at_ns: int
    mechanism: str
    died_ns: Callable[[], int | None]
    """When the node's system died since then; None: it lives."""
    out_of_memory: Callable[[], bool]
    """Whether the kernel has killed something of the node since then, for want of memory."""
    ended: int | None = None
    """Once it is taken back: how many of its processes were still there. None of them: its node died meanwhile."""


class Usage(msgspec.Struct, frozen=True):
    """What a node's system, and all that shares its limits, has used by then; times add up from the start of its container."""

    at_ns: int
    cpu_s: float
    throttled_s: float
    memory_bytes: float


class Work(msgspec.Struct, frozen=True):
    """What the processes of a load have done by then, by the kernel's count for each of them."""

    at_ns: int
    run_s: float
    wait_s: float
    """How long they could have run and were not let: by the node's limit, or because others had the processors."""
    written_bytes: float


class Room(msgspec.Struct, frozen=True):
    """A disk: its size, what is free, and what became of a small durable write: its time, or the name of its error."""

    size_bytes: float
    free_bytes: float
    write_s: float | None
    write_error: str


class Held(msgspec.Struct, frozen=True):
    """A disk that is full or read-only: since when, and by what means."""

    effective_at_ns: int
    mechanism: str


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
