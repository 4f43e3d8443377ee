"""What a fault may need and a runtime may offer: one closed set of words, each with the words of its refusal.

A fault says which of them it ``needs``, a runtime which of them it ``offers``; nobody asks a runtime for its name. A runtime may know
better than the general words here why it lacks one, and says so in its own (``Runtime.words``).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class Capability(enum.StrEnum):
    """One thing that a runtime can do to its nodes, their links or their name, truthfully. In the order in which they are looked at."""

    SIGNALS = "signals"
    """Processes of nodes end, freeze and go on when they are told to."""
    STARTS = "starts"
    """A dead node stays dead until Nines starts it again."""
    RESTART_POLICY = "restart_policy"
    """A node that dies may be started again by the runtime itself."""
    SERVING = "serving"
    """Processes of a node that serve can be told from its main one, and killed alone (``plugin.KillsServing``)."""
    DATA = "data"
    """A node's data can be deleted with it (``plugin.Removable``)."""
    DELETES = "deletes"
    """A node can be given up through whoever runs it, who then makes another in its place (``plugin.Deletable``)."""
    DRAINS = "drains"
    """Hosts can be closed to new nodes, and those that stand there be asked to go (``plugin.Evictable``)."""
    HOST_CUTS = "host_cuts"
    """The network of a whole host can be cut where the host itself stands (``plugin.HasHosts.cut_off``)."""
    MEMBERS = "members"
    """Nodes can be asked to let one of them join or leave (``plugin.HasMembers``)."""
    LINKS = "links"
    """Links can be cut and slowed, as a round trip shows."""
    STREAMS = "streams"
    """The bytes of single connections can be harmed and measured (``plugin.Gauge``)."""
    PORTS = "ports"
    """The bytes of connections to one port of a node can be harmed while those to its other ports pass."""
    PORT_CUTS = "port_cuts"
    """One port of a node can be cut off while its other ports pass."""
    PACKET_RULES = "packet_rules"
    """Packets of any link can be dropped, counted and held back where nodes send and receive them (``plugin.Line``)."""
    NETEM = "netem"
    """The kernel's netem can be put in front of a link: duplicates, damage, order, dice that remember."""
    NETWORKS = "networks"
    """Nodes stand on several networks, each of which can be cut alone (``plugin.HasNetworks``)."""
    NEW_CONNECTIONS = "new_connections"
    """New connections can be cut while open ones go on."""
    NAME_SET = "name_set"
    """The name server can be told to keep its set, or to leave a record out (``plugin.HasNames``)."""
    NAME_ANSWERS = "name_answers"
    """Its answers can be withheld, late or wrong."""
    OWN_CLOCK = "own_clock"
    """Each node has a wall clock of its own (``plugin.SetsClock``)."""
    CLOCK_RATE = "clock_rate"
    """That clock may run at another rate."""
    OPEN_FILES = "open_files"
    """Processes can be denied further file descriptors (``plugin.LimitsFiles``)."""
    CONNECTIONS = "connections"
    """Idle connections can be held from where clients are (``plugin.GathersCrowds``)."""
    SURGES = "surges"
    """More traffic can be sent beside the measured one (``plugin.SendsSurges``)."""
    CGROUP = "cgroup"
    """Nodes have limits of processor and memory that the kernel keeps, and can be loaded within them (``plugin.HasLoads``)."""
    SHARED_DISK = "shared_disk"
    """There is a disk beneath all nodes that one of them can load."""
    DISKS = "disks"
    """Nodes have disks of limited size (``plugin.HasDisks``)."""
    REMOUNT = "remount"
    """Those disks can be made read-only."""
    # What faults do not need, but experiments ask for.
    ENGINE_NAMES = "engine_names"
    """A name server of its own answers the cluster's name (``dns: {balancer: engine}``)."""
    EXTERNAL_NAMES = "external_names"
    """Clients can ask a name service that is not ours (``dns: {balancer: external}``)."""
    SESSIONS = "sessions"
    """Clients can write data and read it again, to find out whether it is kept (``data:``)."""
    HOSTS = "hosts"
    """Nodes can be placed on several hosts (``cluster: {hosts: ...}``)."""
    HERE = "here"
    """Nodes and clients are processes of this machine, with its programs, files and limits."""


