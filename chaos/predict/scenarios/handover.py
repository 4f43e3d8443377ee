"""A leader that is asked to end and lets another one lead first (``stopping: handover``).

Another one leads two round trips after the request (or ``takeover``), and nobody had to notice anything. The leaver does not end before
that, however short its grace is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.predict.scenarios.case import Away, Case, assembled, leaderless, led, withdrawn
from chaos.predict.scenarios.client import Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def hands_over(case: Case) -> bool:
    """Does a lone leader leave with somebody to hand over to?"""
    system = case.system
    return system.hands_over and case.by_leader and case.leads and case.victims == 1 and system.nodes - 1 >= system.quorum


def handed_over(
    case: Case, gone_s: Floats, started_s: Floats | Callable[[Floats], Floats], away: Callable[[Floats], Away] | None = None
) -> Scenario:
    """From the request on: the leaver would be dead at ``gone_s``, and its process, or the next node's, runs again at ``started_s``, which
    may depend on the death. ``away``: when clients ask it no more, by when it is ready; without, as the health check finds out."""
    elected_s = case.system.takeover.sample(case.rng, case.samples)
    dead_s = np.maximum(gone_s, elected_s)
    runs_s = started_s(dead_s) if callable(started_s) else np.maximum(started_s, dead_s)
    ready_s = runs_s + case.draw("restart_s", "a stop")
    serving_s = ready_s + case.moment(case.system.heartbeat_s)
    out = _shifted(withdrawn(case, False, ready_s - dead_s), dead_s) if away is None else away(ready_s)
    between = leaderless(case, case.zeros(), elected_s)
    leaver = Group(1, (*between, Spell(Fate.PASS, dead_s), Spell(Fate.REFUSE, serving_s)), out.left_s, out.back_s)
    return assembled(case, leaver, Group(case.system.nodes - 1, between), led(case.zeros(), elected_s), elected_s, elected_s)


def _shifted(away: Away, by_s: Floats) -> Away:
    left_s, back_s = (None if time_s is None else time_s + by_s for time_s in (away.left_s, away.back_s))
    return Away(left_s, back_s)
