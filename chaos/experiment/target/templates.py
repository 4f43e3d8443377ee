"""Filling of the templates in a ``target.yaml``: commands, environment, files, questions.

``{node}`` ``{zone}`` ``{address}`` ``{peer_address}`` ``{data}`` ``{python}`` ``{target}``, every port and setting by its name,
``{number}`` of the node within its part, ``{count}`` of the part's nodes and their ``{quorum}``, and

    {peers:...}             the inside for every node of the part (itself included), joined by commas
    {each:...}              the same, joined by nothing: the inside brings its own line ends or blanks
    {peers of data:...}     the same for the nodes of the part 'data', with the ports of that part inside; so ``each of``, ``first of``
    {addresses:data:...}    the same as {peers of data:...}; without an inside the addresses alone
    {count of data}         how many nodes that part has; so ``quorum of``

Inside, ``{node}``, ``{number}``, ``{zone}``, ``{address}`` and ``{peer_address}`` are the peer's. ``{name}`` and ``{peer_name}`` are by
what others are to know a node: a name that it keeps where its address may change (pods that are deleted), else its address.
``{{`` and ``}}`` stand for braces. An unknown name is refused, never passed on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.plugins import suggest

if TYPE_CHECKING:
    from chaos.experiment.target.spec import Ask

PEER_ADDRESS: Final = "peer_address"
PEER_NAME: Final = "peer_name"
RESERVED: Final = ("node", "zone", "address", PEER_ADDRESS, "data", "python", "target", "peers", "key", "value")
"""Names that no port and no setting may have."""
_OWN: Final = re.compile(r"(peers|each):(.*)", re.DOTALL)
_OF: Final = re.compile(r"(peers|first|each) of ([^:{}]+):(.*)", re.DOTALL)
_ADDRESSES: Final = re.compile(r"addresses:([^:{}]+)(?::(.*))?", re.DOTALL)
_HOW_MANY: Final = re.compile(r"(count|quorum) of ([^:{}]+)")
_BY_ADDRESS: Final = re.compile(r"\{(address|peer_address)\}")
_HELD: Final = "\x00"
"""Stands for a name in braces while a command line is split into words."""


class Peer(msgspec.Struct, frozen=True):
    """A node of the part, at the addresses by which another one is to reach it; itself included."""

    node: str
    address: str
    peer_address: str = ""
    """On the network that nodes talk to each other on, if that is another one."""
    zone: str = ""
    number: int = 1
    """Its place in its part, from 1."""
    name: str = ""
    """That it keeps when its address changes; empty where that does not."""


class Others(msgspec.Struct, frozen=True):
    """The nodes of a part, as one node reaches them, and the ports they have."""

    ports: dict[str, int]
    peers: tuple[Peer, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.peers)


def quorum(count: int) -> int:
    """The smallest number of nodes of which two such groups always share one."""
    return count // 2 + 1


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
    number: int = 1
    """The node's place in its part, from 1."""
    count: int = 1
    """How many nodes the part has."""
    name: str = ""
    """By what others are to know it; empty: by its addresses."""

    def values(self) -> dict[str, str]:
        """Name -> text."""
        ports = {name: str(port) for name, port in self.ports.items()}
        own = {"node": self.node, "address": self.address, "data": self.data, "python": self.python, "target": self.target}
        peer_address = self.peer_address or self.address
        named = {"name": self.name or self.address, PEER_NAME: self.name or peer_address}
        # Targets that were written before these words may have settings and ports of the same names: theirs are meant then.
        later = {"number": str(self.number), "count": str(self.count), "quorum": str(quorum(self.count)), **named}
        return {**later, **self.settings, **ports, **own, "zone": self.zone, PEER_ADDRESS: peer_address}

    def of(self, peer: Peer) -> Context:
        """The same for another node."""
        own = {"node": peer.node, "zone": peer.zone, "address": peer.address, "peer_address": peer.peer_address, "number": peer.number}
        return msgspec.structs.replace(self, **own, name=peer.name, peers=(), parts={})

    def within(self, part: str) -> Context:
        """The same with the ports of another part."""
        others = self.parts[part]
        return msgspec.structs.replace(self, ports=others.ports, count=others.count)


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


