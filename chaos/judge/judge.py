"""A run folder judged: assumption checks, then objectives, then agreement. Needs no cluster; the same folder gives the same verdict.

Whatever the run came to (interrupted, aborted, crashed at any byte), it is judged on what there is. The exit code follows the most
urgent thing: a fault not proven gone (6), a bug of ours (70), an interruption (130, 143), an abort (4), a failed assumption (3), a
missed objective (1), an objective that cannot be told (3), else 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from chaos.core.errors import BadInput
from chaos.core.units import show_s, show_share
from chaos.data.judged import judge_data
from chaos.history.events import HARNESS_DIED, Row, TrafficStarted
from chaos.history.folder import RunFolder
from chaos.judge import agreement, checks, checks_demand, checks_probe, objectives, verdicts
from chaos.judge import early_stop as deciding
from chaos.judge.extrapolation import extrapolate
from chaos.judge.model_inputs import facts_of
from chaos.measure import bad_requests as timeline_bad
from chaos.measure import demand, detectors, timeline
from chaos.measure import estimates as stats
from chaos.measure import evidence as stats_evidence
from chaos.measure import log as event_log
from chaos.measure import phases as anatomy
from chaos.measure import series as over_time
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.predict import uncertainty as uncertain
from chaos.predict.figures import ClassSamples
from chaos.predict.run import Prediction, predict
from chaos.predict.unseen import Unseen, unseen
from chaos.results import check_names
from chaos.results.data import Data
from chaos.results.detectors import Detectors
from chaos.results.observed import PHASES, BadRequests, DemandLevel, LogLine, NameEmpty, Observed, Outage, Phase, Series
from chaos.results.predicted import Predicted
from chaos.results.verdict import Agreement, Check, Extrapolated, LookTaken, Objective

MET, MISSED, UNKNOWN, ABORTED, UNUSABLE, NOT_HEALED, BUG, SIGNALLED = 0, 1, 3, 4, 5, 6, 70, 128
"""Exit codes; that of a signal is its number above ``SIGNALLED``."""
VERDICTS = {MET: "pass", MISSED: "fail"}
NOT_STARTED = "did not start"
"""How the end of a run begins whose environment was not usable."""


class Judgement(msgspec.Struct, frozen=True, eq=False):
    """All that is thought of one run; ``report`` makes the report of it."""

    plan: Plan
    timeline: Timeline
    observed: Observed | None
    predicted: Predicted | None
    agreement: list[Agreement]
    agreement_overall: str
    checks: list[Check]
    objectives: list[Objective]
    verdict: str
    """pass, fail or unknown: what the run came to, whatever was expected of it."""
    exit_code: int
    reasons: list[str]
    looks: list[LookTaken] = []
    extrapolated: Extrapolated | None = None
    longest_s: float | None = None
    bad_requests: list[BadRequests] = []
    demand: list[DemandLevel] = []
    name_empty: list[NameEmpty] = []
    state: str = ""
    """A name of ``chaos.results.states``."""
    data: Data | None = None
    next_steps: list[str] = []
    log: list[LogLine] = []
    series: dict[str, Series] = {}
    detectors: Detectors | None = None


def judge(folder: RunFolder, more: Sequence[Row] = (), *, predicting: bool = True) -> Judgement:
    """Judge a run folder; ``more``: rows that its disk did not take. Raises ``HistoryUnreadable`` where there is no plan.

    ``predicting``: hold it against the models as well, which takes most of the time.
    """
    planned, history = folder.read_plan(), folder.read_history()
    rows = [*history.rows, *more]
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), 0)
    plan = deciding.as_run(planned, rows, start_ns)
    seen = anatomy.dissect(plan, timeline.build(plan, rows, folder.read_observations(), history.damage))
    observed = stats.observe(plan, seen)
    checked = checks.check(plan, seen)
    levels = demand.levels(plan, seen, folder.read_demand()) if demand.changes(plan) else []
    checked += [checks_demand.sent(levels)] * bool(levels)
    held: list[Agreement] = []
    overall = agreement.INCONCLUSIVE
    predicted: Predicted | None = None
    prediction: Prediction | None = None
    spreads: dict[str, uncertain.Spreads] = {}
    if observed is not None:
        elsewhere = _calibrated_elsewhere(plan, seen)
        checked += elsewhere
        if predicting and all(each.verdict == "pass" for each in elsewhere):
            prediction, possible = _predict(plan, seen)
            checked.append(possible)
        if prediction is not None:
            spreads = {name: uncertain.spreads(plan, facts_of(plan, seen), name) for name in prediction.downtime}
            predicted = uncertain.widened(prediction.predicted, plan.judge, spreads)
            held, overall = _compare(plan, seen, prediction.downtime, spreads)
            observed = beside(plan, observed, seen, predicted)
    missed: list[Unseen] = []
    looked = None
    if planned.looks_s and observed is not None:
        draws = prediction.downtime.get(plan.judge, {}) if prediction is not None else {}
        spread = spreads.get(plan.judge, {}).get(agreement.OVERALL, 0.0)
        looked = deciding.assess(planned, seen, draws, deciding.look_times_s(rows, seen), spread)
        held, overall = [_by_looks(row, looked, plan.judge) for row in held], looked.agreement if held else overall
    data = judge_data(folder, plan, rows, seen.start_ns)
    checked = objectives.without_doubles(checked, data)
    held_objectives = objectives.evaluate(plan, seen, observed, overall, data)
    if looked is not None:
        held_objectives = [looked.claims.get(place, held_objective) for place, held_objective in enumerate(held_objectives)]
    if observed is not None:
        missed = _missed(plan, seen, predicted)
        checked.append(checks_probe.resolution(plan, missed, held_objectives))
        checked.append(checks_probe.contradiction(plan, observed))
    exit_code, reasons = decide(seen, checked, held_objectives, data)
    return Judgement(
        plan=plan,
        timeline=seen,
        observed=observed,
        predicted=predicted,
        agreement=held,
        agreement_overall=overall,
        checks=checked,
        objectives=held_objectives,
        verdict=VERDICTS.get(exit_code, "unknown"),
        exit_code=exit_code,
        reasons=reasons,
        looks=[] if looked is None else list(looked.looks),
        extrapolated=None if observed is None else extrapolate(plan, seen, _too_coarse(missed)),
        longest_s=planned.duration_s if planned.looks_s else None,
        bad_requests=timeline_bad.bad_requests(seen),
        demand=levels,
        name_empty=timeline_bad.name_empty(plan, seen),
        state=verdicts.state(exit_code, plan, seen, checked, _harness_died(seen)).name,
        next_steps=verdicts.next_steps(seen, checked, held_objectives, held),
        data=data,
        log=event_log.lines(rows, start_ns),
        detectors=_detectors(plan, seen),
        series={name: drawn for name, service in seen.services.items() if (drawn := over_time.series(service)) is not None},
    )


def _detectors(plan: Plan, seen: Timeline) -> Detectors | None:
    """The system's failure detectors beside what clients saw."""
    judged = seen.services.get(plan.judge)
    owned = {} if judged is None else judged.by_fault()
    downs_s: dict[str, float | None] = {}
    if judged is not None:
        downs_s = {
            fault.id: None if fault.id in judged.untold else math.fsum(judged.visible_s(each) for each in owned.get(fault.id, []))
            for fault in seen.faults
        }
    outages = [outage for service in seen.services.values() for outage in service.outages]
    return detectors.beside_clients(seen.views, seen.faults, outages, downs_s, seen.end_s)


