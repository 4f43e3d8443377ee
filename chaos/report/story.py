"""What a report says in plain sentences: what clients saw, whether it was predicted, what it means, how to repeat it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Final

from chaos.core.units import show_s
from chaos.report.data_tables import sentence
from chaos.report.format import DASH, count, estimate, extrapolated, is_chance, joined, number, percent, seconds
from chaos.report.headline import effective
from chaos.results.observed import Outage
from chaos.results.predicted import Improvement, Production
from chaos.results.report import Report
from chaos.results.verdict import Agreement

MONTHS_A_YEAR: Final = 12.0
"""A month is a twelfth of a year here: 30.44 days."""
_CAUSES: Final = {"overlaps": "faults that overlap, share a cause or are not covered"}
"""What stands for a cause in ``report.json`` and is no fault class."""


def story(report: Report) -> list[str]:
    """What clients saw, what was predicted, what it means in production: a sentence each, fit to be read aloud."""
    told = (_seen(report), sentence(report), _empty(report), _held(report), _scaled(report), _meaning(report))
    return [sentence for sentence in told if sentence]


def _seen(report: Report) -> str:
    seen = report.observed
    if seen is None:
        return "Clients observed nothing: no request was sent."
    service = f"{report.judged}s" if report.judged in ("write", "read") else report.judged or "the service"
    if seen.downtime_s is None:
        return f"The availability of {service} is unknown: {seen.availability.reason}."
    outages = len(seen.outages)
    faults = effective(report)
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
    mean = f", MTTR {estimate(seen.mttr_s, seconds)}" if seen.mttr_s.value is not None else ""
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
    faults = effective(report)
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
        return (
            f"The observation is consistent with the prediction {over}{figures_said}{_strength(overall)}.{difference}{_one_sided(report)}"
        )
    if report.agreement_overall == "inconsistent":
        chance = f" ({is_chance(overall.p_value)})" if overall is not None and overall.p_value is not None else ""
        lost = f": clients lost {size}" if size else ""
        return f"The observation differs from the prediction {over}{figures_said}{lost}{chance}. See the outage breakdown by phase."
    if not report.agreement:
        return ""
    unknown = without_prediction(report)
    if unknown:
        return f"The models predict nothing for {joined(unknown)}, so the prediction as a whole is not tested.{_one_sided(report)}"
    decide = overall.faults_to_decide if overall is not None else None
    more = f" (about {decide} needed)" if decide else ""
    few = "One fault is too few" if faults == 1 else f"{faults} faults are too few"
    return f"{few} to test the prediction{more}{figures_said}.{_one_sided(report)}"


def without_prediction(report: Report) -> list[str]:
    """The classes of faults that took effect and that no model predicts: without them there is no whole to test."""
    return sorted({row.fault_class for row in report.agreement if row.measure == "downtime" and row.fault_class and row.predicted is None})


def _strength(overall: Agreement | None) -> str:
    """How close the two are known to be: ``consistent`` alone would not say."""
    if overall is None or overall.low is None or overall.high is None:
        return ""
    return f": true downtime is {number(overall.low)} to {number(overall.high)} times the predicted (90 % interval)"


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
FAR_APART: Final = 1.5
"""From this ratio on, two figures for one thing need a word of explanation."""
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
    if len(sides) < LEAST_ON_ONE_SIDE or len(sides) < effective(report) or not apart(overall):
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


def _scaled(report: Report) -> str:
    """What the outages of this run would cost in production: measured, so before the model's figure."""
    found = report.extrapolated
    return "" if found is None or not found.parts or found.availability.value is None else f"{extrapolated(found)}."


def _meaning(report: Report) -> str:
    production = report.predicted.production if report.predicted is not None else None
    if production is None or production.nines is None or production.downtime_s_per_year is None:
        return ""
    return (
        f"Model estimate for production: availability {percent(production.availability)}, {production.nines:.1f} nines, "
        f"{seconds(production.downtime_s_per_year)} of downtime per year ({monthly(production)} per month)."
        f"{why_apart(report, production.downtime_s_per_year)}{_rates(production)}"
    )


def _rates(production: Production) -> str:
    return f" Assumed fault rates: {'; '.join(production.rates)}." if production.rates else ""


def why_apart(report: Report, model_s: float) -> str:
    """Two figures of one year that are far apart: what the measured one counts that the model does not."""
    found = report.extrapolated
    measured_s = found.downtime_s_per_year.value if found is not None else None
    if found is None or measured_s is None or (measured_s <= model_s * FAR_APART and model_s <= measured_s * FAR_APART):
        return ""
    noted = next((part for part in sorted(found.parts, key=lambda part: -part.downtime_s_per_year) if part.note), None)
    return f" The measured figure differs because of {noted.fault_class}: {noted.note}." if noted is not None else ""


def lever(each: Improvement) -> str:
    """What halving it saves, and at what price."""
    saved = f"{seconds(each.halving_saves_s_per_year)} of downtime per year"
    # "fault rates (half as many)" says already what is done.
    said = f"{each.parameter} would save {saved}" if "(" in each.parameter else f"{each.parameter}; halving it would save {saved}"
    return said + (f". Its price: {each.price}" if each.price else "")


def monthly(production: Production) -> str:
    """Downtime per month: ``24.4 s``, ``4 min 20 s``."""
    yearly_s = production.downtime_s_per_year
    return DASH if yearly_s is None else show_s(yearly_s / MONTHS_A_YEAR)


def reproduce(report: Report) -> str:
    """The command that repeats this run, fit for a shell; the folder of its own is not part of it."""
    file = report.source or f"{report.folder or 'RUN'}/experiment.yaml"
    given = report.given or ([] if report.longest_s is None else ["--until-decided", "--max", f"{report.longest_s:g}s"])
    return shlex.join(["nines", "run", file, "--runtime", report.runtime, "--seed", str(report.seed), *given])
