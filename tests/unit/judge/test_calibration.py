"""Parameters measured in runs: given back from made-up histories, written and read, used in other experiments, never on their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from chaos.api import order_text
from chaos.cli import main as cli
from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput
from chaos.experiment.cluster import Dns
from chaos.experiment.document import parse_experiment
from chaos.history.events import NodeChanged
from chaos.history.folder import RunFolder
from chaos.judge.agreement import OVERALL
from chaos.judge.calibrate import LEAST, calibrate
from chaos.judge.downtime_sums import SumDistribution
from chaos.judge.judge import judge
from chaos.plan import calibration as calibrations
from chaos.plan.build import make_plan
from chaos.plan.calibration import Calibration, Fitted, applied, dump, keep, load, located
from chaos.plan.plan import Parameter, Plan
from chaos.predict import run as predicting
from chaos.predict import uncertainty as uncertain
from chaos.run.run import run_plan
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support import synthetic
from tests.support.quick import QUICK
from tests.support.samples import EXPERIMENT, TARGET, sample_plan, sample_target

FITTED = Fitted(0.2, 0.4, 0.02, 9, "restart")


def a_run(folder: Path, detections_s: Sequence[float], *, restart_s: float = 0.3, resync_s: float = 0.2, marks: bool = True) -> Path:
    """Leader kills whose followers notice after these times, elect in 10 ms, and whose victims come back as told."""
    times_s = [5.0 + 5.0 * number for number in range(len(detections_s))]
    spec, windows = synthetic.kills(times_s)
    plan = synthetic.make_plan(duration_s=times_s[-1] + 5, faults=[spec], windows=windows)
    rows = synthetic.frame(plan)
    for window, detection_s in zip(windows, detections_s, strict=True):
        for row in synthetic.fault_rows(window, settled_s=window.start_s + 4.0):
            is_gone = type(row).__name__ == "FaultGone"
            rows.append(msgspec.structs.replace(row, at_ns=synthetic.at_ns(window.start_s + 1.0 + restart_s + 0.025)) if is_gone else row)
        at_s = window.start_s + detection_s
        if marks:
            rows += [synthetic.mark(at_s, "n2", "election_started"), synthetic.mark(at_s + 0.01, "n2", "leader_elected")]
        rows.append(synthetic.role(at_s + 0.01 + 0.01, "n2", "leader", resolution_s=0.02))
        rows.append(synthetic.role(window.start_s + 1.0 + restart_s + 0.025 + resync_s, "n1", "voting", resolution_s=0.02))
    down = [(window.start_s + 0.005, window.start_s + detection_s) for window, detection_s in zip(windows, detections_s, strict=True)]
    synthetic.write_run(folder, plan, rows, synthetic.slots(plan, down))
    return folder


DETECTIONS = [0.45, 0.55, 0.5, 0.6, 0.4, 0.5, 0.52, 0.48]


# --- what runs show ----------------------------------------------------------------------------------------------------


def test_what_was_put_in_is_given_back(tmp_path: Path) -> None:
    """Means to within rounding; the time-out is shifted so that the model's own mean detection is the measured one."""
    found = calibrate([a_run(tmp_path / "one", DETECTIONS)])
    assert found.measured["detection"].mean_s == pytest.approx(0.5, abs=1e-6)
    assert found.measured["election"].mean_s == pytest.approx(0.01, abs=1e-6)
    assert found.measured["restart"].mean_s == pytest.approx(0.3, abs=1e-6)
    assert found.measured["resync"].mean_s == pytest.approx(0.2, abs=1e-6)
    timeout = found.parameters["election_timeout_s"]
    assert timeout.low_s + (timeout.high_s - timeout.low_s) / 3 - 0.05 / 2 + 0.005 / 2 == pytest.approx(0.5, abs=1e-6)
    assert timeout.high_s - timeout.low_s == pytest.approx(0.3)
    assert found.parameters["round_trip_s"].low_s == pytest.approx(0.005, abs=1e-6)
    assert found.runs == ("by-hand",)


LEAVES_S = 0.08
"""From the order to the name's forgetting, of which a question every 50 ms hears 25 ms later."""
ENDINGS, REPLACEMENTS = [0.12, 0.2, 0.16, 0.24, 0.18, 0.3], [1.5, 2.0, 2.5, 1.8, 2.2, 2.0]


