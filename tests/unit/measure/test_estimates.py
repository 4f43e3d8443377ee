"""Estimates against figures worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats as oracle

from chaos.experiment.document import Slo
from chaos.history.events import FaultAsked, FaultFailed
from chaos.history.observations import Outcome, Why
from chaos.measure import estimates as stats
from chaos.measure import means as stats_means
from chaos.measure.faults import BACKGROUND
from chaos.measure.timeline import build
from chaos.plan.plan import Plan
from chaos.results.observed import Observed
from tests.support import synthetic
from tests.support.synthetic import Down, Records, Rows, at_ns, fault_rows, frame, kills, make_plan


def observe(plan: Plan, down: Down = (), rows: Rows | None = None, records: Records | None = None) -> Observed:
    """The judged service's figures."""
    records = synthetic.slots(plan, down) if records is None else records
    return stats.observe(plan, build(plan, frame(plan) if rows is None else rows, records))


def kill_run(times_s: list[float], down: Down, **options: Any) -> Observed:  # noqa: ANN401 - handed on
    """A run with kills at these times, each settled 2 s after its heal."""
    spec, windows = kills(times_s)
    plan = make_plan(faults=[spec], windows=windows, **options)
    rows = [*frame(plan), *(row for window in windows for row in fault_rows(window))]
    return observe(plan, down, rows)


def test_mean_times_are_what_their_definitions_say() -> None:
    """28 s observed, 0.5 s and 1.5 s down: MTTR 1 s, MTTF 13 s, MTBF 14 s, availability 26/28."""
    seen = kill_run([5.0, 15.0], [(5.005, 5.505), (15.005, 16.505)])
    assert seen.downtime_s == pytest.approx(2.0)
    assert seen.mttr_s.value == pytest.approx(1.0)
    assert seen.mttf_s.value == pytest.approx(13.0)
    assert seen.mtbf_s.value == pytest.approx(14.0)
    assert seen.availability.value == pytest.approx(26 / 28)
    assert seen.mtbf_basis == "schedule"
    assert seen.mttr_s.n == 2
    assert "too few" in seen.mttr_s.reason


def test_without_an_outage_times_are_null_and_availability_has_no_lower_bound() -> None:
    """Nothing seen is no evidence of perfection."""
    seen = kill_run([5.0], [])
    for estimate in (seen.mttr_s, seen.mttf_s, seen.mtbf_s):
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        assert estimate.reason
    assert (seen.availability.value, seen.availability.low) == (1.0, None)
    assert (seen.success_ratio.value, seen.success_ratio.low) == (1.0, None)
    assert seen.by_fault["kill/leader"].share.value == 0.0
    assert seen.by_fault["kill/leader"].share.high == pytest.approx(0.975)
    assert seen.by_fault["kill/leader"].outage_s.value is None
    assert seen.by_fault["kill/leader"].recovery_s.value == 0.0


def test_an_outage_cut_off_counts_as_downtime_but_not_as_a_repair() -> None:
    """0.5 s completed and 2 s open at the end: MTTR is 2.5 s over one repair, without an upper bound."""
    seen = kill_run([5.0, 28.0], [(5.005, 5.505), (28.005, 99.0)])
    assert seen.downtime_s == pytest.approx(2.495)
    assert seen.mttr_s.value == pytest.approx(2.495)
    assert seen.mttr_s.high is None
    assert seen.by_fault["kill/leader"].recovery_s.high is None
    assert seen.by_fault["kill/leader"].recovery_s.value == pytest.approx((0.505 + 2.0) / 2)


def test_only_an_outage_without_an_end_has_no_mean_but_a_lower_bound() -> None:
    """What was seen of it is the least it can be."""
    seen = kill_run([28.0], [(28.005, 99.0)])
    assert seen.mttr_s.value is None
    assert seen.mttr_s.low == pytest.approx(1.995)
    assert seen.mttr_s.high is None


