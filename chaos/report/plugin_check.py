"""A judged run as one line for Nagios, Icinga and whatever runs their plug-ins: status word, sentence, performance data.

The exit codes are those of the plug-in guidelines, not of the other verbs: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
"""

from __future__ import annotations

from typing import Final

from chaos.core.escaping import terminal
from chaos.core.units import show_s
from chaos.report import headline
from chaos.results import states
from chaos.results.report import Report

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS: Final = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
STATUS: Final = {
    states.PASS: OK, states.BASELINE: OK, states.SIMULATED: OK, states.INCONCLUSIVE: WARNING, states.FAIL: CRITICAL,
    states.ABORTED: CRITICAL, states.LEFT_OVER: CRITICAL,
}  # fmt: skip
"""What is not here says nothing of the service: UNKNOWN."""


def line(report: Report, age_s: float, most_s: float | None = None) -> tuple[int, str]:
    """(exit code, line). ``most_s``: a run that is older is a WARNING, since what it showed may no longer hold."""
    status = STATUS.get(states.of(report), UNKNOWN)
    said = f"{report.experiment}: {headline.verdict(report)}. {headline.headline(report)}"
    if most_s is not None and age_s > most_s and status == OK:
        status, said = (
            WARNING,
            f"{report.experiment}: the newest run is {show_s(age_s)} old, limit {show_s(most_s)}. It came to {headline.verdict(report)}",
        )
    figures = " ".join(_figures(report, age_s, most_s))
    # a bar would begin the performance data
    return status, f"NINES {WORDS[status]} - {terminal(said).replace('|', '/')} | {figures}"


def unknown(why: str) -> tuple[int, str]:
    """There is no run to tell of."""
    first = why.splitlines()[0] if why else "no reason"
    return UNKNOWN, f"NINES UNKNOWN - {terminal(first).replace('|', '/')}"


def _figures(report: Report, age_s: float, most_s: float | None) -> list[str]:
    """``'label'=value[UOM];[warn];[crit];[min];[max]``; a figure that could not be told is left out."""
    found = [f"age={age_s:.0f}s;{'' if most_s is None else format(most_s, '.0f')};;0"]
    seen = report.observed
    if seen is not None:
        for name, estimate in (("availability", seen.availability), ("success_ratio", seen.success_ratio)):
            if estimate.value is not None:
                found.append(f"{name}={100 * estimate.value:.6g}%;;;0;100")
        if seen.mttr_s.value is not None:
            found.append(f"mttr={seen.mttr_s.value:.6g}s;;;0")
        if seen.downtime_s is not None:
            found.append(f"downtime={seen.downtime_s:.6g}s;;;0")
        found.append(f"outages={len(seen.outages)};;;0")
    missed = sum(objective.verdict == "fail" for objective in report.objectives)
    found.append(f"objectives_missed={missed};;1;0;{len(report.objectives)}")
    faults = sum(fault.effective_at_s is not None for fault in report.faults)
    return [*found, f"faults={faults};;;0"]
