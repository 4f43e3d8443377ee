"""The articles' formulas: both columns pinned, and the properties that the printed ones lack."""

from __future__ import annotations

import math

import pytest

import chaos.predict
from chaos.core.errors import BadInput
from chaos.predict import formulas as article
from tests.reference.standby import cold_spares_crew_each, hot_spares_crew_each, hot_spares_reliability


@pytest.mark.parametrize(("spares", "printed", "right"), [(0, 0.181269, 0.818731), (1, 0.0175231, 0.982477), (2, 0.00114848, 0.998852)])
def test_reliability(spares: int, printed: float, right: float) -> None:
    """The worked example at lt = 0.2: what is printed, and what it should be."""
    found = article.reliability_as_printed(0.1, spares, 2.0)
    assert found.value == pytest.approx(printed, rel=3e-6)
    assert found.corrected == pytest.approx(right, rel=1e-6)


def test_reliability_keeps_its_digits() -> None:
    """P(more than 3 failures) at lt = 1e-6 is about (lt)^4 / 24, where 1 - sum would be 0."""
    assert article.reliability_as_printed(1e-6, 3, 1.0).value == pytest.approx(1e-24 / 24, rel=1e-5)


def test_hot_spares_are_another_answer() -> None:
    """With one hot spare at lt = 0.2 the reliability is 0.967141, below the cold one."""
    hot = hot_spares_reliability(0.1, 1, 2.0)
    assert hot == pytest.approx(0.967141, abs=5e-7)
    cold = article.reliability_as_printed(0.1, 1, 2.0).corrected
    assert cold is not None and cold > hot


@pytest.mark.parametrize(
    ("spares", "time", "printed", "digit"),
    [(0, 2.0, -0.4101, 1e-4), (1, 2.0, -0.8080, 1e-4), (0, 50.0, 0.632, 1e-3), (1, 50.0, 0.264, 1e-3), (0, 1000.0, 0.99999999794, 1e-11)],
)
def test_availability_as_printed(spares: int, time: float, printed: float, digit: float) -> None:
    """The printed A(s) at l = 0.02/h and m = 0.4/h: below zero, worse with a spare, and 1 in the end."""
    found = article.availability_as_printed(0.02, 0.4, spares, time)
    assert found.value == pytest.approx(printed, abs=digit / 2)
    assert not found.is_probability
    assert "whatever the rates" in found.warning
    assert ("no probability" in found.warning) == (not 0 <= printed <= 1)


def test_availability_of_one_unit() -> None:
    """Up at t = 0, and m / (l + m) = 0.952381 in the end."""
    assert article.one_unit_availability(0.02, 0.4, 0.0) == 1.0
    assert article.one_unit_availability(0.02, 0.4, 1e6) == pytest.approx(0.952381, abs=5e-7)


def test_unavailabilities_with_one_spare() -> None:
    """The three readings at r = 0.05 and s = 1, to the digits printed; more crews never hurt."""
    one, each, hot = (formula(0.05, 1.0, 1) for formula in (article.cold_spares_one_crew, cold_spares_crew_each, hot_spares_crew_each))
    assert one == pytest.approx(2.37530e-3, rel=3e-6)
    assert each == pytest.approx(1.18906e-3, rel=3e-6)
    assert hot == pytest.approx(2.26757e-3, rel=3e-6)
    assert each < hot and each < one


def test_two_readings_of_mtbf() -> None:
    """200 h and 10 h are 0.95238 or 0.95."""
    found = article.availability_from_mtbf(200, 10)
    assert found.value == pytest.approx(0.95238, abs=5e-6)
    assert found.corrected == pytest.approx(0.95)
    assert article.availability_from_mtbf(5, 10).corrected is None


def test_fault_tolerance_is_a_count() -> None:
    """Three nodes of which two are needed tolerate one fault; the print gives an availability."""
    found = article.fault_tolerance_as_printed(200, 10, 3, 2)
    assert found.value == pytest.approx(0.95238, abs=5e-6)
    assert found.corrected == 1.0


def test_three_readings_of_scalability() -> None:
    """2 to 4 nodes and 1000 to 1800 requests/s: 400 per node, 0.8, or an efficiency of 0.9."""
    found = article.scalability_as_printed((1000, 1800), (2, 4))
    assert found.value == 400
    assert "0.8 instead" in found.meaning
    assert found.corrected == pytest.approx(0.9)


def test_maintainability_is_inverted() -> None:
    """The print grows as repairs get slower; the right form falls."""
    fast, slow = (article.maintainability_as_printed(100, down, 5) for down in (1, 10))
    assert slow.value > fast.value
    assert fast.corrected == pytest.approx(1 - math.exp(-5))
    assert slow.corrected is not None and fast.corrected is not None and slow.corrected < fast.corrected


def test_not_offered_at_the_top() -> None:
    """The printed formulas cannot be had by accident."""
    assert not any("printed" in name for name in dir(chaos.predict))
    assert "article" not in getattr(chaos.predict, "__all__", ())


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_rates_outside_the_domain_are_refused(bad: float) -> None:
    """Zero, negative and not-a-number rates are refused."""
    with pytest.raises(BadInput):
        article.cold_spares_one_crew(bad, 1.0, 1)
    with pytest.raises(BadInput):
        article.reliability_as_printed(bad, 1, 1.0)


def test_negative_spares_and_times_are_refused() -> None:
    """There are no -1 spares, and no time before the start."""
    with pytest.raises(BadInput, match="spares"):
        article.reliability_as_printed(0.1, -1, 1.0)
    with pytest.raises(BadInput, match="time"):
        article.reliability_as_printed(0.1, 1, -1.0)
