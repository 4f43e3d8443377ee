"""Stopping early: the errors that were promised are kept whatever the number of looks, and a judgement knows the looks of its run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from chaos.cli import main as cli
from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.history.events import FaultEffective, Looked, Row, RunEnded, TrafficEnded
from chaos.history.folder import RunFolder
from chaos.judge import early_stop as deciding
from chaos.judge import sequential
from chaos.judge.judge import judge
from chaos.judge.sequential import agree, bands, claim_confidences, spending, spent, walk
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.run.run import run_plan
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support import synthetic
from tests.support.quick import QUICK
from tests.support.samples import sample_experiment, sample_target

SLOT_S = 0.01
LAW = np.rint(np.random.default_rng(2).uniform(0.65, 1.5, 50_000) / SLOT_S) * SLOT_S
EXPONENTIAL = np.rint(np.random.default_rng(2).exponential(1.0, 50_000) / SLOT_S) * SLOT_S


# --- spending ----------------------------------------------------------------------------------------------------------


def test_all_of_the_error_is_spent_and_no_more() -> None:
    """From 0 to 1, whatever the looks; a look at no new fault spends nothing."""
    assert spent(0.0) == 0.0
    assert spent(1.0) == pytest.approx(1.0)
    assert spent(7.0) == pytest.approx(1.0)
    for faults in ([10], [1, 2, 3, 10], [5, 5, 10], list(range(1, 11))):
        parts = spending(faults, 10)
        assert sum(parts) == pytest.approx(1.0)
        assert min(parts) >= 0
    assert spending([5, 5, 10], 10)[1] == 0.0


def test_claims_wait_for_twenty_faults_and_lose_nothing_by_it() -> None:
    """The first look with enough faults has all that the ones before it left unspent."""
    found = claim_confidences([8, 16, 24, 48], 48)
    assert found[:2] == [None, None]
    parts = [1 - each for each in found if each is not None]
    assert math.fsum(parts) == pytest.approx(0.02)
    assert parts[0] == pytest.approx(0.02 * spent(0.5))


# --- agreement ---------------------------------------------------------------------------------------------------------


def verdicts(law: np.ndarray, scale: float, sequences: int, every: int = 4, most: int = 48) -> list[str]:
    """The last word of each sequence, where outages are ``scale`` times as long as predicted."""
    rng = np.random.default_rng(7)
    increments = [[(law, every)]] * (most // every)
    same, other = bands(increments, most, 0.05, SLOT_S), bands(increments, most, sequential.DIFFERENT / 2, SLOT_S)
    words = []
    for _ in range(sequences):
        totals_s = np.cumsum(scale * rng.choice(law, most))[every - 1 :: every].tolist()
        words.append(walk(same, other, [every] * len(same), totals_s, 1.5, SLOT_S)[-1].verdict)
    return words


@pytest.mark.parametrize("law", [LAW, EXPONENTIAL], ids=["heartbeats", "exponential"])
@pytest.mark.parametrize(("scale", "wrong"), [(1.0, "inconsistent"), (1.5, "consistent"), (1 / 1.5, "consistent")])
def test_wrong_decisions_stay_below_five_percent(law: np.ndarray, scale: float, wrong: str) -> None:
    """Over 2,000 sequences with twelve looks each; 0.06 leaves room for the noise of the test."""
    assert verdicts(law, scale, 2000).count(wrong) / 2000 <= 0.06


def test_one_boundary_a_side_takes_just_what_it_may() -> None:
    """The chance to have crossed either side by the last look is the error that was allowed, not far less: power is not thrown away."""
    rng = np.random.default_rng(8)
    found = bands([[(EXPONENTIAL, 4)]] * 12, 48, 0.05, SLOT_S)
    low = np.array([band.low_s for band in found])
    high = np.array([band.high_s for band in found])
    totals_s = np.cumsum(rng.choice(EXPONENTIAL, (20_000, 48)), axis=1)[:, 3::4]
    assert np.mean((totals_s < low - 1e-9).any(axis=1)) == pytest.approx(0.05, abs=0.006)
    assert np.mean((totals_s > high + 1e-9).any(axis=1)) == pytest.approx(0.05, abs=0.006)


def test_looking_without_spending_would_be_wrong_too_often() -> None:
    """What this guards against: the plain test at each of twelve looks errs in far more than 5 % of sequences."""
    rng = np.random.default_rng(9)
    totals_s = np.cumsum(rng.choice(LAW, (4000, 48)), axis=1)[:, 3::4]
    counts = np.arange(4, 49, 4)
    z = (totals_s - counts * LAW.mean()) / (LAW.std() * np.sqrt(counts))
    assert np.mean((np.abs(z) > 1.96).any(axis=1)) > 0.12


def test_a_right_prediction_is_found_right_early() -> None:
    """With the spread of an election a dozen faults suffice in nearly all sequences."""
    assert verdicts(LAW, 1.0, 500, most=16).count("consistent") / 500 > 0.95


def test_a_common_factor_widens_the_bands_and_never_averages_out() -> None:
    """Of a prediction known to 10 % the last band is at least so wide, however many faults."""
    increments = [[(LAW, 20)]] * 3
    sure, unsure = (bands(increments, 60, 0.05, SLOT_S, spread)[-1] for spread in (0.0, 0.1))
    middle_s = 60 * float(LAW.mean())
    assert (sure.high_s - sure.low_s) / middle_s < 0.2
    assert unsure.low_s < middle_s * (1 - 0.12)
    assert unsure.high_s > middle_s * (1 + 0.12)


def test_the_walk_ends_with_the_look_that_decides() -> None:
    """What came after it is not looked at."""
    looks = agree([[(LAW, 4)]] * 3, [4 * 1.075, 8 * 1.075, 12 * 5.0], 12, 1.5, SLOT_S)
    assert [look.verdict for look in looks][-1] == "consistent"
    assert len(looks) < 3
    assert agree([[(LAW, 4)]] * 3, [20.0, 21.0, 22.0], 12, 1.5, SLOT_S)[0].verdict == "inconsistent"


# --- rounds ------------------------------------------------------------------------------------------------------------

KILLS = """\
  - name: kill-leader
    kill: {recovery: restart}
    target: leader
    every: 6s
    for: 1s
    times: 2
