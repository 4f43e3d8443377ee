"""Models: what the outages of a kind of fault should come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from chaos.predict.scenarios.case import Case
    from chaos.predict.scenarios.client import Scenario


def _as_it_is(case: Case) -> Case | None:
    return case


class Model(msgspec.Struct, frozen=True):
    """How faults of one kind are predicted (entry points ``nines.models``, by the name of the fault): pure, from what is known before.

    ``build`` is told who is struck, in what role, for how long, and draws what then becomes of clients. It alone reads the fault's own
    fields, as ``case.facts.params``.
    """

    build: Callable[[Case], Scenario | None]
    """None for what is not modelled of it."""
    understands: Callable[[Case], Case | None] = _as_it_is
    """The case in other words, where one form of the fault is another one in disguise; None for a form that is not modelled."""
    whole: bool = False
    """Nobody's role matters to it. Else victims are the leader or followers when ``build`` is asked, and a mixture is asked twice."""
