"""What a report says in plain sentences: the verdict, what clients saw, whether it was predicted, what it means, how to repeat it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Final

from chaos.core.units import show_s
from chaos.report.format import DASH, count, is_chance, joined, measure, number, parameter, percent, seconds
from chaos.report.format import objective as named
from chaos.results.check_names import COMPLETE, FAILED, HEALED
from chaos.results.observed import Outage
from chaos.results.predicted import Improvement, Production
from chaos.results.report import Report
from chaos.results.verdict import Agreement, Objective

MONTHS_A_YEAR: Final = 12.0
"""A month is a twelfth of a year here: 30.44 days."""
CUT_SHORT: Final = FAILED[COMPLETE]
_CAUSES: Final = {"overlaps": "faults that overlap, share a cause or are not covered"}
"""What stands for a cause in ``report.json`` and is no fault class."""
STATES: Final = {
    "pass": "PASS",
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "invalid": "INVALID",
    "aborted": "ABORTED",
    "interrupted": "INTERRUPTED",
    "left-over": "FAULTS LEFT OVER",
    "crashed": "CRASHED",
    "not-started": "NOT STARTED",
    "unknown": "UNKNOWN",
}
"""What a run came to, as the first word of every report."""
BY_CODE: Final = {
    0: "pass",
    1: "fail",
    4: "aborted",
    5: "not-started",
    6: "left-over",
    70: "crashed",
    130: "interrupted",
    143: "interrupted",
}
QUALIFIERS: Final = {"baseline": "BASELINE", "simulated": "SIMULATED"}


def state(report: Report) -> str:
    """``report.state``; of a report that is older than this word, what its exit code tells."""
    return report.state or BY_CODE.get(report.exit_code, "unknown")


def verdict(report: Report) -> str:
    """The words of the verdict line: ``PASS``, ``INCONCLUSIVE, SIMULATED``."""
    return ", ".join([STATES.get(state(report), "UNKNOWN"), *(QUALIFIERS[word] for word in report.qualifiers if word in QUALIFIERS)])


def line(report: Report) -> str:
    """The verdict line: ``PASS  quick [SIMULATED]: All 2 objectives met.``"""
    beside = ", ".join(QUALIFIERS[word] for word in report.qualifiers if word in QUALIFIERS)
    return f"{STATES.get(state(report), 'UNKNOWN')}  {report.experiment}{f' [{beside}]' if beside else ''}: {headline(report)}"


def headline(report: Report) -> str:
    """What led to the verdict, in one sentence."""
    match state(report):
        case "pass":
            return _passed(report)
        case "fail":
            missed = [_compared(objective) for objective in report.objectives if objective.verdict == "fail"]
            tail = " That was expected of this experiment." if report.expect_verdict == "fail" else ""
            return f"Objectives missed: {'; '.join(missed)}.{tail}" if missed else f"Objectives missed.{tail}"
        case "inconclusive":
            return _inconclusive(report)
        case "interrupted" | "aborted":
            return _halted(report)
        case _:
            if not report.reasons:
                return "No verdict, and no reason is recorded."
            more = len(report.reasons) - 1
            return report.reasons[0].rstrip(".") + (f", and {count(more, 'further reason')}." if more else ".")


def _passed(report: Report) -> str:
    met = len(report.objectives)
    if not met:
        return "No objective is set; every validity check passed."
    return f"All {met} objectives met." if met > 1 else "The objective is met."


def _compared(objective: Objective) -> str:
    """``mttr 2.4 s, wanted <= 2s``."""
    seen = objective.observed
    value = measure(objective.name)(seen.value) if seen.value is not None else seen.reason or "not measured"
    return f"{named(objective.name)} {value}, wanted {objective.want}"


def _inconclusive(report: Report) -> str:
    open_ = [objective for objective in report.objectives if objective.verdict == "unknown"]
    if not open_:
        return report.reasons[0].rstrip(".") + "." if report.reasons else "No verdict, and no reason is recorded."
    first, more = open_[0], f" {count(len(open_) - 1, 'further objective')} undecided." if len(open_) > 1 else ""
    faults = _effective(report)
    if first.observed.value is None:
        return f"{named(first.name)} {first.want}: {first.observed.reason or 'not measured'}.{more}"
    value = measure(first.name)(first.observed.value)
    if first.basis == "claim" and faults:
        what = "one fault cannot" if faults == 1 else f"{faults} faults do not"
        return f'{named(first.name)} {value}, but {what} establish "{first.want}".{more}'
    why = f": {first.observed.reason}" if first.observed.reason else ""
    return f'{named(first.name)} {value}, and whether it is "{first.want}" is open{why}.{more}'


def _halted(report: Report) -> str:
    """``after 13 of 52 s: 1 of 4 faults ran; objectives not evaluated.``"""
    at_s = report.duration_s if report.halted_at_s is None else report.halted_at_s
    ran = _effective(report)
    of_faults = f"{ran} of {count(report.planned_faults, 'fault')} ran" if report.planned_faults else ""
    of_time = f" of {report.planned_s:.0f}" if report.planned_s else ""
    why = next((reason.partition(": ")[2] for reason in report.reasons if reason.startswith(CUT_SHORT)), "")
    rolled_back = next((check for check in report.checks if check.name == HEALED), None)
    clean = "All faults rolled back." if ran and rolled_back is not None and rolled_back.verdict == "pass" else ""
    if state(report) == "aborted":
        parts = [f"At {at_s:.1f}{of_time} s: {why or 'a safety condition ended the run'}.", clean]
    else:
        signalled = f" ({why})" if why else ""
        done = "; ".join(part for part in (of_faults, "objectives not evaluated" if report.objectives else "") if part)
        parts = [f"After {at_s:.0f}{of_time} s{signalled}" + (f": {done}." if done else "."), clean]
    return " ".join(part for part in parts if part)


def _effective(report: Report) -> int:
    return sum(fault.effective_at_s is not None for fault in report.faults)


def notes(report: Report) -> list[str]:
    """The reasons that the headline does not say already."""
    match state(report):
        case "pass" | "fail" | "interrupted" | "aborted" | "inconclusive":
            return [reason for reason in report.reasons if not _in_headline(report, reason)]
        case _:
            return report.reasons[1:]


def _in_headline(report: Report, reason: str) -> bool:
    """Whether the headline says it: what ended the run; the missed objectives; the first one that is open."""
    match state(report):
        case "interrupted" | "aborted":
            return reason.startswith(CUT_SHORT)
        case "fail":
            return any(reason.startswith(objective.name) and objective.want in reason for objective in report.objectives
                       if objective.verdict == "fail")  # fmt: skip
        case "inconclusive":
            return bool(report.reasons) and reason == report.reasons[0]
        case _:
            return False


def next_steps(report: Report) -> list[str]:
    """What would bring an answer; a sentence each."""
    return [f"{step[:1].upper()}{step[1:].rstrip('.')}." for step in report.next_steps]


def story(report: Report) -> list[str]:
    """What clients saw, what was predicted, what it means in production: a sentence each, fit to be read aloud."""
    return [sentence for sentence in (_seen(report), _empty(report), _held(report), _meaning(report), _improve(report)) if sentence]


def _seen(report: Report) -> str:
    seen = report.observed
    if seen is None:
        return "Clients observed nothing: no request was sent."
    service = f"{report.judged}s" if report.judged in ("write", "read") else report.judged or "the service"
    if seen.downtime_s is None:
        return f"The availability of {service} is unknown: {seen.availability.reason}."
    outages = len(seen.outages)
    faults = _effective(report)
    if not faults:
        begin = "Baseline only (no faults injected)" if "baseline" in report.qualifiers else "No fault took effect"
        what = (
            f"no outage of {service}" if not outages else f"{count(outages, 'outage')} of {service}, {seconds(seen.downtime_s)} of downtime"
        )
        return f"{begin}: {what}; availability {percent(seen.availability.value)}."
    after = f"after {count(faults, 'fault')}"
    if not outages:
        seen_from = f"of {seconds(seen.rule.open * seen.rule.slot_s)} or more "
        return f"Clients saw no outage of {service} {seen_from}{after}; availability {percent(seen.availability.value)}."
    mean = f", MTTR {seconds(seen.mttr_s.value)}" if seen.mttr_s.value is not None else ""
    return (
        f"Clients saw {count(outages, 'outage')} of {service} {after}: {seconds(seen.downtime_s)} of downtime{mean}, "
        f"availability {percent(seen.availability.value)} in this run.{_by_themselves(seen.outages)}"
    )


def _by_themselves(outages: Sequence[Outage]) -> str:
    """Outages that belong to no fault, where they are not a small part of all: "after 3 faults" would blame the faults."""
    alone = [outage for outage in outages if not outage.faults]
    lost_s, alone_s = (math.fsum(each.low_s for each in them) for them in (outages, alone))
    if alone_s < lost_s * BY_THEMSELVES:
        return ""
    if len(alone) == len(outages):
        return " No fault caused the outage." if len(alone) == 1 else " No fault caused any of them."
    return f" No fault caused {len(alone)} of them ({seconds(alone_s)})."


def _empty(report: Report) -> str:
    """A name without any address while nodes ran is the name's doing (its checks all failed), and is told as that."""
    while_up = [each for each in report.name_empty if each.running]
    if not while_up:
        return ""
    total_s = math.fsum(each.end_s - each.start_s for each in while_up)
    nodes = joined(sorted({node for each in while_up for node in each.running}))
    times = f", {len(while_up)} times" if len(while_up) > 1 else ""
    return (
        f"The name was empty for {seconds(total_s)}{times}: every health check failed while {nodes} ran. "
        "A name that fails open (dns: {fail_open: true}) answers with all its nodes then."
    )


