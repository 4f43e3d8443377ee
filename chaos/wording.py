"""How figures and verdicts are said to people: one place, so that no two reports word the same thing differently.

Nothing here measures, predicts or judges. Values come from the ``Report`` as they are; all that happens to them is rounding
and a change of unit (seconds a year to minutes a month). No data is a dash, with its reason where there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from chaos.results import (
    Agreement,
    Estimate,
    Extrapolated,
    Maintainability,
    Observed,
    Outage,
    ParameterUsed,
    Production,
    Range,
    Report,
    Rule,
)
from chaos.units import show_bytes, show_s

DASH: Final = "–"
RATE: Final = "_bytes_per_s"
MONTHS_A_YEAR: Final = 12.0
"""A month is a twelfth of a year here: 30.44 days."""

ROUNDING: Final = 1e-9
"""A share so near to 1 is 1: what is missing is the arithmetic's."""

Show = Callable[[float | None], str]


def seconds(value: float | None) -> str:
    """``1.84 s``, ``250 ms``; a dash for no data."""
    return DASH if value is None else show_s(value)


def clock(value: float | None) -> str:
    """A moment of the run, ``12.34``, in seconds since its start."""
    return DASH if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share, with as many digits as its distance from 100 % needs: ``91.3 %``, ``99.982 %``, ``99.99961 %``."""
    if value is None:
        return DASH
    missing, digits = 1.0 - value, 1
    if value == 0.0 or abs(missing) < ROUNDING:
        return f"{value * 100:.0f} %"
    while digits < 8 and missing * 100 < 10 ** (1 - digits):
        digits += 1
    return f"{value * 100:.{digits}f} %"


def number(value: float | None) -> str:
    """A bare figure, three significant digits."""
    return DASH if value is None else f"{value:.3g}"


def count(things: int, singular: str, plural: str = "") -> str:
    """``1 fault``, ``8 faults``."""
    return f"{things} {singular if things == 1 else plural or singular + 's'}"


def span(low: float | None, high: float | None, show: Show) -> str:
    """``0.6 s to 0.9 s``; an open end is said in words; empty without both ends."""
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {show(low)}"
    if low is None:
        return f"at most {show(high)}"
    if low == high:
        return ""
    return f"{show(low)} to {show(high)}"


def estimate(value: Estimate, show: Show) -> str:
    """``742 ms (601 ms to 912 ms)``, or a dash with the reason."""
    if value.value is None:
        return f"{DASH} ({value.reason})" if value.reason else DASH
    around = span(value.low, value.high, show)
    return f"{show(value.value)} ({around})" if around else show(value.value)


def expected(value: Range | None, show: Show) -> str:
    """The same for a predicted figure; empty where there is no prediction at all."""
    if value is None:
        return ""
    if value.value is None:
        return f"{DASH} ({value.reason})" if value.reason else DASH
    around = span(value.low, value.high, show)
    return f"{show(value.value)} ({around})" if around else show(value.value)


def measure(name: str) -> Show:
    """How the value of an objective is shown, by the measure that its name begins with."""
    word = name.split(maxsplit=1)[0] if name.strip() else ""
    if word in ("availability", "success_ratio", "slo_ratio"):
        return percent
    return number if word in ("lost_writes", "agreement") else seconds


def figure(value: float | str | None, name: str) -> str:
    """An achieved value; its name carries the unit (``rtt_s``)."""
    if isinstance(value, float) and name.endswith(RATE):
        return f"{show_bytes(value)}/s"
    if isinstance(value, float) and name.endswith("_s"):
        return seconds(value)
    if isinstance(value, float):
        return number(value)
    return DASH if value is None else str(value)


def figures(values: dict[str, float | str | None]) -> str:
    """``rtt 41 ms, answers no`` from the measured figures of a fault."""
    return ", ".join(
        f"{name.removesuffix(RATE).removesuffix('_s').replace('_', ' ')} {figure(value, name)}" for name, value in values.items()
    )


def windows(seen: Observed) -> tuple[str, str]:
    """The name and the figures of a line with the worst windows: ``worst 1 s / 10 s``, ``0 % / 81.2 %``; empty without any."""
    names = " / ".join(seconds(each.window_s) for each in seen.windows)
    return f"worst {names}" if names else "", " / ".join(percent(each.ratio) for each in seen.windows)


def origin(used: ParameterUsed) -> str:
    """Who claims a parameter; of a measured one also how sure its mean is: ``calibration (8 faults, mean known to 51 ms)``."""
    if not used.error:
        return used.origin
    return f"{used.origin} ({count(used.n, 'fault')}, mean known to {seconds(used.error) if used.unit == 's' else number(used.error)})"


def extrapolated(found: Extrapolated) -> str:
    """The sentence above the table of what the measured outages mean in production."""
    if not found.parts:
        return found.reason
    chosen = any(part.rate_basis == "chosen" for part in found.parts)
    whose = "rates that we chose" if chosen else "rates that were counted"
    yearly = estimate(found.downtime_s_per_year, seconds)
    return f"Outages measured here, at {whose}: availability {estimate(found.availability, percent)}, {yearly} of downtime a year"


def length(outage: Outage) -> str:
    """How long an outage was; for one whose start or end was not seen, what is known."""
    if outage.duration_s is not None:
        return seconds(outage.duration_s)
    at_least = f"at least {seconds(outage.low_s)}"
    return f"{at_least} ({'start and end' if outage.censored == 'both' else outage.censored} not seen)"


def rule(value: Rule) -> str:
    """The outage rule in words."""
    merge = f", gaps under {seconds(value.merge_s)} joined" if value.merge_s else ""
    return f"{value.open} bad slots of {seconds(value.slot_s)} or more, until {value.close} good ones{merge}"


def maintained(value: Maintainability) -> str:
    """The distribution of repairs: ``median 742 ms, 95 % within 1.2 s; M(2 s) = 100 % (67 % to 100 %)``."""
    parts = [f"median {seconds(value.median_s)}", f"95 % within {seconds(value.p95_s)}"]
    if value.objective_s is not None:
        parts.append(f"M({seconds(value.objective_s)}) = {estimate(value.within, percent)}")
    return ", ".join(parts)


def joined(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


# --- the verdict in plain words ----------------------------------------------------------------------------------------

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
    production = report.predicted.production if report.predicted is not None else None
    if production is None or not production.improve_first:
        return ""
    first = production.improve_first[0]
    return f"What to improve first: {first.parameter}; halving it saves {seconds(first.halving_saves_s_per_year)} a year."


def monthly(production: Production) -> str:
    """Downtime a month: ``24.4 s``, ``4 min 20 s``."""
    yearly_s = production.downtime_s_per_year
    return DASH if yearly_s is None else show_s(yearly_s / MONTHS_A_YEAR)


def reproduce(report: Report) -> str:
    """The command that repeats this run."""
    folder = report.folder or "RUN"
    goes_on = "" if report.longest_s is None else f" --until-decided --max {report.longest_s:g}s"
    return f"nines run {folder}/experiment.yaml --runtime {report.runtime} --seed {report.seed}{goes_on}"
