"""What a system under test declares: a ``target.yaml`` and its JSON Schema (loaded by ``load.load_target``).

Templates (``command``, ``env``, ``files``, ``ready``, ``roles``...) know ``{node}``, ``{address}``, ``{peer_address}`` (where other
nodes reach it, if it stands on a network for that), ``{data}`` (the node's folder), ``{NAME}`` for each port and setting, and
``{peers:...}``, which repeats its inside for every node of the part, itself included, joined by commas; inside, ``{node}`` and the
addresses are the peer's.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from chaos.core.errors import BadInput
from chaos.core.units import Seconds
from chaos.experiment import parameters
from chaos.experiment.forms import WHOLE, WORDS, Form, listed, mapping, one_of, string
from chaos.experiment.source import Table, Value, table_of
from chaos.experiment.tables import DISTINCT, UNWRITTEN, Field, Key, Written, table
from chaos.experiment.target.init import InitStep
from chaos.experiment.target.operation import OperationKind, operation

SCHEMA: Final = 1
OTHER: Final = "{other}"
"""Stands for another node in the expressions of detectors, and in the questions of ``membership``."""
OTHER_ADDRESS: Final = "{other_address}"
_ABOUT: Final = "The version of this form"
_NAME: Final = string().then(lambda name, _: name.strip())


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A knob of the target: text, number or a quantity as text; ``choices`` if only some are right."""

    default: str | int | float | bool
    about: str = ""
    choices: Annotated[tuple[str, ...], DISTINCT] = ()


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
    given (escapes as in C). A frozen program still accepts: only what it answers itself shows that it runs. An ``https`` URL, and ``tcp``
    with ``tls``, are asked over TLS, and any certificate will do: as load balancers ask.
    """

    http: str | None = None
    body: str | None = None
    status: int | None = None
    tcp: str | None = None
    json: str | None = None
    send: str | None = None
    expect: str | None = None
    tls: bool = False


def about(question: Ask, node: str, address: str) -> Ask:
    """A question about another node: its name and its address for peers filled in."""
    texts = {
        name: text.replace(OTHER, node).replace(OTHER_ADDRESS, address)
        for name, text in msgspec.structs.asdict(question).items()
        if isinstance(text, str)
    }
    return msgspec.structs.replace(question, **texts)


class Ready(Ask, frozen=True, forbid_unknown_fields=True):
    """When a node may take part, and how long that may take after its start."""

    within_s: Seconds = 20.0

    @property
    def ask(self) -> Ask:
        """The question alone."""
        return Ask(*(getattr(self, name) for name in Ask.__struct_fields__))


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
    data: Annotated[tuple[str, ...], DISTINCT] = ()
    local: LocalPart | None = None
    docker: DockerPart | None = None
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    """path relative to ``{data}`` -> content template."""
    ping: dict[str, Ask] = {}
    """port name -> a cheap question that shows that the way to this port, and back, works: what faults are proven with."""
    client_port: str = "client"
    peer_port: str = "peer"
    after: Annotated[tuple[str, ...], DISTINCT] = ()
    """Parts whose nodes must be ready, and whose init steps must be done, before a node of this part starts"""
    user: str = ""
    """Who its processes run as: a user's name. Empty: whoever runs Nines, or the image's own user in a container"""
    rejoins_empty: bool = True
    """Whether a node that has lost its data is taken back by the others. If not, a pod may be deleted only where its data outlives it"""

    @property
    def by_process(self) -> bool:
        """Nothing is asked of its nodes: one takes part as long as its process runs. Only of containers that are attached to."""
        return not self.ready.http and not self.ready.tcp

    def port_for(self, *, peers: bool) -> str:
        """The port that traffic of peers, or of clients, goes to. Peers of a part without a port of their own talk on that of clients."""
        return self.peer_port if peers and self.peer_port in self.ports else self.client_port

    def question(self, port: str) -> Ask | None:
        """What shows that the way to this port works: its ``ping``, else ``ready`` if that is asked on this port."""
        if port in self.ping:
            return self.ping[port]
        asked = self.ready.http or self.ready.tcp or ""
        return self.ready.ask if f"{{{port}}}" in asked else None


class LocalTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the target can be asked for on plain processes. ``peers: per-node``: each node may be given its own address per peer."""

    peers: Literal["per-node"] | None = None


class Role(Ask, frozen=True, forbid_unknown_fields=True):
    """The question behind a role; ``part``: only nodes of that part are asked."""

    part: str = ""

    @property
    def ask(self) -> Ask:
        """The question alone."""
        return Ask(*(getattr(self, name) for name in Ask.__struct_fields__))


class Marks(msgspec.Struct, frozen=True):
    """Moments that a node stamps itself: name -> dotted path in the JSON answer of ``ask``."""

    ask: Annotated[Ask, table(Ask), Key(example="ask: {http: ...}")]
    values: Annotated[dict[str, str], mapping(WORDS)]


class Detectors(msgspec.Struct, frozen=True):
    """What the failure detectors of a node make of every other node: detector -> expression over the JSON answer of ``ask``, which holds
    while that detector suspects the node ``{other}``."""

    ask: Annotated[Ask, table(Ask), Key(example="ask: {http: ...}")]
    suspects: Annotated[dict[str, str], mapping(WORDS, empty="there is no detector", right="{heartbeat: 'peers.{other}.alive=false'}")]