def deleted(folder: Path, **params: object) -> Path:
    """Nodes that are given up, end after these times and are replaced after those."""
    times_s = [5.0 + 8.0 * number for number in range(len(ENDINGS))]
    spec, windows = synthetic.kills(times_s, kind="delete")
    spec = msgspec.structs.replace(spec, params=dict(params))
    dns = Dns(balancer="engine")
    plan = synthetic.make_plan(duration_s=times_s[-1] + 10, faults=[spec], windows=windows, dns=dns)
    rows = synthetic.frame(plan)
    for window, ends_s, next_s in zip(windows, ENDINGS, REPLACEMENTS, strict=True):
        rows += synthetic.fault_rows(window, settled_s=window.start_s + 6.0, kill=False)
        died_s = window.start_s + (0.0 if params.get("forced") else ends_s)
        rows.append(NodeChanged(at_ns=synthetic.at_ns(died_s), node="n1", status="down", cause=window.id))
        rows.append(NodeChanged(at_ns=synthetic.at_ns(died_s + next_s), node="n1", status="up", cause=""))
        rows.append(synthetic.name_set(window.start_s + LEAVES_S + 0.025, ["n2", "n3"]))
        rows.append(synthetic.name_set(died_s + next_s + 1.0, ["n1", "n2", "n3"]))
    synthetic.write_run(folder, plan, rows, synthetic.slots(plan, []))
    return folder


def test_what_an_orchestrator_takes_is_measured(tmp_path: Path) -> None:
    """From the order to the death, and from there to the next one's process; of nodes that are killed at once no end is told."""
    found = calibrate([deleted(tmp_path / "asked")])
    assert found.measured["ending"].mean_s == pytest.approx(0.2, abs=1e-6)
    assert found.measured["replacement"].mean_s == pytest.approx(2.0, abs=1e-6)
    replacement, ending = found.parameters["replacement_s"], found.parameters["ending_lag_s"]
    assert (replacement.low_s + replacement.high_s) / 2 == pytest.approx(2.0, abs=1e-6)
    assert (ending.low_s + ending.high_s) / 2 == pytest.approx(0.2, abs=1e-6)
    assert found.parameters["name_lag_s"].low_s == pytest.approx(LEAVES_S, abs=0.001)
    forced = calibrate([deleted(tmp_path / "forced", forced=True)])
    assert list(forced.parameters) == ["replacement_s"]
    short = calibrate([deleted(tmp_path / "short", grace_s=0.17)])
    assert short.measured["ending"].n == 2, "the others were killed when their grace was over"


def test_the_error_of_a_mean_has_the_tails_of_few_faults(tmp_path: Path) -> None:
    """sd / sqrt(n), times sqrt((n-1)/(n-3))."""
    found = calibrate([a_run(tmp_path / "one", DETECTIONS)])
    expected = float(np.std(DETECTIONS, ddof=1)) / math.sqrt(8) * math.sqrt(7 / 5)
    assert found.parameters["election_timeout_s"].error_s == pytest.approx(expected, rel=1e-6)
    assert found.parameters["election_timeout_s"].n == 8


def test_without_stamps_the_succession_is_measured_as_one(tmp_path: Path) -> None:
    """By when another node is seen to lead, half of the watching's resolution less."""
    found = calibrate([a_run(tmp_path / "one", DETECTIONS, marks=False)])
    assert found.measured["succession"].mean_s == pytest.approx(0.51, abs=1e-6)
    assert "detection" not in found.measured
    timeout = found.parameters["election_timeout_s"]
    assert timeout.of == "succession"
    assert timeout.low_s + 0.1 - 0.025 + 2.5 * 0.002 == pytest.approx(0.51, abs=1e-6)


def test_too_few_faults_fit_nothing(tmp_path: Path) -> None:
    """Three say too little of an error; nothing is written from them."""
    with pytest.raises(BadInput, match="too little"):
        calibrate([a_run(tmp_path / "one", DETECTIONS[: LEAST - 1])])


def test_runs_that_are_not_alike_or_not_there_are_refused(tmp_path: Path) -> None:
    """The same run twice, another number of nodes, no run at all."""
    one = a_run(tmp_path / "one", DETECTIONS)
    with pytest.raises(BadInput, match="twice"):
        calibrate([one, one])
    plan = RunFolder(one).read_plan()
    other = tmp_path / "other"
    synthetic.write_run(
        other, msgspec.structs.replace(plan, nodes=plan.nodes[:2]), RunFolder(one).rows(), RunFolder(one).read_observations()
    )
    with pytest.raises(BadInput, match="number of nodes"):
        calibrate([one, other])
    with pytest.raises(BadInput, match="needs runs"):
        calibrate([])


# --- on disk -----------------------------------------------------------------------------------------------------------


