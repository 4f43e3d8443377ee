"""What a run cannot tell of a fault: where clients were not asked for as long as an outage takes to be seen, or were unwell before it.

Two things leave a fault out of shares, recoveries and means, each by service and with its reason:

    requests are missing   a run of missing slots as long as ``open``, within the time that the fault can explain: an outage fits into it
    an outage went on      the fault began while the service was down already, and not because of a fault that it was planned to overlap

What was seen meanwhile stays in downtime and availability. Left out means: neither noticed nor unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from chaos.core.units import show_s
from chaos.measure.faults import FaultRecord, Trial
from chaos.measure.slots import MISSING, Slots
from chaos.results.observed import Outage

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Gap(msgspec.Struct, frozen=True):
    """Missing slots in a row, at least as many as open an outage; times in s since t = 0, from the first due time to behind the last."""

    start_s: float
    end_s: float
    slots: int

    @property
    def length_s(self) -> float:
        """For how long clients were not asked."""
        return self.end_s - self.start_s


class Untold(msgspec.Struct, frozen=True):
    """Why nothing can be told of one fault on one service."""

    reason: str
    outage: str = ""
    """The outage that it began in, if that is why."""


def find_gaps(slots: Slots, opens: int, begin_s: float) -> tuple[Gap, ...]:
    """The runs of missing slots that an outage fits into, from ``begin_s`` on."""
    missing: NDArray[np.int8] = np.concatenate(([0], (slots.state == MISSING).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(missing))
    found = []
    for first, behind in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        start_s = float(slots.due_s[first])
        end_s = start_s + (behind - first) * slots.slot_s
        if behind - first >= opens and end_s > begin_s:
            found.append(Gap(max(start_s, begin_s), end_s, behind - first))
    return tuple(found)


def untold(trials: Sequence[Trial], outages: Sequence[Outage], gaps: Sequence[Gap], end_s: float, slot_s: float) -> dict[str, Untold]:
    """Fault id -> why. ``end_s``: of the service's slots; ``slot_s``: their width.

    A planned overlap is one try: what is so of one of its faults is so of all of them."""
    found: dict[str, Untold] = {}
    for trial in trials:
        why = next(
            (each for each in (_why(fault, trial, outages, gaps, end_s, slot_s) for fault in trial.faults) if each is not None), None
        )
        if why is not None:
            found.update({fault.id: why for fault in trial.faults})
    return found


def _why(fault: FaultRecord, trial: Trial, outages: Sequence[Outage], gaps: Sequence[Gap], end_s: float, slot_s: float) -> Untold | None:
    began_s = fault.began_s
    if began_s is None:
        return None
    mine = {each.id for each in trial.faults}
    for outage in outages:
        until_s = end_s if outage.end_s is None else outage.end_s
        if outage.start_s < began_s < until_s and mine.isdisjoint(outage.faults):
            began = f"an outage of {show_s(began_s - outage.start_s)} was going on when it began"
            return Untold(f"{began} ({outage.id})", outage.id)
    for gap in gaps:
        if gap.start_s < max(fault.explains_until_s, began_s) and gap.end_s > began_s:
            return Untold(
                f"{gap.slots} requests in a row ({show_s(gap.length_s)}) were not sent in time after it: an outage fits into them"
            )
    if end_s < began_s + 2 * slot_s:
        return Untold("the requests had ended: whether clients noticed it was not seen")
    return None
