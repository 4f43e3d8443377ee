"""The page of measured systems, and its table of leader kills, from reports on disk."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from bench.measured import keeping, page
from bench.measured.rows import LEFT, ROOT, Row, read_rows

ROW = Row(run="x-kill", file="etcd-leader-kill.yaml", target="etcd", runtime="local", seeds=(1, 2))
FAULT = "kill/leader"


def report(verdict: str = "pass", agreement: str = "consistent", expected: str = "pass") -> dict:
    """As much of a report as the page reads."""
    told = {"value": 1.1, "low": 0.9, "high": 1.4}
    return {
        "verdict": verdict,
        "expect_verdict": expected,
        "agreement_overall": agreement,
        "agreement": [{"class": FAULT, "service": "write", "measure": "downtime", "verdict": agreement}],
        "judged": "write",
        "seed": 1,
        "run": "x",
        "started_at": "2026-11-30T19:00:00",
        "question": "How long?",
        "reasons": [],
        "objectives": [{"name": "mttr", "want": "<= 2s", "verdict": verdict}],
        "observed": {"by_fault": {FAULT: {"effective": 10, "recovery_s": told}}, "outages": []},
        "predicted": {"by_fault": {FAULT: {"recovery_s": told}}},
    }


def keep(runs: Path, name: str, kept: dict, left: list | None = None) -> None:
    """A run folder."""
    (runs / name).mkdir(parents=True)
    (runs / name / "report.json").write_text(json.dumps(kept), encoding="utf-8")
    if left is not None:
        (runs / name / LEFT).write_text(json.dumps(left), encoding="utf-8")


def test_one_line_a_seed(tmp_path: Path) -> None:
    """What was run with its figures; what was not is said to be missing."""
    keep(tmp_path, "x-kill-1", report(), [])
    ran, missing = page.leader_kills([ROW], tmp_path)[2:]
    assert (
        ran == "| `etcd-leader-kill` | local | 1 | pass | consistent | 10 | 1.1 s (900 ms to 1.4 s) | 1.1 s (900 ms to 1.4 s) | nothing |"
    )
    assert "not run here yet" in missing
    assert ran.count("|") == missing.count("|")


@pytest.mark.parametrize(
    ("kept", "left", "said"),
    [
        (report(), [], []),
        (report(agreement="inconsistent"), [], []),
        (report(agreement="inconclusive"), [], ["x-kill-1 (agreement inconclusive)"]),
        (report(verdict="unknown"), [], ["x-kill-1 (unknown)"]),
        (report(), [{"run": "x"}], ["x-kill-1 (left 1 things behind)"]),
        (report(verdict="fail", expected="fail"), [], []),
    ],
)
def test_what_is_not_as_expected(tmp_path: Path, kept: dict, left: list, said: list[str]) -> None:
    """A wrong verdict, an open agreement, and what a run left."""
    keep(tmp_path, "x-kill-1", kept, left)
    keep(tmp_path, "x-kill-2", report(), [])
    assert list(page.not_as_expected(ROW, tmp_path)) == said


def test_writes_that_were_lost_of_how_many(tmp_path: Path) -> None:
    """From the objective that counted them; nobody looked: a dash, never a zero."""
    counted = report()
    counted["objectives"].append({"name": "lost_writes", "want": "0", "verdict": "fail", "observed": {"value": 136.0, "n": 1486}})
    assert page.lost(counted) == "136 of 1,486"
    assert page.lost(report()) == "–"


def test_a_missing_run_is_not_as_expected(tmp_path: Path) -> None:
    """No run, no claim."""
    assert list(page.not_as_expected(ROW, tmp_path)) == ["x-kill-1 (not run)", "x-kill-2 (not run)"]


def test_each_row_is_an_experiment_of_its_target() -> None:
    """Names are not repeated, and the page that is kept has a section for each target."""
    rows = read_rows()
    assert len({row.run for row in rows}) == len(rows)
    for row in rows:
        assert yaml.safe_load((ROOT / "experiments" / row.file).read_text(encoding="utf-8"))["cluster"]["target"] == row.target
    kept = page.page(rows, ROOT / "nowhere")
    assert sum(line.startswith("## ") for line in kept) == 1 + len({row.target for row in rows})


def test_what_has_no_folder_keeps_its_lines(tmp_path: Path) -> None:
    """Lines of tables by experiment, runtime and seed; figures of sections by seed. What is there now replaces them."""
    row = msgspec.structs.replace(ROW, settings="its own")
    old, new, none = tmp_path / "old", tmp_path / "new", tmp_path / "none"
    for number in (1, 2):
        keep(old, f"x-kill-{number}", {**report(), "seed": number}, [])
    keep(new, "x-kill-2", {**report(agreement="inconclusive"), "seed": 2}, [])
    before = "\n".join(page.page([row], old)).splitlines()
    kept = keeping.merged(list(page.page([row], none)), before)
    assert kept[kept.index("## Each leader kill, three seeds") :] == before[before.index("## Each leader kill, three seeds") :]
    after = keeping.merged(list(page.page([row], new)), before)
    table = [line for line in after if line.startswith("| `") and "local | " in line]
    assert [("inconclusive" in line, " 2 |" in line) for line in table[:2]] == [(False, False), (True, True)]
    assert sum("- Seed 1: " in line for line in after) == sum("- Seed 2: " in line for line in after) == 1
    assert sum(line.startswith("**etcd") for line in after) == 1
