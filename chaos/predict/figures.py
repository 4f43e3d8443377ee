"""From draws of single faults to the figures of a class and of a run, each with the range that runs like this one show it in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.core.rng import derive
from chaos.results.predicted import ClassPredicted, Range, ServicePredicted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUNS: Final = 20_000
"""Runs drawn for the ranges of the aggregates."""
CONFIDENCE: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True, eq=False)
class ClassSamples:
    """Draws of one fault class on one service, one entry a fault: what it cost, zeros included."""

    downtime_s: Floats
    noticed: NDArray[np.bool_]
    recovery_s: Floats
    outages: NDArray[np.int64]
    stratum: NDArray[np.int64]
    """Which of the run's durations a draw belongs to: faults of 2 s and of 20 s are not pooled."""
    faults: tuple[int, ...]
    """How many faults of the run each stratum stands for."""
    lost_s: Floats
    """Bad slots times their width, in no outage some of them."""

    def pick(self, rng: np.random.Generator, runs: int) -> Sequence[NDArray[np.int64]]:
        """For each fault of the run, ``runs`` draws (as indices)."""
        rows = [np.flatnonzero(self.stratum == stratum) for stratum in range(len(self.faults))]
        return [among[rng.integers(0, len(among), runs)] for among, count in zip(rows, self.faults, strict=True) for _ in range(count)]


def shown(samples: ClassSamples, phases: Mapping[str, float], seed: int) -> ClassPredicted:
    """The class's figures with the range that means over so many faults show."""
    rng = np.random.default_rng(seed)
    picks = samples.pick(rng, RUNS)
    drawn = np.column_stack([samples.noticed, samples.recovery_s, samples.downtime_s])
    sums = np.zeros((RUNS, drawn.shape[1]))
    for index in picks:
        sums += drawn.take(index, axis=0)
    noticed, recovery_s, down_s = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        outage_s = down_s / noticed
        noticed, recovery_s = noticed / len(picks), recovery_s / len(picks)
    weights = np.array(samples.faults, dtype=float)[samples.stratum] / np.bincount(samples.stratum)[samples.stratum]
    weights /= weights.sum()
    share = min(float(weights @ samples.noticed), 1.0)
    mean_s = float(weights @ samples.downtime_s)
    spread_s = math.sqrt(max(0.0, float(weights @ samples.downtime_s**2) - mean_s**2))
    return ClassPredicted(
        share=_range(share, noticed),
        recovery_s=_range(float(weights @ samples.recovery_s), recovery_s),
        outage_s=_range(mean_s / share, outage_s) if share > 0 else Range(None, reason="clients are not expected to notice"),
        phases=dict(phases),
        cv=spread_s / mean_s if mean_s > 0 else None,
    )


def _range(value: float, runs: Floats) -> Range:
    """A figure with the 95 % range of what runs show of it; runs that show nothing do not count."""
    shown = runs[np.isfinite(runs)]
    if not len(shown):
        return Range(value)
    low, high = np.quantile(shown, CONFIDENCE)
    return Range(value, float(low), float(high))


def aggregate(span_s: float, samples: Mapping[str, ClassSamples], by_fault: dict[str, ClassPredicted], service: str) -> ServicePredicted:
    unknown = [name for name, shown in by_fault.items() if shown.share.value is None]
    if unknown:
        nothing = Range(None, reason=f"no prediction for {', '.join(sorted(unknown))}")
        return ServicePredicted(nothing, nothing, nothing, nothing, by_fault)
    rng = np.random.default_rng(derive(0, "models", "run", service))
    down_s, outages = np.zeros(RUNS), np.zeros(RUNS)
    mean_s = mean_outages = 0.0
    for drawn in samples.values():
        for index in drawn.pick(rng, RUNS):
            down_s += drawn.downtime_s[index]
            outages += drawn.outages[index]
        for stratum, count in enumerate(drawn.faults):
            mean_s += count * float(drawn.downtime_s[drawn.stratum == stratum].mean())
            mean_outages += count * float(drawn.outages[drawn.stratum == stratum].mean())
    # Outages that are drawn one by one may be longer together than the run is: it cannot be down for more than all of it.
    mean_s, down_s = min(mean_s, span_s), np.minimum(down_s, span_s)
    availability = _range(1.0 - mean_s / span_s, 1.0 - down_s / span_s)
    if mean_outages <= 0:
        nothing = Range(None, reason="clients are not expected to notice any fault")
        return ServicePredicted(availability, nothing, nothing, nothing, by_fault)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ServicePredicted(
            availability=availability,
            mttr_s=_range(mean_s / mean_outages, down_s / outages),
            mttf_s=_range((span_s - mean_s) / mean_outages, (span_s - down_s) / outages),
            mtbf_s=_range(span_s / mean_outages, span_s / outages),
            by_fault=by_fault,
        )
