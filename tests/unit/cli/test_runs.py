"""``nines runs`` and ``nines compare``, and names of runs wherever a folder is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.evidence.store import Store
from tests.support.kept import kept
from tests.support.quick import QUICK


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an experiment, and the usual history."""
    monkeypatch.delenv("NINES_HISTORY")
    monkeypatch.chdir(tmp_path)
    Path("quick.yaml").write_text(QUICK, encoding="utf-8")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str, exits: int = 0) -> str:
    """What a command says."""
    assert cli.main(words) == exits, capsys.readouterr().err
    return capsys.readouterr().out


def test_runs_accumulate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two versions on the fake runtime: both are listed, named by latest and by a begin, and held against each other."""
    for version, seed in (("v1", 1), ("v1", 2), ("v2", 3)):
        told(capsys, "run", "quick.yaml", "--quiet", "--seed", str(seed), "--system-version", version)
    listed = told(capsys, "runs")
    assert listed.count("quick-") == 3
    assert "noticed kill/leader faults so far, MTTR" in listed
    assert len(json.loads(told(capsys, "runs", "--json", "--version", "v1"))) == 2
    newest = json.loads(told(capsys, "runs", "--json", "-n", "1"))[0]
    assert newest["version"] == "v2"
    assert json.loads(told(capsys, "report", "latest", "--format", "json"))["run"] == newest["run"]
    for verb in (("judge",), ("history",), ("report",)):
        assert told(capsys, *verb, newest["run"][:-1])
    assert len(json.loads(told(capsys, "runs", "--json"))) == 3, "judging again doubles nothing"
    assert cli.main(["compare", "v1", "v2"]) in (0, 3)
    assert "MTTR of kill/leader" in capsys.readouterr().out
    assert cli.main(["report", "quick"]) == 2
    assert "any of 3 runs" in capsys.readouterr().err
    told(capsys, "runs", "--html", "out/runs.html", "--svg", "out/runs.svg")
    assert "<svg" in Path("out/runs.html").read_text(encoding="utf-8")
    assert Path("out/runs.svg").read_text(encoding="utf-8").startswith("<svg")


def test_exit_status_of_a_comparison(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Worse: 1; no worse: 0; one JSON document."""
    slow = [1.6, 1.7, 1.5, 1.6, 1.8]
    with Store(Path("runs/history.db"), create=True) as store:
        store.record_all([kept(number, version="old") for number in range(8)])
        store.record_all([kept(100, version="same"), kept(101, version="same"), kept(102, slow, version="slow")])
    assert "no worse than 1.3 times, shown" in told(capsys, "compare", "old", "same")
    found = json.loads(told(capsys, "compare", "same", "slow", "--json", exits=1))
    assert {row["verdict"] for row in found[0]["rows"] if row["measure"] == "mttr"} == {"worse"}
    told(capsys, "compare", "old", "slow", "--markdown", "out.md", exits=1)
    assert "| MTTR of kill/leader |" in Path("out.md").read_text(encoding="utf-8")


def test_histories_merge_and_folders_enter(here: Path, capsys: pytest.CaptureFixture[str], quick_run: Path) -> None:
    """By file and by folder; without any there is nothing, and that is said."""
    assert cli.main(["runs"]) == 0
    assert "no history yet" in capsys.readouterr().err
    with Store(Path("other.db"), create=True) as store:
        store.record_all([kept(1), kept(2)])
    told(capsys, "runs", "--merge", "other.db", "--add", str(quick_run))
    assert len(json.loads(told(capsys, "runs", "--json"))) == 3
    assert len(json.loads(told(capsys, "runs", "run-", "--json"))) == 2


def test_no_history_is_kept_where_nobody_wants_one(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``NINES_HISTORY=off``; and another file by that name."""
    monkeypatch.setenv("NINES_HISTORY", "off")
    told(capsys, "run", "quick.yaml", "--quiet")
    assert not Path("runs/history.db").exists()
    monkeypatch.setenv("NINES_HISTORY", str(here / "elsewhere" / "all.db"))
    told(capsys, "run", "quick.yaml", "--quiet")
    assert (here / "elsewhere" / "all.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "a", "b"), "no history yet"),
        (("runs", "--history", "nowhere.db"), "there is no history nowhere.db"),
        (("runs", "--since", "soon"), "--since"),
        (("report", "latest"), "no run here yet"),
        (("report", "nothing"), "there is no run 'nothing'"),
        (("run", "quick.yaml", "--system-version", "a b"), "not a version"),
    ],
)
def test_what_is_refused(here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    """With exit status 2, before anything starts."""
    if "--since" in words:
        Store(Path("runs/history.db"), create=True).close()
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err
    assert not list(here.glob("runs/quick-*"))
