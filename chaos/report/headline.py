"""The verdict line of every report: the state in capitals, what led to it in one sentence, and what to do next."""

from __future__ import annotations

from typing import Final

from chaos.core import units
from chaos.experiment.objectives import MEASURES
from chaos.report.format import begun, count, measure, percent
from chaos.results import states
from chaos.results.check_names import COMPLETE, FAILED, HEALED
from chaos.results.report import Report
from chaos.results.states import State
from chaos.results.verdict import Objective

CUT_SHORT: Final = FAILED[COMPLETE]


def state(report: Report) -> State:
    """What the run came to."""
    return states.of(report)


def verdict(report: Report) -> str:
    """The words of the verdict line: ``PASS``, ``INCONCLUSIVE, SIMULATED``."""
    return states.words([state(report), *states.beside(report)])


def line(report: Report) -> str:
    """The verdict line, whose first word is the state: ``PASS  quick [SIMULATED]: All 2 objectives met.``"""
    also = states.words(states.beside(report))
    return f"{state(report).word}  {report.experiment}{f' [{also}]' if also else ''}: {headline(report)}"


def headline(report: Report) -> str:
    """What led to the verdict, in one sentence."""
    match state(report).name:
        case "pass":
            return _passed(report)
        case "baseline":
            return _baseline(report)
        case "fail":
            missed = [compared(objective) for objective in report.objectives if objective.verdict == "fail"]
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
            first = report.reasons[0]
            return begun(first).rstrip(".") + (f", and {count(more, 'further reason')}." if more else ".")


def _passed(report: Report) -> str:
    met = len(report.objectives)
    if not met:
        return "No objective is set; every validity check passed."
    return f"All {met} objectives met." if met > 1 else "The objective is met."


def _baseline(report: Report) -> str:
    """What was seen without faults, and which objectives that leaves open."""
    seen = report.observed
    if seen is None:
        return "No fault was injected, and no request was sent."
    share = f"availability {percent(seen.availability.value)}" if seen.availability.value is not None else "availability unknown"
    untold = sum(objective.verdict == "unknown" for objective in report.objectives)
    rest = f" {count(untold, 'objective')} not evaluated." if untold else ""
    return f"No fault was injected; {share}, {count(len(seen.outages), 'outage')} of {report.judged}.{rest}"


def compared(objective: Objective) -> str:
    """``mttr 2.4 s, wanted <= 2s``."""
    seen = objective.observed
    value = measure(objective.name)(seen.value) if seen.value is not None else seen.reason or "not measured"
    return f"{objective.title} {value}, wanted {objective.want}"


def beyond(objective: Objective) -> bool:
    """Whether the whole interval lies on the wrong side of the limit."""
    relation, text = objective.want[:1], objective.want.lstrip("<>= ")
    low, high, kind = objective.observed.low, objective.observed.high, MEASURES.get(objective.name.partition(" ")[0])
    if low is None or high is None or kind not in (units.DURATION, units.PERCENT):
        return False
    limit = units.duration_s(text) if kind == units.DURATION else units.ratio(text)
    return low > limit if relation == "<" else high < limit


def _inconclusive(report: Report) -> str:
    open_ = [objective for objective in report.objectives if objective.verdict == "unknown"]
    if not open_:
        return report.reasons[0].rstrip(".") + "." if report.reasons else "No verdict, and no reason is recorded."
    first, more = open_[0], f" {count(len(open_) - 1, 'further objective')} undecided." if len(open_) > 1 else ""
    faults = effective(report)
    if first.observed.value is None:
        return f"{first.title} {first.want}: {first.observed.reason or 'not measured'}.{more}"
    value = measure(first.name)(first.observed.value)
    if first.basis == "claim" and faults:
        what = "one fault cannot" if faults == 1 else f"{faults} faults do not"
        return f'{first.title} {value}, but {what} establish "{first.want}".{more}'
    why = f": {first.observed.reason}" if first.observed.reason else ""
    return f'{first.title} {value}, and whether it is "{first.want}" is open{why}.{more}'


def _halted(report: Report) -> str:
    """``after 13 of 52 s: 1 of 4 faults ran; objectives not evaluated.``"""
    at_s = report.duration_s if report.halted_at_s is None else report.halted_at_s
    ran = effective(report)
    of_faults = f"{ran} of {count(report.planned_faults, 'fault')} ran" if report.planned_faults else ""
    of_time = f" of {report.planned_s:.0f}" if report.planned_s else ""
    why = next((reason.partition(": ")[2] for reason in report.reasons if reason.startswith(CUT_SHORT)), "")
    rolled_back = next((check for check in report.checks if check.name == HEALED), None)
    clean = "All faults rolled back." if ran and rolled_back is not None and rolled_back.verdict == "pass" else ""
    if state(report) is states.ABORTED:
        parts = [f"At {at_s:.1f}{of_time} s: {why or 'a safety condition ended the run'}.", clean]
    else:
        signalled = f" ({why})" if why else ""
        done = "; ".join(part for part in (of_faults, "objectives not evaluated" if report.objectives else "") if part)
        parts = [f"After {at_s:.0f}{of_time} s{signalled}" + (f": {done}." if done else "."), clean]
    return " ".join(part for part in parts if part)


def effective(report: Report) -> int:
    """How many faults took effect."""
    return sum(fault.effective_at_s is not None for fault in report.faults)


def notes(report: Report) -> list[str]:
    """The reasons that the headline does not say already."""
    match state(report).name:
        case "pass" | "baseline" | "fail" | "interrupted" | "aborted" | "inconclusive":
            return [reason for reason in report.reasons if not _in_headline(report, reason)]
        case _:
            return report.reasons[1:]


def _in_headline(report: Report, reason: str) -> bool:
    """Whether the headline says it: what ended the run; the missed objectives; the first one that is open."""
    match state(report).name:
        case "interrupted" | "aborted":
            return reason.startswith(CUT_SHORT)
        case "fail":
            return any(reason.startswith(objective.title) and objective.want in reason for objective in report.objectives
                       if objective.verdict == "fail")  # fmt: skip
        case "baseline":
            return any(objective.verdict == "unknown" and reason.startswith(objective.title) for objective in report.objectives)
        case "inconclusive":
            return bool(report.reasons) and reason == report.reasons[0]
        case _:
            return False


def next_steps(report: Report) -> list[str]:
    """What would bring an answer; a sentence each."""
    return [f"{begun(step).rstrip('.')}." for step in report.next_steps]
