"""What a plan can show of the agreement of prediction and observation, by the very test that will judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.judge.agreement import LEVEL
from chaos.judge.downtime_sums import SumDistribution
from chaos.predict import sample_size as planning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chaos.predict.figures import ClassSamples

    Floats = NDArray[np.float64]

SCALES: Final = (1.2, 1.5, 2.0)
"""How much longer than predicted outages might really be."""


class AgreementPower(msgspec.Struct, frozen=True):
    """Of the agreement on the judged service."""

    margin: float
    consistent: float
    """The chance to be shown consistent, if the prediction is right."""
    detects: dict[str, float]
    """Outages longer by that factor -> the chance that they are called inconsistent."""
    faults_needed: int | None


def _kinds(draws: Mapping[str, ClassSamples]) -> list[tuple[Floats, int]]:
    return [(each.downtime_s[each.stratum == stratum], count) for each in draws.values() for stratum, count in enumerate(each.faults)]


def agreement(draws: Mapping[str, ClassSamples], margin: float, slot_s: float, spread: float) -> AgreementPower:
    """Exactly, from the distribution of the total that the agreement itself uses."""
    import numpy as np

    kinds = _kinds(draws)
    faults = sum(count for _, count in kinds)
    if not any(each.any() for each, _ in kinds):
        unnoticed = math.ceil(math.log(LEVEL) / math.log(1.0 / margin))
        return AgreementPower(margin, 1.0 if faults >= unnoticed else 0.0, {}, unnoticed)
    sums = SumDistribution(kinds, slot_s, spread)
    # What the predicted law calls it, given a true law without the prediction's own uncertainty.
    truth = SumDistribution(kinds, slot_s) if spread > 0 else sums
    top_s, bottom_s = sums.quantile_s(1 - LEVEL), sums.quantile_s(LEVEL)
    below, above = np.cumsum(sums.mass), np.cumsum(sums.mass[::-1])[::-1]

    def shares(scale: float) -> tuple[float, float]:
        totals_s = scale * truth.step_s * np.arange(len(truth.mass))
        # without any downtime seen no factor can be told, however little is predicted
        same = (totals_s >= top_s / margin) & (totals_s <= margin * bottom_s) & (totals_s > 0)
        places = totals_s / sums.step_s
        low = np.minimum(np.floor(places + 1e-3), len(below) - 1).astype(np.int64)
        high = np.ceil(places - 1e-3).astype(np.int64)
        upper = np.where(high < len(above), above[np.minimum(high, len(above) - 1)], 0.0)
        different = 2 * np.minimum(below[low], upper) < LEVEL
        return float(truth.mass[same].sum()), float(truth.mass[different & ~same].sum())

    mean_s = sum(float(each.mean()) * count for each, count in kinds) / faults
    variance = sum(float(np.var(each)) * count for each, count in kinds) / faults
    cv = math.sqrt(variance) / mean_s
    needed = planning.agreement_faults(cv, margin) if spread == 0 else None
    return AgreementPower(margin, shares(1.0)[0], {f"{scale:g}": shares(scale)[1] for scale in SCALES}, needed)