def fill_words(command: Sequence[str], context: Context) -> list[str]:
    """The words of a command, filled in. A word that is all ``{each...}`` becomes as many words as its text has."""
    found: list[str] = []
    for word in command:
        text = fill(word, context)
        found += text.split() if _is_each(word) else [text]
    return found


def by_address(template: str) -> str:
    """Where the text speaks of other nodes by their addresses, as it is written there; empty where it does not."""
    for _, name in _pieces(template, unescape=False):
        if name is None:
            continue
        inside = _OWN.fullmatch(name) or _OF.fullmatch(name)
        spoken = _ADDRESSES.fullmatch(name) is not None if inside is None else _BY_ADDRESS.search(inside[inside.re.groups]) is not None
        if spoken:
            return f"{{{name}}}"
    return ""


def split(command: str) -> list[str]:
    """A command line as words, as a shell would split it; what stands in braces is never split, nor are its quotes looked at."""
    held: list[str] = []
    line = ""
    for literal, name in _pieces(command, unescape=False):
        if name is None:
            line += literal
        else:
            held.append(f"{{{name}}}")
            line += _HELD
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadInput(f"'{command}' is no command line: {error}", right="close every quote") from None
    rest = iter(held)
    return [re.sub(_HELD, lambda _: next(rest), word) for word in words]


def with_nodes(text: str, context: Context) -> str:
    """The text of an operation with what speaks of the nodes of a part filled in; all else stays, for the probe to fill each time.

    ``context`` is that of the clients: ``{peers:...}`` are the nodes of the part that they use.
    """
    found, at = "", 0
    while (opening := text.find("{", at)) >= 0:
        found += text[at:opening]
        at = opening + 1
        if any(form.match(text, at) for form in (_OWN, _OF, _ADDRESSES, _HOW_MANY)):
            end = _closing(text, opening)
            found += fill(text[opening : end + 1], context)
            at = end + 1
        else:
            found += "{"
    return found + text[at:]


def _is_each(word: str) -> bool:
    return re.match(r"\{each[ :]", word) is not None and _closing(word, 0) == len(word) - 1


def _filled(template: str, context: Context, keep: Collection[str]) -> Iterator[str]:
    values = context.values()
    for literal, name in _pieces(template, unescape=not keep):
        if name is None:
            yield literal
        elif own := _OWN.fullmatch(name):
            yield _joiner(own[1]).join(fill(own[2], context.of(peer), keep) for peer in context.peers)
        elif of := _OF.fullmatch(name):
            yield _joiner(of[1]).join(_of_part(of[1], of[2].strip(), of[3], template, context, keep))
        elif of := _ADDRESSES.fullmatch(name):
            yield ",".join(_of_part("peers", of[1].strip(), "{address}" if of[2] is None else of[2], template, context, keep))
        elif of := _HOW_MANY.fullmatch(name):
            count = _others(of[2].strip(), template, context.parts).count
            yield str(count if of[1] == "count" else quorum(count))
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


def _joiner(word: str) -> str:
    return "" if word == "each" else ","


def _of_part(word: str, part: str, inside: str, template: str, context: Context, keep: Collection[str]) -> Iterator[str]:
    """``{peers of data:...}`` or ``{first of data:...}``: the inside for those nodes."""
    others = _others(part, template, context.parts)
    for peer in others.peers[:1] if word == "first" else others.peers:
        yield fill(inside, context.within(part).of(peer), keep)


def _others(part: str, template: str, parts: Mapping[str, Others]) -> Others:
    found = parts.get(part)
    if found is None:
        right = suggest(part, list(parts)) if parts else "{peers:...}: there is no other part"
        raise BadInput(f"there is no part '{part}' in '{template}'", right=right)
    return found


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
