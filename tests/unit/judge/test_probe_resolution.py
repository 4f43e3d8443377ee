"""A probe that could not have seen an outage shows none: plan says so, the run is unknown, and production does not depend on the probe."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.experiment.traffic import OutageRule
from chaos.judge.judge import Judgement, judge
from chaos.judge.power import power
from chaos.plan.plan import Plan
from chaos.predict import run as predicting
from chaos.results.verdict import Check
from tests.support import synthetic
from tests.support.synthetic import fault_rows, frame, kills, make_plan, write_run

TIMES_S = [5.0 + 6.0 * number for number in range(8)]
UP = ObjectiveSpec("availability", Bound(">=", 0.5), text=">= 50%")
KILLS = """\
experiment: killed
question: Is it always there?
cluster: {target: replicated_kv, nodes: 3, runtime: fake}
traffic: {operations: {write: RATE}}
baseline: 5s
faults:
  - {name: kill-leader, kill: {}, target: leader, every: 8s, for: 2s, times: 4}
predict: {production: {kill: 1 per 30d per node}}
objectives: {availability: ">= 80%"}
"""


def judged(folder: Path, rate_per_s: float, objective: ObjectiveSpec, opens: int = 2, down_s: float = 0.45) -> Judgement:
    """Eight kills of the leader, each with an outage as the model of these parameters expects it, seen at that rate."""
    spec, windows = kills(TIMES_S, for_s=2.0)
    rule = OutageRule(open=opens)
    plan = make_plan(duration_s=55.0, faults=[spec], windows=windows, rate_per_s=rate_per_s, objectives=[objective], rule=rule)
    rows = frame(plan)
    for window in windows:
        rows += fault_rows(window, settled_s=window.start_s + 4.0)
    return judge(write_run(folder, plan, rows, synthetic.slots(plan, [(at_s + 0.003, at_s + down_s) for at_s in TIMES_S])))


def check_of(found: Judgement, name: str) -> Check:
    """The check of this name."""
    return next(check for check in found.checks if check.name == name)


@pytest.mark.parametrize(
    ("rate_per_s", "opens", "verdict"),
    [(100.0, 2, "pass"), (20.0, 2, "pass"), (2.0, 2, "fail"), (1.0, 2, "fail"), (100.0, 1000, "fail"), (100.0, 1_000_000, "fail")],
)
def test_a_run_passes_only_if_its_probe_could_have_seen_an_outage(tmp_path: Path, rate_per_s: float, opens: int, verdict: str) -> None:
    """Failovers of half a second by the model: one request a second, or a thousand in a row, cannot see them."""
    found = judged(tmp_path, rate_per_s, UP, opens)
    check = check_of(found, "probe resolution")
    assert check.verdict == verdict
    if verdict == "fail":
        assert (found.exit_code, found.verdict) == (3, "unknown")
        assert "kill/leader" in check.detail
    else:
        assert found.exit_code == 0


@pytest.mark.parametrize(
    ("objective", "down_s", "verdict"),
    [
        (ObjectiveSpec("availability", Bound(">=", 0.9999), text=">= 99.99%"), 0.0, "fail"),  # 5.3 ms in 53 s, and 20 ms are seen
        (ObjectiveSpec("availability", Bound(">=", 0.999), text=">= 99.9%"), 0.0, "pass"),  # 53 ms
        (ObjectiveSpec("availability", Bound(">=", 0.9999), text=">= 99.99%"), 0.45, "pass"),  # missed, whatever the probe
        (ObjectiveSpec("recovery", Bound("<=", 0.01), text="<= 10ms"), 0.0, "fail"),
        (ObjectiveSpec("recovery", Bound("<=", 0.5), text="<= 500ms"), 0.45, "pass"),
    ],
)
def test_an_objective_finer_than_the_probe_cannot_be_met(tmp_path: Path, objective: ObjectiveSpec, down_s: float, verdict: str) -> None:
    """A single outage that the rule does not see would miss it."""
    found = judged(tmp_path, 100.0, objective, down_s=down_s)
    assert check_of(found, "probe resolution").verdict == verdict
    assert (found.verdict == "pass") == (verdict == "pass" and objective.bound is not None and found.objectives[0].verdict == "pass")


def test_an_availability_that_the_success_ratio_contradicts_fails(tmp_path: Path) -> None:
    """A tenth of the requests failed and no outage was seen: both cannot be what clients felt. An objective on the ratio allows for it."""
    spec, windows = kills(TIMES_S, for_s=2.0)
    every_tenth = [(second / 10, second / 10 + 0.009) for second in range(21, 549)]

    def run(folder: Path, *objectives: ObjectiveSpec) -> Judgement:
        plan = make_plan(duration_s=55.0, faults=[spec], windows=windows, objectives=objectives, parameters=())
        rows = frame(plan)
        for window in windows:
            rows += fault_rows(window, settled_s=window.start_s + 4.0)
        return judge(write_run(folder, plan, rows, synthetic.slots(plan, every_tenth)))

    found = run(tmp_path / "blind", UP)
    check = check_of(found, "availability beside success ratio")
    assert (check.verdict, found.exit_code) == ("fail", 3)
    assert "of the requests failed, most of them in no outage" in check.detail
    ratio = ObjectiveSpec("success_ratio", Bound(">=", 0.85), text=">= 85%")
    assert run(tmp_path / "asked", UP, ratio).exit_code == 0


def plan_at(rate: str) -> Plan:
    """The plan of four kills, with so many requests."""
    return order_text(KILLS.replace("RATE", rate), Path("killed.yaml")).plan


def test_plan_warns_of_a_probe_that_is_too_coarse() -> None:
    """Before anything is started, with the rate that would do."""
    (warning,) = [each for each in power(plan_at("1/s")).warnings if "coarse" in each]
    assert "sure to be seen from 2 s on" in warning
    assert "/s or more" in warning
    assert not [each for each in power(plan_at("100/s")).warnings if "coarse" in each]


def test_the_predicted_production_does_not_depend_on_the_probe() -> None:
    """True outages, not those that a run can see: leaderless time per kill, at one kill a month and node, a third of them the leader's."""
    downs_s = []
    for rate in ("100/s", "1/s", "1/m"):
        plan = plan_at(rate)
        found = predicting.predict(plan, predicting.facts_from_plan(plan)).predicted.production
        downs_s.append(found.downtime_s_per_year)
    assert downs_s[0] == downs_s[1] == downs_s[2]
    assert downs_s[0] is not None
    # An election of three with time-outs of 0.5 s to 1 s: 0.5 + 0.5/3 s on average less half a heartbeat of 0.1 s, 12.2 times a year.
    assert downs_s[0] == pytest.approx((0.5 + 0.5 / 3 - 0.05) * 365 / 30, rel=0.08)


def test_agreement_is_not_promised_of_a_probe_that_will_see_nothing() -> None:
    """One request a second sees one failover in a hundred: the most likely total is none, and none is within no factor of anything."""
    agreed = power(plan_at("1/s")).agreement
    assert agreed is not None and agreed.consistent < 0.05
    assert agreed.faults_needed is not None and agreed.faults_needed > 1000
