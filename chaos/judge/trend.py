"""Is there a trend? Every interval here takes outages of one kind to be alike, whenever they come; a run that wears out is not.

    outages that came by themselves   Laplace's test: is the mean of their times in the middle of the run (Cox & Lewis 1966; NIST 8.2.3.4)
    outages after faults of a class   Kendall's: do recoveries grow or shrink from fault to fault (the times are the schedule's own)

Each as a normal deviate, ties and the discreteness of few values allowed for. One chance in a thousand, over all looks taken, fails
the run; one in a hundred is advice: of a hundred sound runs one shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.results import check_names
from chaos.results.verdict import Check

NAME: Final = check_names.TREND
FAILS: Final = 0.001
TELLS: Final = 0.01
LEAST_TIMES: Final = 4
LEAST_LENGTHS: Final = 6


def check(timeline: Timeline) -> Check:
    """Over all services: the least likely look decides."""
    looks: list[tuple[float, str]] = []
    for name, service in timeline.services.items():
        looks += _background(name, service) + _recoveries(name, service, timeline)
    if not looks:
        return Check(NAME, "pass", "too few outages of a kind to show one")
    p_value, told = min(looks)
    corrected = min(1.0, p_value * len(looks))
    count = f"{len(looks)} test{'' if len(looks) == 1 else 's'}"
    if corrected >= TELLS:
        return Check(NAME, "pass", f"none detected (p = {corrected:.2g}, {count})")
    return Check(NAME, "fail" if corrected < FAILS else "unknown", f"{told} (p = {corrected:.2g}, {count})")


def _background(name: str, service: ServiceTimeline) -> list[tuple[float, str]]:
    times_s = [outage.start_s - service.begin_s for outage in service.by_fault().get("", [])]
    if len(times_s) < LEAST_TIMES or service.span_s <= 0:
        return []
    deviate = laplace(times_s, service.span_s)
    return [(two_sided(deviate), f"{name}: outages by themselves come {'ever more often' if deviate > 0 else 'ever more rarely'}")]


def _recoveries(name: str, service: ServiceTimeline, timeline: Timeline) -> list[tuple[float, str]]:
    owned = service.by_fault()
    by_class: dict[str, list[float]] = {}
    for trial in sorted(service.told(timeline.trials), key=lambda each: each.effective_s):
        lost_s = math.fsum(service.visible_s(outage) for outage in trial.outages(owned))
        by_class.setdefault(trial.fault_class, []).append(lost_s)
    found = []
    for fault_class, lengths_s in by_class.items():
        # Differences of less than a slot are the grid's doing, not the system's.
        whole = [round(length_s / service.rule.slot_s) for length_s in lengths_s]
        if len(whole) >= LEAST_LENGTHS and len(set(whole)) > 1:
            deviate = kendall(whole)
            grows = "longer" if deviate > 0 else "shorter"
            found.append((two_sided(deviate), f"{name}: outages after {fault_class} grow {grows} from fault to fault"))
    return found


def laplace(times_s: Sequence[float], span_s: float) -> float:
    """(mean time - T/2) / (T sqrt(1 / 12 n)): above 0 if events come ever more often."""
    count = len(times_s)
    return (math.fsum(times_s) / count - span_s / 2) / (span_s * math.sqrt(1 / (12 * count)))


def kendall(values: Sequence[float]) -> float:
    """Concordant less discordant pairs, over the deviation that chance gives it, with a correction for continuity."""
    count = len(values)
    score = sum(int(later > earlier) - int(later < earlier) for earlier, later in combinations(values, 2))
    ties = [sum(value == each for each in values) for value in set(values)]
    variance = (count * (count - 1) * (2 * count + 5) - sum(tie * (tie - 1) * (2 * tie + 5) for tie in ties)) / 18
    return math.copysign(max(abs(score) - 1, 0), score) / math.sqrt(variance) if variance > 0 else 0.0


def two_sided(deviate: float) -> float:
    """The chance of so large a normal deviate, either way."""
    return math.erfc(abs(deviate) / math.sqrt(2))