def _by_looks(row: Agreement, looked: deciding.Assessment, judge: str) -> Agreement:
    """The overall row as the looks decided it: a p-value for a number of faults fixed beforehand would not be one here."""
    if row.service != judge or row.fault_class != agreement.OVERALL:
        return row
    low, high = looked.interval
    return msgspec.structs.replace(row, p_value=None, verdict=looked.agreement, detectable=False, faults_to_decide=None, low=low, high=high)


# --- the exit code -----------------------------------------------------------------------------------------------------


def decide(seen: Timeline, checked: Sequence[Check], held: Sequence[Objective], data: Data | None = None) -> tuple[int, list[str]]:
    """The exit code, and in plain words what led to it; with a verdict of pass or fail, what else a reader should know.

    A failed assumption makes figures of time worthless, but a violation of ``data`` stands: a write that was acknowledged and is gone
    is gone however busy the machine was.
    """
    failed = [f"{check.heading}: {check.detail}" for check in checked if check.verdict == "fail"]
    missed = [_objective(objective, "wanted {}") for objective in held if objective.verdict == "fail"]
    untold = [_objective(objective, "undecided against {}") for objective in held if objective.verdict == "unknown"]
    advice = [f"{check.heading}: {check.detail}" for check in checked if check.verdict == "unknown"]
    code = _halted(seen, checked)
    if code is not None:
        return code, [*failed, *missed, *untold]
    of_data = {check.name for check in data.checks} if data is not None else set()
    proven = [_objective(each, "wanted {}") for each in held if each.verdict == "fail" and each.name in of_data]
    if failed and proven:
        return MISSED, [*proven, *(f"no other figure of this run counts: {each}" for each in failed)]
    if failed:
        return UNKNOWN, [*failed, *missed, *untold]
    if missed:
        return MISSED, [*missed, *untold, *advice]
    if untold:
        return UNKNOWN, [*untold, *advice]
    return MET, advice