"""


ENDLESS = KILLS.replace("restart}", "none}").replace("    for: 1s\n", "").replace("times: 2", "times: 1")


def going_on(longest_s: float = 400.0, more: str = "", seed: int | None = None) -> Plan:
    """The sample plan that goes on."""
    return make_plan(sample_experiment(KILLS, more), sample_target(), seed=seed, runtime="fake", longest_s=longest_s)


def test_rounds_repeat_the_faults_anew_and_are_fixed_by_the_seed() -> None:
    """Numbers go on, times within a round are drawn again, nothing overlaps, and the looks come after the settling."""
    plan = going_on()
    assert plan == going_on()
    assert plan != going_on(seed=99)
    assert [window.id for window in plan.windows] == [f"kill-leader.{number + 1}" for number in range(len(plan.windows))]
    assert len(plan.windows) == 2 * len(plan.looks_s)
    assert plan.duration_s == plan.looks_s[-1] <= 400
    starts = [window.start_s for window in plan.windows]
    assert starts == sorted(starts)
    first = starts[0] - plan.experiment.baseline_s
    assert len({round(start - look, 3) for start, look in zip(starts[2::2], plan.looks_s, strict=False)} | {round(first, 3)}) > 2
    for look_s in plan.looks_s:
        before = max(window.end_s or 0.0 for window in plan.windows if window.start_s < look_s)
        assert look_s >= before + plan.experiment.settle_s - 1e-3


def test_a_plan_without_a_longest_time_has_no_looks() -> None:
    """Nothing about an ordinary plan changes."""
    plan = make_plan(sample_experiment(KILLS), sample_target(), seed=None, runtime="fake")
    assert plan.looks_s == ()
    assert len(plan.windows) == 2


@pytest.mark.parametrize(
    ("faults", "longest_s", "says"),
    [(KILLS, 10.0, "one round takes"), ("  []", 400.0, "nothing to decide"), (ENDLESS, 400.0, "never taken back")],
)  # fmt: skip
def test_what_cannot_go_on_is_refused(faults: str, longest_s: float, says: str) -> None:
    """Before anything starts."""
    with pytest.raises(BadInput, match=says):
        make_plan(sample_experiment(faults), sample_target(), seed=None, runtime="fake", longest_s=longest_s)


# --- a run that stops --------------------------------------------------------------------------------------------------


def run(plan: Plan, folder: Path, decide: object = None) -> list[Row]:
    """Run it in virtual time; the rows it wrote."""
    asked = decide or deciding.Decider(plan, RunFolder(folder)).decide
    run_plan(plan, sample_target(), "experiment: sample\n", RunFolder(folder), FakeRuntime(), ManualClock(), None, asked)  # type: ignore[arg-type]
    return RunFolder(folder).rows()


def test_a_run_ends_at_the_look_that_decides(tmp_path: Path) -> None:
    """No fault after it, none left in force, and the traffic ends there too."""
    answers = iter([(False, "not yet"), (True, "now")])
    rows = run(going_on(), tmp_path, lambda: next(answers))
    looks = [row for row in rows if isinstance(row, Looked)]
    assert [(row.number, row.decided, row.said) for row in looks] == [(1, False, "not yet"), (2, True, "now")]
    assert sum(isinstance(row, FaultEffective) for row in rows) == 4
    (ended,) = [row for row in rows if isinstance(row, TrafficEnded)]
    assert abs(ended.end_ns - looks[-1].at_ns) < 2e8
    (over,) = [row for row in rows if isinstance(row, RunEnded)]
    assert (over.left, over.aborted, over.bug) == ([], "", "")


def test_a_run_until_the_agreement_is_decided_is_judged_by_its_looks(tmp_path: Path) -> None:
    """It stops early, passes its checks although most of its plan was never done, and the report shows each look."""
    plan = going_on()
    rows = run(plan, tmp_path)
    looks = [row for row in rows if isinstance(row, Looked)]
    assert looks[-1].decided
    assert len(looks) < len(plan.looks_s)
    judged = judge(RunFolder(tmp_path))
    assert judged.agreement_overall in ("consistent", "inconsistent")
    assert [look.decided for look in judged.looks] == [False] * (len(looks) - 1) + [True]
    assert len(judged.plan.windows) == judged.looks[-1].faults < len(plan.windows)
    assert {check.name: check.verdict for check in judged.checks}["all planned faults effective"] == "pass"
    overall = next(row for row in judged.agreement if row.fault_class == "" and row.service == plan.judge)
    assert overall.p_value is None
    assert overall.verdict == judged.agreement_overall


def test_what_is_never_decided_goes_on_to_the_end_and_stays_open(tmp_path: Path) -> None:
    """A claim about the worst recovery can only ever be refuted."""
    plan = going_on(120.0, "objectives: {recovery: {is: '<= 60s', basis: claim}}\n")
    run(plan, tmp_path)
    judged = judge(RunFolder(tmp_path))
    assert len(judged.looks) == len(plan.looks_s)
    assert not judged.looks[-1].decided
    assert [objective.verdict for objective in judged.objectives] == ["unknown"]
    assert judged.exit_code == 3


def test_the_command_line_says_what_goes_with_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--max alone, no faults, no unit, too short for a round."""
    file = tmp_path / "quick.yaml"
    file.write_text(QUICK, encoding="utf-8")
    for words, status, says in (
        (["--max", "5m"], 2, "--until-decided"), (["--until-decided", "--no-faults"], 2, "needs faults"),
        (["--until-decided", "--max", "5"], 2, "unit of time"), (["--until-decided", "--max", "5s"], 2, "one round takes"),
    ):  # fmt: skip
        assert cli.main(["run", str(file), *words]) == status
        assert says in capsys.readouterr().err


