"""Maintainability: the distribution of repairs by the product limit, with and without censored ones."""

from __future__ import annotations

import pytest

from chaos.measure.repairs import maintainability

TEN = [0.5, 0.6, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 3.0]


def test_all_seen_to_their_end() -> None:
    """Without censoring M is the share of outages that were shorter: median, 95th percentile, M(1 s)."""
    found = maintainability(TEN, [True] * 10, 1.0)
    assert found is not None
    assert (found.n, found.completed, found.median_s, found.p95_s) == (10, 10, 0.8, 3.0)
    assert found.within.value == pytest.approx(0.7)
    assert found.within.low is not None and found.within.high is not None
    assert found.within.low < 0.7 < found.within.high
    assert found.reason == ""


def test_product_limit_by_hand() -> None:
    """1 and 3 ended, 2 was not seen to: M(1) = 1/3, M(3) = 1 - 2/3 x 0 = 1."""
    found = maintainability([1.0, 2.0, 3.0], [True, False, True], 2.5)
    assert found is not None
    assert (found.median_s, found.p95_s) == (3.0, 3.0)
    assert found.within.n == 2
    assert "1 not seen" in found.reason
    assert "too few" in found.reason


def test_a_long_censored_outage_leaves_the_tail_open() -> None:
    """The longest one never ended: the 95th percentile is not known, and it counts against M at a time that it outlasted."""
    found = maintainability([1.0, 2.0, 60.0], [True, True, False], 10.0)
    assert found is not None
    assert (found.median_s, found.p95_s) == (2.0, None)
    assert found.within.value == pytest.approx(2 / 3)


def test_no_outage_has_no_distribution() -> None:
    """Nothing was repaired; and without an objective there is no M of it."""
    assert maintainability([], [], 1.0) is None
    found = maintainability([1.0], [True], None)
    assert found is not None
    assert (found.within.value, found.within.reason) == (None, "the experiment sets no limit on repairs")


def test_nothing_known_at_the_objective() -> None:
    """One outage, cut off before the limit: whether it met it cannot be told, and that is not 100 %."""
    found = maintainability([1.0], [False], 2.0)
    assert found is not None
    assert found.within.value is None
    assert found.median_s is None