def _halted(seen: Timeline, checked: Sequence[Check]) -> int | None:
    """The code of a run that did not simply come to its end, the most urgent first."""
    ended = seen.ended
    if any(check.name == checks.HEALED and check.verdict == "fail" for check in checked):
        return NOT_HEALED
    if ended is not None and ended.bug:
        return UNUSABLE if ended.bug.startswith(NOT_STARTED) and seen.traffic is None else BUG
    numbers = [row.signal for row in seen.aborting] + [ended.signal if ended else None]
    number = next((number for number in numbers if number is not None), None)
    if number is not None:
        return SIGNALLED + number
    conditions = [row.condition for row in seen.aborting] + ([ended.aborted] if ended else [])
    # The death of the harness is no safety condition: it fails the check that the run came to its end, and so makes it unknown.
    return ABORTED if any(condition and HARNESS_DIED not in condition for condition in conditions) else None


def _harness_died(seen: Timeline) -> bool:
    conditions = [row.condition for row in seen.aborting] + ([seen.ended.aborted] if seen.ended else [])
    return any(HARNESS_DIED in condition for condition in conditions)


def _objective(objective: Objective, wish: str) -> str:
    observed = objective.observed
    if observed.value is None:
        return f"{objective.title}: {wish.format(objective.want)}" + (f" ({observed.reason})" if observed.reason else "")
    value = show_share(observed.value) if objective.name in objectives.RATIOS else f"{observed.value:g}"
    value = show_s(observed.value) if objective.name.split(" ")[0] in objectives.DURATIONS else value
    because = f": {observed.reason}" if observed.reason and objective.name.startswith("recovery") else ""
    return f"{objective.title} {value}, {wish.format(objective.want)}{because}"


# --- the prediction beside the measurement -----------------------------------------------------------------------------


def _predict(plan: Plan, seen: Timeline) -> tuple[Prediction | None, Check]:
    """What a run with these faults should have shown. A target that declares too little for that is no error of the run's."""
    name = check_names.PREDICTION
    try:
        prediction = predict(plan, facts_of(plan, seen))
    except BadInput as error:
        return None, Check(name, "unknown", error.message)
    return prediction, Check(name, "pass", "the target declares what the models need")


