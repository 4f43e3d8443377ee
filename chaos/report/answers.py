"""The first screen of every report: does it meet the SLO, how sure is that, what does it rest on, what comes first now.

Each answer is complete sentences, measured figures before modelled ones. Where a run gives no answer, the answer says why, and the
last one says what to do about it; no state is without a next step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.results import check_names, states
from chaos.results.observed import Estimate
from chaos.results.predicted import Improvement, Production
from chaos.results.report import Report

NO_FIGURES: Final = (states.INVALID, states.ABORTED, states.INTERRUPTED, states.LEFT_OVER, states.CRASHED, states.NOT_STARTED)
"""After these no figure of the run answers a question about the service."""
OPEN: Final = (*NO_FIGURES, states.INCONCLUSIVE, states.BASELINE)
"""After these a reader asks what to do next, not what to fix."""
YEAR_S: Final = 365 * 86400.0
WORTH_IT: Final = 0.01
"""A change that saves a smaller part of the error budget is not worth anybody's time while the SLO is met."""
WIDE: Final = 2.0
"""From this ratio of its ends on, an interval is a rough answer."""
SHOWN: Final = 4
"""So many objectives at most stand in the first answer; all of them have a table below."""
WITHOUT_SLO_S: Final = 60.0
"""The same in seconds a year, where no SLO says what matters."""


class Answer(NamedTuple):
    """One of the four questions, answered in sentences, the most important first."""

    question: str
    sentences: Sequence[str]
    tone: str = ""
    """``good``, ``bad`` or ``open``, where the answer is one of these."""

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.sentences)


class Budget(NamedTuple):
    """What the SLO allows in its window, and the share of the allowance that the measured outages use at the assumed rates."""

    promised: float
    window_s: float
    used: float | None = None
    low: float | None = None
    high: float | None = None
    few: bool = False

    @property
    def allowed_s(self) -> float:
        """Downtime within one window."""
        return (1 - self.promised) * self.window_s


def answers(report: Report) -> list[Answer]:
    """The four, in the order in which a reader asks."""
    return [
        _good_enough(report),
        Answer("How sure", _sure(report)),
        Answer("Next" if top.state(report) in OPEN or states.SIMULATED.name in report.qualifiers else "Fix first", first_steps(report)),
        Answer("Rests on", _rests_on(report)),
    ]


# --- is it good enough: by its objectives, and by its SLO ---------------------------------------------------------------


def budget(report: Report) -> Budget | None:
    """None without an SLO that allows any downtime."""
    promised, window_s = report.slo.get("availability"), report.slo.get("window_s")
    if not promised or promised >= 1 or not window_s:
        return None
    yearly_s = (1 - promised) * YEAR_S
    down = report.extrapolated.downtime_s_per_year if report.extrapolated is not None else Estimate(None)
    used, low, high = (None if each is None else each / yearly_s for each in (down.value, down.low, down.high))
    return Budget(promised, window_s, used, low, high, few=say.TOO_FEW in down.reason)


def _good_enough(report: Report) -> Answer:
    """By the objectives, which give the verdict, and by the SLO, which may say something else."""
    question, state, allowance = "Good enough", top.state(report), budget(report)
    if state in NO_FIGURES:
        return Answer(question, ["Not answered.", state.meaning], "open")
    if states.BASELINE.name in report.qualifiers:
        promise = f" ({_promise(allowance)})" if allowance is not None else ""
        return Answer(question, ["Not answered.", f"No fault was injected, so nothing tested the SLO{promise}."], "open")
    told = _slo(report, allowance)
    if state is states.FAIL:
        missed = sum(objective.verdict == "fail" for objective in report.objectives)
        which = f"{missed} of {say.count(len(report.objectives), 'objective')}"
        expected = ", as expected of this experiment" if report.expect_verdict == "fail" else ""
        return Answer(question, [f"No{expected}: {which} {'is' if missed == 1 else 'are'} missed.", *told], "bad")
    if state is states.INCONCLUSIVE:
        undecided = sum(objective.verdict == "unknown" for objective in report.objectives)
        which = f": {undecided} of {say.count(len(report.objectives), 'objective')} undecided" if undecided else ""
        return Answer(question, [f"Not known yet{which}.", *told], "open")
    word, tone = _word(report, allowance)
    return Answer(question, [word, *_met(report), *told], tone)


def _met(report: Report) -> list[str]:
    """What was measured for each objective beside what was wanted, where these are few enough for one line."""
    if not report.objectives or len(report.objectives) > SHOWN:
        return []
    return [f"{say.begun('; '.join(top.compared(objective) for objective in report.objectives))}."]


def _promise(allowance: Budget) -> str:
    return f"{say.percent(allowance.promised)} over {say.seconds(allowance.window_s)}"


