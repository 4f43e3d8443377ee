"""The command of ``abort_if``: how it is read, what its answers do, and that nothing of it outlives the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.clock import to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.experiment.safety import AbortCommand
from chaos.history.events import AbortAnswered, Aborting, FaultAsked, FaultHealed, RunEnded, TrafficStarted
from chaos.registry import processes as proc
from chaos.report.pages.runbook import render
from chaos.run.stop_command import LABEL, require
from tests.support.quick import QUICK
from tests.support.samples import sample_experiment, sample_plan
from tests.support.virtual_run import of, run

PAUSE = "  - {name: calm, pause: {}, target: followers, at: 2s, for: 8s}\n"


def asking(command: str, more: str = "") -> str:
    """The lines of an experiment that has this command asked."""
    return f"abort_if: {{command: {{run: {command!r}{more}}}}}\n"


def test_it_is_read_with_its_defaults() -> None:
    """As a text, or with its times; words as a shell would split them."""
    plain = sample_experiment(PAUSE, "abort_if: {command: \"./healthy --name 'a b'\", error_ratio: 50%}\n").abort_if
    assert plain.command == AbortCommand(("./healthy", "--name", "a b"), 1.0, 5.0)
    assert plain.error_ratio == 0.5
    assert sample_experiment(PAUSE, asking("x", ", every: 2s, timeout: 300ms")).abort_if.command == AbortCommand(("x",), 2.0, 0.3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{command: ""}', "stands where a command belongs"),
        ('{command: "echo \'a"}', "is no command"),
        ("{command: {every: 1s}}", "the key 'run' is missing"),
        ("{command: {run: x, every: 0s}}", "out of range"),
        ("{command: {run: x, within: 1s}}", "unknown key 'within'"),
        ("{commands: x}", "did you mean 'command'"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, says: str) -> None:
    """With its place in the file."""
    with pytest.raises(BadInput, match=says):
        sample_experiment(PAUSE, f"abort_if: {text}\n")


def test_it_is_asked_again_and_again(tmp_path: Path) -> None:
    """From the first slot on, every so often, with the names of the run in its environment; each answer is in the history."""
    plan = sample_plan(PAUSE, asking('sh -c "echo $NINES_RUN; test -d $NINES_FOLDER"', ", every: 5s"), runtime="fake")
    rows = run(plan, tmp_path / "asked")
    answers = of(rows, AbortAnswered)
    start_ns = of(rows, TrafficStarted)[0].start_ns
    assert [row.at_ns - start_ns for row in answers] == [to_ns(5.0 * number) for number in range(len(answers))]
    assert len(answers) == int(plan.duration_s // 5) + 1
    assert {(row.status, row.said.rpartition("-")[0]) for row in answers} == {(0, "asked")}


@pytest.mark.parametrize(
    ("command", "more", "condition", "status"),
    [
        ("sh -c 'echo too hot; exit 7'", "", "answered 7: too hot", 7),
        ("sh -c 'kill -9 $$'", "", "was killed by SIGKILL", None),
        ("sh -c 'echo wait; sleep 60'", ", timeout: 200ms", "gave no answer within 0.2 s: wait", None),
    ],
)
def test_any_other_answer_ends_the_run(tmp_path: Path, command: str, more: str, condition: str, status: int | None) -> None:
    """Healed and saved, with what it said; exit status 4 comes of it."""
    rows = run(sample_plan(PAUSE, asking(command, more), runtime="fake"), tmp_path)
    (answer,) = of(rows, AbortAnswered)
    assert answer.status == status
    assert condition in of(rows, Aborting)[0].condition
    (ended,) = of(rows, RunEnded)
    assert condition in ended.aborted
    assert not of(rows, FaultAsked)


def test_what_is_in_force_is_taken_back(tmp_path: Path) -> None:
    """When the answer changes in the middle of a fault."""
    flag = tmp_path / "asked"
    command = f"sh -c 'echo x >> {flag}; test $(wc -l < {flag}) -lt 12'"
    rows = run(sample_plan(PAUSE, asking(command), runtime="fake"), tmp_path / "run")
    assert [row.id for row in of(rows, FaultHealed)] == ["calm.1"]
    assert len(of(rows, AbortAnswered)) == 12


def test_nothing_of_it_outlives_the_run(tmp_path: Path) -> None:
    """Not what it leaves behind in its group, not what leaves its group, not one that hangs when the run ends."""
    command = "sh -c 'sleep 601 & setsid sleep 602 & exit 0'"
    run(sample_plan(PAUSE, asking(command, ", every: 8s"), runtime="fake"), tmp_path / "litter")
    assert [process for process in proc.labelled("litter") if process.node == LABEL] == []


def test_a_missing_program_is_told_before_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 5, and no run folder."""
    with pytest.raises(EnvironmentUnusable, match="no program"):
        require(AbortCommand(("no-such-program-here",)))
    require(AbortCommand(("sh", "-c", "exit 1")))
    file = tmp_path / "x.yaml"
    file.write_text(re.sub(r"abort_if: .*", "abort_if: {command: no-such-program-here}", QUICK), encoding="utf-8")
    assert cli.main(["run", str(file), "--runtime", "fake", "--folder", str(tmp_path / "run")]) == 5
    assert "no-such-program-here" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_runbook_names_it() -> None:
    """Among the conditions that end the day by themselves."""
    assert "`./healthy now`, run every 2 s, does not exit with status 0 within 5 s" in render(
        sample_plan(PAUSE, asking("./healthy now", ", every: 2s"))
    )
