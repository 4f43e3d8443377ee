"""A run that may stop early, looked at: what each look says of the claims and of the agreement, and which look ended it.

The same function answers during the run (``Decider``, after every round) and when the folder is judged: the looks are rows of the
history, so a judgement knows that the run was a sequential one and repeats its looks, with the same spending of errors
(``sequential``). What is to be decided: the objectives with basis ``claim``; where there is none, or where an objective asks for
it, the agreement on the judged service's total downtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.history.events import Looked, Row
from chaos.history.folder import RunFolder
from chaos.judge import agreement, objectives, sequential
from chaos.judge.model_inputs import facts_of
from chaos.measure import estimates as stats
from chaos.measure import timeline
from chaos.measure.faults import Trial
from chaos.measure.means import CONFIDENCE
from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.plan.plan import Plan
from chaos.results.verdict import LookTaken, Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chaos.predict.figures import ClassSamples

    Floats = NDArray[np.float64]

DECIDED: Final = ("pass", "fail")


class Assessment(msgspec.Struct, frozen=True):
    """What the looks came to."""

    looks: tuple[LookTaken, ...]
    agreement: str
    """The overall word: consistent, inconsistent or inconclusive."""
    interval: tuple[float | None, float | None]
    """Of true over predicted, at the look that decided or the last one."""
    claims: Mapping[int, Objective]
    """Place among the objectives -> the claim as the first look that decided it saw it, else as the last one did."""
    decided: bool

    @property
    def said(self) -> str:
        """In a few words."""
        last = self.looks[-1] if self.looks else None
        words = [f"{claim.name}: {claim.verdict}" for claim in self.claims.values()]
        words += [f"agreement: {self.agreement}"]
        return f"after {last.faults if last else 0} faults " + ", ".join(words)


def wants(plan: Plan) -> tuple[bool, bool]:
    """Whether claims are to be decided, and whether the agreement is."""
    specs = plan.experiment.objectives
    claims = any(spec.basis == "claim" and spec.measure != "agreement" for spec in specs)
    return claims, not claims or any(spec.measure == "agreement" for spec in specs)


def as_run(plan: Plan, rows: Sequence[Row], start_ns: int) -> Plan:
    """The plan of a run that a look ended, as far as it came: what was never to be done any more is no fault that failed."""
    end = next((row for row in rows if isinstance(row, Looked) and row.decided), None)
    if end is None or not plan.looks_s:
        return plan
    end_s = (end.at_ns - start_ns) / 1e9
    windows = tuple(window for window in plan.windows if window.start_s < end_s)
    return msgspec.structs.replace(plan, windows=windows, duration_s=min(plan.duration_s, end_s))


def look_times_s(rows: Sequence[Row], seen: Timeline) -> list[float]:
    """When the run was looked at; the end of one that no look ended is the last look."""
    looked = sorted((row for row in rows if isinstance(row, Looked)), key=lambda row: row.at_ns)
    times_s = [(row.at_ns - seen.start_ns) / 1e9 for row in looked]
    return times_s if looked and looked[-1].decided else [*times_s, seen.end_s]


def assess(plan: Plan, seen: Timeline, draws: Mapping[str, ClassSamples], times_s: Sequence[float], spread: float = 0.0) -> Assessment:
    """All looks of a run. ``plan`` with all windows that it might have come to; ``draws`` of the judged service's fault classes."""
    service = seen.services[plan.judge]
    most = len(plan.windows)
    counts = [sum(trial.effective_s < time_s for trial in seen.trials) for time_s in times_s]
    words, interval = _agreement(plan, service, service.told(seen.trials), draws, times_s, most, spread)
    confidences = sequential.claim_confidences(counts, most)
    claims: dict[int, Objective] = {}
    looks: list[LookTaken] = []
    needs_claims, needs_agreement = wants(plan)
    for number, (time_s, count, confidence) in enumerate(zip(times_s, counts, confidences, strict=True)):
        word = words[min(number, len(words) - 1)]
        _claims(plan, seen, time_s, confidence, claims)
        decided = (not needs_claims or all(claim.verdict in DECIDED for claim in claims.values())) and (
            not needs_agreement or word != agreement.INCONCLUSIVE
        )
        looks.append(LookTaken(number + 1, time_s, count, confidence, word, decided))
        if decided:
            break
    return Assessment(tuple(looks), looks[-1].agreement, interval, claims, looks[-1].decided)


def _agreement(
    plan: Plan,
    service: ServiceTimeline,
    trials: Sequence[Trial],
    draws: Mapping[str, ClassSamples],
    times_s: Sequence[float],
    most: int,
    spread: float,
) -> tuple[list[str], tuple[float | None, float | None]]:
    """The word at each look up to the first that decides."""
    nothing: tuple[float | None, float | None] = (None, None)
    if any(trial.fault_class not in draws for trial in trials) or not trials:
        return [agreement.INCONCLUSIVE], nothing
    laws = {name: _pooled(each) for name, each in draws.items()}
    owned = service.by_fault()
    increments: list[list[tuple[Floats, int]]] = []
    totals_s: list[float] = []
    before_s = -math.inf
    for time_s in times_s:
        new = [trial for trial in trials if before_s <= trial.effective_s < time_s]
        names = sorted({trial.fault_class for trial in new})
        increments.append([(laws[name], sum(trial.fault_class == name for trial in new)) for name in names])
        downs_s = [service.visible_s(outage) for trial in new for outage in trial.outages(owned)]
        totals_s.append((totals_s[-1] if totals_s else 0.0) + math.fsum(downs_s))
        before_s = time_s
    margin = plan.experiment.predict.margin
    if not any(law.any() for kinds in increments for law, _ in kinds):
        return _unnoticed(increments, totals_s, margin), nothing
    looks = sequential.agree(increments, totals_s, most, margin, service.rule.slot_s, spread)
    return [look.verdict for look in looks], (looks[-1].low, looks[-1].high)