def _held(report: Report) -> str:
    overall = next((row for row in report.agreement if row.measure == "downtime" and not row.fault_class), None)
    faults = _effective(report)
    if not faults:
        return ""
    over = f"over {count(faults, 'fault')}"
    figures_said = ""
    if report.predicted is not None and report.observed is not None and report.predicted.mttr_s.value is not None:
        figures_said = f" (MTTR predicted {seconds(report.predicted.mttr_s.value)}, observed {seconds(report.observed.mttr_s.value)})"
    size = apart(overall) if overall is not None else ""
    if report.agreement_overall == "consistent":
        difference = (
            f" A difference is detectable, though: clients lost {size}." if overall is not None and overall.detectable and size else ""
        )
        return f"The observation is consistent with the prediction {over}{figures_said}.{difference}{_one_sided(report)}"
    if report.agreement_overall == "inconsistent":
        chance = f" ({is_chance(overall.p_value)})" if overall is not None and overall.p_value is not None else ""
        lost = f": clients lost {size}" if size else ""
        return f"The observation differs from the prediction {over}{figures_said}{lost}{chance}. See the outage breakdown by phase."
    if not report.agreement:
        return ""
    decide = overall.faults_to_decide if overall is not None else None
    more = f" (about {decide} needed)" if decide else ""
    few = "One fault is too few" if faults == 1 else f"{faults} faults are too few"
    return f"{few} to test the prediction{more}{figures_said}.{_one_sided(report)}"


