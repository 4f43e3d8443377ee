"""What a system under test declares: the typed form of a ``target.yaml`` (loaded by ``load.load_target``).

Templates (``command``, ``env``, ``files``, ``ready``, ``roles``...) know ``{node}``, ``{address}``, ``{peer_address}`` (where other
nodes reach it, if it stands on a network for that), ``{data}`` (the node's folder), ``{NAME}`` for each port and setting, and
``{peers:...}``, which repeats its inside for every node of the part, itself included, joined by commas; inside, ``{node}`` and the
addresses are the peer's.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from chaos.core.units import Seconds


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A knob of the target: text, number or a quantity as text; ``choices`` if only some are right."""

    default: str | int | float | bool
    about: str = ""
    choices: tuple[str, ...] = ()


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many nodes a part has."""

    default: int = 3
    min: int = 1
    max: int = 99


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question to a node. True when it answers and, with ``json``, when the expression holds for the answer.

    ``http``: a URL, GET unless ``body`` is given (then POST); a 2xx answers, or the status given by ``status``.
    ``json``: ``path`` (is truthy), ``path=value``, ``path=path`` written as ``a.b == c.d``, ``path != value``; a path is dotted. Values
    are compared as text. ``tcp``: ``host:port`` that must accept; with ``expect`` a text that must then come, after ``send`` if that is
    given (escapes as in C). A frozen program still accepts: only what it answers itself shows that it runs.
    """

    http: str | None = None
    body: str | None = None
    status: int | None = None
    tcp: str | None = None
    json: str | None = None
    send: str | None = None
    expect: str | None = None


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a node may take part, and how long that may take after its start."""

    http: str | None = None
    body: str | None = None
    status: int | None = None
    tcp: str | None = None
    json: str | None = None
    send: str | None = None
    expect: str | None = None
    within_s: Seconds = 20.0

    @property
    def ask(self) -> Ask:
        """The question alone."""
        return Ask(self.http, self.body, self.status, self.tcp, self.json, self.send, self.expect)


class Requires(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that must be on PATH, and how to get it."""

    command: str
    how: str


class LocalPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a node runs as a plain process; ``{python}`` is the interpreter that runs Nines, ``{target}`` the target's folder."""

    command: tuple[str, ...]
    requires: Requires | None = None
    """Looked for before anything starts."""


class DockerPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a node runs as a container."""

    build: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of like nodes."""

    ports: dict[str, int]
    ready: Ready
    nodes: Count = Count()
    data: tuple[str, ...] = ()
    local: LocalPart | None = None
    docker: DockerPart | None = None
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    """path relative to ``{data}`` -> content template."""
    ping: dict[str, Ask] = {}
    """port name -> a cheap question that shows that the way to this port, and back, works: what faults are proven with."""
    client_port: str = "client"
    peer_port: str = "peer"

    def port_for(self, *, peers: bool) -> str:
        """The port that traffic of peers, or of clients, goes to. Peers of a part without a port of their own talk on that of clients."""
        return self.peer_port if peers and self.peer_port in self.ports else self.client_port

    def question(self, port: str) -> Ask | None:
        """What shows that the way to this port works: its ``ping``, else ``ready`` if that is asked on this port."""
        if port in self.ping:
            return self.ping[port]
        asked = self.ready.http or self.ready.tcp or ""
        return self.ready.ask if f"{{{port}}}" in asked else None


class OperationKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question to the service. Exactly one probe kind is set: ``probe`` names it, ``options`` are its fields as text."""

    probe: str
    does: str
    """read, write, append, add or incr."""
    options: dict[str, str] = {}


class LocalTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the target can be asked for on plain processes. ``peers: per-node``: each node may be given its own address per peer."""

    peers: Literal["per-node"] | None = None


class Target(msgspec.Struct, frozen=True):
    """A kind of system under test."""

    name: str
    folder: str
    about: str
    settings: dict[str, Setting]
    parts: dict[str, Part]
    operations: dict[str, OperationKind]
    roles: dict[str, Ask] = {}
    marks: dict[str, str] = {}
    """Moments that a node stamps itself, for the anatomy: name -> dotted path in the JSON answer of ``marks_ask``."""
    marks_ask: Ask | None = None
    clock: Ask | None = None
    """Asks a node what its own wall clock says; ``json`` is the dotted path of the answer, in seconds since 1970."""
    init: tuple[dict[str, str], ...] = ()
    read_node: OperationKind | None = None
    model: dict[str, str] = {}
    """parameter of the models (docs/models.md has the table) -> template; ``replication`` is a word, a range is ``low..high``."""
    pid1: bool = False
    local: LocalTraits = LocalTraits()