class Membership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How nodes join and leave while the system serves. Asked of the other nodes one after the other, until one answers with success; in
    all texts ``{other}`` is the node that joins or leaves, and ``{other_address}`` where its peers reach it.

    ``listed``: holds for a node's answer while that node takes the other one for a member.
    """

    leave: Annotated[Ask, table(Ask), Key(example="leave: {http: ..., body: ''}")]
    join: Annotated[Ask, table(Ask), Key(example="join: {http: ..., body: ''}")]
    listed: Annotated[Ask, table(Ask), Key(example="listed: {http: ..., json: 'members.{other}'}")]


def _version(found: int, value: Value) -> int:
    if found != SCHEMA:
        raise BadInput(f"this version of Nines reads schema {SCHEMA}", place=value.place, right=f"schema: {SCHEMA}")
    return found


def _ready(written_as: str, value: Value) -> None:
    if written_as != "ready":
        raise BadInput(f"'{written_as}' is not a question", place=value.place, right="'ready', or {http: ..., json: ...}")


_READY: Final = Form(string().then(_ready).read, {"const": "ready", "description": "The question of the part whether a node is ready"})


def _made(found: dict[str, Any], entry: Table) -> Target:
    """The word ``ready`` as a role stands for the question of the parts; ``marks`` are a question and what its answer holds."""
    del found["schema"]
    asks = [part.ready.ask for part in found["parts"].values()]
    roles: dict[str, Role | None] = found.pop("roles", {})
    short = next((role for role, ask in roles.items() if ask is None), None)
    if short is not None and any(ask != asks[0] for ask in asks):
        place = table_of(entry.entries["roles"]).entries[short].place
        raise BadInput("the parts have different 'ready' questions", place=place, right="write the question out")
    marks = found.pop("marks", None)
    found |= {"marks": marks.values, "marks_ask": marks.ask} if marks else {}
    detectors = found.pop("detectors", None)
    found |= {"detectors": detectors.suspects, "detectors_ask": detectors.ask} if detectors else {}
    usual: dict[str, Any] = {"folder": "", "about": "", "settings": {}, "operations": {}}
    of_parts = {name: role.part for name, role in roles.items() if role is not None and role.part}
    asked = {name: asks[0] if role is None else role.ask for name, role in roles.items()}
    return Target(**usual | found, roles=asked, role_parts=of_parts)


@Written(
    make=_made,
    blank=True,
    inline=True,
    extra=(Field("schema", "schema", Form(WHOLE.then(_version).read, {"const": SCHEMA}), example="schema: 1", about=_ABOUT),),
)
class Target(msgspec.Struct, frozen=True):
    """A kind of system under test."""

    name: Annotated[str, _NAME, Key("target", example="target: etcd")]
    """Its name"""
    folder: Annotated[str, UNWRITTEN]
    about: Annotated[str, WORDS, Key(missing=True)]
    settings: Annotated[dict[str, Setting], mapping(table(Setting)), Key(missing=True)]
    """Knobs that experiments may turn"""
    parts: Annotated[dict[str, Part], mapping(table(Part), empty="there is no part", right="at least one, such as 'data'")]
    """Groups of like nodes, by name"""
    operations: Annotated[dict[str, OperationKind], mapping(operation()), Key(missing=True)]
    """What can be asked of it, by name"""
    roles: Annotated[dict[str, Ask], mapping(one_of(_READY, table=table(Role)))] = {}
    """Asked of each node, or of the nodes of one part; it has the role if the expression holds"""
    role_parts: Annotated[dict[str, str], UNWRITTEN] = {}
    """Role -> the part whose nodes alone are asked for it."""
    marks: Annotated[dict[str, str], table(Marks)] = {}
    """Moments that a node stamps itself, for the anatomy: name -> dotted path in the JSON answer of ``ask``."""
    marks_ask: Annotated[Ask | None, UNWRITTEN] = None
    detectors: Annotated[dict[str, str], table(Detectors)] = {}
    """Failure detectors of the system's own: name -> expression that holds while a node suspects ``{other}``"""
    detectors_ask: Annotated[Ask | None, UNWRITTEN] = None
    membership: Annotated[Membership | None, table(Membership)] = None
    """How nodes join and leave while it serves"""
    clock: Ask | None = None
    """Asks a node what its own wall clock says; ``json`` is the dotted path of the answer, in seconds since 1970."""
    init: Annotated[tuple[InitStep, ...], listed(table(InitStep), wanted="a list of steps", example="[{node: n1, command: ...}]")] = ()
    """Steps that are done once, in this order"""
    read_node: Annotated[OperationKind | None, operation(does="read")] = None
    model: Annotated[dict[str, str], parameters.form(templates=True)] = {}
    """Parameters of the models; a setting may stand for any of them"""
    pid1: bool = False
    local: LocalTraits = LocalTraits()
    watch_every_s: Seconds = 0.02
    """Time between two questions to a node for its roles: longer for one that answers them slowly"""
    libraries: Annotated[tuple[str, ...], listed(WORDS, example="[redis]", distinct=True)] = ()
    """Python packages that the drivers import, by their names on the index"""

    def roles_of(self, part: str) -> dict[str, Ask]:
        """The roles that a node of this part may have, each with its question."""
        return {role: ask for role, ask in self.roles.items() if self.role_parts.get(role, part) == part}

    def may_hold(self, role: str, part: str) -> bool:
        """Whether nodes of this part are asked for it."""
        return role in self.roles and self.role_parts.get(role, part) == part


TARGET: Final = table(Target)