def _unnoticed(increments: Sequence[Sequence[tuple[Floats, int]]], totals_s: Sequence[float], margin: float) -> list[str]:
    """Where no fault is predicted to be noticed: one that is refutes it; so many unnoticed ones that 1 - 1/margin is excluded agree.

    "None of the first m" can only be seen once, at that m, so looking at it often adds no error.
    """
    words, faults = [], 0
    for kinds, total_s in zip(increments, totals_s, strict=True):
        faults += sum(count for _, count in kinds)
        excluded = faults > 0 and 1.0 - sequential.LEVEL ** (1.0 / faults) <= 1.0 - 1.0 / margin
        words.append(agreement.INCONSISTENT if total_s > 0 else agreement.CONSISTENT if excluded else agreement.INCONCLUSIVE)
        if words[-1] != agreement.INCONCLUSIVE:
            break
    return words


def _pooled(samples: ClassSamples) -> Floats:
    """The draws of a class, each of its durations as often as the run has it."""
    import numpy as np

    if len(samples.faults) == 1:
        return samples.downtime_s
    parts = [samples.downtime_s[samples.stratum == stratum] for stratum in range(len(samples.faults))]
    least = min(len(part) for part in parts)
    each = max(1, least // max(samples.faults))
    pooled: Floats = np.concatenate([part[: each * count] for part, count in zip(parts, samples.faults, strict=True)])
    return pooled


def _claims(plan: Plan, seen: Timeline, time_s: float, confidence: float | None, claims: dict[int, Objective]) -> None:
    """Evaluate what no earlier look has decided, on what had been seen by then; too few faults decide nothing."""
    specs = sorted(plan.experiment.objectives, key=lambda spec: spec.fault is not None)
    open_places = [
        place
        for place, spec in enumerate(specs)
        if spec.basis == "claim" and spec.measure != "agreement" and (place not in claims or claims[place].verdict not in DECIDED)
    ]
    if not open_places:
        return
    part = up_to(seen, time_s)
    observed = stats.observe(plan, part, CONFIDENCE if confidence is None else confidence)
    held = objectives.evaluate(plan, part, observed, agreement.INCONCLUSIVE)
    for place in open_places:
        claim = held[place]
        claims[place] = claim if confidence is not None else msgspec.structs.replace(claim, verdict="unknown")


def up_to(seen: Timeline, time_s: float) -> Timeline:
    """What had been seen by a time, as a timeline."""
    if time_s >= seen.end_s:
        return seen
    return msgspec.structs.replace(
        seen,
        end_s=time_s,
        services={name: _service_up_to(service, time_s) for name, service in seen.services.items()},
        trials=tuple(trial for trial in seen.trials if trial.effective_s < time_s),
        faults=tuple(fault for fault in seen.faults if fault.effective_s is not None and fault.effective_s < time_s),
    )


def _service_up_to(service: ServiceTimeline, time_s: float) -> ServiceTimeline:
    slots = service.slots
    many = slice(0, len(slots.due_s) - len(slots.due_s[slots.since(time_s)]))
    cut = msgspec.structs.replace(
        slots, due_s=slots.due_s[many], done_s=slots.done_s[many], state=slots.state[many], kind=slots.kind[many],
        address=slots.address[many], attempts=slots.attempts[many], recorded=slots.recorded[many], end_s=time_s,
    )  # fmt: skip
    outages = []
    for outage in service.outages:
        if outage.start_s >= time_s:
            continue
        if outage.end_s is None or outage.end_s > time_s:
            censored = "both" if outage.censored in ("start", "both") else "end"
            seen_s = time_s - outage.start_s
            outages.append(
                msgspec.structs.replace(
                    outage, end_s=None, duration_s=None, high_s=None, low_s=min(outage.low_s, seen_s), censored=censored
                )
            )
        else:
            outages.append(outage)
    return msgspec.structs.replace(service, end_s=time_s, slots=cut, outages=tuple(outages))


class Decider:
    """Asked by a run between its rounds; reads the run's own folder, as far as it has been written."""

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self._plan = plan
        self._folder = folder
        self._draws: dict[str, ClassSamples] = {}
        self._spread = 0.0
        """How uncertain the prediction itself is, where its parameters were measured."""

    def decide(self) -> tuple[bool, str]:
        """Whether all that is to be decided is, and what is said so far."""
        rows = self._folder.rows()
        seen = timeline.build(self._plan, rows, self._folder.read_observations())
        if self._plan.judge not in seen.services or not seen.trials:
            return False, "nothing has been seen yet"
        if {trial.fault_class for trial in seen.trials} - self._draws.keys():
            try:
                self._predict(seen)
            except BadInput as error:
                if wants(self._plan)[1]:
                    return False, f"no prediction to agree with: {error.message}"
        found = assess(self._plan, seen, self._draws, look_times_s(rows, seen), self._spread)
        return found.decided, found.said

    def _predict(self, seen: Timeline) -> None:
        from chaos.predict import run as predicting
        from chaos.predict import uncertainty as uncertain

        facts = facts_of(self._plan, seen)
        self._draws = predicting.draws(self._plan, facts, self._plan.judge)
        self._spread = uncertain.spreads(self._plan, facts, self._plan.judge).get(agreement.OVERALL, 0.0)