def apart(row: Agreement) -> str:
    """``24 % less than predicted``; empty where there is nothing to compare, or no difference to speak of."""
    if row.predicted is None or row.observed is None or row.predicted <= 0:
        return ""
    share = row.observed / row.predicted - 1.0
    if abs(share) < 0.005:
        return ""
    if share >= MANY_TIMES - 1:
        return f"{share + 1:.0f} times as much time as predicted"
    return f"{abs(share) * 100:.0f} % {'more' if share > 0 else 'less'} time than predicted"


MANY_TIMES: Final = 10
"""From here on people say how many times, not how many per cent more."""
BY_THEMSELVES: Final = 0.2
"""Outages without a fault are told where they make up this share of the time lost."""
LEAST_ON_ONE_SIDE: Final = 6
"""Of so many faults all on one side of a median: a chance of 1 in 32."""


def _one_sided(report: Report) -> str:
    """Where every single fault cost less, or every one more, than the model's mean: that is said, whatever the test allows."""
    overall = next((row for row in report.agreement if row.measure == "downtime" and not row.fault_class), None)
    if overall is None or (overall.detectable and report.agreement_overall == "consistent") or report.predicted is None:
        return ""
    sides = [
        fault.recovery_s - expected.recovery_s.value
        for fault in report.faults
        if fault.recovery_s is not None
        and (expected := report.predicted.by_fault.get(fault.fault_class)) is not None
        and expected.recovery_s.value is not None
    ]
    if len(sides) < LEAST_ON_ONE_SIDE or len(sides) < _effective(report) or not apart(overall):
        return ""
    if all(side > 0 for side in sides) or all(side < 0 for side in sides):
        which = "slower" if sides[0] > 0 else "faster"
        return f" Yet recovery from each of the {len(sides)} faults was {which} than the predicted mean: clients lost {apart(overall)}."
    return ""


