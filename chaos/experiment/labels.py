"""Label selectors, as kubectl writes them, and whether labels meet them.

::

    tier=cache    tier==cache    tier!=cache      the value is that one, or another one (or the label is not there)
    tier    !tier                                 the label is there, or it is not
    tier in (cache, store)    tier notin (cache)  the value is one of these, or none of them (or the label is not there)
    shard>2    shard<5                            the value is a whole number beyond that
    tier=cache,shard!=2                           all of them hold

The grammar is that of Kubernetes' own library (``k8s.io/apimachinery/pkg/labels``). Labels of Docker containers are read by it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.experiment.forms import Form, string
from chaos.experiment.schema import anchored
from chaos.experiment.source import Value

_GAP: Final = r"[ \t\r\n]*"
"""What Kubernetes takes for white space. No two of these meet in a pattern: each way to share blanks out would be tried."""
_WORD: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_KEY: Final = rf"({_LABEL}(\.{_LABEL})*/)?{_WORD}"
_COMPARED: Final = rf"{_KEY}{_GAP}(=|==|!=)({_GAP}{_WORD})?"
_NUMBERED: Final = rf"{_KEY}{_GAP}[<>]{_GAP}[0-9]{{1,19}}"
_LISTED: Final = rf"{_KEY}[ \t\r\n]{_GAP}(in|notin){_GAP}\({_GAP}({_WORD}{_GAP})?(,{_GAP}({_WORD}{_GAP})?)*\)"
_ALONE: Final = rf"(!{_GAP})?{_KEY}"
_TERM: Final = rf"{_GAP}({_COMPARED}|{_NUMBERED}|{_LISTED}|{_ALONE}){_GAP}"
_PATTERN: Final = rf"{_TERM}(,{_TERM})*"
_COMMA: Final = re.compile(r",(?![^()]*\))")
"""One that stands in no brackets."""
_PARTS: Final = re.compile(r"\s*(!?)\s*([^\s=!<>()]+)\s*(==|=|!=|<|>|\bin\b|\bnotin\b)?(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,63}")
_MOST_PREFIX: Final = 253
_BEYOND: Final = 1 << 63
"""Kubernetes compares numbers of 64 bits."""
RIGHT: Final = "tier=cache, or tier=cache,shard!=2, or 'tier in (cache, store)'"


class Requirement(msgspec.Struct, frozen=True):
    """One of a selector: ``tier in (cache, store)``."""

    key: str
    operator: str
    """``in``, ``notin``, ``exists``, ``missing``, ``<`` or ``>``."""
    values: frozenset[str] = frozenset()

    def met(self, labels: Mapping[str, str]) -> bool:
        """By these labels."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "missing":
                return value is None
        if value is None or not _NUMBER.fullmatch(value) or not -_BEYOND <= int(value) < _BEYOND:
            return False
        (bound,) = map(int, self.values)
        return int(value) > bound if self.operator == ">" else int(value) < bound


@lru_cache(maxsize=256)
def requirements(selector: str) -> tuple[Requirement, ...]:
    """Of a selector that is right; ``ValueError`` with the term that is not."""
    return tuple(_requirement(term) for term in _COMMA.split(selector))


def meets(labels: Mapping[str, str], selector: str) -> bool:
    """Whether all of its requirements hold."""
    return all(each.met(labels) for each in requirements(selector))


def _requirement(term: str) -> Requirement:
    if not re.fullmatch(_TERM, term):
        raise ValueError(term.strip())
    parts = _PARTS.fullmatch(term)
    assert parts is not None  # whatever is a term has these
    no, key, operator, rest = parts.groups()
    if len(key.rpartition("/")[0]) > _MOST_PREFIX:
        raise ValueError(term.strip())
    if operator is None:
        return Requirement(key, "missing" if no else "exists")
    if operator in ("in", "notin"):
        return Requirement(key, operator, frozenset(each.strip() for each in rest.strip().strip("()").split(",")))
    if operator in ("<", ">") and int(rest) >= _BEYOND:
        raise ValueError(term.strip())
    named = {"=": "in", "==": "in", "!=": "notin"}.get(operator, operator)
    return Requirement(key, named, frozenset({rest.strip()}))


def _checked(written_as: str, value: Value) -> str:
    try:
        requirements(written_as)
    except ValueError as wrong:
        what = f"'{wrong}' in '{written_as}'" if str(wrong) != written_as.strip() else f"'{written_as}'"
        raise BadInput(f"{what} is no requirement of a label selector", place=value.place, right=RIGHT) from None
    return written_as


LABELS: Final[Form[str]] = string("a label selector").then(_checked, {"pattern": anchored(_PATTERN)})
"""As it is written."""
