"""Agreement: the size and the power of its tests on synthetic runs, and the three verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.judge.agreement import compare, holm, share_power
from chaos.judge.downtime_sums import SumDistribution
from chaos.report.story import undecided
from tests.support.outages import SLOT_S, Drawn, heartbeat_outages

RUNS = 4_000


def test_size_and_power_of_the_downtime_test() -> None:
    """On its own model the test errs in 4 to 6 % of runs; with 20 faults it sees +10 % in some 43 % and +20 % in at least 88 %."""
    rng = np.random.default_rng(1)
    sums = SumDistribution([(heartbeat_outages(rng, 200_000), 20)], SLOT_S)
    refused = {}
    for factor in (1.0, 1.1, 1.2):
        totals_s = heartbeat_outages(rng, 20 * RUNS, factor).reshape(RUNS, 20).sum(axis=1)
        refused[factor] = np.mean([sums.p_value(float(total_s)) < 0.05 for total_s in totals_s])
    assert 0.04 <= refused[1.0] <= 0.06
    assert 0.38 <= refused[1.1] <= 0.48
    assert refused[1.2] >= 0.88


@pytest.mark.parametrize(("faults", "margin"), [(173, 1.25), (53, 1.5), (19, 2.0)])
def test_faults_that_equivalence_needs(faults: int, margin: float) -> None:
    """Exponential outages need 173 / 53 / 19 faults for a margin of 1.25 / 1.5 / 2, with power 80 %."""
    rng = np.random.default_rng(2)
    draws = rng.exponential(1.0, 200_000)
    sums = SumDistribution([(draws, faults)], SLOT_S)
    low, high = sums.quantile_s(0.95) / margin, sums.quantile_s(0.05) * margin
    totals = rng.exponential(1.0, (RUNS, faults)).sum(axis=1)
    assert np.mean((totals >= low) & (totals <= high)) == pytest.approx(0.8, abs=0.03)
    few = draws[:3]
    rows, _ = compare("write", {"kill/leader": list(few / few.mean())}, {"kill/leader": Drawn(draws, (3,))}, margin, SLOT_S)
    assert rows[0].faults_to_decide == pytest.approx(faults, abs=2)


def test_three_exponential_faults_decide_nothing() -> None:
    """With m = 3 exponential outages a run is inconclusive, except for the 5 % that chance refuses."""
    rng = np.random.default_rng(3)
    drawn = {"kill/leader": Drawn(np.round(rng.exponential(1.0, 20_000), 2), (3,))}
    verdicts = [compare("write", {"kill/leader": list(np.round(rng.exponential(1.0, 3), 2))}, drawn, 1.5, SLOT_S)[1] for _ in range(150)]
    assert verdicts.count("consistent") == 0
    assert verdicts.count("inconclusive") >= 0.88 * len(verdicts)


def test_composite_verdict_on_its_own_model() -> None:
    """Right predictions of two classes and a silent third are called inconsistent in at most 6 % of runs."""
    rng = np.random.default_rng(4)
    slow = np.round(rng.gamma(2.0, 1.0, 20_000), 2)
    kills = Drawn(heartbeat_outages(rng, 20_000), (6,))
    drawn = {"kill/leader": kills, "pause/leader": Drawn(slow, (2,)), "latency/leader": Drawn(np.zeros(100), (1,))}
    verdicts = []
    for _ in range(400):
        seen = {"kill/leader": list(heartbeat_outages(rng, 6)), "pause/leader": list(rng.choice(slow, 2)), "latency/leader": [0.0]}
        verdicts.append(compare("write", seen, drawn, 1.5, SLOT_S)[1])
    assert verdicts.count("inconsistent") <= 0.06 * len(verdicts) + 8
    assert verdicts.count("consistent") > 0


def test_quickstart_like_run_is_consistent() -> None:
    """Eight kills as predicted and one spell that nobody notices: consistent as a whole, the spell by itself inconclusive."""
    rng = np.random.default_rng(5)
    drawn = {"kill/leader": Drawn(heartbeat_outages(rng, 20_000), (8,)), "latency/leader": Drawn(np.zeros(100), (1,))}
    seen = {"kill/leader": list(heartbeat_outages(rng, 8)), "latency/leader": [0.0]}
    rows, overall = compare("write", seen, drawn, 1.5, SLOT_S)
    assert overall == "consistent"
    assert rows[0].fault_class == ""
    assert rows[0].low is not None
    by_class = {(row.fault_class, row.measure): row for row in rows}
    spell = by_class["latency/leader", "share"]
    assert (spell.verdict, spell.faults_to_decide, spell.p_value) == ("inconclusive", 8, 1.0)


@pytest.mark.parametrize(("faults", "verdict"), [(7, "inconclusive"), (8, "consistent")])
def test_silence_is_shown_by_eight_faults(faults: int, verdict: str) -> None:
    """Predicted and seen as unnoticed: with margin 1.5, eight faults bound the noticed share below a third."""
    rows, overall = compare("write", {"latency/leader": [0.0] * faults}, {"latency/leader": Drawn(np.zeros(100), (faults,))}, 1.5, SLOT_S)
    assert overall == verdict
    assert rows[0].faults_to_decide == (None if verdict == "consistent" else 8)


def test_a_noticed_fault_refutes_silence() -> None:
    """A fault that should not have been noticed, and was, is inconsistent: here and as a whole."""
    rows, overall = compare("write", {"latency/leader": [0.0, 0.3]}, {"latency/leader": Drawn(np.zeros(100), (2,))}, 1.5, SLOT_S)
    assert overall == "inconsistent"
    assert all(row.verdict == "inconsistent" for row in rows)


def test_different_but_within_the_margin() -> None:
    """Many faults show a small difference: consistent, and said to be detectable."""
    rng = np.random.default_rng(6)
    drawn = {"kill/leader": Drawn(heartbeat_outages(rng, 20_000), (60,))}
    rows, overall = compare("write", {"kill/leader": list(heartbeat_outages(rng, 60, 1.15))}, drawn, 1.5, SLOT_S)
    assert overall == "consistent"
    assert rows[0].detectable
    assert rows[0].low is not None and rows[0].high is not None
    assert rows[0].low < 1.15 < rows[0].high


def test_twice_as_long_is_inconsistent() -> None:
    """A prediction that is off by a factor of two is refused by eight kills."""
    rng = np.random.default_rng(7)
    drawn = {"kill/leader": Drawn(heartbeat_outages(rng, 20_000), (8,))}
    rows, overall = compare("write", {"kill/leader": list(heartbeat_outages(rng, 8, 2.0))}, drawn, 1.5, SLOT_S)
    assert overall == "inconsistent"
    assert rows[0].p_value is not None and rows[0].p_value < 1e-6


def test_a_class_the_models_do_not_know() -> None:
    """Without a prediction there is nothing to agree with: inconclusive, also as a whole."""
    rng = np.random.default_rng(8)
    seen = {"kill/leader": list(heartbeat_outages(rng, 8)), "clock/node": [1.0]}
    rows, overall = compare("write", seen, {"kill/leader": Drawn(heartbeat_outages(rng, 20_000), (8,))}, 1.5, SLOT_S)
    assert overall == "inconclusive"
    assert {row.fault_class: row.verdict for row in rows if row.measure == "downtime"}["clock/node"] == "inconclusive"


def test_durations_are_not_pooled() -> None:
    """One fault of 2 s and one of 20 s: their sum is 22 s, not either of 4, 22 and 40."""
    draws = np.repeat([2.0, 20.0], 1000)
    drawn = Drawn(draws, (1, 1), np.repeat(np.array([0, 1]), 1000))
    rows, _ = compare("write", {"partition/groups": [2.0, 20.0]}, {"partition/groups": drawn}, 1.5, SLOT_S)
    assert rows[0].predicted == pytest.approx(22.0)
    assert rows[0].verdict == "consistent"
    rows, _ = compare("write", {"partition/groups": [20.0, 20.0]}, {"partition/groups": drawn}, 1.5, SLOT_S)
    assert rows[0].verdict == "inconsistent"


def test_sum_distribution_against_the_binomial() -> None:
    """Outages of 1 s that half of the faults cause: the sum is binomial, tails included."""
    from scipy.stats import binom

    sums = SumDistribution([(np.array([0.0, 1.0]), 40)], 0.5)
    assert sums.mean_s == pytest.approx(20.0)
    for total in (5, 20, 33):
        wanted = min(1.0, 2 * min(binom.cdf(total, 40, 0.5), binom.sf(total - 1, 40, 0.5)))
        assert sums.p_value(float(total)) == pytest.approx(wanted, rel=1e-6)
    assert sums.p_value(41.0) == 0.0
    assert sums.p_value(-1.0) == 0.0


def test_holm() -> None:
    """The step-down correction, in the order given and never above one."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_nothing_happened() -> None:
    """Without an effective fault nothing can be told."""
    rows, overall = compare("write", {}, {}, 1.5, SLOT_S)
    assert overall == "inconclusive"
    assert rows[0].p_value is None


