"""Properties that hold for every cluster, every run of slots and every fault: formula, rule and simulation against each other."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaos.predict import formulas as article
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.measures import client_view, elasticities, first_failure_s, long_run
from chaos.predict.scenarios import outages as slots
from tests.reference import standby

RATES = st.floats(1e-7, 10.0)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterChain:
    """Any cluster of up to five nodes with any quorum, crews and coverage."""
    nodes = draw(st.integers(1, 5))
    covered = draw(st.booleans())
    return ClusterChain(
        nodes=nodes,
        quorum=draw(st.integers(1, nodes)),
        crash_per_s=draw(RATES),
        restart_per_s=draw(RATES),
        resync_per_s=draw(RATES),
        failover_per_s=draw(RATES),
        crews=draw(st.none() | st.integers(1, nodes)),
        coverage=1.0 if covered else draw(st.floats(0.0, 0.99)),
        reset_per_s=None if covered else draw(RATES),
    )


@given(clusters())
@example(ClusterChain(1, 1, crash_per_s=8.0, restart_per_s=1.0, resync_per_s=1e-7, failover_per_s=1e-7, coverage=0.0, reset_per_s=1.0))
@settings(max_examples=80, deadline=None)
def test_every_cluster(cluster: ClusterChain) -> None:
    """U in (0, 1]; the times fit together; elasticities of what has a unit sum to zero."""
    model = solvable(cluster)
    seen = long_run(model)
    assert 0.0 < seen.unavailability <= 1.0
    assert seen.mean_down_s / seen.cycle_s == pytest.approx(seen.unavailability, rel=1e-9)
    found = elasticities(cluster)
    assert sum(value for name, value in found.items() if name != "coverage") == pytest.approx(0.0, abs=1e-5)
    assert first_failure_s(model) > 0


@given(clusters(), st.floats(0.01, 100.0))
@settings(max_examples=40, deadline=None)
def test_another_unit_of_time(cluster: ClusterChain, factor: float) -> None:
    """All rates times a factor: the same availability, all times divided by it."""
    scaled = msgspec.structs.replace(cluster, **{name: rate * factor for name, rate in cluster.rates.items()})
    before, after = long_run(solvable(cluster)), long_run(solvable(scaled))
    assert after.unavailability == pytest.approx(before.unavailability, rel=1e-9)
    assert after.cycle_s * factor == pytest.approx(before.cycle_s, rel=1e-9)


@given(clusters())
@settings(max_examples=40, deadline=None)
def test_more_crews_and_faster_failover_never_hurt(cluster: ClusterChain) -> None:
    """Another crew, or half the time of a failover, never makes it worse."""
    usual = long_run(solvable(cluster)).unavailability
    everyone = msgspec.structs.replace(cluster, crews=None)
    quicker = msgspec.structs.replace(cluster, failover_per_s=2 * cluster.failover_per_s)
    assert long_run(solvable(everyone)).unavailability <= usual * (1 + 1e-9)
    assert long_run(solvable(quicker)).unavailability <= usual * (1 + 1e-9)


@given(clusters(), st.floats(0.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_retries_only_hide(cluster: ClusterChain, hidden_s: float) -> None:
    """Clients that hide the first W seconds see no more than the chain does."""
    model = solvable(cluster)
    view = client_view(model, hidden_s)
    assert 0.0 <= view.visible_share <= 1.0 + 1e-9
    assert view.unavailability <= long_run(model).unavailability * (1 + 1e-9)


@given(st.floats(1e-6, 50.0), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_corrected_formulas(expected: float, spares: int) -> None:
    """In [0, 1]; R falls in time and rises with spares; cold spares outlive hot ones; a crew each is never worse than one."""
    found = article.reliability_as_printed(expected, spares, 1.0)
    later = article.reliability_as_printed(expected, spares, 1.5)
    more = article.reliability_as_printed(expected, spares + 1, 1.0)
    assert found.corrected is not None and later.corrected is not None and more.corrected is not None
    assert 0.0 <= later.corrected <= found.corrected <= more.corrected <= 1.0
    assert found.value + found.corrected == pytest.approx(1.0)
    assert standby.hot_spares_reliability(expected, spares, 1.0) <= found.corrected + 1e-12
    one, each = (formula(expected, 1.0, spares) for formula in (article.cold_spares_one_crew, standby.cold_spares_crew_each))
    assert 0.0 < each <= one * (1 + 1e-12) <= 1.0 + 1e-12


def by_hand(bad: list[bool], opens: int, closes: int) -> list[tuple[int, int]]:
    """The outage rule as a state machine, slot by slot: (first bad slot, first good slot) of each outage."""
    found: list[tuple[int, int]] = []
    down, streak, since = False, 0, 0
    for index, is_bad in enumerate([*bad, *([False] * closes)]):
        streak = streak + 1 if is_bad != down else 0
        if streak == (closes if down else opens):
            if down:
                found.append((since, index - closes + 1))
            else:
                since = index - opens + 1
            down, streak = not down, 0
    return found


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_outage_rule(rows: list[list[bool]], opens: int, closes: int) -> None:
    """Whole arrays at once give the outages that going slot by slot gives, and no row touches the next."""
    first_due_s = np.linspace(0.0, 0.009, len(rows))
    found = slots.outages(np.array(rows), first_due_s, slots.Rule(0.01, opens, closes))
    wanted = [(row, *edges) for row, bad in enumerate(rows) for edges in by_hand(bad, opens, closes)]
    assert list(found.sample) == [row for row, _, _ in wanted]
    np.testing.assert_allclose(found.start_s, [first_due_s[row] + (begin - 0.5) * 0.01 for row, begin, _ in wanted], atol=1e-12)
    np.testing.assert_allclose(found.end_s, [first_due_s[row] + (end - 0.5) * 0.01 for row, _, end in wanted], atol=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(0.0, 0.2))
@settings(max_examples=200, deadline=None)
def test_merging_joins_short_gaps(bad: list[bool], merge_s: float) -> None:
    """After merging no two outages are nearer than ``merge_s``, and the outer edges stay."""
    rule = slots.Rule(0.01, 1, 1)
    apart = slots.outages(np.array([bad]), np.zeros(1), rule)
    merged = slots.outages(np.array([bad]), np.zeros(1), slots.Rule(0.01, 1, 1, merge_s))
    assert (len(merged.start_s) == 0) == (len(apart.start_s) == 0)
    if len(apart.start_s):
        assert (merged.start_s[0], merged.end_s[-1]) == (apart.start_s[0], apart.end_s[-1])
        assert np.all(merged.start_s[1:] - merged.end_s[:-1] >= merge_s)
