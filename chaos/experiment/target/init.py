"""``init``: commands that are run once, where nodes are, while a cluster comes up.

    init:
      - {part: sentinel, command: "redis-cli -h {address} -p {watch} ping"}                the first node of the part
      - {node: 2, command: [sh, -c, "join {first of data:{address}}"], within: 30s}        the second one of the first part

A step waits until the nodes of its part are ready and all steps above it are done. Parts that start ``after`` its part wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.units import Seconds
from chaos.experiment.forms import WORDS, listed, one_of, string
from chaos.experiment.source import Value
from chaos.experiment.tables import Key
from chaos.experiment.target.templates import split

FIRST: Final = "first"
ALL: Final = "all"


def _command(words: tuple[str, ...] | str, value: Value) -> tuple[str, ...]:
    """A list is words; a text is split as a shell would; a text of several lines is one word a line."""
    if isinstance(words, str):
        try:
            words = tuple(words.splitlines() if "\n" in words else split(words))
        except BadInput as refusal:
            raise BadInput(refusal.message, place=value.place, right=refusal.right) from None
    if not words or not words[0]:
        raise BadInput("there is no command", place=value.place, right='command: "redis-cli -h {address} ping"')
    return words


_COMMAND: Final = one_of(string("a command line"), listing=listed(WORDS, example='[sh, -c, "..."]')).then(_command)


class InitStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command that is run once, where a node is, when the nodes of its part are ready. Any exit status but 0 ends the run."""

    command: Annotated[tuple[str, ...], _COMMAND, Key(example='command: "redis-cli -h {address} ping"')]
    """A command line, or a list of words; no shell. Templates are those of the node"""
    part: str = ""
    """Of which part; the first one, if this is not said"""
    node: Annotated[str, WORDS] = FIRST
    """Which nodes of the part, one after the other: first, all, a number such as 2, or a name such as n2"""
    user: str = ""
    """Who runs it, if not the user of the part"""
    within_s: Seconds = 60.0
    """How long it may take"""

    def nodes_among(self, members: Sequence[str]) -> list[str]:
        """Those of the part's nodes on which it is run. ``BadInput`` if there is no such node."""
        if self.node == ALL:
            return list(members)
        if self.node == FIRST:
            return list(members[:1])
        if self.node in members:
            return [self.node]
        if self.node.isdecimal() and 1 <= int(self.node) <= len(members):
            return [members[int(self.node) - 1]]
        raise BadInput(
            f"the init step '{' '.join(self.command)}' is for the node '{self.node}', which is not there",
            right=f"first, all, 1 to {len(members)}, or one of {', '.join(members)}",
        )