# --- claims on a made-up run -------------------------------------------------------------------------------------------


def claimed(limit_s: float, lengths_s: Sequence[float], looks: Sequence[int]) -> deciding.Assessment:
    """A claim about the MTTR on a run with outages of these lengths, 10 s apart, looked at after so many faults."""
    times_s = [5.0 + 10.0 * number for number in range(len(lengths_s))]
    spec, windows = synthetic.kills(times_s, for_s=1.0)
    objective = ObjectiveSpec(measure="mttr", bound=Bound("<=", limit_s), basis="claim", text=f"<= {limit_s}s")
    plan = synthetic.make_plan(duration_s=times_s[-1] + 15, faults=[spec], windows=windows, objectives=[objective])
    rows = [*synthetic.frame(plan), *(row for window in windows for row in synthetic.fault_rows(window))]
    down = [(at_s + 0.005, at_s + 0.005 + length_s) for at_s, length_s in zip(times_s, lengths_s, strict=True)]
    seen = deciding.timeline.build(plan, rows, synthetic.slots(plan, down))
    return deciding.assess(plan, seen, {}, [times_s[count - 1] + 9.0 for count in looks])


def test_a_clear_claim_is_decided_at_the_first_look_with_enough_faults() -> None:
    """Twenty outages of about 0.5 s against limits of 2 s and 0.2 s; fewer than twenty claim nothing, however clear."""
    lengths_s = np.random.default_rng(1).uniform(0.4, 0.6, 40).round(2).tolist()
    for limit_s, verdict in ((2.0, "pass"), (0.2, "fail")):
        found = claimed(limit_s, lengths_s, (10, 20, 30, 40))
        assert [look.decided for look in found.looks] == [False, True]
        assert found.claims[0].verdict == verdict
        assert found.claims[0].observed.n == 20
        assert found.claims[0].observed.confidence > 0.95
    assert claimed(2.0, lengths_s, (10, 15)).claims[0].verdict == "unknown"


