"""What a plan can tell of a regression, as sentences. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaos.core.escaping import terminal
from chaos.report.format import count

if TYPE_CHECKING:
    from chaos.evidence.promise import Promise


def render(promises: Sequence[Promise]) -> str:
    """Empty where nothing is promised."""
    if not promises:
        return ""
    lines = ["Against earlier versions (nines gate --against), with a power of 80 %:", *(f"  {_line(each)}" for each in promises)]
    return "\n".join(lines) + "\n"


def _line(promise: Promise) -> str:
    basis = f"with {count(promise.earlier, 'earlier fault')}, {'as measured' if promise.measured else 'as predicted'}"
    finds = (
        f"{count(promise.finds, 'fault')} detect outages {promise.factor:g} times as long" if promise.finds else "no number detects them"
    )
    shows = (
        f"{promise.shows} show that they are no worse than {promise.margin:g} times" if promise.shows else "no number shows them no worse"
    )
    return terminal(f"{promise.fault_class}: {finds}; {shows} ({basis}; this plan has {promise.planned})")
