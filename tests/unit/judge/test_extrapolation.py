"""From measured outages to production: the exact bound, the simulated interval, whose variance it is, and what is never claimed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.core.rng import derive
from chaos.experiment import document as loading
from chaos.experiment.production import PredictSpec, ProductionRate
from chaos.judge.extrapolation import YEAR_S, Share, combine, extrapolate
from chaos.measure.means import interval_of_mean
from chaos.measure.timeline import build
from chaos.results.verdict import Extrapolated
from tests.reference.intervals import odds_bound
from tests.support import synthetic
from tests.support.samples import sample_experiment

DAY_S = 86400.0
MONTHLY = ProductionRate("kill", 1 / (30 * DAY_S), "node", "1 per 30d per node")


# --- the exact bound ---------------------------------------------------------------------------------------------------


def test_the_bound_without_any_failure_is_the_classic_one() -> None:
    """Many repairs, r = 0: 3.0/T times the mean repair."""
    assert odds_bound(0, 1000.0, 50_000 * 2.0, 50_000) == pytest.approx(-math.log(0.05) / 1000 * 2.0, rel=1e-3)


def test_the_bound_holds_as_often_as_it_promises() -> None:
    """Poisson failures and exponential repairs, the very case of the F distribution."""
    rng = np.random.default_rng(1)
    rate, mean_s, exposure_s, repairs = 1 / 500, 4.0, 2000.0, 6
    held = 0
    for _ in range(2000):
        bound = odds_bound(int(rng.poisson(rate * exposure_s)), exposure_s, float(rng.exponential(mean_s, repairs).sum()), repairs)
        held += rate * mean_s <= bound
    assert 0.94 <= held / 2000 <= 0.99


@pytest.mark.parametrize("wrong", [(-1, 10.0, 1.0, 1), (0, 0.0, 1.0, 1), (0, 10.0, 0.0, 1), (0, 10.0, 1.0, 0), (0, math.nan, 1.0, 1)])
def test_a_bound_from_nothing_is_refused(wrong: tuple[int, float, float, int]) -> None:
    """No repairs, no exposure, no number."""
    with pytest.raises(BadInput):
        odds_bound(*wrong)


# --- several kinds -----------------------------------------------------------------------------------------------------


def share(name: str, downs_s: Sequence[float], per_s: float = 1e-6, **more: object) -> Share:
    """A class at a chosen rate."""
    return msgspec.structs.replace(Share(name, per_s, tuple(downs_s), 2.0, f"rate of {name}"), **more)


def test_the_value_is_rate_times_mean_with_zeros_counted() -> None:
    """Half of the followers' faults are not noticed: they count as nothing, not as missing."""
    found = combine([share("kill/leader", [1.0] * 10), share("kill/follower", [0.5, 0.0] * 5, 3e-6)], 1)
    assert found.downtime_s_per_year.value == pytest.approx((1e-6 * 1.0 + 3e-6 * 0.25) * YEAR_S)
    assert found.availability.value == pytest.approx(1 - 1.75e-6)
    assert found.availability.low is not None
    assert found.availability.value is not None
    assert found.availability.low < found.availability.value


def test_the_variance_belongs_to_the_class_that_makes_it() -> None:
    """Few and uneven outages make it, not many like ones; the shares are of one whole."""
    rng = np.random.default_rng(2)
    found = combine([share("kill/leader", [1.0, 1.01] * 30), share("pause/leader", rng.exponential(1.0, 5).tolist())], 1)
    shares = [part.variance_share for part in found.parts]
    assert shares[1] is not None
    assert shares[1] > 0.95
    assert math.fsum(each or 0.0 for each in shares) == pytest.approx(1.0)


