"""The pytest plugin, as users meet it: in a project of their own."""

from __future__ import annotations

import operator
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from chaos.api import Ordered
from chaos.history.events import NodeChanged, PhaseBegun, RunEnded, RunStarted
from chaos.history.folder import RunFolder
from chaos.report.build import read_or_judge
from chaos.results.observed import Estimate
from chaos.results.report import Report
from tests.support.quick import QUICK

MISSED = QUICK.replace('">= 50%"', '">= 99.99%"')


@pytest.fixture
def project(pytester: pytest.Pytester, quick_run: Path) -> pytest.Pytester:
    """A project with one experiment. ``quick_run`` has imported all there is: numpy must not be loaded anew by an inner pytest."""
    assert quick_run.exists()
    folder = pytester.mkdir("experiments")
    (folder / "quick.yaml").write_text(QUICK, encoding="utf-8")
    (folder / "notes.txt").write_text("not an experiment", encoding="utf-8")
    return pytester


def test_collects_only_when_asked(project: pytest.Pytester) -> None:
    """Without ``--nines`` YAML files are none of our business."""
    project.runpytest_inprocess("--collect-only").assert_outcomes()
    shown = project.runpytest_inprocess("--nines", "--collect-only").stdout
    shown.fnmatch_lines(["*<ExperimentFile quick.yaml>*", "*<ExperimentItem quick>*"])


def test_experiment_passes(project: pytest.Pytester) -> None:
    """A pass is a passed test, and its run folder stays."""
    project.runpytest_inprocess("--nines").assert_outcomes(passed=1)
    assert len(list((project.path / "runs").glob("quick-*/report.json"))) == 1


def test_missed_objective_fails_with_the_report(project: pytest.Pytester) -> None:
    """A fail is a failed test that shows the report, not a traceback."""
    (project.path / "experiments" / "quick.yaml").write_text(MISSED, encoding="utf-8")
    result = project.runpytest_inprocess("--nines")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*verdict fail, expected pass*", "*Objectives*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_expected_failure_passes(project: pytest.Pytester) -> None:
    """``expect_verdict: fail`` is honoured, both ways."""
    (project.path / "experiments" / "quick.yaml").write_text(MISSED + "expect_verdict: fail\n", encoding="utf-8")
    other = QUICK.replace(": quick", ": other") + "expect_verdict: fail\n"
    (project.path / "experiments" / "other.yaml").write_text(other, encoding="utf-8")
    project.runpytest_inprocess("--nines").assert_outcomes(passed=1, failed=1)


def test_bad_file_fails_with_its_line(project: pytest.Pytester) -> None:
    """Bad input is one message with file and line."""
    (project.path / "experiments" / "quick.yaml").write_text(QUICK.replace("baseline:", "basline:"), encoding="utf-8")
    result = project.runpytest_inprocess("--nines")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*quick.yaml:9*baseline*"])


