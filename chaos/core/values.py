"""Small values that cross the borders between packages: who, where, what is asked for, what was seen."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

import msgspec

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
    port: str = ""
    """Only what goes to this port of the destination, by its name; empty: all of it. Links that a plan prepares have none."""

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}" + (f":{self.port}" if self.port else "")

    def at(self, port: str) -> Link:
        """The same to one port only."""
        return Link(self.source, self.destination, port) if port else self

    @property
    def whole(self) -> Link:
        """The same to all ports."""
        return Link(self.source, self.destination) if self.port else self


class NodeInfo(msgspec.Struct, frozen=True):
    """Who a node is. ``address`` and ``host`` change within a run only where another takes the node's place,
    ``labels`` also where somebody changes them."""

    name: str
    part: str
    zone: str | None
    address: str
    """Where clients and the harness reach it."""
    ports: dict[str, int]
    networks: dict[str, str] = {}
    """Network -> its address there, in their order, where they have names."""
    host: str = ""
    """The machine that it stands on now, where it may come to stand on another one."""
    labels: dict[str, str] | None = None
    """What it is labelled with now, where a selector speaks of labels."""

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
    port: str = ""
    """Only of connections to this port of the link's end; empty: of all of them."""


class Cut(msgspec.Struct, frozen=True, tag_field="rule", tag="cut"):
    """Nothing passes on this link: ``drop`` is silence, ``reject`` an immediate no; ``existing`` says what of open connections."""

    link: Link
    behavior: str = "drop"
    existing: str = "cut"
    network: str = ""
    """Only packets of this one of the nodes' networks; empty: of all of them."""
    port: str = ""
    """Only connections to this port of the link's end; empty: to all of them."""


class Loss(msgspec.Struct, frozen=True, tag_field="rule", tag="loss"):
    """Each packet of this link is lost with the probability ``share``, whatever it carries and whatever became of the one before."""

    link: Link
    share: float
    port: str = ""
    """Only packets to this port of the link's end; empty: all of them."""


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


class ClockReading(msgspec.Struct, frozen=True):
    """What a node's own wall clock said when it was asked, held against this machine's."""

    offset_s: float | None
    """How far it is ahead; None when no answer came, and ``error`` says why."""
    bound_s: float = 0.0
    """The reading may be wrong by so much: half the round trip, and what the answer's own resolution adds."""
    error: str | None = None


class OpenFiles(msgspec.Struct, frozen=True):
    """Of the process of a node that may open the fewest more descriptors."""

    open: int
    limit: int
    """Its soft limit: the first descriptor number that it may not have."""
    left: int
    """How many more it may open: the free numbers below the limit."""
    lowered: bool = False
    """A fault of ours holds the limit down."""


class Sent(msgspec.Struct, frozen=True):
    """What a surge came to so far."""

    sent: int
    ok: int
    span_s: float
    """From the first slot that was due to the last one that ended."""


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


class TrafficOrder(msgspec.Struct, frozen=True):
    """When the traffic runs: slot i of an operation is due at ``start_ns`` + i / rate (+ its phase)."""

    start_ns: int
    duration_s: float


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
