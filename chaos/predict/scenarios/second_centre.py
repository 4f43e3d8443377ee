"""A second data centre behind the same name, in priority order: an asynchronous copy that takes over when the first one is lost.

    0         the nodes of the first centre die
    dns       their health checks have failed and caches are renewed: clients come to the second centre
    promoted  the first one has been silent for ``promotion`` and a client has come: the second one takes writes

Clients that come before that are refused. The first centre, when it is back, hands requests over: whom the name says is no matter then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.predict.scenarios.case import Case, renewals
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def takes_over(case: Case, spells: tuple[Spell, ...], serving_s: Floats, silent: bool) -> Scenario:
    """Loss of the whole first centre; ``spells``: what its nodes do until they serve again, at ``serving_s``."""
    front, system = case.system.front, case.system
    never_s, ever_s = np.full(case.samples, -np.inf), np.full(case.samples, np.inf)
    if not front.health_checked or front.resolve == "once":
        return Scenario(case.samples, (Group(case.victims, spells),), (Block("restart", serving_s),))
    # The name turns to the second centre when the last node of the first one is out of it.
    out_s = np.max([front.withdrawal(silent).sample(case.rng, case.samples) for _ in range(case.victims)], axis=0)
    asked_s = np.where(out_s < serving_s, renewals(case)(out_s), np.inf)
    # A write of ours that is refused is the one that asks for the promotion: the next ones are taken.
    promoted_s = np.maximum(asked_s, case.draw("promotion_s", "the loss of a data centre")) + system.round_trip_s
    away = np.isfinite(asked_s)
    first = Group(case.victims, spells, asked_s, ever_s)
    second = Group(system.standby, (Spell(Fate.REFUSE, np.where(away, promoted_s, 0.0)),), never_s, asked_s)
    blocks = (Block("dns", np.minimum(asked_s, serving_s)), Block("detection", np.where(away, promoted_s, 0.0)))
    return Scenario(case.samples, (first, second), blocks)


def copy_lost(case: Case) -> Scenario:
    """Loss of the second centre: nobody is sent there."""
    return Scenario(case.samples, (Group(case.system.nodes, ()),), ())
