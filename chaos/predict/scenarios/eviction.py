"""A machine that stays silent for long: whoever runs its nodes gives them up, and others follow them.

    missed       after the runtime's grace: its nodes leave the name
    given up     ``eviction`` after that. A node that is made at once (``successor: at-once``) stands elsewhere from then on
    back         one that is made after the death of the last one waits for the machine, since nobody else can say that it is dead. Its
                 process, which lived on behind a cut, is asked to end then; ``replacement`` later the next one's is started

Where no other machine has room for the next one, that waits as well, which is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.predict.scenarios.case import Case

    Floats = NDArray[np.float64]


def started_s(case: Case, back_s: Floats) -> Floats:
    """When nodes of a machine that lost its power are started, which starts them itself at ``back_s`` if it still may."""
    limit_s = _limit_s(case)
    if limit_s is None or case.text("by", "") != "command":
        return back_s
    waits_s = case.optional("replacement_s")
    return np.where(back_s > limit_s, (limit_s if case.system.succeeds_at_once else back_s) + waits_s, back_s)


def served_s(case: Case, gone_s: Floats) -> Floats:
    """When nodes of a machine that is cut off answer again: with the end of the cut, unless they were given up by then. ``gone_s``: from
    when a machine hears of that until their processes have ended."""
    limit_s = _limit_s(case)
    if limit_s is None or case.text("by", "") != "host" or not (case.for_s > limit_s).any():
        return case.for_s
    begins_s = limit_s if case.system.succeeds_at_once else case.for_s + gone_s
    follows_s = case.optional("replacement_s") + case.draw("restart_s", "a node that follows one of a silent machine")
    return np.where(case.for_s > limit_s, begins_s + follows_s, case.for_s)


def _limit_s(case: Case) -> Floats | None:
    """When they are given up; None where the runtime never does that."""
    lost, eviction = case.system.front.lost, case.system.given.get("eviction_s")
    return None if lost is None or eviction is None else lost.sample(case.rng, case.samples) + eviction.mean_s
