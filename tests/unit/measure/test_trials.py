"""One row for each try at harming: what it cost, by itself and with what went down meanwhile."""

from __future__ import annotations

import pytest

from chaos.measure.timeline import build
from chaos.measure.trials import trials
from tests.support import synthetic


def test_each_trial_has_its_own_outage_and_its_cycle() -> None:
    """Three kills at 5, 12 and 20 s: outages of 0.5 s and 1.2 s, and one that nobody noticed; 0.3 s went down by itself at 17 s."""
    spec, windows = synthetic.kills([5.0, 12.0, 20.0])
    plan = synthetic.make_plan(faults=[spec], windows=windows)
    rows = [*synthetic.frame(plan)]
    for window in windows:
        rows += synthetic.fault_rows(window, settled_s=window.start_s + 3)
    seen = build(plan, rows, synthetic.slots(plan, [(5.0, 5.5), (12.0, 13.2), (17.0, 17.3)]))
    found = trials(seen, seen.services["write"])
    assert [each.fault_class for each in found] == ["kill/leader"] * 3
    assert [each.outage_s for each in found] == pytest.approx([0.5, 1.2, 0.0], abs=0.011)
    assert [each.down_s for each in found] == pytest.approx([0.5, 1.5, 0.0], abs=0.021)
    assert [each.cycle_s for each in found] == pytest.approx([10.0, 8.0, 10.0], abs=0.05)
    assert sum(each.cycle_s for each in found) == pytest.approx(seen.services["write"].span_s)
    assert [each.latency_p99_s for each in found] == pytest.approx([0.002] * 3, abs=1e-6)
    assert not any(each.censored for each in found)


def test_an_outage_that_did_not_end_is_told_as_censored() -> None:
    """What was seen of it counts, and is marked."""
    spec, windows = synthetic.kills([25.0])
    plan = synthetic.make_plan(faults=[spec], windows=windows)
    rows = [*synthetic.frame(plan), *synthetic.fault_rows(windows[0])]
    seen = build(plan, rows, synthetic.slots(plan, [(25.0, 31.0)]))
    (only,) = trials(seen, seen.services["write"])
    assert only.censored
    assert only.outage_s == pytest.approx(5.0, abs=0.02)
    assert only.recovery_s is None
