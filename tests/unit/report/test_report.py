"""From a run folder to the report, and onto disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import jsonschema
import msgspec
import pytest

from chaos.core.errors import HistoryUnreadable
from chaos.history.folder import RunFolder
from chaos.report.build import HTML_FILE, SCHEMA_FILE, from_folder, read_or_judge
from chaos.results.report import Report


def test_all_files_are_written(quick_run: Path) -> None:
    """A judged run has its report, the schema and the page, and they belong together."""
    schema = msgspec.json.decode((quick_run / SCHEMA_FILE).read_bytes())
    jsonschema.validate(msgspec.json.decode((quick_run / "report.json").read_bytes()), schema)
    assert (quick_run / HTML_FILE).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_shows_what_was_done(quick_run: Path) -> None:
    """Both kills are there, each with its outage, on the judged service."""
    report = read_or_judge(RunFolder(quick_run))
    assert [fault.fault_class for fault in report.faults] == ["kill/leader", "kill/leader"]
    assert all(fault.status == "healed" and fault.outage_ids and fault.recovery_s for fault in report.faults)
    assert report.judged == "write"
    assert report.observed is not None
    assert {lane.kind for lane in report.timeline} >= {"service", "node", "role", "dns", "fault"}


def test_judging_again_is_the_same(quick_run: Path) -> None:
    """The same folder gives the same report, without a cluster."""
    assert from_folder(RunFolder(quick_run)) == msgspec.json.decode((quick_run / "report.json").read_bytes(), type=Report)


def test_torn_history_is_still_judged(quick_run: Path, tmp_path: Path) -> None:
    """Cut in the middle of a row and of a record, a run is judged on what there is, and never passes."""
    cut = tmp_path / "cut"
    shutil.copytree(quick_run, cut)
    (cut / "report.json").unlink()
    for name, share in (("history.jsonl", 0.6), ("observations.bin", 0.55)):
        data = (cut / name).read_bytes()
        (cut / name).write_bytes(data[: int(len(data) * share) + 7])
    assert read_or_judge(RunFolder(cut)).verdict == "unknown"


def test_not_a_run_folder(tmp_path: Path) -> None:
    """A folder of something else is refused in one sentence."""
    with pytest.raises(HistoryUnreadable, match=r"no plan\.json"):
        read_or_judge(RunFolder(tmp_path))


def test_unreadable_report_says_how_to_get_a_new_one(quick_run: Path, tmp_path: Path) -> None:
    """A damaged report.json is not shown in part."""
    copy = tmp_path / "copy"
    shutil.copytree(quick_run, copy)
    (copy / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(HistoryUnreadable, match="nines judge"):
        read_or_judge(RunFolder(copy))