def _missed(plan: Plan, seen: Timeline, predicted: Predicted | None) -> list[Unseen]:
    """The classes of faults whose outages, by the model, are too short for the probe."""
    if predicted is None:
        return []
    shares = {name: each.share.value for name, each in predicted.by_fault.items() if each.share.value is not None}
    return unseen(plan, facts_of(plan, seen), plan.judge, shares)


def _too_coarse(missed: Sequence[Unseen]) -> str:
    if not missed:
        return ""
    first = missed[0]
    return f"the probe is too coarse for outages after {first.fault_class}: they last {show_s(first.outage_s)} by the model"


def _calibrated_elsewhere(plan: Plan, seen: Timeline) -> list[Check]:
    """A prediction that was fitted on this very run would agree with it whatever the model: it fails the run's assumptions."""
    if not plan.calibration:
        return []
    name = check_names.ELSEWHERE
    run = seen.run.run if seen.run is not None else ""
    if run in plan.calibration:
        return [
            Check(name, "fail", f"the prediction's parameters were measured in this run ({run}): held against itself it proves nothing")
        ]
    return [Check(name, "pass", f"parameters measured in {len(plan.calibration)} other run{'s' * (len(plan.calibration) > 1)}")]


def _compare(
    plan: Plan, seen: Timeline, draws: Mapping[str, Mapping[str, ClassSamples]], spreads: Mapping[str, Mapping[str, float]]
) -> tuple[list[Agreement], str]:
    """Every service, the judged one first; the overall word is about that one."""
    rows: list[Agreement] = []
    overall = agreement.INCONCLUSIVE
    for name in sorted(seen.services, key=lambda each: each != plan.judge):
        service = seen.services[name]
        owned = service.by_fault()
        observed: dict[str, list[float]] = {}
        nothing = bool(stats_evidence.lacking(service) or seen.damage)
        for trial in () if nothing else service.told(seen.trials):
            downs_s = [service.visible_s(outage) for outage in trial.outages(owned)]
            observed.setdefault(trial.fault_class, []).append(math.fsum(downs_s))
        found, word = agreement.compare(
            name, observed, draws.get(name, {}), plan.experiment.predict.margin, service.rule.slot_s, spreads.get(name)
        )
        rows += found
        overall = word if name == plan.judge else overall
    return rows, overall


def beside(plan: Plan, observed: Observed, seen: Timeline, predicted: Predicted) -> Observed:
    """The same observation, with the model's mean beside each phase of the first outage of each fault.

    The model's phases are of all that one fault costs; an outage that flaps open again after it has none of its own.
    """
    services = {name: _with_phases(service, name, seen, predicted) for name, service in observed.services.items()}
    return msgspec.structs.replace(services[plan.judge], services=services)


def _with_phases(service: Observed, name: str, seen: Timeline, predicted: Predicted) -> Observed:
    by_fault = predicted.services[name].by_fault if name in predicted.services else {}
    owned = seen.services[name].by_fault()
    means_s = {}
    for trial in seen.trials:
        model, mine = by_fault.get(trial.fault_class), trial.outages(owned)
        if model is not None and mine:
            means_s[mine[0].id] = model.phases
    outages = [_predicted_phases(outage, means_s.get(outage.id, {})) for outage in service.outages]
    return msgspec.structs.replace(service, outages=outages)


def _predicted_phases(outage: Outage, means_s: dict[str, float]) -> Outage:
    phases = {}
    if anatomy.BOTH in outage.phases:  # the marks do not tell them apart
        means_s = {**means_s, anatomy.BOTH: means_s.get("detection", 0.0) + means_s.get("election", 0.0), "detection": 0.0, "election": 0.0}
    for phase in PHASES:
        found, mean_s = outage.phases.get(phase), means_s.get(phase)
        if found is not None or mean_s:
            phases[phase] = Phase(observed_s=0.0 if found is None else found.observed_s, predicted_s=mean_s)
    return msgspec.structs.replace(outage, phases=phases)
