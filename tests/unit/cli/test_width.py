"""Every verb in a terminal of 80 columns: no line is longer, nothing is coloured that should not be."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.core.columns import coloured, fitted, fitting, width_of, wrapped
from chaos.report import table
from chaos.report.formats import text
from chaos.results.report import Report
from tests.support.paths import GOLDEN, ROOT

WIDTH = 80
RUN = "{run}"
HELP = ["--help"]
ASKED: dict[str, list[list[str]]] = {
    "run": [["{quick}", "--folder", "new", "-v"]],
    "plan": [["{busy}"]],
    "validate": [["{quick}"], ["{wrong}"]],
    "predict": [["{quick}"], ["{quick}", "--sweep", "nodes=1,3"]],
    "formulas": [[]],
    "init": [["first.yaml"]],
    "try": [["nowhere.yaml"]],
    "explore": [["{quick}", "--schedules", "3", "--runtime", "fake", "--jobs", "1"]],
    "runs": [[]],
    "compare": [[RUN, RUN]],
    "judge": [[RUN, "-v"]],
    "report": [[RUN]],
    "history": [[RUN, "--all"]],
    "down": [["nobody"]],
    "status": [[]],
    "top": [[]],
    "inject": [["kill", "--to", "n1", "--for", "1s"]],
    "stop": [["nobody"]],
    "leftovers": [[]],
    "heal": [[]],
    "doctor": [["--faults"]],
    "targets": [[]],
    "explain": [[], ["availability"]],
    "version": [[]],
    # what these print is read by programs, a line a fact
    "metrics": [["nowhere"]],
    "rules": [["{quick}"]],
    "export": [[]],
    "gameday": [[]],
}


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in a terminal of so many columns; both of its outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NINES_COLUMNS", str(WIDTH))

    def run(*words: str) -> str:
        try:
            cli.main(list(words))
        except SystemExit as ended:
            assert ended.code in (0, 2)
        out, err = capsys.readouterr()
        return out + err

    return run


@pytest.mark.parametrize("verb", cli.VERBS)
def test_no_line_is_wider_than_the_terminal(verb: str, narrow: Callable[..., str], quick_run: Path, tmp_path: Path) -> None:
    """Help, answers, tables and refusals."""
    (tmp_path / "wrong.yaml").write_text("experiment: wrong\nfaults: [{kill: {}, targett: leader, every: 5s, for: 1s, times: 2}]\n")
    shutil.copy(quick_run / "experiment.yaml", tmp_path / "quick.yaml")
    places = {"quick": "quick.yaml", "busy": str(ROOT / "experiments" / "partition-shapes.yaml"),
              "wrong": "wrong.yaml", "run": "run"}  # fmt: skip
    shutil.copytree(quick_run, tmp_path / "run")
    for words in [HELP, *ASKED.get(verb, [])]:
        shown = narrow(verb, *(word.format(**places) for word in words))
        assert shown.strip(), words
        assert [line for line in shown.splitlines() if len(line) > WIDTH and not is_one_word(line)] == [], words


def is_one_word(line: str) -> bool:
    """A path is not broken: it is to be copied."""
    return len(line.strip().removesuffix(" \\").split()) == 1


def test_tables_of_a_full_report_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widest are broken into lines, then columns are left out and named; without a width nothing is."""
    report = msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)
    for width in (60, 80, 132):
        with fitting(width):
            shown = text.detailed(report)
        assert max(map(len, shown.splitlines())) <= width
    with fitting(60):
        assert "Not shown for want of room: " in text.detailed(report)
    assert "Not shown" not in text.detailed(report)


def test_a_screen_fits_and_ends_with_the_verdict() -> None:
    """24 lines less the shell's; a question that is long, notes and refusals do not push the verdict out."""
    report = msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)
    long = msgspec.structs.replace(report, question="why? " * 80, folder="runs/" + "deep/" * 9, reasons=["so it is " * 60], state="invalid")
    for told, last in ((report, "✓ PASS  quickstart: All 3 objectives met."), (long, "")):
        lines = text.screen(told).splitlines()
        assert len(lines) <= 23 and max(map(len, lines)) <= WIDTH
        assert lines[-1].endswith(last)
    assert any(line.startswith("! INVALID") for line in text.screen(long).splitlines()[-6:])


def test_a_figure_stays_with_its_unit() -> None:
    """No line begins with ``ms`` or ``%``; an arrow stays between its ends."""
    assert wrapped("it took 12 ms and 3 % of n1 -> n2", 12) == ["it took", "12 ms and", "3 % of", "n1 -> n2"]
    assert fitted("  a b c d", 6) == "  a b\n  c d"


def test_columns_are_narrowed_before_any_is_left_out() -> None:
    """The widest first; figures are never broken."""
    made = table.make("", ["name", table.right("at (s)"), "said"], [["a", "12.34 s", "one two three four five six"]])
    with fitting(40):
        shown = table.text(made)
    assert "12.34 s" in shown and "six" in shown and "Not shown" not in shown


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("environment", "stream", "expected"),
    [({}, Terminal(), True), ({"NO_COLOR": "1"}, Terminal(), False), ({"TERM": "dumb"}, Terminal(), False), ({}, io.StringIO(), False)],
)
def test_colours_only_on_a_terminal(environment: dict[str, str], stream: io.StringIO, expected: bool) -> None:
    """And not with NO_COLOR."""
    assert coloured(stream, environment) is expected
    report = msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)
    shown = text.screen(report, colour=expected)
    assert shown.endswith("\x1b[0m\n") is expected and ("\x1b[1;32m✓ PASS" in shown) is expected


@pytest.mark.parametrize(
    ("said", "width"),
    [({"NINES_COLUMNS": "72"}, 72), ({"NINES_COLUMNS": "0"}, None), ({"NINES_COLUMNS": "x"}, None), ({"COLUMNS": "72"}, None), ({}, None)],
)
def test_the_width_is_said_or_there_is_none(said: dict[str, str], width: int | None) -> None:
    """A pipe has none."""
    assert width_of(io.StringIO(), said) == width