def test_a_claim_close_to_its_limit_stays_open() -> None:
    """The interval of the last look still holds the limit."""
    lengths_s = np.random.default_rng(1).uniform(0.3, 0.7, 40).round(2).tolist()
    found = claimed(float(np.mean(lengths_s)), lengths_s, (20, 40))
    assert found.claims[0].verdict == "unknown"
    assert not found.decided


def test_what_had_been_seen_by_a_time_is_no_more_than_that() -> None:
    """Slots, outages and trials after it are gone; an outage across it is open at its end."""
    spec, windows = synthetic.kills([5.0, 15.0])
    plan = synthetic.make_plan(faults=[spec], windows=windows)
    rows = [*synthetic.frame(plan), *(row for window in windows for row in synthetic.fault_rows(window))]
    seen = deciding.timeline.build(plan, rows, synthetic.slots(plan, [(5.005, 5.505), (15.005, 15.505)]))
    part = deciding.up_to(seen, 15.205)
    service = part.services["write"]
    assert len(part.trials) == 2
    assert service.slots.due_s[-1] < 15.205
    assert [outage.censored for outage in service.outages] == [None, "end"]
    assert service.downtime_s == pytest.approx(0.7, abs=0.02)
    assert len(deciding.up_to(seen, 10.0).trials) == 1
    assert deciding.up_to(seen, seen.end_s) is seen


def test_unnoticed_faults_agree_once_enough_were_unnoticed() -> None:
    """Eight for a margin of 1.5; one that is noticed refutes the prediction that none would be."""
    nothing = np.zeros(10)
    words = deciding._unnoticed([[(nothing, 4)], [(nothing, 4)]], [0.0, 0.0], 1.5)
    assert words == ["inconclusive", "consistent"]
    assert deciding._unnoticed([[(nothing, 4)]], [0.5], 1.5) == ["inconsistent"]


def test_the_plan_as_it_was_run_ends_with_its_decision() -> None:
    """Windows that were never to be done any more are no faults that failed."""
    plan = msgspec.structs.replace(going_on(), calibration=())
    rows = [Looked(at_ns=int(plan.looks_s[1] * 1e9), number=2, decided=True)]
    cut = deciding.as_run(plan, rows, 0)
    assert len(cut.windows) == 4
    assert cut.duration_s == pytest.approx(plan.looks_s[1])
    assert deciding.as_run(plan, [], 0) is plan
    assert sequential.CLAIM_LEAST == 20


def test_every_form_of_the_report_shows_the_looks_and_what_follows_for_production(tmp_path: Path) -> None:
    """Text and page have the tables; how to repeat the run says that it could stop early; the file is read back the same."""
    from chaos.core import plugins as tables
    from chaos.report.build import from_folder
    from chaos.results.report import Report

    plan = make_plan(sample_experiment(KILLS, "predict: {production: {kill: 0 in 90d per node}}\n"), sample_target(), seed=None,
                     runtime="fake", longest_s=400.0)  # fmt: skip
    run(plan, tmp_path)
    report = from_folder(RunFolder(tmp_path))
    assert report.longest_s == plan.duration_s
    assert report.extrapolated is not None
    for name in ("text", "html"):
        shown = tables.find("reports", name)(report)
        assert "--until-decided" in shown
        assert "0 in 90d per node (counted)" in shown
        assert "Measured outages at counted fault rates" in shown
    assert msgspec.json.decode(tables.find("reports", "json")(report), type=Report) == report