def test_a_counted_rate_brings_its_own_uncertainty_and_a_chosen_one_none() -> None:
    """The same outages: with 3 counted faults the interval is several times as wide, and says what it is."""
    downs_s = [1.0, 1.1, 0.9] * 20
    chosen = combine([share("kill/leader", downs_s)], 1)
    counted = combine([share("kill/leader", downs_s, counted=3, exposure_s=3.5e6)], 1)
    assert [chosen.parts[0].rate_basis, counted.parts[0].rate_basis] == ["chosen", "counted"]

    def width(found: Extrapolated) -> float:
        down = found.downtime_s_per_year
        assert down.high is not None
        assert down.low is not None
        return down.high - down.low

    assert width(counted) > 5 * width(chosen)


def test_no_failure_counted_still_gives_a_bound() -> None:
    """r = 0: the exact upper bound and the simulated one are of one size."""
    rng = np.random.default_rng(3)
    downs_s = rng.exponential(2.0, 7).tolist()
    exposure_s = 90 * DAY_S
    found = combine([share("kill/leader", downs_s, 0.5 / exposure_s, counted=0, exposure_s=exposure_s)], 1)
    exact = odds_bound(0, exposure_s, math.fsum(downs_s), 7, 0.975) * YEAR_S
    assert found.downtime_s_per_year.high is not None
    # The exact one knows that outages are exponential; the other allows for a kind that seven faults may not have shown.
    assert 0.5 < found.downtime_s_per_year.high / exact < 6.0
    assert found.downtime_s_per_year.low == pytest.approx(0.0, abs=0.05 * exact)


def test_classes_that_rest_on_the_same_faults_are_uncertain_together() -> None:
    """Counting followers like leaders makes the whole as uncertain as one class of all of it, not less so."""
    downs_s = np.random.default_rng(6).exponential(1.0, 12).tolist()
    apart = combine([share("kill/leader", downs_s), share("kill/follower", downs_s, 2e-6, stands_in="kill/leader")], 1)
    whole = combine([share("kill/leader", downs_s, 3e-6)], 1)
    assert apart.downtime_s_per_year.high == pytest.approx(whole.downtime_s_per_year.high, rel=0.02)
    assert apart.downtime_s_per_year.low == pytest.approx(whole.downtime_s_per_year.low, rel=0.02)


def test_the_interval_of_one_class_is_that_of_its_mean() -> None:
    """At a chosen rate nothing else is uncertain: the ends are those of the mean, zeros allowed for."""
    for faults in (3, 9, 60):
        downs_s = np.random.default_rng(faults).exponential(1.0, faults)
        found = combine([share("kill/leader", downs_s.tolist())], 1).downtime_s_per_year
        low, high, _ = interval_of_mean(downs_s, derive(1, "kill/leader"), zeros=True)
        assert low is not None and high is not None
        assert found.low == pytest.approx(low * 1e-6 * YEAR_S, rel=0.05)
        assert found.high == pytest.approx(high * 1e-6 * YEAR_S, rel=0.05)


def test_a_class_is_never_down_for_longer_than_always() -> None:
    """Outages of a day, once a day and once in 28 h: no availability below 0, and no bound where there is none."""
    found = combine([share("kill/leader", [80_000.0, 90_000.0, 60_000.0], 1 / DAY_S), share("pause/leader", [1e5] * 3, 1e-5)], 1)
    assert found.availability.value == 0.0
    assert found.availability.low is None
    assert found.downtime_s_per_year.high is None
    assert "no bound" in found.downtime_s_per_year.reason
    for end in (found.availability.value, found.availability.high):
        assert end is not None and 0.0 <= end <= 1.0


def test_unnoticed_faults_are_no_proof_of_perfection() -> None:
    """None of 10 was noticed: no value of 100 %, a bound below it, and the share that may be noticed."""
    found = combine([share("kill/follower", [0.0] * 10)], 1)
    assert found.availability.value is None
    assert found.availability.high is None
    assert found.availability.low is not None
    assert 0.999999 < found.availability.low < 1.0
    assert "26 %" in found.parts[0].note
    assert "no fault was noticed" in found.reason