def a_calibration(**more: object) -> Calibration:
    """Restart alone, of the sample target."""
    base = Calibration("sample", "fake", 3, {"heartbeat": "100ms"}, ("r1",), {}, {"restart_s": FITTED})
    return msgspec.structs.replace(base, **more)


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    """Every figure to six digits, every word."""
    found = calibrate([a_run(tmp_path / "one", DETECTIONS)])
    file = tmp_path / "calibration.yaml"
    file.write_text(dump(found), encoding="utf-8")
    again = load(file)
    assert (again.target, again.runtime, again.nodes, again.settings, again.runs) == ("by-hand", "fake", 3, {}, ("by-hand",))
    for name, each in found.parameters.items():
        assert msgspec.structs.astuple(again.parameters[name])[:3] == pytest.approx(msgspec.structs.astuple(each)[:3], rel=1e-5)
        assert (again.parameters[name].n, again.parameters[name].of) == (each.n, each.of)
    assert again.measured.keys() == found.measured.keys()


@pytest.mark.parametrize(
    ("change", "says"),
    [(("calibration: 1", "calibration: 2"), "version 2"), (("restart:", "restrat:"), "restart"), (("low: 200ms", "low: 200"), "unit"),
     (("low: 200ms", "low: 900ms"), "ends before"), (("runs:", "rums:"), "runs")],
)  # fmt: skip
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    """File, line, and what would be right."""
    file = tmp_path / "calibration.yaml"
    text = dump(a_calibration())
    assert change[0] in text
    file.write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(BadInput, match=says) as refused:
        load(file)
    assert str(file) in str(refused.value)


GIVEN = (Parameter("heartbeat_s", 0.1, "s", "target"), Parameter("restart_s", 1.0, "s", "target"))


def test_measured_parameters_take_the_place_of_declared_ones() -> None:
    """With their origin, error and number; what the experiment itself states stays."""
    found = {each.name: each for each in applied(a_calibration(), GIVEN, target="sample", runtime="fake", settings={"heartbeat": "100ms"})}
    assert found["heartbeat_s"] == GIVEN[0]
    assert found["restart_s"] == Parameter("restart_s", 0.2, "s", "calibration", 0.4, error=0.02, n=9)
    stated = (GIVEN[0], Parameter("restart_s", 1.0, "s", "experiment"))
    assert applied(a_calibration(), stated, target="sample", runtime="fake", settings={}) == stated


@pytest.mark.parametrize(
    ("target", "runtime", "settings", "says"),
    [("other", "fake", {}, "not on 'other'"), ("sample", "local", {}, "runtime"), ("sample", "fake", {"heartbeat": "50ms"}, "heartbeat")],
)
def test_it_holds_only_for_what_it_was_measured_on(target: str, runtime: str, settings: dict[str, str], says: str) -> None:
    """Another target, runtime or setting is another system."""
    with pytest.raises(BadInput, match=says):
        applied(a_calibration(), GIVEN, target=target, runtime=runtime, settings=settings)


# --- in an experiment --------------------------------------------------------------------------------------------------

KILLS = "  - {name: kill-leader, kill: {}, target: leader, every: 6s, for: 1s, times: 6}\n"


def calibrated_plan(folder: Path, calibration: Calibration) -> Plan:
    """The sample experiment with that calibration beside it."""
    (folder / "calibration.yaml").write_text(dump(calibration), encoding="utf-8")
    text = EXPERIMENT.replace("FAULTS", KILLS) + "predict: {calibration: calibration.yaml}\n"
    return make_plan(parse_experiment(text, str(folder / "x.yaml")), sample_target(TARGET), seed=None, runtime="fake")


def test_an_experiment_names_one_beside_it(tmp_path: Path) -> None:
    """Parameters and runs go into the plan; runs stay comparable with those of the declared parameters."""
    plan = calibrated_plan(tmp_path, a_calibration())
    assert plan.calibration == ("r1",)
    assert next(each for each in plan.parameters if each.name == "restart_s").origin == "calibration"
    assert plan.configuration == sample_plan(KILLS, runtime="fake").configuration


def test_a_prediction_is_never_held_against_the_run_it_was_fitted_on(tmp_path: Path) -> None:
    """On another run it is compared; on its own it is refused, the run is unknown, and nothing is said to agree."""
    for name in ("mine", "fitted"):
        folder = RunFolder(tmp_path / name)
        plan = calibrated_plan(tmp_path, a_calibration(runs=(folder.run if name == "fitted" else "elsewhere",)))
        run_plan(plan, sample_target(), "experiment: sample\n", folder, FakeRuntime(), ManualClock())
        judged = judge(folder)
        check = next(each for each in judged.checks if each.name == "calibration from other runs")
        if name == "fitted":
            assert check.verdict == "fail"
            assert judged.predicted is None
            assert judged.agreement == []
            assert (judged.agreement_overall, judged.verdict, judged.exit_code) == ("inconclusive", "unknown", 3)
        else:
            assert check.verdict == "pass"
            assert judged.agreement