def causes(production: Production) -> list[str]:
    """Where the predicted downtime of a year comes from, and what stands around the cluster or beside its availability."""
    lines = []
    listed = [
        f"{seconds(each.downtime_s_per_year)} {_CAUSES.get(each.cause, each.cause)}"
        for each in production.parts
        if each.downtime_s_per_year > 0
    ]
    if len(listed) > 1:
        lines.append(f"Downtime of the cluster per year, by cause: {', '.join(listed)}.")
    if production.around:
        first = production.around[0]
        lines.append(
            f"Of all parts that clients need, {first.name} matters most: its failures cost {seconds(first.saves_s_per_year)} per year."
        )
    planned = production.planned
    if planned is not None:
        lines.append(
            f"Planned restarts, one every {seconds(planned.every_s)}, cost {seconds(planned.each_s)} each and "
            f"{seconds(planned.downtime_s_per_year)} per year. The availability does not count them."
        )
    return lines


def undecided(row: Agreement) -> str:
    """Why a comparison is inconclusive: what its interval is, and what it would have to be; empty where that is not the reason."""
    if row.verdict != "inconclusive" or row.within is None or row.low is None:
        return ""
    what = "the share noticed" if row.measure == "share" else "true over predicted downtime"
    interval = f"{number(row.low)} to {number(row.high)}" if row.high is not None else f"{number(row.low)} or more"
    needed = f"; about {count(row.faults_to_decide, 'fault')} would decide" if row.faults_to_decide else ""
    return (
        f"  {row.fault_class or 'all'}: {what} is {interval} (90 %), and consistent only inside "
        f"{number(row.within[0])} to {number(row.within[1])}{needed}."
    )


def _meaning(report: Report) -> str:
    production = report.predicted.production if report.predicted is not None else None
    if production is None or production.nines is None or production.downtime_s_per_year is None:
        return ""
    rates = f" Assumed production fault rates: {'; '.join(production.rates)}." if production.rates else ""
    return (
        f"Model estimate for production: availability {percent(production.availability)}, {production.nines:.1f} nines, "
        f"{monthly(production)} of downtime per month.{rates}"
    )


def _improve(report: Report) -> str:
    if report.predicted is None:
        return ""
    first = report.predicted.production.improve_first[:1]
    said = [
        f"{parameter(each.parameter)}; halving it would save {seconds(each.halving_saves_s_per_year)} of downtime per year{_paid(each)}"
        for each in first
    ]
    return " ".join(f"Biggest lever: {line}." for line in [*said, *report.predicted.advice])


def _paid(each: Improvement) -> str:
    return f"; the price: {each.price}" if each.price else ""


def monthly(production: Production) -> str:
    """Downtime per month: ``24.4 s``, ``4 min 20 s``."""
    yearly_s = production.downtime_s_per_year
    return DASH if yearly_s is None else show_s(yearly_s / MONTHS_A_YEAR)


def reproduce(report: Report) -> str:
    """The command that repeats this run, fit for a shell; the folder of its own is not part of it."""
    file = report.source or f"{report.folder or 'RUN'}/experiment.yaml"
    given = report.given or ([] if report.longest_s is None else ["--until-decided", "--max", f"{report.longest_s:g}s"])
    return shlex.join(["nines", "run", file, "--runtime", report.runtime, "--seed", str(report.seed), *given])
