"""How many faults a claim needs, what a promise allows, and what an experiment can decide before it is run."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.document import Slo
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.experiment.production import Around, AroundPart, Needs, PredictSpec, ProductionRate
from chaos.judge.agreement import compare
from chaos.judge.power import BudgetSaid, power
from chaos.measure.means import mean
from chaos.plan.plan import Plan
from chaos.predict import run as predicting
from chaos.predict.sample_size import Budget, agreement_faults, faults_needed, mttr_limit_s
from chaos.report.pages.plan_power import render
from tests.support.synthetic import kills, make_plan

DAY_S = 86400.0
YEAR_S = 365 * DAY_S


# --- arithmetic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_year", "limit_s"), [(4, 3944), (12, 1315), (24, 657), (52, 303), (365, 43)])
def test_the_mttr_limit_of_a_promise(per_year: int, limit_s: int) -> None:
    """99.95 % at so many faults a year."""
    assert mttr_limit_s(0.9995, per_year / YEAR_S) == pytest.approx(limit_s, abs=0.6)


@pytest.mark.parametrize(
    ("cv", "needed"),
    [(0.2, (28, 6, 2, 2, 2)), (0.5, (172, 32, 10, 4, 2)), (1.0, (688, 128, 40, 15, 7)), (1.5, (1548, 287, 90, 32, 14))],
)
def test_faults_needed_are_those_of_the_table(cv: float, needed: tuple[int, ...]) -> None:
    """At 95 % confidence and a power of 80 %, for true means 1.1 to 3 times below the limit."""
    assert tuple(faults_needed(cv, margin) for margin in (1.1, 1.25, 1.5, 2, 3)) == needed


def test_faults_needed_have_the_power_that_they_promise() -> None:
    """128 exponential outages, the limit 1.25 times their mean: the exact bound lies below it in 80 % of draws; 100 are too few."""
    from scipy.stats import chi2

    rng = np.random.default_rng(3)
    for faults, least, most in ((128, 0.78, 0.83), (100, 0.6, 0.76)):
        totals = rng.gamma(faults, 1.0, 20_000)
        shown = float(np.mean(2 * totals / chi2.ppf(0.05, 2 * faults) <= 1.25))
        assert least < shown < most


def test_about_the_formula_that_people_know() -> None:
    """((1.645 + 0.842) cv / ln g)^2, for many faults."""
    for cv, margin in ((0.5, 1.1), (1.0, 1.1), (1.5, 1.1)):
        assert faults_needed(cv, margin) == pytest.approx(((1.645 + 0.842) * cv / math.log(margin)) ** 2, rel=0.02)


@pytest.mark.parametrize(("margin", "faults"), [(1.25, 173), (1.5, 53), (2.0, 19)])
def test_faults_for_an_agreement(margin: float, faults: int) -> None:
    """Of exponential outages, with the prediction exactly right."""
    assert agreement_faults(1.0, margin) == faults


def test_a_budget_and_its_burn_rates() -> None:
    """99.9 % of 30 days are 2592 s; the usual alerts spend 2, 5 and 10 % of it."""
    budget = Budget(0.999, 30 * DAY_S).checked()
    assert budget.downtime_s == pytest.approx(2592)
    assert [round(each.spends, 9) for each in budget.alerts()] == [0.02, 0.05, 0.1]
    assert budget.faults(4.0) == pytest.approx(648)


@pytest.mark.parametrize(
    ("promised", "days", "burns", "left_out"),
    [
        (0.999, 30, (14.4, 6.0, 1.0), ()),
        (0.999, 7, (3.36, 1.4), (0.1 * 7 / 3,)),  # 10 % of a week's budget in three days is slower than evenly
        (0.999, 28, (13.44, 5.6), (2.8 / 3,)),
        (0.999, 90, (43.2, 18.0, 3.0), ()),
        (0.999, 365, (175.2, 73.0, 365 / 30), ()),
        (0.9, 30, (6.0, 1.0), (14.4,)),  # nothing burns faster than ten times
        (0.8, 90, (3.0,), (43.2, 18.0)),
        (0.99, 1, (), (0.48, 0.2, 0.1 / 3)),
    ],
)
def test_burn_rates_follow_the_window_and_the_objective(
    promised: float, days: float, burns: tuple[float, ...], left_out: tuple[float, ...]
) -> None:
    """Share of the budget x window / time of the alert; what can never fire, or fires while the budget lasts, is left out and said."""
    budget = Budget(promised, days * DAY_S)
    assert [each.burn for each in budget.alerts()] == pytest.approx(burns)
    assert [each.burn for each in budget.alerts_left_out()] == pytest.approx(left_out)
    assert all(each.reason for each in budget.alerts_left_out())
    assert all(each.burn <= budget.fastest_burn for each in budget.alerts())


def test_faults_needed_of_an_absurd_spread() -> None:
    """The formula for many faults says 4e13: none within a million. A quantile that underflows decides nothing."""
    assert faults_needed(1e6, 1.5) is None
    assert faults_needed(50, 1.5) == pytest.approx(((1.645 + 0.842) * 50 / math.log(1.5)) ** 2, rel=0.1)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, math.nan, math.inf])
def test_what_is_outside_a_domain_is_refused(value: float) -> None:
    """Never a number from nonsense."""
    with pytest.raises(BadInput):
        mttr_limit_s(value, 1.0)
    with pytest.raises(BadInput):
        Budget(value, DAY_S).checked()
    with pytest.raises(BadInput):
        faults_needed(1.0, 1.5, confidence=value)


# --- a plan ------------------------------------------------------------------------------------------------------------


def planned(count: int, *objectives: ObjectiveSpec, slo: Slo = Slo(), margin: float = 1.5, role_kills: bool = True) -> Plan:  # noqa: B008
    """A plan of so many leader kills, 10 s apart."""
    spec, windows = kills([5.0 + 10.0 * number for number in range(count)], for_s=2.0)
    plan = make_plan(duration_s=10.0 * count + 15, faults=[spec], windows=windows, objectives=objectives, slo=slo)
    rates = (ProductionRate("kill", 1 / (45 * DAY_S), "node", "1 per 45d per node"),)
    predict = PredictSpec(production=rates, margin=margin)
    return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, predict=predict))


def limit(measure: str, op: str, value: float, basis: str = "run") -> ObjectiveSpec:
    """One objective."""
    return ObjectiveSpec(measure=measure, bound=Bound(op, value), basis=basis, text=f"{op} {value}")


def test_more_faults_decide_more() -> None:
    """The chance to show agreement grows with the number of faults; the number that is named has about its 80 %."""
    few, many = power(planned(1, margin=1.25)), power(planned(30, margin=1.25))
    assert few.agreement is not None
    assert many.agreement is not None
    assert few.agreement.consistent < 0.3
    assert many.agreement.consistent > 0.95
    assert any("agreement" in warning for warning in few.warnings)
    assert many.warnings == ()
    needed = many.agreement.faults_needed
    assert needed is not None
    at_needed = power(planned(needed, margin=1.25)).agreement
    assert at_needed is not None
    assert at_needed.consistent == pytest.approx(0.8, abs=0.12)


def test_the_chance_of_agreement_is_that_of_the_real_rule() -> None:
    """Draw runs from the prediction, put them through ``compare``: the same share is consistent."""
    plan = planned(8, margin=1.25)
    said = power(plan).agreement
    assert said is not None
    draws = predicting.draws(plan, predicting.facts_from_plan(plan), "write")
    rng = np.random.default_rng(4)
    name = next(iter(draws))
    words = [compare("write", {name: rng.choice(draws[name].downtime_s, 8).tolist()}, draws, 1.25, 0.01)[1] for _ in range(300)]
    assert words.count("consistent") / 300 == pytest.approx(said.consistent, abs=0.08)


def test_objectives_under_run_are_met_as_often_as_the_model_says() -> None:
    """A generous limit always, a hopeless one never; of the latter there is a warning."""
    found = power(planned(6, limit("mttr", "<=", 20.0), limit("availability", ">=", 0.999), limit("slo_ratio", ">=", 0.5)))
    assert [each.passes for each in found.objectives] == [1.0, 0.0, None]
    assert any("availability" in warning and "missed" in warning for warning in found.warnings)


def test_a_claim_that_too_few_faults_cannot_decide_is_told_with_the_number_that_would() -> None:
    """The limit is 10 % above the predicted mean: four kills leave it open, as the intervals of drawn runs do."""
    plan = planned(4)
    draws = next(iter(predicting.draws(plan, predicting.facts_from_plan(plan), "write").values()))
    limit_s = 1.1 * float(draws.downtime_s.mean())
    found = power(planned(4, limit("mttr", "<=", limit_s, "claim")))
    (claim,) = found.objectives
    assert claim.passes is not None
    assert claim.passes < 0.5
    assert claim.faults_needed is not None
    assert claim.faults_needed > 4
    assert any("undecided" in warning and str(claim.faults_needed) in warning for warning in found.warnings)
    rng = np.random.default_rng(5)
    shown = [mean(rng.choice(draws.downtime_s, claim.faults_needed).tolist(), run, 0.01) for run in range(200)]
    assert sum(each.high is not None and each.high <= limit_s for each in shown) / 200 == pytest.approx(0.8, abs=0.15)


def test_the_promise_is_worked_out() -> None:
    """Budget, outages that fit into it, and the limit at the assumed rates; said in words."""
    found = power(planned(3, slo=Slo(0.9995, 30 * DAY_S)))
    assert found.budget is not None
    assert found.budget.downtime_s == pytest.approx(1296)
    assert found.budget.mttr_limit_s == pytest.approx((1 / 0.9995 - 1) * 45 * DAY_S / 3)
    text = render(found)
    assert "14.4" in text
    assert "30 d allow" in text
    assert "nan" not in text.lower()


def test_parts_around_the_cluster_spend_the_budget_first() -> None:
    """99.95 % of 30 days are 1,296 s. A balancer that takes 648 s leaves half as many faults, half as long; one of 99.9 % nothing."""
    plan = planned(3, slo=Slo(0.9995, 30 * DAY_S))

    def beside(share: float) -> BudgetSaid:
        needs = Needs("all", parts=(Needs("part", "lb"), Needs("part", "cluster")))
        predict = msgspec.structs.replace(plan.experiment.predict, around=Around((AroundPart("lb", share, "it"),), needs))
        found = power(msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, predict=predict))).budget
        assert found is not None
        return found

    alone = power(plan).budget
    assert alone is not None and alone.mttr_limit_s is not None
    half, nothing = beside(0.00025), beside(0.001)
    assert half.around_s == pytest.approx(648)
    assert half.left_s == pytest.approx(648, rel=1e-3)
    assert half.faults["kill/leader"] == pytest.approx(alone.faults["kill/leader"] / 2, rel=1e-3)
    assert half.mttr_limit_s == pytest.approx(alone.mttr_limit_s / 2, rel=1e-3)
    assert (nothing.left_s, nothing.faults, nothing.mttr_limit_s) == (0.0, {}, None)
    assert "more than the whole budget" in render(msgspec.structs.replace(power(plan), budget=nothing))


def test_a_kind_that_the_models_do_not_know_is_told() -> None:
    """No chance is made up for it."""
    spec, windows = kills([5.0], kind="mystery")
    found = power(make_plan(faults=[spec], windows=windows, objectives=[limit("mttr", "<=", 1.0)]))
    assert found.agreement is None
    assert found.objectives == ()
    assert any("do not know" in warning for warning in found.warnings)


def test_every_objective_has_a_chance_or_a_reason() -> None:
    """The success ratio is foreseen like the availability; what no model foresees is said, and warned of."""
    wanted = [limit("success_ratio", ">=", 0.9), limit("slo_ratio", ">=", 0.9), limit("mtbf", ">=", 5.0, "claim")]
    found = power(planned(6, *wanted))
    ratio, slo, mtbf = found.objectives
    assert ratio.passes is not None and ratio.passes > 0.95
    assert slo.passes is None and "how long good answers take" in slo.reason
    assert mtbf.passes is None and "our choice" in mtbf.reason
    assert sum("no chance can be told" in text for text in found.warnings) == 2


def test_bad_slots_outside_of_outages_count_in_the_success_ratio() -> None:
    """It is never above the availability by more than the two bad slots that open an outage; the edges of each make the difference."""
    plan = planned(6)
    draws = next(iter(predicting.draws(plan, predicting.facts_from_plan(plan), "write").values()))
    difference_s = draws.downtime_s - draws.lost_s
    assert abs(float(difference_s.mean())) < 0.02
    assert float(draws.lost_s.mean()) > 0.3
