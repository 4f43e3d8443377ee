"""``nines gate``: many experiments, one verdict, told once in each form; and several experiments of ``nines run`` as one document."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from chaos.cli import main as cli
from chaos.evidence.store import Store
from tests.support.quick import QUICK

MISSED = QUICK.replace('">= 50%"', '">= 99.99%"').replace(": quick", ": missed")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of experiments, one of them missed, with a compose file among them."""
    monkeypatch.delenv("NINES_HISTORY")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "a.yaml").write_text(QUICK, encoding="utf-8")
    (folder / "b.yaml").write_text(MISSED, encoding="utf-8")
    (folder / "compose.yaml").write_text("services: {web: {image: nginx}}\n", encoding="utf-8")
    return tmp_path


def test_one_table_and_the_worst_status(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two run, one is missed: exit 1; JUnit is one file, and GitHub's summary gets the table."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    assert cli.main(["gate", "experiments", "--quiet", "--junit", "out/all.xml", "--markdown", "out/all.md"]) == 1
    said = capsys.readouterr()
    assert "1 of 2 experiments as expected (exit status 1)" in said.out
    assert "compose.yaml is a compose file: passed over" in said.err
    suites = Xml.parse("out/all.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["quick", "missed"]
    assert suites.get("failures") == "2"
    assert int(suites.get("tests", "0")) == len(suites.findall("testsuite/testcase"))
    assert Path("out/all.md").read_text(encoding="utf-8") == Path("summary.md").read_text(encoding="utf-8")
    with Store(Path("runs/history.db")) as store:
        assert store.count() == 2


def test_one_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the gate, and of several experiments of a run."""
    assert cli.main(["gate", "experiments", "--quiet", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], found["verdict"]) == (1, "fail")
    assert [each["report"]["experiment"] for each in found["experiments"]] == ["quick", "missed"]
    assert cli.main(["run", "experiments/a.yaml", "experiments/b.yaml", "--quiet", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["experiment"], each["exit_code"]) for each in found["runs"]] == [("quick", 0), ("missed", 1)]
    assert cli.main(["run", "experiments/a.yaml", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["experiment"] == "quick"


def test_nothing_starts_where_one_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All mistakes of all files are told, and stand in the files that CI reads."""
    for name, wrong in (("c", "basline: 2s"), ("d", "settel: 5s")):
        (here / "experiments" / f"{name}.yaml").write_text(QUICK + wrong + "\n", encoding="utf-8")
    assert cli.main(["gate", "experiments", "--quiet", "--junit", "out.xml"]) == 2
    said = capsys.readouterr()
    assert "unknown key 'basline'" in said.err
    assert "unknown key 'settel'" in said.err
    assert not list(here.glob("runs/*"))
    assert Xml.parse("out.xml").getroot().get("errors") == "2"


def test_against_another_version(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to compare with first; then a comparison, whose open answer is let through only if it is asked for."""
    words = ["gate", "experiments/a.yaml", "--quiet", "--against", "previous", "--json"]
    assert cli.main([*words, "--system-version", "v1"]) == 0
    first = json.loads(capsys.readouterr().out)["experiments"][0]
    assert "nothing to compare with yet" in first["uncompared"]
    assert cli.main([*words, "--system-version", "v2"]) == 3
    second = json.loads(capsys.readouterr().out)["experiments"][0]
    assert (second["comparison"]["old"], second["comparison"]["new"]) == ("v1", "v2")
    assert second["comparison"]["verdict"] == "cannot tell"
    assert cli.main([*words, "--system-version", "v3", "--unknown", "pass"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gate", "nowhere.yaml"], "nowhere.yaml"),
        (["gate", "empty"], "there is no experiment in empty"),
        (["gate", "experiments/compose.yaml"], "this is a compose file, not an experiment"),
        (["gate", "experiments", "--margin", "0.9"], "--margin 0.9 is out of range"),
        (["validate", "experiments/compose.yaml"], "attach: {compose: FILE"),
    ],
)
def test_what_is_refused(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    """With exit status 2."""
    (here / "empty").mkdir()
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema: 1\ntarget: mine\nparts: {}\n", "this is a target"),
        ('{"title": "x", "method": [], "steady-state-hypothesis": {}}', "this is a Chaos Toolkit experiment"),
        ("apiVersion: v1\nkind: Pod\n", "this is a Kubernetes manifest"),
    ],
)
def test_files_of_others_are_known_for_what_they_are(here: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    """By their keys, and with what to do instead."""
    Path("other.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["validate", "other.yaml"]) == 2
    assert said in capsys.readouterr().err