def _word(report: Report, allowance: Budget | None) -> tuple[str, str]:
    """Yes or no to a run that passed. Of the SLO only where the whole interval lies on one side."""
    met = "its objectives are met" if report.objectives else "no objective is set"
    where = " in the simulation" if states.SIMULATED.name in report.qualifiers else ""
    side = None if allowance is None else _side(allowance)
    slo = "" if allowance is None else f"the SLO ({_promise(allowance)})"
    match side:
        case None if not report.objectives:
            return "Not asked: no objective is set, and no SLO is tested.", "open"
        case None:
            return f"By its objectives, yes{where}.", "open"
        case "met":
            return f"Yes{where}: {slo} is met at the assumed fault rates.", "good"
        case "missed":
            return f"No: {met}, but {slo} is missed at the assumed fault rates.", "bad"
        case "perhaps met":
            return f"Probably{where}: {met}. {say.begun(slo)} is probably met at the assumed fault rates, but that is not shown.", "open"
        case _:
            return f"Probably not: {met}. {say.begun(slo)} is probably missed at the assumed fault rates, but that is not shown.", "open"


def _side(allowance: Budget) -> str | None:
    """``met``, ``missed``, ``perhaps met``, ``perhaps missed``; None where nothing was measured."""
    if allowance.used is None:
        return None
    if allowance.low is not None and allowance.low > 1:
        return "missed"
    if allowance.high is not None and allowance.high <= 1 and allowance.used <= 1:
        return "met"
    return "perhaps met" if allowance.used <= 1 else "perhaps missed"


def _slo(report: Report, allowance: Budget | None) -> list[str]:
    """What of the error budget the measured outages use, what the model says of that, and how much the SLO allows."""
    if allowance is None:
        return ["No SLO is set (slo: {availability: 99.9%, window: 30d})."]
    if allowance.used is None:
        why = _why_not_measured(report)
        return [f"The SLO ({_promise(allowance)}) is not answered by measurement: {why}.", *_model(report, allowance)]
    few = f"{say.TOO_FEW} faults" if allowance.few else ""
    around = ", ".join(part for part in (say.span(allowance.low, allowance.high, say.rough), few) if part)
    whether = []
    if top.state(report) is not states.PASS:
        apart = "Apart from that, the" if top.state(report) is states.FAIL else "The"
        whether = [f"{apart} SLO ({_promise(allowance)}) is {_LIKELY[_side(allowance)]} at the assumed fault rates."]
    allowed = f"the error budget of {say.seconds(allowance.allowed_s)} in {say.seconds(allowance.window_s)}"
    measured = f"Measured outages use {say.rough(allowance.used)} of {allowed}{f' ({around})' if around else ''}."
    return [*whether, measured, *_model(report, allowance)]


_LIKELY: Final = {"met": "met", "missed": "missed", "perhaps met": "probably met", "perhaps missed": "probably missed", None: "open"}


def _why_not_measured(report: Report) -> str:
    if report.extrapolated is not None:
        return report.extrapolated.reason.rstrip(".") or "no outage was measured"
    production = _production(report)
    if production is not None and production.rates:
        return f"this report has no outages at production rates (nines judge {report.folder} makes it anew)"
    return "the experiment assumes no fault rates (predict: {production: ...})"


def _model(report: Report, allowance: Budget) -> list[str]:
    """The model's figure after the measured one, with its range, and why the two differ."""
    production = _production(report)
    if production is None or production.downtime_s_per_year is None:
        return []
    yearly_s = (1 - allowance.promised) * YEAR_S
    low_s, high_s = production.downtime_low_s_per_year, production.downtime_high_s_per_year
    ends = f" ({say.span(low_s / yearly_s, high_s / yearly_s, say.rough)})" if low_s is not None and high_s is not None else ""
    share = f"The model expects {say.rough(production.downtime_s_per_year / yearly_s)}{ends}"
    window = production.window
    if window is not None and window.window_s == allowance.window_s:
        worst = (1 - window.worst_of_20) / (1 - allowance.promised)
        share += f", and over {say.rough(worst)} in one window of 20"
    apart = tell.why_apart(report, production.downtime_s_per_year).strip()
    return [f"{share}.", *([apart] if apart else [])]


def _production(report: Report) -> Production | None:
    return report.predicted.production if report.predicted is not None else None


# --- how sure ----------------------------------------------------------------------------------------------------------