def test_from_a_run_to_the_prediction_of_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb measures one run; another run of the system agrees with what follows from it."""
    text = QUICK.replace("times: 2", "times: 8")
    first = RunFolder(tmp_path / "first")
    ordered = order_text(text, tmp_path / "first.yaml")
    run_plan(ordered.plan, ordered.target, text, first, FakeRuntime(), ManualClock())
    output = tmp_path / "out.yaml"
    assert cli.main(["calibrate", str(first.path), "-o", str(output)]) == 0, capsys.readouterr().err
    found = load(output)
    assert {"restart_s", "election_timeout_s"} <= found.parameters.keys()
    second = RunFolder(tmp_path / "second")
    calibrated = text.replace("predict: {", "predict: {calibration: out.yaml, ")
    ordered = order_text(calibrated, tmp_path / "second.yaml", seed=77)
    run_plan(ordered.plan, ordered.target, calibrated, second, FakeRuntime(), ManualClock())
    judged = judge(second)
    assert judged.agreement_overall == "consistent"
    assert judged.predicted is not None
    assert any(each.origin == "calibration" and each.error > 0 and each.n >= LEAST for each in judged.predicted.parameters)


def test_a_run_folder_holds_the_calibration_that_it_rests_on(tmp_path: Path) -> None:
    """Taken elsewhere, alone, it can be planned and judged again: the copy stands beside that of the experiment."""
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "out.yaml").write_text(dump(a_calibration()), encoding="utf-8")
    keep("measured/out.yaml", str(tmp_path / "x.yaml"), tmp_path / "elsewhere")
    (tmp_path / "measured" / "out.yaml").unlink()
    found = located("measured/out.yaml", str(tmp_path / "elsewhere" / "experiment.yaml"))
    assert found == tmp_path / "elsewhere" / "out.yaml"
    assert load(found) == a_calibration()


# --- its uncertainty ---------------------------------------------------------------------------------------------------


def with_error(error_s: float) -> Plan:
    """Leader kills; the election time-out is known to that error."""
    spec, windows = synthetic.kills([5.0 + 5.0 * number for number in range(8)])
    parameters = tuple(
        msgspec.structs.replace(each, error=error_s, origin="calibration") if each.name == "election_timeout_s" else each
        for each in synthetic.PARAMETERS
    )
    return synthetic.make_plan(duration_s=60.0, faults=[spec], windows=windows, parameters=parameters)


def test_the_spread_of_a_prediction_is_that_of_its_parameters() -> None:
    """Detection moves one to one with the time-out: 50 ms on outages of 0.4 s are an eighth."""
    plan = with_error(0.05)
    facts = predicting.facts_from_plan(plan)
    draws = predicting.draws(plan, facts, "write")["kill/leader"]
    found = uncertain.spreads(plan, facts, "write")
    assert found["kill/leader"] == pytest.approx(0.05 / float(draws.downtime_s.mean()), rel=0.05)
    assert found[OVERALL] == pytest.approx(found["kill/leader"])
    assert uncertain.spreads(with_error(0.0), facts, "write") == {}


def test_a_range_is_as_wide_as_both_of_its_causes() -> None:
    """The faults' own spread and the parameters' error, in squares; a value stays where it is."""
    plan = with_error(0.05)
    facts = predicting.facts_from_plan(plan)
    plain = predicting.predict(plan, facts).predicted
    wide = uncertain.widened(plain, "write", {"write": uncertain.spreads(plan, facts, "write")})
    before, after = plain.mttr_s, wide.mttr_s
    assert after.value == before.value
    assert None not in (before.value, before.high, after.high)
    assert after.high - after.value == pytest.approx(math.hypot(before.high - before.value, 1.96 * 0.05), rel=0.05)  # type: ignore[operator]
    assert wide.availability.high is not None
    assert wide.availability.high <= 1.0


def test_the_common_factor_does_not_average_out() -> None:
    """The sum of a thousand faults that are all off together is known no better than to that factor; the mean is kept."""
    law = np.full(10, 1.0)
    sums = SumDistribution([(law, 1000)], 0.01, spread=0.1)
    assert sums.mean_s == pytest.approx(1000.0, rel=5e-3)
    assert (sums.quantile_s(0.95) - sums.quantile_s(0.05)) / 1000 == pytest.approx(2 * 1.645 * 0.1, rel=0.1)


def test_a_wrong_path_is_told_with_the_command_that_makes_one() -> None:
    """Where it was written, and what to do."""
    assert calibrations.located("nowhere.yaml", "somewhere/x.yaml") == Path("nowhere.yaml")
    with pytest.raises(BadInput, match="nines calibrate"):
        make_plan(parse_experiment(EXPERIMENT.replace("FAULTS", KILLS) + "predict: {calibration: no.yaml}\n", "x.yaml"), sample_target(),
                  seed=None, runtime="fake")  # fmt: skip
