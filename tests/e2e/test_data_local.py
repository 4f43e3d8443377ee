"""Data checks of a real cluster: lists are appended to while the leader is killed, and nothing is lost, doubled or out of order."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order_text, perform
from chaos.history import journal
from chaos.history.folder import RunFolder

pytestmark = pytest.mark.e2e
EXPERIMENT = """
experiment: keeps-lists
question: Is an append lost or done twice when the leader dies?
cluster: {target: replicated_kv, nodes: 3, runtime: local}
traffic:
  operations: {write: 20/s}
data: {keys: 5, sessions: 4, rate: 100/s, mix: {append: 50%, read: 50%}, settle: 20s}
baseline: 1s
faults:
  - {kill: {}, target: leader, at: 1s, for: 1s}
settle: 2s
objectives: {lost_writes: 0, duplicate_writes: 0, linearizable: true}
"""


def test_appended_lists_are_kept_when_the_leader_dies(tmp_path: Path) -> None:
    """No check finds anything, and those of the whole history are decided; a busy machine may leave sessions with nothing to compare."""
    report = perform(order_text(EXPERIMENT, tmp_path / "keeps-lists.yaml"), RunFolder(tmp_path / "out"), history=tmp_path / "history.db")
    assert report.data is not None
    verdicts = {check.name: check.verdict for check in report.data.checks}
    assert "violated" not in verdicts.values(), report.data.checks
    assert {verdicts[name] for name in ("lost_writes", "duplicate_writes", "phantom_writes", "linearizable")} == {"ok"}
    assert report.data.acknowledged > 5
    assert report.data.damage == ""
    assert isinstance(journal.read(tmp_path / "out" / "operations.jsonl").rows[-1], journal.Ended)
    assert "linearizable" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