def test_recovery_counts_from_the_effect_and_zeros_are_in() -> None:
    """Recoveries 0.505 s and 0 s average 0.2525 s; the outage of the one that was noticed is 0.5 s."""
    row = kill_run([5.0, 15.0], [(5.005, 5.505)]).by_fault["kill/leader"]
    assert (row.injected, row.effective, row.noticed) == (2, 2, 1)
    assert row.recovery_s.value == pytest.approx(0.2525)
    assert row.outage_s.value == pytest.approx(0.5)
    assert row.share.value == 0.5


def test_several_outages_of_one_fault_are_summed() -> None:
    """0.5 s and 0.25 s after one kill: one noticed fault of 0.75 s, recovered at the end of the second."""
    row = kill_run([5.0], [(5.005, 5.505), (6.005, 6.255)]).by_fault["kill/leader"]
    assert row.noticed == 1
    assert row.outage_s.value == pytest.approx(0.75)
    assert row.recovery_s.value == pytest.approx(1.255)


def test_what_no_fault_explains_is_a_class_of_its_own() -> None:
    """Never given to the nearest fault."""
    seen = kill_run([5.0], [(5.005, 5.505), (20.005, 20.305)])
    assert seen.by_fault[BACKGROUND].noticed == 1
    assert seen.by_fault[BACKGROUND].outage_s.value == pytest.approx(0.3)
    assert seen.by_fault["kill/leader"].outage_s.value == pytest.approx(0.5)


def test_a_fault_that_failed_was_injected_but_is_no_trial() -> None:
    """Asked and not effective: it is counted, and nothing is estimated from it."""
    spec, windows = kills([5.0])
    plan = make_plan(faults=[spec], windows=windows)
    asked = FaultAsked(at_ns=at_ns(5), id="kill-1", fault=spec.name, kind="kill", fault_class="kill/leader", target=["n1"])
    rows = [*frame(plan), asked, FaultFailed(at_ns=at_ns(5.2), id="kill-1", reason="still ran")]
    row = observe(plan, rows=rows).by_fault["kill/leader"]
    assert (row.injected, row.effective) == (1, 0)
    assert row.share.value is None
    assert row.share.reason


def test_without_faults_the_basis_is_the_background() -> None:
    """Outages that came by themselves make a rate of their own: chi-square bounds for 2 events in the up time."""
    plan = make_plan()
    seen = observe(plan, [(10.005, 10.505), (20.005, 20.505)])
    assert seen.mtbf_basis == "background"
    up_s = 27.0
    assert seen.mttf_s.low == pytest.approx(up_s * 2 / oracle.chi2.ppf(0.975, 6))
    assert seen.mttf_s.high == pytest.approx(up_s * 2 / oracle.chi2.ppf(0.025, 4))
    assert seen.availability.method.startswith("odds of outages")


def test_scheduled_time_to_failure_has_the_interval_of_the_noticed_share() -> None:
    """One of four kills noticed: bounds by Clopper-Pearson on 1 of 4."""
    seen = kill_run([5.0, 10.0, 15.0, 20.0], [(5.005, 6.005)])
    low, high = oracle.binomtest(1, 4).proportion_ci(0.95, "exact")
    assert seen.mttf_s.low == pytest.approx(27 / (4 * high))
    assert seen.mttf_s.high == pytest.approx(27 / (4 * low))


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 8), (1, 1), (17, 40)])
def test_clopper_pearson_agrees_with_scipy(hits: int, trials: int) -> None:
    """The same exact interval by another road."""
    low, high = oracle.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert stats_means.clopper_pearson(hits, trials) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_one_value_has_no_interval_and_few_are_called_few() -> None:
    """n = 1: none; n = 7: an interval and the words; n = 8: the default method; from 44 on a kind not seen is not allowed for."""
    assert stats_means.mean([2.0], 1).low is None
    seven = stats_means.mean([1.0, 2.0, 1.5, 1.2, 1.8, 1.1, 1.6], 1)
    assert seven.low is not None
    assert "too few" in seven.reason
    eight = stats_means.mean([1.0, 2.0, 1.5, 1.2, 1.8, 1.1, 1.6, 1.3], 1)
    assert (eight.method, eight.reason) == (f"{stats_means.BOOTSTRAP}, {stats_means.UNSEEN}", "")
    many = stats_means.mean([1.0, 1.2, 1.1, 1.3] * 11, 1)
    assert (many.n, many.method) == (44, stats_means.BOOTSTRAP)
    assert many.high is not None and many.high < 1.25


