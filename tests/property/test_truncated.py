"""A run folder can be judged and reported whatever byte its writing stopped at: cut at every byte, never an error, never a pass.

Every cut of a file is tried on its reader; since it drops torn rows, the cuts within one row are alike, and judging is tried once for
each row (and, for the records, once for every eighth of them).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from chaos.api import order_text, perform
from chaos.core import plugins as tables
from chaos.core.errors import HistoryUnreadable
from chaos.history import observations
from chaos.history.folder import RunFolder
from chaos.judge.judge import judge
from chaos.report.build import from_folder
from chaos.results.report import Report

SMALL = """\
experiment: small
question: What can be read of it?
cluster: {target: replicated_kv, nodes: 3, runtime: fake}
traffic: {operations: {write: 10/s}, judge: write}
baseline: 1s
faults:
  - {name: kill-leader, kill: {}, target: leader, at: 500ms, for: 500ms}
settle: 4s
seed: 1
objectives: {mttr: "<= 10s"}
"""
UNFINISHED = {3, 6}
"""A check failed (the history stops early), or a fault was not proven gone."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run, to its end."""
    folder = RunFolder(tmp_path_factory.mktemp("small") / "run")
    assert perform(order_text(SMALL, Path("small.yaml")), folder).exit_code == 0
    return folder


@pytest.fixture
def copy(whole: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy that a test may cut."""
    shutil.copytree(whole.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def render_all(report: Report) -> None:
    """Every form of the report."""
    for name in tables.names("reports"):
        assert tables.find("reports", name)(report)


def test_rows_are_read_from_a_history_cut_at_any_byte(whole: RunFolder, copy: RunFolder) -> None:
    """Exactly those rows whose line is whole."""
    data, rows = whole.history.read_bytes(), whole.rows()
    for cut in range(len(data) + 1):
        copy.history.write_bytes(data[:cut])
        assert copy.rows() == rows[: data[:cut].count(b"\n")], cut


def test_a_history_cut_after_any_row_is_judged_and_never_passes(whole: RunFolder, copy: RunFolder) -> None:
    """The verdict is unknown, its reason is told, and every form of the report can be made."""
    lines = whole.history.read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        copy.history.write_bytes(b"".join(lines[:kept]) + lines[kept][:-1])
        report = from_folder(copy)
        assert (report.verdict, report.exit_code in UNFINISHED) == ("unknown", True), kept
        assert report.reasons
        render_all(report)


def test_records_are_read_from_a_file_cut_at_any_byte(whole: RunFolder, copy: RunFolder) -> None:
    """Exactly the whole ones."""
    data, records = whole.observations.read_bytes(), whole.read_observations()
    head = len(data) - records.nbytes
    for cut in range(len(data) + 1):
        copy.observations.write_bytes(data[:cut])
        found = copy.read_observations()
        assert len(found) == max(cut - head, 0) // observations.dtype().itemsize, cut
        assert np.array_equal(found, records[: len(found)])


def test_a_run_whose_records_were_cut_is_judged_and_never_passes(whole: RunFolder, copy: RunFolder) -> None:
    """The prober promised more slots than there are records: a failed check."""
    data, size = whole.observations.read_bytes(), observations.dtype().itemsize
    for cut in [0, 1, *range(len(data) - 1, 0, -8 * size)]:
        copy.observations.write_bytes(data[:cut])
        judged = judge(copy)
        assert (judged.verdict, judged.exit_code) == ("unknown", 3), cut
    render_all(from_folder(copy))


def test_damaged_rows_and_records_are_no_bug(copy: RunFolder) -> None:
    """What a disk made of them after a crash (zeros, noise) is passed over or counted as missing; the run never passes."""
    draw = np.random.default_rng(1)
    histories, records = copy.history.read_bytes(), copy.observations.read_bytes()
    for place in draw.integers(len(histories) // 4, len(histories), 10).tolist():
        copy.history.write_bytes(histories[:place] + draw.bytes(40) + b"\n" + histories[place + 40 :])
        keep = len(records) - place % len(records) // 2
        copy.observations.write_bytes(records[:keep] + bytes(len(records) - keep))
        report = from_folder(copy)
        assert report.verdict == "unknown", place
        render_all(report)


@pytest.mark.parametrize("name", ["history.jsonl", "observations.bin", "undo.jsonl", "logs", "experiment.yaml"])
def test_a_run_folder_that_lacks_something_is_judged(copy: RunFolder, name: str) -> None:
    """Only the plan is indispensable."""
    path = copy.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    report = from_folder(copy)
    assert report.exit_code == (3 if name in {"history.jsonl", "observations.bin"} else 0)
    render_all(report)


def test_a_plan_cut_anywhere_is_refused(whole: RunFolder, copy: RunFolder) -> None:
    """It is written in one piece before anything starts, so a torn one is no plan of ours."""
    data = whole.plan.read_bytes()
    for cut in range(0, len(data) - 2, 97):
        copy.plan.write_bytes(data[:cut])
        with pytest.raises(HistoryUnreadable):
            judge(copy)
