"""Failure detectors beside clients: worked figures from rows made by hand, judged from a folder on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.history.events import Row, ViewChanged
from chaos.report import build, tables
from chaos.report.formats import html, text
from tests.support import synthetic


def view(at_s: float, node: str, other: str, suspects: bool = True, detector: str = "fixed") -> Row:
    """A row of the watch."""
    return ViewChanged(at_ns=synthetic.at_ns(at_s), node=node, other=other, detector=detector, suspects=suspects, resolution_s=0.02)


def test_who_suspected_whom_how_late_and_without_reason(tmp_path: Path) -> None:
    """n1 dies at 5 s and is back at 7 s: n2 suspects it after 0.5 s and n3 after 0.6 s, until 0.4 s after its return. At 20 s n3 suspects
    n2 for 0.3 s, while nothing is wrong. Phi says nothing at all. Writes fail from 5 s to 5.7 s."""
    spec, windows = synthetic.kills([5.0], for_s=2.0)
    plan = synthetic.make_plan(faults=[spec], windows=windows)
    known = [view(-1.0, "n2", other, suspects=False, detector=name) for other in ("n1", "n3") for name in ("fixed", "phi")]
    told = [
        view(5.5, "n2", "n1"), view(5.6, "n3", "n1"), view(7.4, "n2", "n1", suspects=False), view(7.3, "n3", "n1", suspects=False),
        view(20.0, "n3", "n2"), view(20.3, "n3", "n2", suspects=False),
    ]  # fmt: skip
    rows = [*synthetic.frame(plan), *synthetic.fault_rows(windows[0]), *known, *told]
    folder = synthetic.write_run(tmp_path / "run", plan, rows, synthetic.slots(plan, [(5.0, 5.7)]))
    report = build.from_folder(folder)
    found = report.detectors
    assert found is not None
    assert found.names == ["fixed", "phi"]
    assert found.pairs == 4
    fixed, phi = found.faults
    assert (fixed.by, fixed.late_s) == (["n2 -> n1", "n3 -> n1"], 0.02)
    assert (fixed.after_s, fixed.cleared_after_s) == (pytest.approx(0.5), pytest.approx(0.4))
    assert (fixed.clients_after_s, fixed.clients_s) == (pytest.approx(0.0, abs=0.011), pytest.approx(0.7, abs=0.011))
    assert (phi.by, phi.after_s, phi.cleared_after_s) == ([], None, 0.0)
    (wrong,) = found.unfounded
    assert (wrong.detector, wrong.by, wrong.at_s, wrong.lasted_s) == ("fixed", "n3 -> n2", pytest.approx(20.0), pytest.approx(0.3))
    (row,) = tables.of(report, 5)["detectors"].rows
    assert [cell.line for cell in row[3:]] == ["after 500 ms (n2 -> n1, n3 -> n1; cleared 400 ms after rollback)", "never suspected"]
    for page in (text.render(report), html.render(report)):
        assert "fixed: 1 false suspicion; the first at 20.00 s, n3 -&gt; n2, for 300 ms." in page.replace("n3 -> n2", "n3 -&gt; n2")
    lanes = {lane.name: [(each.start_s, each.state) for each in lane.intervals] for lane in report.timeline if lane.kind == "detector"}
    assert lanes["phi"] == []
    assert lanes["fixed"][0] == (pytest.approx(5.5), "n2 suspects n1")


def test_a_target_without_detectors_has_no_such_table(tmp_path: Path) -> None:
    """Nothing was asked, so nothing is told: not that nobody suspected anybody."""
    plan = synthetic.make_plan(faults=[], windows=[])
    folder = synthetic.write_run(tmp_path / "run", plan, synthetic.frame(plan), synthetic.slots(plan, []))
    report = build.from_folder(folder)
    assert report.detectors is None
    assert "detectors" not in tables.of(report, 5)
