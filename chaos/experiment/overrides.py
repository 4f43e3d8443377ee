"""``--set cluster.nodes=5``: single values of an experiment given on the command line instead of in its file.

    cluster.nodes=5                   a path of keys, and a value as YAML writes it: 5, 30s, [n1, n2], {any: 2}
    faults.kill-leader.for=5s         an item of a list by its name
    faults[0].for=5s                  or by its number, from 0

Keys on the way that are not there are made. A wrong value is told with the option in place of a line of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.experiment.source import Listing, Scalar, Table, Value, locate, value_of, what_is

OPTION: Final = "--set"
_STEP: Final = re.compile(r"(?P<key>[^.\[\]=\s]+)|\[(?P<number>[0-9]{1,6})\]")
_RIGHT: Final = "write it like --set cluster.nodes=5"


class Override(msgspec.Struct, frozen=True):
    """One of them, as given."""

    path: str
    value: str

    @property
    def place(self) -> Place:
        """For messages."""
        return Place(f"{OPTION} {self.path}={self.value}", None, "")


def parsed(text: str) -> Override:
    """``cluster.nodes=5``; ``BadInput`` for what is none."""
    path, sign, value = text.partition("=")
    if not sign or not _steps(path.strip()):
        raise BadInput(f"'{OPTION} {text}' does not say which value is set", right=_RIGHT)
    return Override(path.strip(), value.strip())


def applied(root: Table, overrides: Sequence[str]) -> tuple[Table, tuple[str, ...]]:
    """The document with all of them, one after the other; and the overrides with numbers in place of names."""
    numbered = []
    for text in overrides:
        override = parsed(text)
        changed, path = _set(root, _steps(override.path), override, "")
        assert isinstance(changed, Table)
        root = changed
        numbered.append(f"{path}={override.value}")
    return root, tuple(numbered)


def located(file: str, overrides: Sequence[str], path: str) -> Place:
    """Where a path stands: at the last override of it, of something above or below it; else in the file."""
    for text in reversed(overrides):
        override = parsed(text)
        if path == override.path or _below(path, override.path) or _below(override.path, path):
            return msgspec.structs.replace(override.place, path=path)
    return locate(file, path)


def _below(path: str, above: str) -> bool:
    return path.startswith(above) and path[len(above) :][:1] in (".", "[")


def _steps(path: str) -> list[str | int]:
    """``faults[0].for`` -> faults, 0, for; empty if it is no path."""
    found: list[str | int] = []
    at = 0
    while at < len(path):
        if found and path[at] == ".":
            at += 1
        match = _STEP.match(path, at)
        if match is None or (not found and match["key"] is None):
            return []
        found.append(int(match["number"]) if match["key"] is None else match["key"])
        at = match.end()
    return found


def _set(value: Value | None, steps: Sequence[str | int], override: Override, path: str) -> tuple[Value, str]:
    """The value with what is set in it, and the path with numbers."""
    if not steps:
        return value_of(override.value, msgspec.structs.replace(override.place, path=path)), path
    step, rest = steps[0], steps[1:]
    if isinstance(value, Listing):
        number = _number(value, step, override, path)
        inner, whole = _set(value.items[number], rest, override, f"{path}[{number}]")
        return msgspec.structs.replace(value, items=(*value.items[:number], inner, *value.items[number + 1 :])), whole
    if isinstance(step, int):
        what = "nothing" if value is None else what_is(value)
        raise BadInput(f"{what} stands at '{path}', not a list", place=override.place, right=_RIGHT)
    table = value if isinstance(value, Table) else Table(msgspec.structs.replace(override.place, path=path), {})
    inner, whole = _set(table.entries.get(step), rest, override, f"{path}.{step}" if path else step)
    return msgspec.structs.replace(table, entries={**table.entries, step: inner}), whole


def _number(value: Listing, step: str | int, override: Override, path: str) -> int:
    """Which item is meant: by number, or by what stands under its key ``name``."""
    if isinstance(step, int):
        if step >= len(value.items):
            raise BadInput(f"'{path}' has {len(value.items)} items, from 0", place=override.place, right=f"{path}[0]")
        return step
    names = [_name(item) for item in value.items]
    if step not in names:
        raise BadInput(
            f"no item of '{path}' is named '{step}'", place=override.place, right=suggest(step, [each for each in names if each])
        )
    return names.index(step)


def _name(item: Value) -> str:
    name = item.entries.get("name") if isinstance(item, Table) else None
    return name.text if isinstance(name, Scalar) else ""
