"""How far a run may go: ``limits`` (the blast radius), and ``abort_if`` (what ends it early)."""

from __future__ import annotations

import shlex
from typing import Annotated, Final

from chaos.core.errors import BadInput
from chaos.core.units import Ratio, Seconds
from chaos.experiment.forms import one_of, string
from chaos.experiment.schedules import SPAN
from chaos.experiment.source import Value
from chaos.experiment.tables import DISTINCT, Key, Strict, Written, table


class Limits(Strict, frozen=True):
    """Blast radius: at most so many nodes killed, stopped, paused or cut at once; and who is never touched."""

    nodes_down: int | None = None
    protect: Annotated[tuple[str, ...], DISTINCT] = ()


def _words(written_as: str, value: Value) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(written_as))
    except ValueError as error:
        raise BadInput(f"'{written_as}' is no command: {error}", place=value.place, right="close every quote") from None
    if not words or not words[0]:
        raise BadInput("an empty command asks nothing", place=value.place, right=_EXAMPLE)
    return words


_EXAMPLE: Final = '"./healthy --quick"'
COMMAND: Final = string("a command").then(_words)


@Written(inline=True)
class AbortCommand(Strict, frozen=True):
    """A program that is asked again and again during the run whether it may go on; status 0 means yes."""

    words: Annotated[tuple[str, ...], COMMAND, Key("run", example=_EXAMPLE)]
    """Started as it is, without a shell"""
    every_s: Annotated[Seconds, SPAN] = 1.0
    timeout_s: Annotated[Seconds, SPAN] = 5.0
    """No answer within this time means no."""


@Written(blank=True, inline=True)
class AbortIf(Strict, frozen=True):
    """Safety conditions, checked during the run: the first two every second on the judged service."""

    unavailable_for_s: Seconds | None = None
    error_ratio: Ratio | None = None
    command: Annotated[AbortCommand | None, one_of(COMMAND.then(lambda words, _: AbortCommand(words)), table=table(AbortCommand))] = None
