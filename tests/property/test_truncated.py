"""A run folder can be judged and reported whatever byte its writing stopped at: cut at every byte, never an error, never a pass.

Every cut of a file is tried on its reader. Judging is tried at the end of every row, a byte before and a byte after, and at bytes drawn by
chance; at every byte of every file with NINES_EVERY_BYTE=1 (minutes). The prediction is worked out once: no cut can change what it is for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from chaos.api import order_text, perform
from chaos.core import plugins as tables
from chaos.core.errors import HistoryUnreadable
from chaos.history import observations
from chaos.history.folder import RunFolder
from chaos.judge import judge as judging
from chaos.judge.judge import judge
from chaos.predict.run import facts_from_plan, predict
from chaos.report.build import from_folder, read_or_judge
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
EVERY_BYTE = bool(os.environ.get("NINES_EVERY_BYTE"))
DRAWN = 12
"""Cuts of a file at bytes drawn by chance."""
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


def places(data: bytes, ends: Iterable[int]) -> list[int]:
    """Where to cut: around all these ends, and anywhere."""
    if EVERY_BYTE:
        return list(range(len(data)))
    drawn = np.random.default_rng(len(data)).integers(0, len(data), DRAWN).tolist()
    return sorted({place for end in ends for place in (end - 1, end, end + 1) if 0 <= place < len(data)} | set(drawn))


def line_ends(data: bytes) -> list[int]:
    """The length of the file after each of its lines."""
    return [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]


@pytest.fixture
def predicted_once(monkeypatch: pytest.MonkeyPatch, whole: RunFolder) -> None:
    """The prediction of the whole run stands for that of any part of it, which takes half a second to work out."""
    kept = predict(whole.read_plan(), facts_from_plan(whole.read_plan()))
    monkeypatch.setattr(judging, "predict", lambda *_: kept)
    monkeypatch.setattr(judging.uncertain, "spreads", lambda *_: {})


@pytest.mark.usefixtures("predicted_once")
def test_a_history_cut_anywhere_never_passes(whole: RunFolder, copy: RunFolder) -> None:
    """The verdict is unknown, and its reason is told."""
    data = whole.history.read_bytes()
    for cut in places(data, line_ends(data)):
        copy.history.write_bytes(data[:cut])
        judged = judge(copy)
        assert (judged.verdict, judged.exit_code in UNFINISHED) == ("unknown", True), cut
        assert judged.reasons, cut


@pytest.mark.usefixtures("predicted_once")
def test_every_form_of_the_report_is_made_of_a_cut_history(whole: RunFolder, copy: RunFolder) -> None:
    """After each third row."""
    data = whole.history.read_bytes()
    for cut in line_ends(data)[::3]:
        copy.history.write_bytes(data[:cut])
        render_all(from_folder(copy))


def test_records_are_read_from_a_file_cut_at_any_byte(whole: RunFolder, copy: RunFolder) -> None:
    """Exactly the whole ones."""
    data, records = whole.observations.read_bytes(), whole.read_observations()
    head = len(data) - records.nbytes
    for cut in range(len(data) + 1):
        copy.observations.write_bytes(data[:cut])
        found = copy.read_observations()
        assert len(found) == max(cut - head, 0) // observations.dtype().itemsize, cut
        assert np.array_equal(found, records[: len(found)])


@pytest.mark.usefixtures("predicted_once")
def test_a_run_whose_records_were_cut_is_judged_and_never_passes(whole: RunFolder, copy: RunFolder) -> None:
    """The prober promised more slots than there are records: a failed check."""
    data, size = whole.observations.read_bytes(), observations.dtype().itemsize
    for cut in places(data, [0, *range(len(data), 0, -4 * size)]):
        copy.observations.write_bytes(data[:cut])
        judged = judge(copy)
        assert (judged.verdict, judged.exit_code) == ("unknown", 3), cut
    render_all(from_folder(copy))


@pytest.mark.usefixtures("predicted_once")
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


@pytest.mark.usefixtures("predicted_once")
@pytest.mark.parametrize("name", ["history.jsonl", "observations.bin", "undo.jsonl", "logs", "experiment.yaml"])
def test_a_run_folder_that_lacks_something_is_judged(copy: RunFolder, name: str) -> None:
    """Only the plan is indispensable."""
    path = copy.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    report = from_folder(copy)
    assert report.exit_code == (3 if name in {"history.jsonl", "observations.bin"} else 0)
    render_all(report)


@pytest.mark.usefixtures("predicted_once")
@pytest.mark.parametrize("name", ["undo.jsonl", "experiment.yaml", "report.json", "report.html", "report.schema.json", "logs/n1.log"])
def test_what_judging_does_not_need_may_be_cut(whole: RunFolder, copy: RunFolder, name: str) -> None:
    """The verdict of the whole run, and no error: the first and the last bytes of it, and some between."""
    data = (whole.path / name).read_bytes()
    found = places(data, [0, len(data)])
    for cut in found if EVERY_BYTE and len(data) < 5_000 else [*found[:2], *found[-2:], len(data) // 2]:
        (copy.path / name).write_bytes(data[:cut])
        judged = judge(copy)
        assert (judged.verdict, judged.exit_code) == ("pass", 0), cut


def test_a_report_cut_anywhere_is_refused(whole: RunFolder, copy: RunFolder) -> None:
    """A torn report.json is never shown as if it were whole."""
    data = whole.report.read_bytes().rstrip()
    for cut in places(data, [0, len(data)]):
        copy.report.write_bytes(data[:cut])
        with pytest.raises(HistoryUnreadable) as refused:
            read_or_judge(copy)
        assert "report.json" in str(refused.value), cut


def test_a_plan_cut_anywhere_is_refused(whole: RunFolder, copy: RunFolder) -> None:
    """It is written in one piece before anything starts, so a torn one is no plan of ours."""
    data = whole.plan.read_bytes().rstrip()
    for cut in places(data, line_ends(data)):
        copy.plan.write_bytes(data[:cut])
        with pytest.raises(HistoryUnreadable):
            judge(copy)
