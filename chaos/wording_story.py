"""What a report says in plain sentences: the verdict, what clients saw, whether it was predicted, what it means, how to repeat it."""

from __future__ import annotations

from typing import Final

from chaos.results import Agreement, Improvement, Production, Report
from chaos.units import show_s
from chaos.wording import DASH, count, joined, number, percent, seconds

MONTHS_A_YEAR: Final = 12.0
"""A month is a twelfth of a year here: 30.44 days."""
VERDICTS: Final = {"pass": "PASS", "fail": "FAIL", "unknown": "UNKNOWN"}


def headline(report: Report) -> str:
    """The verdict, in one sentence."""
    if report.verdict == "pass":
        met = count(len(report.objectives), "objective")
        return f"All {met} met." if len(report.objectives) > 1 else f"{met} met." if report.objectives else "Every assumption held."
    if report.verdict == "fail":
        missed = [objective.name for objective in report.objectives if objective.verdict == "fail"]
        tail = " That was expected of this experiment." if report.expect_verdict == "fail" else ""
        return f"Missed: {joined(missed)}.{tail}" if missed else f"Objectives missed.{tail}"
    if not report.reasons:
        return "We cannot tell."
    more = len(report.reasons) - 1
    return f"We cannot tell: {report.reasons[0].rstrip('.')}" + (f", and {count(more, 'further reason')}." if more else ".")


def notes(report: Report) -> list[str]:
    """The reasons that the headline does not say already."""
    return report.reasons[1:] if report.verdict == "unknown" else report.reasons


def story(report: Report) -> list[str]:
    """What clients saw, what was predicted, what it means in production: a sentence each, fit to be read aloud."""
    return [sentence for sentence in (_seen(report), _held(report), _meaning(report), _improve(report)) if sentence]


def _seen(report: Report) -> str:
    seen = report.observed
    if seen is None:
        return "Nothing was observed."
    service = f"{report.judged}s" if report.judged in ("write", "read") else report.judged or "the service"
    if seen.downtime_s is None:
        return f"What clients saw of {service} cannot be told: {seen.availability.reason}."
    outages = len(seen.outages)
    faults = sum(fault.effective_at_s is not None for fault in report.faults)
    after = f"after {count(faults, 'fault')}" if faults else "without any fault"
    if not outages:
        return f"Clients saw no outage of {service} {after}; availability {percent(seen.availability.value)}."
    mean = f", {seconds(seen.mttr_s.value)} on average" if seen.mttr_s.value is not None else ""
    return (
        f"Clients saw {count(outages, 'outage')} of {service} {after}: {seconds(seen.downtime_s)} in all{mean}; "
        f"availability {percent(seen.availability.value)} in this run."
    )


def _held(report: Report) -> str:
    overall = next((row for row in report.agreement if row.measure == "downtime" and not row.fault_class), None)
    faults = sum(fault.effective_at_s is not None for fault in report.faults)
    over = f"over {count(faults, 'fault')}"
    figures_said = ""
    if report.predicted is not None and report.observed is not None and report.predicted.mttr_s.value is not None:
        figures_said = f" (MTTR predicted {seconds(report.predicted.mttr_s.value)}, seen {seconds(report.observed.mttr_s.value)})"
    if report.agreement_overall == "consistent":
        return f"That is consistent with the prediction {over}{figures_said}."
    if report.agreement_overall == "inconsistent":
        chance = f", p = {number(overall.p_value)}" if overall is not None and overall.p_value is not None else ""
        return f"That is not what the model predicted {over}{figures_said}{chance}: look at the phases to see which block is wrong."
    if not report.agreement:
        return ""
    decide = overall.faults_to_decide if overall is not None else None
    more = f"; about {count(decide, 'fault')} would decide" if decide else ""
    return f"Whether that agrees with the prediction cannot be told {over}{figures_said}{more}."


def causes(production: Production) -> list[str]:
    """Where the predicted downtime of a year comes from, and what stands around the cluster or beside its availability."""
    lines = []
    listed = [f"{each.cause} {seconds(each.downtime_s_per_year)}" for each in production.parts if each.downtime_s_per_year > 0]
    if len(listed) > 1:
        lines.append(f"Of the cluster's own downtime in a year: {', '.join(listed)}.")
    if production.around:
        first = production.around[0]
        lines.append(
            f"Of all parts that clients need, {first.name} matters most: without its failures {seconds(first.saves_s_per_year)} a year."
        )
    planned = production.planned
    if planned is not None:
        lines.append(
            f"Planned restarts, one every {seconds(planned.every_s)}, cost {seconds(planned.each_s)} each, "
            f"{seconds(planned.downtime_s_per_year)} a year: not counted in the availability."
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
    rates = f" ({'; '.join(production.rates)})" if production.rates else ""
    return (
        f"At the fault rates assumed for production{rates} the model gives {production.nines:.1f} nines, "
        f"{percent(production.availability)}: {monthly(production)} a month."
    )


def _improve(report: Report) -> str:
    if report.predicted is None:
        return ""
    first = report.predicted.production.improve_first[:1]
    said = [f"{each.parameter}; halving it saves {seconds(each.halving_saves_s_per_year)} a year{_paid(each)}" for each in first]
    return " ".join(f"What to improve first: {line}." for line in [*said, *report.predicted.advice])


def _paid(each: Improvement) -> str:
    return f"; the price: {each.price}" if each.price else ""


def monthly(production: Production) -> str:
    """Downtime a month: ``24.4 s``, ``4 min 20 s``."""
    yearly_s = production.downtime_s_per_year
    return DASH if yearly_s is None else show_s(yearly_s / MONTHS_A_YEAR)


def reproduce(report: Report) -> str:
    """The command that repeats this run."""
    folder = report.folder or "RUN"
    goes_on = "" if report.longest_s is None else f" --until-decided --max {report.longest_s:g}s"
    return f"nines run {folder}/experiment.yaml --runtime {report.runtime} --seed {report.seed}{goes_on}"