def test_t_on_the_log_scale_is_its_formula() -> None:
    """mean x exp(+-t cv / sqrt n), by hand for four values, and for their high end what four outages cannot exclude."""
    values = [1.0, 2.0, 3.0, 4.0]
    error = oracle.t.ppf(0.975, 3) * (math.sqrt(5 / 3) / 2.5) / math.sqrt(4)
    estimate = stats_means.mean(values, 1)
    assert estimate.low == pytest.approx(2.5 * math.exp(-error))
    share = 1 - 0.01 ** (1 / 4)
    assert estimate.high == pytest.approx(max(2.5 * math.exp(error), 2.5 * (1 - share) + share * 12 * 2.5))


def test_spread_below_the_slot_is_not_believed() -> None:
    """Fifty equal durations measured with a slot of 0.1 s are known no better than their edges."""
    estimate = stats_means.mean([0.5] * 50, 1, resolution_s=0.1)
    reach = (0.1 / math.sqrt(6) / 0.5) / math.sqrt(50)
    assert estimate.high == pytest.approx(0.5 * math.exp(oracle.t.ppf(0.99, 49) * reach))
    assert estimate.low == pytest.approx(0.5 * math.exp(-oracle.t.ppf(0.975, 49) * reach))


@pytest.mark.parametrize(("faults", "share"), [(8, 0.438), (20, 0.206), (43, 0.102), (44, 0.0), (1000, 0.0)])
def test_a_kind_not_seen_has_at_most_this_share(faults: int, share: float) -> None:
    """1 - 0.01^(1/n) as long as that is above a tenth."""
    assert stats_means.unseen_share(faults) == pytest.approx(share, abs=1e-3)


def test_one_noticed_among_many_zeros_says_little() -> None:
    """One recovery of 3 s among nine zeros: the mean may be ten times what it was, or a tenth of it; four zeros among twelve say more."""
    estimate = stats_means.mean([0.0] * 9 + [3.0], 1, zeros=True)
    assert estimate.value == pytest.approx(0.3)
    assert estimate.high is not None and 3.0 < estimate.high < 10.0
    assert estimate.low is not None and estimate.low < 0.06
    more = stats_means.mean([0.0] * 4 + [1.0, 1.2, 0.9, 1.1, 1.3, 1.0, 0.8, 1.4], 1, zeros=True)
    assert more.high is not None and more.value is not None and more.high / more.value < estimate.high / 0.3


def test_that_all_were_noticed_does_not_show_that_all_will_be() -> None:
    """Of faults of which one in three comes to nothing, eight in a row are noticed in one run of 25."""
    values = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0]
    noticed, every = stats_means.mean(values, 1), stats_means.mean(values, 1, zeros=True)
    assert noticed.low is not None and noticed.low > 0.9
    assert every.low == pytest.approx(0.01 ** (1 / 8))


def test_the_same_seed_gives_the_same_interval() -> None:
    """Judging again changes no digit; another seed changes little."""
    values = np.random.default_rng(1).exponential(1.0, 12).tolist()
    assert stats_means.mean(values, 5) == stats_means.mean(values, 5)
    assert stats_means.mean(values, 5) != stats_means.mean(values, 6)
    assert stats_means.mean(values, 5).high == pytest.approx(stats_means.mean(values, 6).high, rel=0.15)


def test_probe_counts_name_each_slot_once_and_sum_to_due() -> None:
    """One slot of each kind, outside the baseline; those inside it are left out."""
    plan = make_plan()
    records = synthetic.slots(plan, [(10.0, 10.03)])
    records["outcome"][5] = Outcome.FAIL
    records["done"][1500] = records["due"][1500] + 700_000_000
    records["outcome"][1600], records["why"][1600] = Outcome.UNKNOWN, Why.RESET
    records["outcome"][1700], records["sent"][1700] = Outcome.UNSENT, 0
    records["sent"][1800] += 9_000_000
    records["outcome"][1900], records["why"][1900] = Outcome.UNKNOWN, Why.DEADLINE
    counts = observe(plan, records=records).probes["write"]
    assert (counts.fail, counts.unknown, counts.over_deadline, counts.unsent, counts.sent_late) == (3, 1, 2, 1, 1)
    assert counts.ok + counts.fail + counts.unknown + counts.over_deadline + counts.unsent + counts.sent_late == counts.due == 2800
    assert counts.sent == 2799


