"""Filling of the templates in a ``target.yaml``: commands, environment, files, questions.

``{node}`` ``{zone}`` ``{address}`` ``{peer_address}`` ``{data}`` ``{python}`` ``{target}``, every port and setting by its name, and
``{peers:...}``, which repeats its inside for every node of the part (itself included), joined by commas; inside, ``{node}``,
``{zone}``, ``{address}`` and ``{peer_address}`` are the peer's. ``{peers of data:...}`` does the same for the nodes of the part ``data``,
with the ports of that part inside, and ``{first of data:...}`` for the first of them alone.
``{{`` and ``}}`` stand for braces. An unknown name is refused, never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.plugins import suggest
from chaos.experiment.target.spec import Ask

PEER_ADDRESS: Final = "peer_address"
RESERVED: Final = ("node", "zone", "address", PEER_ADDRESS, "data", "python", "target", "peers", "key", "value")
"""Names that no port and no setting may have."""
_PEERS: Final = "peers:"
_OF: Final = re.compile(r"(peers|first) of ([^:{}]+):(.*)", re.DOTALL)


class Peer(msgspec.Struct, frozen=True):
    """A node of the part, at the addresses by which another one is to reach it; itself included."""

    node: str
    address: str
    peer_address: str = ""
    """On the network that nodes talk to each other on, if that is another one."""
    zone: str = ""


class Others(msgspec.Struct, frozen=True):
    """The nodes of a part, as one node reaches them, and the ports they have."""

    ports: dict[str, int]
    peers: tuple[Peer, ...]


class Context(msgspec.Struct, frozen=True):
    """What the names stand for, for one node; the same template may be filled again with another address."""

    node: str
    address: str
    ports: dict[str, int]
    settings: dict[str, str]
    data: str = ""
    python: str = ""
    target: str = ""
    peers: tuple[Peer, ...] = ()
    """Every node of the part."""
    peer_address: str = ""
    """On the network that nodes talk to each other on; empty: the same as ``address``."""
    parts: dict[str, Others] = {}
    """Every part of the system by its name."""
    zone: str = ""
    """Empty for a node that the experiment puts into none."""

    def values(self) -> dict[str, str]:
        """Name -> text."""
        ports = {name: str(port) for name, port in self.ports.items()}
        own = {"node": self.node, "address": self.address, "data": self.data, "python": self.python, "target": self.target}
        return {**self.settings, **ports, **own, "zone": self.zone, PEER_ADDRESS: self.peer_address or self.address}

    def of(self, peer: Peer) -> Context:
        """The same for another node."""
        own = {"node": peer.node, "zone": peer.zone, "address": peer.address, "peer_address": peer.peer_address}
        return msgspec.structs.replace(self, **own, peers=(), parts={})

    def within(self, part: str) -> Context:
        """The same with the ports of another part."""
        return msgspec.structs.replace(self, ports=self.parts[part].ports)


def fill(template: str, context: Context, keep: Collection[str] = ()) -> str:
    """The text with every name filled in.

    ``keep`` names what a later filling knows (``key``, ``value`` of a request): such a name stays as it is, and then so do
    escaped braces, which are for the last filling to resolve. Raises ``BadInput`` on an unknown name or an unpaired brace.
    """
    return "".join(_filled(template, context, keep))


def filled(question: Ask, context: Context) -> Ask:
    """The question with every name in it filled in."""
    texts = {key: fill(text, context) for key, text in msgspec.structs.asdict(question).items() if isinstance(text, str)}
    return msgspec.structs.replace(question, **texts)


def _filled(template: str, context: Context, keep: Collection[str]) -> Iterator[str]:
    values = context.values()
    for literal, name in _pieces(template, unescape=not keep):
        if name is None:
            yield literal
        elif name.startswith(_PEERS):
            inside = name.removeprefix(_PEERS)
            yield ",".join(fill(inside, context.of(peer), keep) for peer in context.peers)
        elif of := _OF.fullmatch(name):
            yield ",".join(_of_part(of[1], of[2].strip(), of[3], template, context, keep))
        elif name in values:
            yield values[name]
        elif name in keep:
            yield f"{{{name}}}"
        else:
            part = next((part for part in context.parts if name.startswith(part) and not name[len(part) :].isalnum()), None)
            near = suggest(name, [*sorted(values), "peers:...", *keep])
            right = near if part is None else f"of another part: {{first of {part}:{{address}}}} or {{peers of {part}:{{address}}}}"
            line = next((line for line in template.splitlines() if f"{{{name}" in line), template).strip()  # of a file, the line
            raise BadInput(f"unknown name '{{{name}}}' in '{line}'", right=right)


def _of_part(word: str, part: str, inside: str, template: str, context: Context, keep: Collection[str]) -> Iterator[str]:
    """``{peers of data:...}`` or ``{first of data:...}``: the inside for those nodes."""
    others = context.parts.get(part)
    if others is None:
        right = suggest(part, list(context.parts)) if context.parts else "{peers:...}: there is no other part"
        raise BadInput(f"there is no part '{part}' in '{template}'", right=right)
    for peer in others.peers if word == "peers" else others.peers[:1]:
        yield fill(inside, context.within(part).of(peer), keep)


def _pieces(template: str, *, unescape: bool) -> Iterator[tuple[str, str | None]]:
    """(literal text, None) and ("", name between braces), in order."""
    at = 0
    while at < len(template):
        double = template[at : at + 2]
        if double in ("{{", "}}"):
            yield (double[0] if unescape else double), None
            at += 2
        elif template[at] == "{":
            end = _closing(template, at)
            yield "", template[at + 1 : end]
            at = end + 1
        elif template[at] == "}":
            raise BadInput(f"'}}' without '{{' in '{template}'", right="write '}}' for a brace")
        else:
            upto = min((found for brace in "{}" if (found := template.find(brace, at)) >= 0), default=len(template))
            yield template[at:upto], None
            at = upto


def _closing(template: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(template)):
        depth += {"{": 1, "}": -1}.get(template[at], 0)
        if depth == 0:
            return at
    raise BadInput(f"'{{' without '}}' in '{template}'", right="write '{{' for a brace")
