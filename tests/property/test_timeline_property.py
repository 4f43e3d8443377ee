"""What is put into the slots comes back out of them, whatever it is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.experiment.traffic import OutageRule
from chaos.measure import estimates as stats
from chaos.measure.timeline import build
from tests.support import synthetic
from tests.support.synthetic import frame, kills, make_plan

GAPS = st.lists(st.tuples(st.floats(0.2, 2.0), st.floats(0.05, 1.5)), min_size=0, max_size=8)
Gaps = list[tuple[float, float]]
RATES = st.sampled_from([50.0, 100.0, 200.0, 333.0])


def intervals(gaps: Gaps) -> Gaps:
    """Up for the first of each pair, then down for the second."""
    at_s, out = 2.0, []
    for up_s, down_s in gaps:
        out.append((at_s + up_s, at_s + up_s + down_s))
        at_s += up_s + down_s
    return out


@settings(max_examples=60, deadline=None)
@given(GAPS, RATES)
def test_outages_come_back_within_half_a_slot(gaps: Gaps, rate_per_s: float) -> None:
    """Every edge lies within half a slot of the truth, and none is missed or invented."""
    down = intervals(gaps)
    plan = make_plan(rate_per_s=rate_per_s)
    outages = build(plan, frame(plan), synthetic.slots(plan, down)).services["write"].outages
    assert len(outages) == len(down)
    for outage, (from_s, to_s) in zip(outages, down, strict=True):
        assert abs(outage.start_s - from_s) <= 0.5 / rate_per_s + 1e-6
        assert abs(outage.end_s - to_s) <= 0.5 / rate_per_s + 1e-6
        assert outage.low_s - 1e-9 <= to_s - from_s <= outage.high_s + 1e-9


@settings(max_examples=60, deadline=None)
@given(GAPS, st.integers(0, 2**32 - 1), st.floats(0.0, 0.3))
def test_missing_slots_only_widen(gaps: Gaps, seed: int, share: float) -> None:
    """Whatever slots are missing, the truth stays inside the bounds of each outage that is found, and availability in [0, 1]."""
    down = intervals(gaps)
    plan = make_plan()
    rng = np.random.default_rng(seed)
    records = synthetic.slots(plan, down, missing=lambda due_s: rng.random(len(due_s)) < share)
    service = build(plan, frame(plan), records).services["write"]
    assert 0 <= service.downtime_s <= service.span_s
    for outage in service.outages:
        around = [(from_s, to_s) for from_s, to_s in down if from_s - 0.6 < outage.start_s < to_s + 0.6]
        assert around
        assert any(outage.low_s - 1e-9 <= to_s - from_s for from_s, to_s in around) or len(around) > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("gbm"), min_size=0, max_size=400), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 0.03, 0.2]))
def test_the_rule_is_the_rule(states: list[str], opens: int, closes: int, merge_s: float) -> None:
    """The vectorised rule agrees with the same rule as a plain loop, slot by slot."""
    plan = make_plan(duration_s=len(states) / 100, baseline_s=0.0, rule=OutageRule(opens, closes, merge_s))
    records = synthetic.slots(plan)
    records["outcome"] = [1 if state == "b" else 0 for state in states]
    records["sent"] += np.array([9_000_000 if state == "m" else 0 for state in states], dtype=np.int64)
    service = build(plan, frame(plan), records).services["write"]
    found = [(round(outage.start_s * 200), None if outage.end_s is None else round(outage.end_s * 200)) for outage in service.outages]
    assert found == by_loop(states, opens, closes, merge_s)


def by_loop(states: list[str], opens: int, closes: int, merge_s: float) -> list[tuple[int, int | None]]:
    """Outages as (start, end) in half slots: the rule read aloud."""
    known = [(place, state) for place, state in enumerate(states) if state != "m"]
    out, is_down, run = [], False, []
    for position, (_, state) in enumerate(known):
        run = [*run, position] if (state == "g") == is_down else []
        if len(run) == (closes if is_down else opens):
            first = run[0]
            edge = known[first][0] + known[first - 1][0] if first else 0
            if is_down:
                out[-1] = (out[-1][0], edge)
            elif out and merge_s > 0 and (edge - out[-1][1]) / 200 < merge_s - 1e-9:
                out[-1] = (out[-1][0], None)
            else:
                out.append((edge, None))
            is_down, run = not is_down, []
    return out


@settings(max_examples=40, deadline=None)
@given(GAPS, st.integers(0, 3000), st.booleans())
def test_a_torn_run_still_has_sane_figures(gaps: Gaps, kept: int, ended: bool) -> None:
    """Cut off after any record: no figure is out of its range, none is not a number."""
    spec, windows = kills([5.0, 12.0])
    plan = make_plan(faults=[spec], windows=windows)
    rows = [*frame(plan, ended=ended), *synthetic.fault_rows(windows[0])]
    observed = stats.observe(plan, build(plan, rows, synthetic.slots(plan, intervals(gaps))[:kept]))
    if observed is None:
        return
    for estimate in (observed.availability, observed.success_ratio):
        for value in (estimate.value, estimate.low, estimate.high):
            assert value is None or 0 <= value <= 1
    for estimate in (observed.mttr_s, observed.mttf_s, observed.mtbf_s):
        values = [value for value in (estimate.low, estimate.value, estimate.high) if value is not None]
        assert all(value >= 0 for value in values)
        assert values == sorted(values)
        assert estimate.value is not None or estimate.reason
