"""What comes first now, in the first screen of every report: what to mend, to repeat, or to change, and whether that is worth it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from chaos.report import error_budget
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.error_budget import YEAR_S, Budget, budget
from chaos.results import check_names, states
from chaos.results.predicted import Improvement, Production
from chaos.results.report import Report

WORTH_IT: Final = 0.01
"""A change that saves a smaller part of the error budget is not worth anybody's time while the SLO is met."""
WITHOUT_SLO_S: Final = 60.0
"""The same in seconds a year, where no SLO says what matters."""


def first_steps(report: Report) -> list[str]:
    """Sentences; never empty."""
    state = top.state(report)
    asked = top.next_steps(report)
    again = "Run it again to its end; the command is at the end of this report."
    match state.name:
        case "invalid" | "inconclusive":
            return _mend(report, asked) if state is states.INVALID else asked or [_repeat(report)]
        case "aborted":
            return [*asked, "Find out why the run met the condition that ends it (outages and failed requests below). "
                    "Raise the limit (abort_if) only if such an outage is acceptable."]  # fmt: skip
        case "baseline":
            left_out = "leave --no-faults out" if "--no-faults" in report.given else "add faults to the experiment"
            return [f"Run it with faults ({left_out}), and compare with these figures.", *asked]
        case "interrupted":
            return [*asked, again]
        case "left-over":
            return ["Run 'nines heal', then 'nines leftovers' until nothing is listed."]
        case "crashed":
            return [f"Report the bug with {report.folder}/bug.txt."]
        case "not-started":
            return [*asked, "Mend what the first line names, then run it again."]
        case "fail":
            return [*_of_objectives(report), *_phases(report), *_levers(report), *asked]
        case _ if states.SIMULATED.name in report.qualifiers:
            return ["Run it on a real system (--runtime local or docker): a simulation tests the plan, not the system.", *asked]
        case _:
            return [*_levers(report), *asked]


def _mend(report: Report, asked: list[str]) -> list[str]:
    """What the first failed check asks for comes first, whether the check says so itself or not."""
    first = next((check for check in report.checks if check.verdict == "fail"), None)
    if first is None:
        return asked or ["Mend what the first line names, then run it again."]
    return asked if first.next_step else [check_names.MEND.get(first.name, "Mend what the failed check names, then run it again."), *asked]


def _repeat(report: Report) -> str:
    return f"Run more faults than {top.effective(report)} (times: N, or --until-decided)."


def _of_objectives(report: Report) -> Iterator[str]:
    missed = next((each for each in report.objectives if each.verdict == "fail"), None)
    if missed is not None:
        yield f"The missed objective: {missed.title} {missed.want}."


def _phases(report: Report) -> Iterator[str]:
    """Which part of the observed outages is longest: where a shorter time would help most."""
    outages = report.observed.outages if report.observed is not None else []
    total_s: dict[str, float] = {}
    for outage in outages:
        for name, phase in outage.phases.items():
            total_s[name] = total_s.get(name, 0.0) + (phase.observed_s or 0.0)
    whole_s = math.fsum(total_s.values())
    if whole_s <= 0:
        return
    worst = max(total_s, key=lambda name: total_s[name])
    of_all = f"{say.seconds(total_s[worst])} of {say.seconds(whole_s)}"
    yield f"{say.rough(total_s[worst] / whole_s)} of the time lost is {say.phase(worst)} ({of_all})."


def _levers(report: Report) -> list[str]:
    """The lever that saves most of those that somebody can choose; or that nothing is worth it."""
    production = error_budget.production(report)
    if production is None or production.downtime_s_per_year is None:
        return ["Nothing is known to fix: the model gives no figure for production."] if top.state(report) is not states.FAIL else []
    advice = [f"{say.parameter(line)}." for line in report.predicted.advice[:1]] if report.predicted is not None else []
    first = next((each for each in production.improve_first if each.chosen), None)
    allowance = budget(report)
    if first is None:
        return advice or ["No parameter that you can choose would shorten the outages, by the model."]
    if top.state(report) is not states.FAIL and not _worth(first, allowance, production):
        limit = (
            f"{say.rough(first.halving_saves_s_per_year / ((1 - allowance.promised) * YEAR_S))} of the error budget"
            if allowance is not None
            else f"{say.seconds(first.halving_saves_s_per_year)} of downtime per year"
        )
        return [f"Nothing is worth fixing: halving {say.parameter(first.parameter)} saves most, and that is {limit}."]
    return [f"Biggest lever, by the model: {say.parameter(tell.lever(first))}.", *advice]


def _worth(first: Improvement, allowance: Budget | None, production: Production) -> bool:
    """Whether the SLO may be missed, or the change gives back a noticeable part of what it allows."""
    if allowance is None:
        return first.halving_saves_s_per_year >= WITHOUT_SLO_S
    yearly_s = (1 - allowance.promised) * YEAR_S
    measured = allowance.used is not None and (allowance.high is None or allowance.high > 1)
    modelled = (production.downtime_s_per_year or 0.0) > yearly_s
    return measured or modelled or first.halving_saves_s_per_year >= WORTH_IT * yearly_s
