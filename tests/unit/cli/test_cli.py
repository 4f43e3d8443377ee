"""The command line: exit codes, streams, and what each verb says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from chaos import api as perform
from chaos.cli import main as cli
from chaos.core.errors import EnvironmentUnusable, NotHealed
from tests.support.paths import ROOT
from tests.support.quick import QUICK

Nines = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nines(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nines:
    """``nines("plan", file)`` in an empty folder -> exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> tuple[int, str, str]:
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as leaving:  # argparse
            status = int(leaving.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A file with a short experiment on the fake runtime."""
    file = tmp_path / "quick.yaml"
    file.write_text(QUICK, encoding="utf-8")
    return file


# --- the table of verbs ------------------------------------------------------------------------------------------------


def test_every_verb_has_its_function() -> None:
    """The table names functions that exist and say what they do."""
    import importlib

    for name, verb in cli.VERBS.items():
        module, _, function = verb.function.partition(":")
        assert getattr(importlib.import_module(module), function).__doc__, name


def test_help_imports_nothing_heavy() -> None:
    """``nines --help`` must start fast, so nothing that measures, judges or serialises may be loaded."""
    code = (
        "import sys; from chaos.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr
    for heavy in ("'numpy'", "'scipy'", "'msgspec'", "'yaml'", "'dns'", "'dnslib'", "'tabulate'", "'docker'", "'pytest'", "'asyncio'"):
        assert heavy not in loaded, heavy


@pytest.mark.parametrize("words", [[], ["nonsense"], ["run"], ["run", "--nonsense", "x.yaml"], ["report", "--format"]])
def test_usage_errors(nines: Nines, words: list[str]) -> None:
    """Wrong words are exit 2, on standard error."""
    status, out, err = nines(*words)
    assert (status, out) == (2, "")
    assert "usage:" in err


# --- files -------------------------------------------------------------------------------------------------------------


def test_plan_shows_and_starts_nothing(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """The table names each fault, and no folder appears."""
    status, out, _ = nines("plan", quick)
    assert status == 0
    assert "kill-leader.1" in out
    assert "kill-leader.2" in out
    assert list(tmp_path.iterdir()) == [quick]


def test_same_seed_same_plan(nines: Nines, quick: Path) -> None:
    """A seed fixes the plan; another one gives other times."""
    one, two, other = (json.loads(nines("plan", quick, "--json", "--seed", seed)[1]) for seed in ("5", "5", "6"))
    assert one == two
    assert one["windows"] != other["windows"]


def test_validate_names_file_line_and_path(nines: Nines, tmp_path: Path) -> None:
    """An unknown key is refused with its place and a suggestion; a good file beside it is still looked at."""
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(QUICK.replace("baseline: 2s", "basline: 2s"), encoding="utf-8")
    good.write_text(QUICK, encoding="utf-8")
    status, out, err = nines("validate", bad, good)
    assert status == 2
    assert "bad.yaml:9" in err
    assert "baseline" in err
    assert "good.yaml: valid" in out


def test_unknown_target_and_runtime_are_named_with_their_place(nines: Nines, tmp_path: Path) -> None:
    """What an experiment names that is not there has its line, as anything else in the file."""
    bad = tmp_path / "bad.yaml"
    for right, wrong, place in (
        ("target: replicated_kv", "target: replicatd_kv", "bad.yaml:4: cluster.target: unknown target 'replicatd_kv'"),
        ("runtime: fake", "runtime: fakes", "bad.yaml:6: cluster.runtime: "),
    ):
        bad.write_text(QUICK.replace(right, wrong), encoding="utf-8")
        status, out, err = nines("plan", bad)
        assert (status, out) == (2, "")
        assert place in err


def test_folders_that_cannot_be_written(nines: Nines, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where a folder should be: said in one line, with what to do, and no traceback."""
    taken = tmp_path / "taken"
    taken.touch()
    for status, *words in ((5, "run", quick, "--folder", taken / "run"), (2, "runbook", quick, "-o", taken / "page.md")):
        found, out, err = nines(*words)
        assert (found, out) == (status, "")
        assert "cannot write" in err
        assert "Traceback" not in err
    monkeypatch.setenv("NINES_STATE", str(taken / "state"))
    found, _, err = nines("heal")
    assert found == 5
    assert "set NINES_STATE" in err


@pytest.mark.parametrize("verb", ["run", "plan", "validate", "predict", "runbook"])
def test_missing_file(nines: Nines, verb: str) -> None:
    """A file that is not there is exit 2, in one line, without a traceback."""
    status, out, err = nines(verb, "nowhere.yaml")
    assert (status, out) == (2, "")
    assert "nowhere.yaml" in err
    assert "Traceback" not in err


def test_unknown_runtime(nines: Nines, quick: Path) -> None:
    """A runtime that does not exist is refused with those that do."""
    status, _, err = nines("plan", quick, "--runtime", "lokal")
    assert status == 2
    assert "local" in err


def test_predict_without_a_cluster(nines: Nines, quick: Path) -> None:
    """Figures for this run and for production, as a table and as JSON."""
    status, out, _ = nines("predict", quick)
    assert status == 0
    assert "kill/leader" in out
    assert "nines" in out
    data = json.loads(nines("predict", quick, "--json")[1])
    assert data["by_fault"]["kill/leader"]["recovery_s"]["value"] > 0
    assert data["production"]["nines"] > 1


def test_init_writes_what_validates(nines: Nines, tmp_path: Path) -> None:
    """The starter experiment is right as it stands, and is never written over a file."""
    assert nines("init", "first.yaml")[0] == 0
    assert nines("validate", "first.yaml")[0] == 0
    before = (tmp_path / "first.yaml").read_text(encoding="utf-8")
    assert nines("init", "first.yaml")[0] == 2
    assert (tmp_path / "first.yaml").read_text(encoding="utf-8") == before


# --- running -----------------------------------------------------------------------------------------------------------


def test_run_writes_everything(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """Tables and at last the verdict on standard output, progress on standard error, all forms where they were asked for."""
    status, out, err = nines("run", quick, "-v", "--junit", "out/j.xml", "--markdown", "m.md", "--html", "h.html", "--folder", "here")
    assert status == 0
    assert out.splitlines()[-1] == "✓ PASS  quick [SIMULATED]: All 2 objectives met."
    assert "Outage breakdown" in out
    assert "fake" in err
    assert (tmp_path / "here" / "report.json").exists()
    assert Xml.parse(tmp_path / "out" / "j.xml").getroot().get("name") == "quick"
    assert (tmp_path / "m.md").exists()
    assert (tmp_path / "h.html").exists()


def test_run_json_is_only_json(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """With ``--json`` standard output is report.json and nothing else; the folder is made by name and time."""
    status, out, _ = nines("run", quick, "--json")
    folder = next((tmp_path / "runs").iterdir())
    assert status == 0
    assert json.loads(out) == json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert folder.name.startswith("quick-2")


def test_run_missed_objective(nines: Nines, quick: Path) -> None:
    """Exit 1 for a missed objective; 0 where that was expected, and then it is said."""
    quick.write_text(QUICK.replace('">= 50%"', '">= 99.99%"'), encoding="utf-8")
    status, out, _ = nines("run", quick, "-q")
    assert status == 1
    assert out.startswith("FAIL")
    quick.write_text(quick.read_text(encoding="utf-8") + "expect_verdict: fail\n", encoding="utf-8")
    status, out, _ = nines("run", quick, "-q")
    assert status == 0
    assert "expected" in out


def test_run_without_faults(nines: Nines, quick: Path) -> None:
    """``--no-faults`` sends traffic and breaks nothing."""
    status, out, _ = nines("run", quick, "--no-faults", "--json")
    report = json.loads(out)
    assert report["faults"] == []
    assert report["observed"]["outages"] == []
    assert status == report["exit_code"]


def test_several_files_give_the_worst(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """Both are run, each into its own files, and the worse one is the exit status."""
    strict = tmp_path / "strict.yaml"
    strict.write_text(QUICK.replace('">= 50%"', '">= 99.99%"').replace("experiment: quick", "experiment: strict"), encoding="utf-8")
    status, out, _ = nines("run", strict, quick, "-q", "--junit", "out.xml")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()] == ["FAIL", "PASS"]
    assert (tmp_path / "out-quick.xml").exists()
    assert (tmp_path / "out-strict.xml").exists()


def test_nothing_runs_if_one_file_is_bad(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """All files are loaded before the first one starts."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("", encoding="utf-8")
    assert nines("run", quick, bad)[0] == 2
    assert not (tmp_path / "runs").exists()


def test_a_folder_is_used_once(nines: Nines, quick: Path) -> None:
    """A run never writes over another."""
    assert nines("run", quick, "-q", "--folder", "here")[0] == 0
    status, _, err = nines("run", quick, "-q", "--folder", "here")
    assert status == 2
    assert "holds a run already" in err


def test_known_error_is_one_message(nines: Nines, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we can say in a sentence comes without a traceback, with its own exit status."""
    monkeypatch.setattr(perform, "perform", refuse)
    status, out, err = nines("run", quick, "-q")
    assert (status, out) == (5, "")
    assert err == "nines: port 7000 is taken\n  see who has it: ss -ltnp\n"


def test_bug_leaves_its_traceback_in_the_folder(nines: Nines, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is exit 70, printed and kept."""
    from chaos.run import run

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(run, "run_plan", fail)
    status, _, err = nines("run", quick, "-q", "--folder", "here")
    assert status == 70
    assert "ZeroDivisionError" in err
    assert "ZeroDivisionError: ours" in (tmp_path / "here" / "bug.txt").read_text(encoding="utf-8")


def test_bug_outside_a_run(nines: Nines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any verb: an unexpected exception is 70 with a traceback, never mistaken for a verdict."""
    from chaos.core import version as versions

    def fail() -> dict[str, str]:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(versions, "versions", fail)
    status, _, err = nines("version")
    assert status == 70
    assert "ZeroDivisionError" in err


# --- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json", "junit", "markdown", "html"])
def test_report_forms(nines: Nines, quick_run: Path, tmp_path: Path, form: str) -> None:
    """Each form, to standard output and to a file, is the same."""
    status, out, _ = nines("report", quick_run, "--format", form)
    assert status == 0
    assert nines("report", quick_run, "--format", form, "-o", "x")[:2] == (0, "")
    assert (tmp_path / "x").read_text(encoding="utf-8").strip() == out.strip()


def test_report_unknown_form(nines: Nines, quick_run: Path) -> None:
    """An unknown form is refused with the nearest one."""
    status, _, err = nines("report", quick_run, "--format", "htlm")
    assert status == 2
    assert "html" in err


def test_judge_again(nines: Nines, quick_run: Path, tmp_path: Path) -> None:
    """Judging needs no cluster and gives the exit status of the run. A copy: it writes the report anew, here of fewer draws."""
    folder = shutil.copytree(quick_run, tmp_path / "run")
    status, out, _ = nines("judge", folder, "--json")
    assert status == 0
    assert json.loads(out)["verdict"] == "pass"


def test_history_rows(nines: Nines, quick_run: Path) -> None:
    """What happened, in order; the prober's seconds only when asked for."""
    _, short, _ = nines("history", quick_run)
    _, long, _ = nines("history", quick_run, "--all")
    assert "fault_effective" in short
    assert "traffic_second" not in short
    assert "traffic_second" in long
    rows = [json.loads(line) for line in nines("history", quick_run, "--json")[1].splitlines()]
    assert [row["at_ns"] for row in rows] == sorted(row["at_ns"] for row in rows)


@pytest.mark.parametrize("verb", ["judge", "report", "history"])
def test_not_a_run_folder(nines: Nines, tmp_path: Path, verb: str) -> None:
    """A folder of something else is exit 2."""
    status, _, err = nines(verb, tmp_path)
    assert status == 2
    assert "not a run folder" in err


# --- the machine -------------------------------------------------------------------------------------------------------


def test_nothing_left(nines: Nines) -> None:
    """Without crashed runs both verbs are quiet successes."""
    assert nines("leftovers")[0] == 0
    assert nines("heal")[0] == 0
    assert json.loads(nines("leftovers", "--json")[1]) == []


def test_heal_that_fails_is_6(nines: Nines, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be removed is the most urgent exit status there is."""
    from chaos.registry.orphans import PROCESS, Leftover, NotRemoved
    from chaos.run import leftovers

    left = Leftover("run-1", PROCESS, "n1", "pid 1")
    monkeypatch.setattr(leftovers, "heal", lambda: leftovers.HealResult([], [NotRemoved(left, "not ours")]))
    status, _, err = nines("heal")
    assert status == NotHealed.exit_code == 6
    assert "run-1" in err


def test_targets(nines: Nines) -> None:
    """The shipped target is listed with its operations."""
    assert "replicated_kv" in nines("targets")[1]
    listed = {each["name"]: each for each in json.loads(nines("targets", "--json")[1])}
    assert "write" in listed["replicated_kv"]["operations"]


def test_version(nines: Nines) -> None:
    """Ours and Python's."""
    from chaos import __version__

    assert f"nines {__version__}" in nines("version")[1]


def test_explain(nines: Nines) -> None:
    """A word, in singular or plural; an unknown one gets a suggestion; without one, the list."""
    assert nines("explain", "slot")[1] == nines("explain", "Slots")[1] != ""
    assert "slot," in nines("explain")[1]
    status, _, err = nines("explain", "slott")
    assert status == 2
    assert "slot" in err


def test_reader_who_leaves(quick_run: Path) -> None:
    """``nines history | head -1`` ends in silence."""
    words = [sys.executable, "-m", "chaos", "history", str(quick_run), "--all"]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=unbuffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_experiments_of_one_name_keep_their_files_apart(nines: Nines, quick: Path, tmp_path: Path) -> None:
    """Two files, one name: two run folders, two JUnit files."""
    other = tmp_path / "other.yaml"
    other.write_text(QUICK, encoding="utf-8")
    status, out, err = nines("run", quick, other, "-q", "--junit", "out.xml", "--folder", "both")
    assert status == 0, err
    assert len(out.splitlines()) == 2
    assert {path.name for path in Path().glob("out*.xml")} == {"out-quick.xml", "out-quick-2.xml"}
    assert {path.name for path in Path("both").iterdir()} == {"quick", "quick-2"}


def refuse(*_: object) -> None:
    """What the environment lacks."""
    raise EnvironmentUnusable("port 7000 is taken", how="see who has it: ss -ltnp")


def test_what_could_not_be_run_stands_in_junit_too(nines: Nines, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad input and an unusable environment are errors there, not files that are missing."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(QUICK.replace("faults:", "fautls:"), encoding="utf-8")
    assert nines("run", quick, wrong, "--junit", "wrong.xml", "--markdown", "wrong.md")[0] == 2
    case = Xml.parse("wrong.xml").getroot().find("testcase/error")
    assert case is not None and case.get("message", "").startswith("BAD INPUT: ") and "fautls" in case.get("message", "")
    assert "Not run" in Path("wrong.md").read_text(encoding="utf-8")
    monkeypatch.setattr(perform, "perform", refuse)
    assert nines("run", quick, "--junit", "used.xml")[0] == 5
    suite = Xml.parse("used.xml").getroot()
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
