"""Each try at harming by itself, as what compares runs with others takes it: one row a trial, in the order of time.

A trial's cycle goes from its begin to that of the next one (or the end of what was observed). Outages that came by themselves count to the
cycle in which they began, and to the first one what came before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chaos.measure.faults import Trial
from chaos.measure.slots import GOOD
from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.results.observed import Outage, TrialObserved

if TYPE_CHECKING:
    from numpy.typing import NDArray


def trials(timeline: Timeline, service: ServiceTimeline) -> list[TrialObserved]:
    """All that took effect; times in s. Outage and recovery are None where missing requests leave them open."""
    tries = sorted(timeline.trials, key=_began_s)
    edges_s = [service.begin_s, *(min(max(_began_s(trial), service.begin_s), service.end_s) for trial in tries[1:]), service.end_s]
    owned = service.by_fault()
    told = service.told(tries)
    return [_trial(service, owned, trial, trial in told, edges_s[place], edges_s[place + 1]) for place, trial in enumerate(tries)]


def _trial(
    service: ServiceTimeline, owned: Mapping[str, Sequence[Outage]], trial: Trial, told: bool, begin_s: float, end_s: float
) -> TrialObserved:
    mine = trial.outages(owned)
    outage_s = math.fsum(service.visible_s(outage) for outage in mine)
    beside_s = math.fsum(service.visible_s(outage) for outage in owned.get("", ()) if begin_s <= outage.start_s < end_s)
    recoveries_s = [service.recovery_s(fault) for fault in trial.faults]
    seen_s = [each for each in recoveries_s if each is not None]
    p50_s, p99_s = _latency(service, begin_s, end_s)
    return TrialObserved(
        fault_class=trial.fault_class,
        faults=[fault.id for fault in trial.faults],
        at_s=trial.effective_s,
        outage_s=outage_s if told else None,
        recovery_s=max(seen_s) if told and len(seen_s) == len(recoveries_s) else None,
        censored=any(outage.censored is not None for outage in mine),
        cycle_s=end_s - begin_s,
        down_s=outage_s + beside_s if told else None,
        latency_p50_s=p50_s,
        latency_p99_s=p99_s,
    )


def _began_s(trial: Trial) -> float:
    return min((fault.began_s for fault in trial.faults if fault.began_s is not None), default=trial.effective_s)


def _latency(service: ServiceTimeline, begin_s: float, end_s: float) -> tuple[float | None, float | None]:
    """Median and 99th percentile of the good requests due in that time, from due time; actual values."""
    slots = service.slots
    places = slice(*np.searchsorted(slots.due_s, [begin_s, end_s]).tolist())
    waits_s: NDArray[np.float64] = (slots.done_s[places] - slots.due_s[places])[slots.state[places] == GOOD]
    if not len(waits_s):
        return None, None
    ordered = np.sort(waits_s)
    return float(ordered[math.ceil(0.5 * len(ordered)) - 1]), float(ordered[math.ceil(0.99 * len(ordered)) - 1])
