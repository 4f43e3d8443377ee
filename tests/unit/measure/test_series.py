"""A service over time, and the log of a run, as drawings and pages show them."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.history.events import FaultSkipped, PhaseBegun, TrafficSecond
from chaos.measure import log, timeline
from chaos.measure.series import LEAST, MOST, series
from tests.support import synthetic as by_hand


@pytest.mark.parametrize(("duration_s", "rate_per_s", "step_s"), [(30.0, 100.0, 0.1), (30.0, 10.0, 0.5), (3600.0, 100.0, 3.0)])
def test_bins_hold_every_request_once(duration_s: float, rate_per_s: float, step_s: float) -> None:
    """Few enough to draw, each with enough requests; what is down is bad in its own bins and nowhere else."""
    plan = by_hand.make_plan(duration_s=duration_s, rate_per_s=rate_per_s)
    seen = timeline.build(plan, by_hand.frame(plan), by_hand.slots(plan, [(12.0, 15.0)], latency_s=0.02))
    found = series(seen.services["write"])
    assert found is not None and found.step_s == step_s
    assert len(found.good) <= MOST + 1 and step_s * rate_per_s >= LEAST
    assert sum(found.good) + sum(found.bad) == round(duration_s * rate_per_s)
    assert sum(found.bad) == round(3.0 * rate_per_s)
    inside = range(round(12 / step_s), round(15 / step_s))
    assert all(found.good[place] == 0 and found.p50_s[place] is None for place in inside)
    assert sum(found.bad[place] for place in inside) == sum(found.bad)
    assert found.p50_s[0] == pytest.approx(0.02) and found.p99_s[0] == pytest.approx(0.02)


def test_percentiles_of_a_bin_are_actual_values() -> None:
    """Against numpy's inverted distribution function, bin by bin."""
    from chaos.measure.series import _percentiles

    draw = np.random.default_rng(1)
    place, waits_s = draw.integers(0, 7, 900), draw.exponential(0.01, 900)
    p50_s, p99_s = _percentiles(place, waits_s, 9)
    for share, found in ((0.5, p50_s), (0.99, p99_s)):
        expected = [float(np.quantile(waits_s[place == number], share, method="inverted_cdf")) for number in range(7)]
        assert found[:7] == pytest.approx(expected, abs=1e-6)
        assert found[7:] == [None, None]


def test_the_log_names_the_row_and_the_fault() -> None:
    """Counts of requests are no events; the number is that of the row in the history."""
    rows = [
        PhaseBegun(at_ns=by_hand.at_ns(0), phase="baseline"),
        TrafficSecond(at_ns=by_hand.at_ns(1), operation="write", due=1, good=1, bad=0, missing=0, bad_run_s=0.0),
        FaultSkipped(at_ns=by_hand.at_ns(2), id="k.1", fault="k", kind="kill", reason="not settled"),
    ]
    found = log.lines(rows, by_hand.START_NS)
    assert [(line.number, round(line.at_s, 3), line.text, line.fault) for line in found] == [
        (1, 0.0, "phase baseline", ""), (3, 2.0, "k.1 skipped: not settled", "k.1"),
    ]  # fmt: skip