C = Capability
REFUSALS: Final[Mapping[Capability, str]] = MappingProxyType({
    C.SIGNALS: "its nodes take no signals",
    C.STARTS: "its nodes are started again by somebody else, at once",
    C.RESTART_POLICY: "its nodes have no restart policy that could act",
    C.SERVING: "its nodes have no processes beside their main one",
    C.DATA: "its nodes have no data that could be deleted",
    C.DELETES: "nobody makes another node in the place of one that is given up",
    C.DRAINS: "its hosts are not emptied by anybody",
    C.HOST_CUTS: "its hosts are cut off by the rules of each node there: leave 'by: host' out",
    C.MEMBERS: "nobody asks its nodes to change their members",
    C.LINKS: "its links cannot be harmed",
    C.STREAMS: "its links carry no bytes that could be harmed",
    C.PORTS: "its nodes have no ports that could be told apart",
    C.PORT_CUTS: "what cuts its links cuts all ports of a node",
    C.PACKET_RULES: "its links carry no packets on which a rule could act",
    C.NETEM: "its links have no queue of the kernel in front of them",
    C.NETWORKS: "its nodes do not stand on several networks",
    C.NEW_CONNECTIONS: "it cannot tell new connections from open ones ('existing: keep')",
    C.NAME_SET: "its name server takes no orders",
    C.NAME_ANSWERS: "its clients always get an answer, so only 'mode: stale' and 'mode: missing' can be done",
    C.OWN_CLOCK: "its nodes have no clock of their own",
    C.CLOCK_RATE: "the clocks of its nodes keep their rate",
    C.OPEN_FILES: "its nodes have no file descriptors that could run out",
    C.CONNECTIONS: "its nodes have no sockets to which connections could be held",
    C.SURGES: "its nodes are not slowed by any load",
    C.CGROUP: "its nodes have no real processors and memory with limits of their own",
    C.SHARED_DISK: "its nodes have no real disk beneath them",
    C.DISKS: "its nodes have no disks of limited size",
    C.REMOUNT: "the disks of its nodes cannot be made read-only",
    C.ENGINE_NAMES: "it has no name server of its own",
    C.EXTERNAL_NAMES: "its clients ask no name service but ours",
    C.SESSIONS: "nobody writes and reads data there",
    C.HOSTS: "its nodes stand on no hosts that have names",
    C.HERE: "its nodes are no processes of this machine",
})  # fmt: skip
"""What is said of a runtime that lacks one."""
INSTEAD: Final[Mapping[Capability, str]] = MappingProxyType({
    C.STARTS: "'kill: {recovery: policy}'",
    C.RESTART_POLICY: "'recovery: restart', with which Nines starts the node again",
    C.SERVING: "'process: main'",
    C.DATA: "'kill'",
    C.STREAMS: "'latency'",
    C.PORT_CUTS: "'timeout' with a port",
})  # fmt: skip
"""What may be done where it is lacking."""

ON_DEMAND: Final = frozenset({C.NETEM, C.OWN_CLOCK, C.OPEN_FILES, C.CONNECTIONS, C.SURGES, C.CGROUP, C.SHARED_DISK, C.DISKS, C.REMOUNT})
"""A cluster has these only where its experiment's faults need them; every cluster that is up has the others, as far as its runtime can."""
NOT_BY_HAND: Final[Mapping[Capability, tuple[str, str]]] = MappingProxyType({
    C.RESTART_POLICY: (
        "a cluster of 'nines up' relies on no restart policy", "leave 'recovery' out: nodes are started at the limit"
    ),
    C.NEW_CONNECTIONS: ("connections are not watched from their beginning here", "leave 'existing: keep' out"),
})  # fmt: skip
"""What a cluster that is held for faults by hand does without: what is wrong, and what to do."""
