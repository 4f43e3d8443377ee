"""The test on the shape of outages: right under its own model with ties and mixtures, and able to see another law of the same mean."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.judge.agreement import compare
from chaos.judge.shape_test import DRAWN, shape
from tests.support.outages import SLOT_S, Drawn, heartbeat_outages

COARSE_S = 0.25


def coarse(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Outages of a few slots each: most of them tie."""
    return np.round((rng.uniform(0.0, 1.0, size) + 0.6) / COARSE_S) * COARSE_S


@pytest.mark.parametrize("slot_s", [SLOT_S, COARSE_S])
def test_right_predictions_are_refused_in_five_percent(slot_s: float) -> None:
    """Whatever the ties: of 300 right predictions some 15 are refused."""
    rng = np.random.default_rng(1)
    draw = heartbeat_outages if slot_s == SLOT_S else coarse
    law = draw(rng, 20_000)
    found = [shape(list(draw(rng, 9)), [law], [9], slot_s, seed) for seed in range(300)]
    refused = sum(each is not None and each.p_value < 0.05 for each in found)
    assert 4 <= refused <= 31


def test_another_law_of_the_same_mean_is_seen() -> None:
    """Ten exponential outages are not those of a heartbeat detection, though their mean may be the same."""
    rng = np.random.default_rng(2)
    law = heartbeat_outages(rng, 20_000)
    seen = [shape(list(np.round(rng.exponential(law.mean(), 10), 2)), [law], [10], SLOT_S, seed) for seed in range(40)]
    assert sum(each is not None and each.p_value < 0.05 for each in seen) >= 36


def test_durations_that_differ_are_drawn_apart() -> None:
    """Three faults of 2 s and three of 20 s: that is what was predicted, and six of 20 s are not."""
    rng = np.random.default_rng(3)
    parts = [2.0 + heartbeat_outages(rng, 5000), 20.0 + heartbeat_outages(rng, 5000)]
    seen = [float(part[index]) for part in parts for index in (1, 2, 3)]
    as_told = shape(seen, parts, [3, 3], SLOT_S, 1)
    assert as_told is not None and as_told.p_value > 0.05
    other = shape([float(each) for each in parts[1][:6]], parts, [3, 3], SLOT_S, 1)
    assert other is not None and other.p_value < 0.01


def test_unnoticed_faults_are_left_to_the_share() -> None:
    """Zeros among what was seen and predicted are not part of the shape."""
    rng = np.random.default_rng(4)
    law = heartbeat_outages(rng, 20_000) * (rng.uniform(size=20_000) < 0.5)
    seen = [*heartbeat_outages(rng, 8), *[0.0] * 8]
    found = shape(seen, [law], [16], SLOT_S, 1)
    assert found is not None
    assert found.outages == 8
    assert found.p_value > 0.02


def test_values_outside_of_all_that_was_predicted() -> None:
    """As extreme as can be: the least p that so many draws can give."""
    rng = np.random.default_rng(5)
    found = shape([9.0] * 6, [heartbeat_outages(rng, 5000)], [6], SLOT_S, 1)
    assert found is not None
    assert found.p_value == 1 / (1 + DRAWN)
    assert found.distance == pytest.approx(1.0)


def test_four_outages_have_no_shape() -> None:
    """Nor has a class that predicts none."""
    rng = np.random.default_rng(6)
    assert shape([1.0] * 4, [heartbeat_outages(rng, 1000)], [4], SLOT_S, 1) is None
    assert shape([1.0] * 9, [np.zeros(100)], [9], SLOT_S, 1) is None


def test_shape_is_a_row_of_the_agreement() -> None:
    """Corrected with the others; its 40 outages for equivalence are told; many show it."""
    rng = np.random.default_rng(7)
    few, many = (heartbeat_outages(rng, count) for count in (10, 80))
    law = heartbeat_outages(rng, 20_000)
    rows, _ = compare("write", {"kill/leader": list(few)}, {"kill/leader": Drawn(law, (10,))}, 1.5, SLOT_S)
    row = next(each for each in rows if each.measure == "shape")
    assert (row.verdict, row.low, row.high) == ("inconclusive", None, None)
    assert row.faults_to_decide is not None and 30 <= row.faults_to_decide <= 50
    rows, overall = compare("write", {"kill/leader": list(many)}, {"kill/leader": Drawn(law, (80,))}, 1.5, SLOT_S)
    assert next(each for each in rows if each.measure == "shape").verdict == "consistent"
    assert overall == "consistent"


def test_a_wrong_shape_is_inconsistent_though_the_total_is_right() -> None:
    """Half of the outages halved, half of them longer by as much: the same downtime, another law. Only the row says so."""
    rng = np.random.default_rng(8)
    law = heartbeat_outages(rng, 20_000)
    mean_s = float(law.mean())
    seen = [round(mean_s * 0.2, 2)] * 10 + [round(mean_s * 1.8, 2)] * 10
    rows, overall = compare("write", {"kill/leader": seen}, {"kill/leader": Drawn(law, (20,))}, 1.5, SLOT_S)
    assert overall == "consistent"
    assert next(each for each in rows if each.measure == "shape").verdict == "inconsistent"