# --- a run -------------------------------------------------------------------------------------------------------------


def test_a_value_lies_in_its_interval_beside_a_class_that_nobody_noticed() -> None:
    """One latency that was not noticed may be anything up to its whole length, and nothing at least: it cannot lift the lower end."""
    noticed = share("kill/leader", [0.5, 0.55, 0.6, 0.62, 0.58, 0.52, 0.61, 0.57])
    alone, both = (combine(each, seed=1).downtime_s_per_year for each in ([noticed], [noticed, share("latency/leader", [0.0], per_s=1e-5)]))
    assert both.low == pytest.approx(alone.low)
    assert both.low is not None and both.high is not None and alone.high is not None
    assert both.low < both.value < both.high
    assert both.high > 5 * alone.high
    assert combine([share("latency/leader", [0.0])], seed=1).downtime_s_per_year.low == 0.0


def of_a_run(*rates: ProductionRate, role: str = "leader") -> Extrapolated | None:
    """Ten kills with outages of half a second, at these rates."""
    times_s = [5.0 + 5.0 * number for number in range(10)]
    spec, windows = synthetic.kills(times_s)
    plan = synthetic.make_plan(duration_s=60.0, faults=[spec], windows=windows)
    experiment = msgspec.structs.replace(plan.experiment, predict=PredictSpec(production=rates))
    plan = msgspec.structs.replace(plan, experiment=experiment)
    rows = [*synthetic.frame(plan), *(row for window in windows for row in synthetic.fault_rows(window, role=role))]
    down = [(at_s + 0.005, at_s + 0.505) for at_s in times_s]
    return extrapolate(plan, build(plan, rows, synthetic.slots(plan, down)))


def test_a_run_at_production_rates() -> None:
    """One per node a month on three nodes; followers were never killed, so they count like leaders, and that is said."""
    found = of_a_run(MONTHLY)
    assert found is not None
    assert found.availability.value == pytest.approx(1 - 3 * 0.5 / (30 * DAY_S), rel=1e-9)
    parts = {part.fault_class: part for part in found.parts}
    assert parts["kill/leader"].note == ""
    assert "not injected here, counted like kill/leader" in parts["kill/follower"].note
    assert (parts["kill/leader"].faults, parts["kill/follower"].faults) == (10, 0)
    assert parts["kill/follower"].downtime_s_per_year == pytest.approx(2 * parts["kill/leader"].downtime_s_per_year)
    assert {part.rate_basis for part in found.parts} == {"chosen"}
    assert "measured rate" not in msgspec.json.encode(found).decode()


def test_a_kind_that_was_not_measured_has_no_figure() -> None:
    """Nothing is made up, and nothing is left out in silence."""
    found = of_a_run(MONTHLY, ProductionRate("pause", 1e-6, "cluster", "1 per 10d per cluster"))
    assert found is not None
    assert found.availability.value is None
    assert "pause" in found.reason


def test_without_rates_there_is_nothing_to_say() -> None:
    """No default rate."""
    assert of_a_run() is None


def test_counted_rates_are_written_apart_from_chosen_ones() -> None:
    """``3 in 365d per node`` was counted; ``0 in 90d`` is allowed; ``1 per 45d`` was chosen."""
    found = sample_experiment("  []", "predict: {production: {kill: 0 in 90d per node, pause: 1 per 45d per node}}\n").predict.production
    assert (found[0].counted, found[0].exposure_s, found[0].per_s) == (0, 90 * DAY_S, 0.5 / (90 * DAY_S))
    assert found[1].counted is None
    with pytest.raises(BadInput):
        loading.parse_experiment(
            "experiment: x\nquestion: q\ncluster: {target: t}\ntraffic: {operations: {w: 1/s}}\n"
            "predict: {production: {kill: 3 in 0d per node}}\n",
            "x.yaml",
        )
