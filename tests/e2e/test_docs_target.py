"""The target that docs/targets.md writes from scratch, run for real: a newcomer's first system must work as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.api import order, perform
from chaos.history.folder import RunFolder
from tests.support.needs import need
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "targets.md"
SHOWN = re.compile(r"^```\w+[^\n]*file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.e2e
def test_shelf_runs_as_shown(tmp_path: Path) -> None:
    """Three copies behind the name, one killed, clients measured; only the schedule is shortened."""
    from chaos.net.toxiproxy.program import cache_path

    need("toxiproxy-server", cache_path().exists() or None, how="make setup")
    for name, text in SHOWN.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("every: 6s, for: 2s, times: 3", "every: 2s, for: 1s, times: 1").replace("settle: 10s", "settle: 4s"))
    report = perform(order(tmp_path / "shelf-kill.yaml", runtime="local"), RunFolder(tmp_path / "shelf-run"))
    assert [fault.status for fault in report.faults] == ["healed"], report.reasons
    assert report.observed is not None
    assert report.observed.probes["get"].ok > 200
    assert set(report.observed.services) == {"put", "get"}
    assert {node.name for node in report.nodes} == {"n1", "n2", "n3"}
