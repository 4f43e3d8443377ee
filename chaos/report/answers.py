"""The first screen of every report: does it meet the SLO, how sure is that, what does it rest on, what comes first now.

Each answer is complete sentences, measured figures before modelled ones. Where a run gives no answer, the answer says why, and the
last one says what to do about it; no state is without a next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from chaos.report import error_budget
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.error_budget import YEAR_S, Budget, budget
from chaos.report.first_steps import first_steps
from chaos.results import states
from chaos.results.observed import Estimate
from chaos.results.report import Report

NO_FIGURES: Final = (states.INVALID, states.ABORTED, states.INTERRUPTED, states.LEFT_OVER, states.CRASHED, states.NOT_STARTED)
"""After these no figure of the run answers a question about the service."""
OPEN: Final = (*NO_FIGURES, states.INCONCLUSIVE, states.BASELINE)
"""After these a reader asks what to do next, not what to fix."""
WIDE: Final = 2.0
"""From this ratio of its ends on, an interval is a rough answer."""
SHOWN: Final = 4
"""So many objectives at most stand in the first answer; all of them have a table below."""


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


def answers(report: Report) -> list[Answer]:
    """The four, in the order in which a reader asks."""
    return [
        _good_enough(report),
        Answer("How sure", _sure(report)),
        Answer("Next" if top.state(report) in OPEN or states.SIMULATED.name in report.qualifiers else "Fix first", first_steps(report)),
        Answer("Rests on", _rests_on(report)),
    ]


# --- is it good enough: by its objectives, and by its SLO ---------------------------------------------------------------


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
    production = error_budget.production(report)
    if production is not None and production.rates:
        return f"this report has no outages at production rates (nines judge {report.folder} makes it anew)"
    return "the experiment assumes no fault rates (predict: {production: ...})"


def _model(report: Report, allowance: Budget) -> list[str]:
    """The model's figure after the measured one, with its range, and why the two differ."""
    production = error_budget.production(report)
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
    production = error_budget.production(report)
    rates = production.rates if production is not None and production.rates else []
    if rates:
        parts.append(f"Fault rates are assumed: {'; '.join(rates)}.")
    return [part for part in parts if part]


def _real(report: Report) -> str:
    nodes = say.count(len(report.nodes), "node")
    if states.SIMULATED.name in report.qualifiers:
        return f"A simulation of {report.target} ({nodes}) in virtual time: no real system was tested."
    return f"{nodes} of {report.target} on the runtime {report.runtime}." if report.nodes else ""