def test_ratios_leave_missing_slots_out_and_latency_counts_from_the_due_time() -> None:
    """50 of 2800 bad, 100 missing; and only good ones within the SLO's latency count for it."""
    plan = make_plan(slo=Slo(latency_s=0.3))
    records = synthetic.slots(plan, [(9.995, 10.495)], missing=lambda due_s: (due_s > 19.995) & (due_s < 20.995))
    records["done"][2500:2510] = records["due"][2500:2510] + 400_000_000
    seen = observe(plan, records=records)
    assert seen.success_ratio.value == pytest.approx(2650 / 2700)
    assert seen.slo_ratio.value == pytest.approx(2640 / 2700)
    assert seen.success_ratio.n < 1000
    assert seen.latency_s.p50 == pytest.approx(0.002)
    assert seen.latency_s.max == pytest.approx(0.4)


def test_shares_are_by_the_address_clients_asked() -> None:
    """Slots that were never sent to one do not count."""
    plan = make_plan()
    records = synthetic.slots(plan)
    records["address"][::3] = 0
    assert observe(plan, records=records).addresses == {
        "127.64.2.2": pytest.approx(0.5, abs=0.01),
        "127.64.2.3": pytest.approx(0.5, abs=0.01),
    }


def test_every_service_has_the_same_keys() -> None:
    """The judged service on top, and each of them below."""
    plan = make_plan(operations=("write", "read"))
    records = np.concatenate([synthetic.slots(plan, [(10.0, 11.0)]), synthetic.slots(plan, operation=1)])
    seen = observe(plan, records=records)
    assert set(seen.services) == {"write", "read"}
    assert seen.outages == seen.services["write"].outages
    assert seen.services["read"].outages == []


def test_nothing_after_the_baseline_is_nothing_observed() -> None:
    """A run that broke off in its baseline has no figures at all."""
    plan = make_plan()
    assert observe(plan, rows=frame(plan, ended=False), records=synthetic.slots(plan, until_s=1.5)) is None


def test_outages_that_flap_after_one_fault_are_one_piece_of_evidence() -> None:
    """Two kills with two outages each: four repairs, but an interval from two."""
    seen = kill_run([5.0, 15.0], [(5.005, 5.505), (6.005, 6.255), (15.005, 15.405), (16.005, 16.205)])
    assert seen.mttr_s.value == pytest.approx(1.35 / 4)
    assert seen.mttr_s.n == 2
    one = stats_means.mean([0.75, 0.6], 1, parts=[2, 2])
    error = oracle.t.ppf(0.975, 1) * (0.075 * math.sqrt(2)) / 0.675 / math.sqrt(2)
    assert one.low == pytest.approx(0.3375 * math.exp(-error))
    assert seen.availability.n == 2


def test_unnoticed_faults_count_in_the_interval_of_availability_and_ratios() -> None:
    """Two of ten kills come to nothing: ten cycles, and an interval wider than that of eight outages alone."""
    times_s = [5.0 + 2.0 * number for number in range(10)]
    seen = kill_run(times_s, [(at_s + 0.005, at_s + 0.505) for at_s in times_s[:8]])
    assert (seen.availability.n, seen.success_ratio.n, seen.mttr_s.n) == (10, 10, 8)
    for found in (seen.availability, seen.success_ratio):
        assert found.value is not None and found.high is not None
        # The mean over ten is 0.4 s; eight outages alone would leave no doubt of it.
        assert (1 - found.high) / (1 - found.value) < 0.8


def test_what_comes_by_itself_counts_to_the_fault_before_it() -> None:
    """Four kills, one outage long after the second: four cycles, not five pieces of evidence."""
    seen = kill_run([5.0, 10.0, 15.0, 20.0], [(5.005, 5.505), (10.005, 10.505), (14.005, 14.305), (20.005, 20.505)])
    assert seen.availability.n == seen.success_ratio.n == 4