def test_unknown_fails_unless_allowed(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown verdict is no pass; it may be let through as a skip."""
    from chaos import api as perform

    real = perform.perform

    def unknown(ordered: Ordered, folder: RunFolder, history: Path | None = None) -> Report:
        return msgspec.structs.replace(real(ordered, folder), verdict="unknown", exit_code=3, reasons=["baseline not quiet"])

    monkeypatch.setattr(perform, "perform", unknown)
    project.runpytest_inprocess("--nines").assert_outcomes(failed=1)
    project.runpytest_inprocess("--nines", "--nines-allow-unknown").assert_outcomes(skipped=1)


def test_the_fixtures_are_never_green_on_an_unknown_verdict(
    project: pytest.Pytester, quick_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a test asks of the report; unless the test, the command line or the configuration asks for that."""
    from chaos import api as perform

    seen = read_or_judge(RunFolder(quick_run))

    def unknown(_ordered: Ordered, _folder: RunFolder, history: Path | None = None) -> Report:
        return msgspec.structs.replace(seen, verdict="unknown", exit_code=3, reasons=["baseline not quiet"])

    monkeypatch.setattr(perform, "perform", unknown)
    project.makepyfile(
        f"""
        QUICK = {QUICK!r}

        def test_figure(run_experiment):
            assert run_experiment(QUICK).observed.mttr_s < 5

        def test_asked_for(run_experiment):
            assert run_experiment(QUICK, unknown="pass").verdict == "unknown"

        def test_verdict(verdict):
            verdict(QUICK)
        """
    )
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*verdict of quick is unknown: baseline not quiet*"])
    project.runpytest_inprocess("--nines-unknown=skip").assert_outcomes(passed=1, skipped=2)
    project.makeini("[pytest]\nnines_unknown = pass\n")
    project.runpytest_inprocess().assert_outcomes(passed=3)


def test_a_figure_without_a_value_fails_every_comparison() -> None:
    """With its reason, as a failed assertion: never a TypeError, and neither more nor less."""
    known, nothing = Estimate(0.95), Estimate(None, reason="no request was sent")
    assert known >= 0.9
    assert known > 0.9
    assert known <= 0.95
    assert not known < 0.95
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(AssertionError, match="no request was sent"):
            compare(nothing, 0.9)


def test_runtime_and_seed_can_be_chosen(project: pytest.Pytester) -> None:
    """The options reach the run."""
    project.runpytest_inprocess("--nines", "--nines-runtime", "nonsense").assert_outcomes(failed=1)
    project.runpytest_inprocess("--nines", "--nines-seed", "99", "--nines-runtime", "fake").assert_outcomes(passed=1)
    report = next((project.path / "runs").glob("quick-*/report.json")).read_text(encoding="utf-8")
    assert '"seed": 99' in report


def test_fixtures(project: pytest.Pytester) -> None:
    """``run_experiment`` and ``verdict`` take a path or a text; the report is typed."""
    project.makepyfile(
        f"""
        import pytest
        QUICK = {QUICK!r}

        def test_path(run_experiment):
            report = run_experiment("experiments/quick.yaml")
            assert report.verdict == "pass"
            assert report.observed.mttr_s.value < 5

        def test_text(run_experiment, nines_folder):
            assert run_experiment(QUICK).experiment == "quick"
            assert any(nines_folder.rglob("report.json"))

        def test_verdict(verdict):
            verdict(verdict(QUICK))

        def test_missed(verdict):
            verdict(QUICK.replace(">= 50%", ">= 99.99%"))

        class TestOverridden:
            @pytest.fixture
            def nines_seed(self):
                return 42

            def test_seed(self, run_experiment):
                assert run_experiment(QUICK).seed == 42
        """
    )
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*test_missed*"])


def test_cluster(project: pytest.Pytester) -> None:
    """A cluster without an experiment, shaped by a marker or by an own fixture."""
    project.makepyfile(
        """
        import pytest

        @pytest.mark.nines_cluster(target="replicated_kv", nodes=5)
        def test_five(cluster):
            assert sorted(cluster.nodes) == ["n1", "n2", "n3", "n4", "n5"]
            assert sum("leader" in roles for roles in cluster.roles().values()) == 1

        @pytest.mark.nines_cluster("replicated_kv", 3, heartbeat="50ms")
        def test_settings(cluster):
            assert len(cluster.nodes) == 3

        def test_unshaped(cluster):
            pass
        """
    )
    result = project.runpytest_inprocess("--nines-runtime", "fake", "--strict-markers")
    result.assert_outcomes(passed=2, errors=1)


def test_a_cluster_of_a_test_has_a_history_as_a_run_has(project: pytest.Pytester) -> None:
    """From its begin to its end; a test that fails is in it."""
    project.makepyfile(
        """
        import pytest

        @pytest.mark.nines_cluster(target="replicated_kv")
        def test_it(cluster):
            cluster.nodes["n1"].kill(9)

        @pytest.fixture
        def nines_folder(pytestconfig):
            return pytestconfig.rootpath / "here"
        """
    )
    project.runpytest_inprocess("--nines-runtime", "fake").assert_outcomes(passed=1)
    (folder,) = (project.path / "here").iterdir()
    rows = RunFolder(folder).read_history().rows
    assert isinstance(rows[0], RunStarted)
    assert [row.phase for row in rows if isinstance(row, PhaseBegun)] == ["starting", "stopping"]
    assert any(isinstance(row, NodeChanged) and row.node == "n1" for row in rows)
    ended = rows[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.left, ended.bug) == ([], "")


def test_the_prefixed_fixtures_are_built_of_smaller_ones(project: pytest.Pytester) -> None:
    """Each may be overridden or made a parameter; a suite's own ``cluster`` stays its own."""
    project.makepyfile(
        f"""
        import pytest
        QUICK = {QUICK!r}

        @pytest.fixture
        def cluster():
            return "mine"

        @pytest.fixture
        def nines_history(tmp_path):
            return tmp_path / "all.db"

        @pytest.mark.parametrize("nines_seed", [3, 4])
        def test_seeds(nines_run_experiment, nines_seed, nines_history, cluster):
            assert nines_run_experiment(QUICK).seed == nines_seed
            assert cluster == "mine"
            from chaos.evidence.store import Store
            with Store(nines_history) as store:
                assert [run.seed for run in store.runs()] == [nines_seed]

        def test_verdict(nines_verdict):
            assert nines_verdict(QUICK).verdict == "pass"

        @pytest.mark.nines_cluster(target="replicated_kv", nodes=3)
        def test_cluster(nines_cluster):
            assert len(nines_cluster.nodes) == 3
        """
    )
    project.runpytest_inprocess("--nines-runtime", "fake").assert_outcomes(passed=4)


def test_short_names_can_be_switched_off(project: pytest.Pytester) -> None:
    """Then they are unknown fixtures, and ours do not appear among those of the suite."""
    project.makepyfile("def test_it(run_experiment):\n    pass\n")
    project.makeini("[pytest]\nnines_short_names = false\n")
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'run_experiment' not found*"])


def test_seeds_and_faults_choose_items(project: pytest.Pytester) -> None:
    """One item a seed; ``--only`` by kind or by name; a compose file in the folder is no item; all carry the marker."""
    folder = project.path / "experiments"
    (folder / "pause.yaml").write_text(QUICK.replace("kill: {}", "pause: {}").replace("kill-leader", "hold-leader"), encoding="utf-8")
    (folder / "compose.yaml").write_text("services: {web: {image: nginx}}\n", encoding="utf-8")
    shown = project.runpytest_inprocess("--nines", "--collect-only", "-q", "--nines-seed", "1", "--nines-seed", "2", "-m", "nines").stdout
    shown.fnmatch_lines_random(["*pause?seed=1?", "*pause?seed=2?", "*quick?seed=1?", "*quick?seed=2?"])
    shown.no_fnmatch_line("*compose*")
    for wanted in ("pause", "hold-leader"):
        shown = project.runpytest_inprocess("--nines", "--collect-only", "-q", "--only", wanted).stdout
        shown.fnmatch_lines(["*::pause"])
        shown.no_fnmatch_line("*::quick")


def test_a_bug_of_ours_shows_no_traceback(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and where the traceback is."""
    from chaos import api as perform

    def broken(*_: object, **__: object) -> Report:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(perform, "perform", broken)
    result = project.runpytest_inprocess("--nines")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a bug in Nines: ZeroDivisionError: ours*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_failed_item_shows_what_matters(project: pytest.Pytester) -> None:
    """The verdict's sentence, the missed objective and not the met one, the table of the fault class."""
    text = MISSED.replace("objectives: {", 'objectives: {mttr: "<= 5s", ')
    (project.path / "experiments" / "quick.yaml").write_text(text, encoding="utf-8")
    result = project.runpytest_inprocess("--nines", "--show-capture=no")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*FAIL*quick*", "*verdict fail, expected pass*", "*Objectives*", "*availability*99.99%*", "*By fault class*", "*kill/leader*"]
    )
    result.stdout.no_fnmatch_line("*<= 5s*pass*")


def test_costs_nothing_when_unused(tmp_path: Path) -> None:
    """A test run that does not use us loads nothing of us but the plugin itself."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_other():\n"
        "    assert sorted(name for name in sys.modules if name.split('.')[0] == 'chaos') == ['chaos', 'chaos.pytest_plugin']\n"
        "    assert 'numpy' not in sys.modules\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_runs_side_by_side_have_folders_of_their_own() -> None:
    """What makes xdist safe: two runs of one experiment in one second never share a folder."""
    from chaos.api import new_folder

    names = {new_folder("same").path.name for _ in range(20)}
    assert len(names) > 15
