"""What the search may draw: kinds of faults with their fields, the victims of each, and how long they last.

The faults of the experiment's own file are the menu where the file has any. Without, the menu is what the faults themselves offer to a
search (``Fault.drawn``), so that a fault of another package takes part like a built-in one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from chaos.core import plugins
from chaos.core.errors import BadInput
from chaos.core.units import WrongUnit, duration_s
from chaos.core.values import LEADER
from chaos.experiment.source import Listing, Scalar, Table, Value
from chaos.explore.schedule import flow

SHORTEST_S: Final = 0.5
LONGEST_S: Final = 4.0
"""How long a fault lasts where no file says anything."""
SPREAD: Final = 2.0
"""Around the lengths in a file: from the shortest divided by this to the longest times this."""


class Choice(msgspec.Struct, frozen=True):
    """One kind with certain fields, and all that it may be aimed at."""

    kind: str
    fields: str
    targets: tuple[str, ...]

    def __str__(self) -> str:
        return self.kind if self.fields == "{}" else f"{self.kind} {self.fields}"


class Menu(msgspec.Struct, frozen=True):
    """All choices, and the range of lengths."""

    choices: tuple[Choice, ...]
    shortest_s: float
    longest_s: float


def menu(root: Table, nodes: Sequence[str], *, has_roles: bool, kinds: Sequence[str] = ()) -> Menu:
    """The menu of a file. ``kinds``: only these; those that the file has not are drawn as they offer themselves.

    Raises ``BadInput`` for a kind that nobody knows, and where nothing is left to draw.
    """
    known = plugins.names("faults")
    for kind in kinds:
        if kind not in known:
            raise BadInput(f"unknown fault '{kind}'", right=plugins.suggest(kind, known))
    entries = list(_entries(root.entries.get("faults")))
    named = {kind: flow(entry.entries[kind]) for entry in entries for kind in entry.entries if kind in known}
    offered = [(kind, flow(entry.entries[kind])) for entry in entries for kind in entry.entries if kind in known]
    wanted = list(kinds) or list(dict.fromkeys(named)) or known
    pairs = [pair for pair in dict.fromkeys(offered) if pair[0] in wanted]
    pairs += [(kind, fields) for kind in wanted if kind not in named for fields in plugins.find("faults", kind).drawn]
    choices = [Choice(kind, fields, _targets(kind, fields, nodes, has_roles=has_roles)) for kind, fields in pairs]
    bare = [kind for kind in kinds if kind not in {choice.kind for choice in choices}]
    if bare:
        raise BadInput(f"'{bare[0]}' offers no fields to draw", right=f"put a fault '{bare[0]}' with its fields into the file")
    if not choices:
        raise BadInput("no fault may be drawn", right="name some with --kinds, or put them into the file")
    lengths = [length_s for entry in entries if (length_s := _length_s(entry.entries.get("for"))) is not None]
    shortest_s = min(lengths) / SPREAD if lengths else SHORTEST_S
    return Menu(tuple(choices), shortest_s, max(lengths) * SPREAD if lengths else LONGEST_S)


def _entries(value: Value | None) -> Iterator[Table]:
    """Every single fault of the file, those within a sequence too."""
    for item in value.items if isinstance(value, Listing) else ():
        if isinstance(item, Table):
            yield item
            for branch in ("sequence", "parallel"):
                yield from _entries(item.entries.get(branch))


def _length_s(value: Value | None) -> float | None:
    if not isinstance(value, Scalar):
        return None
    try:
        return duration_s(value.text)
    except WrongUnit:
        return None  # the loader has the last word on it


def _targets(kind: str, fields: str, nodes: Sequence[str], *, has_roles: bool) -> tuple[str, ...]:
    """Every node by name and the leader; of a fault of links those of the clients and between nodes."""
    cls = plugins.find("faults", kind)
    if not cls.takes or _names_its_victims(cls, fields):
        return ("",)
    ends = [*nodes, *([LEADER] if has_roles else [])]
    if "nodes" in cls.takes:
        return tuple(ends)
    clients = [f'{{link: "clients -> {end}"}}' for end in ends]
    return (*clients, *(f'{{link: "{one} <-> {other}"}}' for one, other in itertools.combinations(nodes, 2)))


def _names_its_victims(cls: type, fields: str) -> bool:
    from chaos.core.errors import Place
    from chaos.experiment.source import value_of
    from chaos.experiment.tables import empty_or, table

    return bool(table(cls).read(empty_or(value_of(fields, Place("")))).untargeted)
