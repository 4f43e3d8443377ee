"""What clients of each service saw, as estimates with intervals: from a timeline to ``Observed``. Nothing here knows a model.

    mttr_s   downtime / completed outages          mttf_s   up time / outages begun
    mtbf_s   their sum, from failure to failure    recovery_s and outage_s: per fault class, see ``ClassObserved``

The baseline is left out of all of it. Where faults were scheduled their rate was our choice: ``mtbf_basis`` says ``schedule``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from chaos.core.rng import derive
from chaos.measure import evidence as stats_evidence
from chaos.measure import means as stats_means
from chaos.measure import ratios as stats_ratios
from chaos.measure import repairs as stats_repairs
from chaos.measure import slots as timeline_slots
from chaos.measure import trials as stats_trials
from chaos.measure import windows as stats_windows
from chaos.measure.faults import BACKGROUND, Trial
from chaos.measure.means import CONFIDENCE
from chaos.measure.slots import FAIL, GOOD, KINDS, MISSING, OK, OVER_DEADLINE, SENT_LATE, UNKNOWN, UNSENT
from chaos.measure.timeline import ServiceTimeline, Timeline, dotted
from chaos.plan.plan import Plan
from chaos.results.observed import ClassObserved, DataObserved, Estimate, Latency, Observed, Outage, ProbeCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_DATA = DataObserved(reason="no data checks were asked for")


def observe(plan: Plan, timeline: Timeline, confidence: float = CONFIDENCE) -> Observed | None:
    """The judged service on top, every service in ``services``; None if nothing was observed after the baseline.

    ``confidence``: of the intervals of availability, ratios, MTTR, MTTF and MTBF; those by fault class always have 95 %.
    """
    services = {name: _observe(plan, timeline, service, confidence) for name, service in timeline.services.items() if service.span_s > 0}
    judged = services.get(plan.judge)
    return None if judged is None else msgspec.structs.replace(judged, services=services)


def _observe(plan: Plan, timeline: Timeline, service: ServiceTimeline, confidence: float) -> Observed:
    scheduled = bool(timeline.trials)
    name = service.service
    seed = derive(plan.seed, "stats", name)
    downs_s = [service.visible_s(outage) for outage in service.outages]
    good = service.slots.state[service.observed] == GOOD
    counted = service.slots.state[service.observed] != MISSING
    longest_s = max(downs_s, default=0.0)
    slot_s = service.rule.slot_s
    begins_s = [_began_s(trial) for trial in _in_time(timeline.trials)]
    begins = np.searchsorted(service.slots.due_s[service.observed], begins_s).tolist() if scheduled else None
    mttr_s = _mttr(service, timeline, seed, confidence)
    mttf_s = _mttf(service, timeline, scheduled, confidence)
    seen = Observed(
        rule=service.rule,
        availability=stats_ratios.scheduled_availability(
            _by_cycle(service, timeline), service.downtime_s, service.span_s, seed, slot_s, confidence, len(timeline.trials)
        )
        if scheduled
        else stats_ratios.natural_availability(_ups_s(service), downs_s, service.downtime_s, service.span_s, confidence, seed, slot_s),
        success_ratio=stats_ratios.slot_ratio(good, counted, slot_s, longest_s, confidence, begins, seed),
        slo_ratio=_slo_ratio(plan, service, good, counted, longest_s, confidence, begins, seed),
        mttr_s=mttr_s,
        mttf_s=mttf_s,
        mtbf_s=_mtbf(mttr_s, mttf_s),
        mtbf_basis="schedule" if scheduled else "background",
        downtime_s=service.downtime_s,
        latency_s=_latency(service),
        outages=list(service.outages),
        by_fault=_by_fault(timeline, service, seed),
        addresses=_addresses(service),
        probes={name: _counts(service)},
        data=NO_DATA,
        windows=stats_windows.worst_windows(good, counted, service.slots.due_s[service.observed], slot_s),
        lost_s=stats_windows.lost_seconds(good, counted, slot_s),
        maintainability=stats_repairs.maintainability(
            downs_s, [outage.censored is None for outage in service.outages], _repair_limit_s(plan)
        ),
    )
    seen = msgspec.structs.replace(seen, trials=stats_trials.trials(timeline, service))
    lack = stats_evidence.lacking(service)
    if lack:
        return stats_evidence.withheld(seen, lack)
    if timeline.damage:
        return stats_evidence.without_faults(seen, timeline.damage)
    return msgspec.structs.replace(seen, availability=stats_evidence.with_gaps(seen.availability, service))


def _repair_limit_s(plan: Plan) -> float | None:
    """The tightest upper limit that the experiment sets on a repair: on an outage, on recovery, or on their mean."""
    limits = [
        spec.bound.value
        for spec in plan.experiment.objectives
        if spec.measure in ("mttr", "outage", "recovery") and spec.bound is not None and spec.bound.op in ("<=", "<")
    ]
    return min(limits, default=None)


# --- time between and time to ------------------------------------------------------------------------------------------


def _by_cause(service: ServiceTimeline, trials: Sequence[Trial]) -> tuple[list[float], list[int]]:
    """Downtime and number of outages of each cause: those after one fault hang together, one that came by itself stands alone."""
    owned = service.by_fault()
    groups = [trial.outages(owned) for trial in trials] + [[outage] for outage in owned.get("", [])]
    groups = [group for group in groups if group]
    return [math.fsum(service.visible_s(outage) for outage in group) for group in groups], [len(group) for group in groups]


def _in_time(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=_began_s)


def _began_s(trial: Trial) -> float:
    """From when on its harm may be felt."""
    return min((fault.began_s for fault in trial.faults if fault.began_s is not None), default=trial.effective_s)


def _by_cycle(service: ServiceTimeline, timeline: Timeline) -> list[float]:
    """Downtime of each effective fault that can be told of, 0 included, and with it of what came by itself before the next one.

    What came before the first fault counts to the last cycle: both are cut off by the run."""
    owned = service.by_fault()
    trials = _in_time(service.told(timeline.trials))
    sums_s = [math.fsum(service.visible_s(outage) for outage in trial.outages(owned)) for trial in trials]
    for outage in owned.get("", []) if trials else []:
        place = sum(_began_s(trial) <= outage.start_s for trial in trials) - 1
        sums_s[place] += service.visible_s(outage)
    return sums_s


def _mttr(service: ServiceTimeline, timeline: Timeline, seed: int, confidence: float) -> Estimate:
    """Downtime over completed outages. A censored outage leaves no upper bound: it is longer than what was seen of it.

    Outages of faults of which nothing can be told are left out: requests are missing that would have been part of them.
    """
    if not service.outages:
        return Estimate(value=None, confidence=CONFIDENCE, n=0, reason="no outage was seen")
    sums_s, parts = _by_cause(service, service.told(timeline.trials))
    outages = [outage for outage in service.outages if not outage.faults or not service.untold.keys() >= set(outage.faults)]
    if not outages:
        return Estimate(value=None, confidence=CONFIDENCE, n=0, reason="of no outage can its length be told: requests are missing")
    downtime_s = min(math.fsum(service.visible_s(outage) for outage in outages), service.span_s)
    completed = sum(outage.end_s is not None for outage in outages)
    cut = sum(outage.censored is not None for outage in outages)
    if not completed:
        return Estimate(None, downtime_s / len(outages), None, confidence, 0, "", "no outage was seen to end")
    estimate = stats_means.mean(sums_s, seed, service.rule.slot_s, at_least=cut, parts=parts, confidence=confidence)
    estimate = stats_evidence.possible(estimate, service.least_s)
    method = estimate.method if len(parts) == len(outages) else f"{estimate.method}, outages of one fault together"
    return msgspec.structs.replace(estimate, value=downtime_s / completed, method=method)


def _mttf(service: ServiceTimeline, timeline: Timeline, scheduled: bool, confidence: float) -> Estimate:
    """Up time over outages begun. What is uncertain is how many there are: of faults noticed, or of events in that time."""
    begun = len(service.outages)
    up_s = service.span_s - service.downtime_s
    if not begun:
        return Estimate(value=None, confidence=CONFIDENCE, n=0, reason="no outage was seen")
    owned = service.by_fault()
    told = service.told(timeline.trials)
    noticed = sum(bool(trial.outages(owned)) for trial in told)
    one_each = scheduled and noticed == begun and "" not in owned
    if one_each:
        low_share, high_share = stats_means.clopper_pearson(noticed, len(told), confidence)
        most, fewest = high_share * len(told), low_share * len(told)
        method = "Clopper-Pearson on faults noticed"
    else:
        low_rate, high_rate = stats_means.poisson_rate(begun, up_s, confidence) if up_s > 0 else (0.0, math.inf)
        most, fewest = high_rate * up_s if up_s > 0 else math.inf, low_rate * up_s
        method = "chi-square, outages as a Poisson process in up time"
    low = up_s / most if 0 < most < math.inf else None
    return Estimate(up_s / begun, low, up_s / fewest if fewest > 0 else None, confidence, begun, method, stats_means.few(begun))


def _mtbf(mttr: Estimate, mttf: Estimate) -> Estimate:
    """Their sum; its interval is that of the time to failure, shifted: the repair is the small part."""
    if mttr.value is None or mttf.value is None:
        return Estimate(value=None, confidence=CONFIDENCE, n=mttf.n, reason=mttr.reason or mttf.reason)
    low = None if mttf.low is None else mttf.low + mttr.value
    high = None if mttf.high is None or mttr.high is None else mttf.high + mttr.value
    return Estimate(mttr.value + mttf.value, low, high, mttf.confidence, mttf.n, f"{mttf.method}, plus the mean repair", mttf.reason)


def _ups_s(service: ServiceTimeline) -> list[float]:
    """The up times between outages; the first and the last one are cut off by the run and counted as long as seen."""
    edges = [service.begin_s]
    for outage in service.outages:
        edges += [outage.start_s, service.end_s if outage.end_s is None else outage.end_s]
    edges.append(service.end_s)
    return [max(end_s - start_s, 0.0) for start_s, end_s in zip(edges[::2], edges[1::2], strict=True) if end_s > start_s]


# --- fault classes -----------------------------------------------------------------------------------------------------


def _by_fault(timeline: Timeline, service: ServiceTimeline, seed: int) -> dict[str, ClassObserved]:
    tried = {fault.id for trial in timeline.trials for fault in trial.faults}
    in_vain = [fault.fault_class for fault in timeline.faults if fault.asked_s is not None and fault.id not in tried]
    classes = dict.fromkeys([*(trial.fault_class for trial in timeline.trials), *in_vain])
    owned = service.by_fault()
    found = {}
    for name in classes:
        trials = [trial for trial in timeline.trials if trial.fault_class == name]
        found[name] = _class(service, owned, trials, in_vain.count(name), derive(seed, name))
    by_itself = [service.visible_s(outage) for outage in owned.get("", [])]
    if by_itself:
        cut = sum(outage.censored is not None for outage in owned[""])
        found[BACKGROUND] = ClassObserved(
            injected=0,
            effective=0,
            noticed=len(by_itself),
            share=Estimate(value=None, confidence=CONFIDENCE, reason="not injected"),
            recovery_s=Estimate(value=None, confidence=CONFIDENCE, reason="not injected"),
            outage_s=stats_evidence.possible(
                stats_means.mean(by_itself, derive(seed, BACKGROUND), service.rule.slot_s, at_least=cut), service.least_s
            ),
        )
    return found


def _class(
    service: ServiceTimeline, owned: Mapping[str, Sequence[Outage]], trials: Sequence[Trial], in_vain: int, seed: int
) -> ClassObserved:
    recoveries_s, downs_s = [], []
    cut_recoveries = cut_downs = 0
    told = service.told(trials)
    for trial in told:
        mine = trial.outages(owned)
        is_cut = any(outage.end_s is None for outage in mine)
        last_s = max((service.end_s if outage.end_s is None else outage.end_s for outage in mine), default=trial.effective_s)
        recoveries_s.append(max(last_s - trial.effective_s, 0.0))
        cut_recoveries += is_cut
        if mine:
            downs_s.append(math.fsum(service.visible_s(outage) for outage in mine))
            cut_downs += any(outage.censored is not None for outage in mine)
    slot_s = service.rule.slot_s
    outage_s = stats_means.mean(downs_s, derive(seed, "outage"), slot_s, at_least=cut_downs)
    recovery_s = stats_means.mean(recoveries_s, derive(seed, "recovery"), slot_s, at_least=cut_recoveries, zeros=True)
    left_out = [service.untold[fault.id].reason for trial in trials for fault in trial.faults if fault.id in service.untold]
    reason = f"{len(trials) - len(told)} left out: {left_out[0]}" if left_out else ""
    seen = ClassObserved(
        injected=len(trials) + in_vain,
        effective=len(trials),
        noticed=len(downs_s),
        share=stats_means.share(len(downs_s), len(told)),
        recovery_s=stats_evidence.whole_slots(recovery_s, slot_s)
        if told
        else Estimate(value=None, confidence=CONFIDENCE, reason="no fault took effect"),
        outage_s=stats_evidence.possible(outage_s, service.least_s)
        if downs_s
        else Estimate(value=None, confidence=CONFIDENCE, reason="clients noticed none"),
        untold=len(trials) - len(told),
        reason=reason,
    )
    return stats_evidence.without_figures(seen, reason) if trials and not told else seen


# --- slots -------------------------------------------------------------------------------------------------------------


def _slo_ratio(
    plan: Plan,
    service: ServiceTimeline,
    good: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    longest_s: float,
    confidence: float,
    begins: Sequence[int] | None,
    seed: int,
) -> Estimate:
    limit_s = plan.experiment.slo.latency_s
    if limit_s is None:
        return Estimate(value=None, confidence=CONFIDENCE, reason="the experiment states no slo.latency")
    in_time = good & (_latencies_s(service) <= limit_s)
    return stats_ratios.slot_ratio(in_time, counted, service.rule.slot_s, longest_s, confidence, begins, seed)


def _latencies_s(service: ServiceTimeline) -> NDArray[np.float64]:
    return service.slots.done_s[service.observed] - service.slots.due_s[service.observed]


def _latency(service: ServiceTimeline) -> Latency:
    """Of good slots, from due time; the percentiles are actual values (the smallest that so many do not exceed)."""
    good = _latencies_s(service)[service.slots.state[service.observed] == GOOD]
    count = len(good)
    if not count:
        return Latency(p50=None, p99=None, max=None)
    places = [math.ceil(0.5 * count) - 1, math.ceil(0.99 * count) - 1, count - 1]
    ordered = np.partition(good, sorted(set(places)))
    p50, p99, most = (float(ordered[place]) for place in places)
    return Latency(p50=p50, p99=p99, max=most)


def _addresses(service: ServiceTimeline) -> dict[str, float]:
    """Address -> its share of the slots that were sent to one (the last one, of several attempts)."""
    counts = timeline_slots.count_addresses(service.slots.address[service.observed])
    total = sum(counts.values())
    return {dotted(number): count / total for number, count in sorted(counts.items())}


def _counts(service: ServiceTimeline) -> ProbeCounts:
    counts = np.bincount(service.slots.kind[service.observed], minlength=len(KINDS)).tolist()
    due = sum(counts)
    return ProbeCounts(
        due=due,
        sent=due - counts[UNSENT],
        ok=counts[OK],
        fail=counts[FAIL],
        unknown=counts[UNKNOWN],
        over_deadline=counts[OVER_DEADLINE],
        unsent=counts[UNSENT],
        sent_late=counts[SENT_LATE],
    )