def _sure(report: Report) -> list[str]:
    state, faults, seen = top.state(report), top.effective(report), report.observed
    if state in NO_FIGURES or seen is None:
        ran = [f"{faults} of {say.count(report.planned_faults, 'planned fault')} took effect."] if report.planned_faults else []
        return ["Not at all: do not use the figures of this run for a decision.", *ran]
    parts = []
    if not faults:
        parts.append("Nothing is known of outages after faults: no fault took effect.")
    elif seen.mttr_s.value is not None:
        around = say.span(seen.mttr_s.low, seen.mttr_s.high, say.seconds)
        mttr = f"MTTR {say.seconds(seen.mttr_s.value)}{f' ({around})' if around else ''}"
        # A fault may cause several outages, which are not independent: the estimate's n is that of faults then.
        outages = max(seen.mttr_s.n, len(seen.outages))
        parts.append(f"{_how_sure(seen.mttr_s)}: {mttr} from {say.count(outages, 'outage')} after {say.count(faults, 'fault')}.")
        if say.TOO_FEW in seen.mttr_s.reason:
            many = outages > seen.mttr_s.n
            parts.append(
                "So few faults are too few for a narrow interval." if many else "So few outages are too few for a narrow interval."
            )
    else:
        parts.append(f"{say.count(faults, 'fault')} took effect, and clients saw no outage.")
    parts += _firmly_missed(report)
    decided = [objective for objective in report.objectives if objective.verdict in ("pass", "fail")]
    claims = sum(objective.basis == "claim" for objective in decided)
    runs = len(decided) - claims
    if claims:
        parts.append(f"{say.count(claims, 'objective')} decided at 95 % confidence.")
    if runs and faults:
        parts.append(f"{say.count(runs, 'objective')} judged on this run alone.")
    parts.append(_checked(report))
    return [part for part in parts if part]


def _firmly_missed(report: Report) -> list[str]:
    """A rough figure can be a firm answer."""
    firm = next((each for each in report.objectives if each.verdict == "fail" and top.beyond(each)), None)
    return [f"But the miss is sure: the whole interval lies beyond {firm.want}."] if firm is not None else []


def _how_sure(mttr: Estimate) -> str:
    """In a word, by the width of the interval."""
    if say.TOO_FEW in mttr.reason or mttr.low is None or mttr.high is None:
        return "Only roughly"
    return "Fairly" if mttr.high <= WIDE * mttr.low else "Roughly"


def _checked(report: Report) -> str:
    """The word of the prediction check never stands without its strength."""
    overall = next((row for row in report.agreement if row.measure == "downtime" and not row.fault_class), None)
    if overall is None or not top.effective(report):
        return ""
    ratio = "" if overall.low is None or overall.high is None else f"{say.number(overall.low)} to {say.number(overall.high)} times"
    if report.agreement_overall == "consistent":
        return f"Prediction consistent: true downtime is {ratio} the predicted (90 %)." if ratio else "Prediction consistent."
    if report.agreement_overall == "inconsistent":
        chance = f" ({say.is_chance(overall.p_value)})" if overall.p_value is not None else ""
        size = tell.apart(overall)
        return f"Prediction wrong{chance}{f': clients lost {size}' if size else ''}."
    if unknown := tell.without_prediction(report):
        return f"Prediction untested: none for {say.joined(unknown)}."
    need = f"; about {overall.faults_to_decide} needed" if overall.faults_to_decide else ""
    return f"Prediction untested: {say.TOO_FEW} faults{need}."


# --- what it rests on --------------------------------------------------------------------------------------------------


def _rests_on(report: Report) -> list[str]:
    failed = [check for check in report.checks if check.verdict == "fail"]
    if failed:
        of_all = f"{len(failed)} of {say.count(len(report.checks), 'validity check')} failed"
        return [f"{of_all}: {failed[0].heading}.", f"{say.begun(failed[0].detail)}.",
                *(f"Also: {check.heading} ({check.detail})." for check in failed[1:3])]  # fmt: skip
    parts = []
    if report.checks:
        unsure = sum(check.verdict == "unknown" for check in report.checks)
        parts.append(
            f"All {say.count(len(report.checks), 'validity check')} passed." if not unsure
            else f"{len(report.checks) - unsure} of {say.count(len(report.checks), 'validity check')} passed, {unsure} could not be made."
        )  # fmt: skip
    parts.insert(0 if states.SIMULATED.name in report.qualifiers else len(parts), _real(report))
    production = _production(report)
    rates = production.rates if production is not None and production.rates else []
    if rates:
        parts.append(f"Fault rates are assumed: {'; '.join(rates)}.")
    return [part for part in parts if part]


def _real(report: Report) -> str:
    nodes = say.count(len(report.nodes), "node")
    if states.SIMULATED.name in report.qualifiers:
        return f"A simulation of {report.target} ({nodes}) in virtual time: no real system was tested."
    return f"{nodes} of {report.target} on the runtime {report.runtime}." if report.nodes else ""


# --- what comes first --------------------------------------------------------------------------------------------------


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
    production = _production(report)
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