@pytest.mark.parametrize("margin", [1.0, 0.5, float("nan")])
def test_a_margin_must_leave_room(margin: float) -> None:
    """A margin of one asks for exact equality and is refused."""
    with pytest.raises(BadInput, match="margin"):
        compare("write", {}, {}, margin, SLOT_S)


@pytest.mark.parametrize(("faults", "verdict", "needed"), [(6, "inconclusive", 8), (7, "inconclusive", 8), (8, "consistent", None)])
def test_a_share_of_all_takes_eight_faults(faults: int, verdict: str, needed: int | None) -> None:
    """Six of six noticed leave 61 % to 100 %: not above the 67 % that the margin asks for. The row says both, and how many would."""
    draws = Drawn(np.full(100, 0.5), (faults,))
    rows, _ = compare("write", {"kill/leader": [0.5] * faults}, {"kill/leader": draws}, 1.5, 0.01)
    share = next(row for row in rows if row.measure == "share")
    assert (share.verdict, share.faults_to_decide) == (verdict, needed)
    assert share.low == pytest.approx(0.05 ** (1 / faults)) and share.high == 1.0
    assert share.within == pytest.approx((2 / 3, 1.0))
    said = undecided(share)
    assert said == "" if verdict == "consistent" else ("0.667 to 1" in said and "8 faults would decide" in said)


def test_a_share_between_takes_more() -> None:
    """Half of them noticed is shown by several times as many; and so many do show it four times in five."""
    needed = next(count for count in range(1, 200) if share_power(count, 0.5, 1 / 3) >= 0.8)
    assert 10 < needed < 60
    rng = np.random.default_rng(5)
    shown = 0
    for noticed in rng.binomial(needed, 0.5, 400):
        draws = Drawn(np.array([0.0, 0.5] * 50), (needed,))
        seen = [0.5] * int(noticed) + [0.0] * (needed - int(noticed))
        rows, _ = compare("write", {"kill/leader": seen}, {"kill/leader": draws}, 1.5, 0.01)
        shown += next(row for row in rows if row.measure == "share").verdict == "consistent"
    assert shown / 400 == pytest.approx(share_power(needed, 0.5, 1 / 3), abs=0.06)
