"""What a run came to, in one word beside pass, fail and unknown; and what to do next where it came to no answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from chaos.judge.objectives import DURATIONS, LOWER, UPPER
from chaos.measure.means import FEW
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.results import states
from chaos.results.verdict import Agreement, Check, Objective

MOST_FAULTS: Final = 10_000


def state(code: int, plan: Plan, seen: Timeline, checked: Sequence[Check], harness_died: bool) -> states.State:
    """By exit code and checks. A run without faults that misses nothing is a baseline: it passes no test, for there was none."""
    if code > 128:
        return states.INTERRUPTED
    invalid = any(check.verdict == "fail" for check in checked)
    if code in (0, 3) and not plan.windows and not invalid:
        return states.BASELINE
    if code in states.BY_CODE:
        return states.BY_CODE[code]
    if harness_died or (seen.traffic is not None and seen.ended is None):
        return states.INTERRUPTED
    return states.INVALID if invalid else states.INCONCLUSIVE


def qualifiers(plan: Plan) -> list[str]:
    """What a reader must know beside the state: that nothing was broken, that nothing was real."""
    return [states.BASELINE.name] * (not plan.windows) + [states.SIMULATED.name] * plan.virtual


def halted_at_s(seen: Timeline) -> float | None:
    """When a run that did not come to its end was told to end, or was last heard of; None for one that did."""
    if seen.aborting:
        return max(0.0, (seen.aborting[0].at_ns - seen.start_ns) / 1e9)
    cut = seen.ended is None or seen.ended.aborted or seen.ended.signal is not None or seen.ended.bug
    return seen.end_s if cut else None


def next_steps(seen: Timeline, checked: Sequence[Check], held: Sequence[Objective], agreed: Sequence[Agreement]) -> list[str]:
    """What would bring an answer, the most urgent first; empty where nothing is open."""
    steps = [check.next_step for check in checked if check.verdict == "fail" and check.next_step]
    faults = len(seen.trials)
    if not any(check.verdict == "fail" for check in checked):
        steps += [step for objective in held if objective.verdict == "unknown" and (step := _of_objective(objective, faults))]
    decide = next((row.faults_to_decide for row in agreed if not row.fault_class and row.faults_to_decide), None)
    if decide is not None and faults and decide > faults:
        steps.append(f"about {decide} faults instead of {faults} would tell whether the prediction holds")
    return list(dict.fromkeys(steps))


def faults_needed(objective: Objective, faults: int) -> int | None:
    """About how many faults would narrow the interval of a claim until it lies on one side: its width falls with their square root.

    None where no number helps (an estimate on the limit itself), or none can be told.
    """
    seen, bound = objective.observed, _limit(objective)
    if bound is None or seen.value is None or faults < 1:
        return None
    end = seen.high if (seen.value <= bound) else seen.low
    if end is None or faults < 3:
        return FEW if faults < FEW else None
    log = objective.name.split(" ")[0] in DURATIONS and min(seen.value, bound, end) > 0
    width = abs(math.log(end / seen.value)) if log else abs(end - seen.value)
    gap = abs(math.log(bound / seen.value)) if log else abs(bound - seen.value)
    if gap <= 0 or not math.isfinite(width):
        return None
    needed = math.ceil(faults * max(1.0, (width / gap) ** 2)) + 1
    return max(needed, FEW) if needed <= MOST_FAULTS else None


def _limit(objective: Objective) -> float | None:
    """The number of ``want``, in the unit of the figure."""
    from chaos.core.units import WrongUnit, duration_s, ratio

    for sign in (*UPPER, *LOWER):
        if objective.want.startswith(sign):
            text = objective.want.removeprefix(sign).strip()
            try:
                return duration_s(text) if objective.name.split(" ")[0] in DURATIONS else ratio(text)
            except WrongUnit:
                return None
    return None


def _of_objective(objective: Objective, faults: int) -> str:
    if objective.basis != "claim":
        return ""
    needed = faults_needed(objective, faults)
    if needed is None or needed <= faults:
        return ""
    return (
        f"run at least {needed} faults instead of {faults} (times: N, or --until-decided) to establish {objective.title} {objective.want}"
    )
