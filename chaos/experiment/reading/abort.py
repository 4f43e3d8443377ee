"""Reading of ``abort_if``: the conditions that end a run early, and the command that is asked whether it may go on."""

from __future__ import annotations

import shlex

import msgspec

from chaos.core.errors import BadInput
from chaos.experiment.decode import struct
from chaos.experiment.reading.schedules import positive
from chaos.experiment.source import Table, Value, table, text
from chaos.experiment.spec import AbortCommand, AbortIf


def abort_if(value: Value) -> AbortIf:
    """``{unavailable_for: 30s, error_ratio: 90%, command: "./healthy"}``, each as one likes."""
    entry = table(value)
    entry.only(("unavailable_for", "error_ratio", "command"))
    plain = struct(Table(entry.place, {key: each for key, each in entry.entries.items() if key != "command"}), AbortIf)
    asked = entry.get("command")
    return plain if asked is None else msgspec.structs.replace(plain, command=_command(asked))


def _command(value: Value) -> AbortCommand:
    """``"./healthy"``, or with how often and how long: ``{run: "./healthy", every: 2s, timeout: 1s}``."""
    spans: dict[str, float] = {}
    if isinstance(value, Table):
        value.only(("run", "every", "timeout"))
        spans = {f"{key}_s": positive(value.entries[key]) for key in ("every", "timeout") if key in value.entries}
        value = value.need("run", '"./healthy --quick"')
    written = text(value, "a command")
    try:
        words = tuple(shlex.split(written))
    except ValueError as error:
        raise BadInput(f"'{written}' is no command: {error}", place=value.place, right="close every quote") from None
    if not words or not words[0]:
        raise BadInput("an empty command asks nothing", place=value.place, right='"./healthy --quick"')
    return AbortCommand(words, **spans)
