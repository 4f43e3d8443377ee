"""What windows as long as the SLO's show in production: everything that the long run counts, as outages at random moments of a long life.

    isolated faults   each class at its rate, with its drawn outages
    overlaps          what the cluster's chain adds to them, by lengths (``outage_flow``)
    parts around      outages at their own rate and length, where the experiment says both; where it says a share of time alone, nothing is
                      known of lengths, and each window loses that share

A part counts as often as it matters: with the probability that the rest would be up without it (Birnbaum's importance). Lengths are scaled
where parts in parallel end each other's outages early, so that the mean is the long run's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.experiment.production import Around
from chaos.predict import surroundings as around
from chaos.predict.markov.window import FiniteRun, Mixture
from chaos.results.predicted import WindowPredicted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOISE: Final = 1e-6
"""A share of windows below this is the grid's."""


def of(
    window_s: float,
    objective: float | None,
    isolated: Sequence[tuple[float, Floats]],
    overlaps: Sequence[tuple[float, float]],
    parts: Around | None,
    cluster: float,
) -> WindowPredicted | None:
    """``isolated``: (rate in 1/s, draws of the downtime of one, zeros included); ``overlaps``: (rate, length in s); ``cluster``: its
    unavailability. None where clients notice nothing."""
    whole = around.unavailability(parts, cluster)
    if whole <= 0 or window_s <= 0:
        return None
    shown = around.outages(parts, cluster)
    rates = [np.full(int((downs_s > 0).sum()), shown.cluster * per_s / len(downs_s)) for per_s, downs_s in isolated]
    lengths = [downs_s[downs_s > 0] for _, downs_s in isolated]
    single = [(shown.cluster * per_s, length_s) for per_s, length_s in overlaps] + list(shown.parts)
    rates_per_s = np.concatenate([*rates, np.array([rate for rate, _ in single])])
    times_s = np.concatenate([*lengths, np.array([length_s for _, length_s in single])])
    total_per_s, lost = math.fsum(rates_per_s), float(rates_per_s @ times_s)
    evenly = whole if lost <= 0 else shown.evenly
    mean = 1.0 - whole
    if lost <= 0:
        met = None if objective is None else float(mean >= objective)
        return WindowPredicted(window_s, 0.0, mean, mean, 0.0, objective, met, some_outage=1.0, evenly=evenly)
    times_s *= (whole - evenly) / lost
    run = FiniteRun(total_per_s / (1.0 - (whole - evenly)), Mixture(times_s, rates_per_s), window_s, stationary=True)
    none = evenly <= 0
    return WindowPredicted(
        window_s=window_s,
        no_outage=run.no_outage if none else 0.0,
        mean_availability=mean,
        worst_of_20=max(0.0, run.availability_quantile(0.05) - evenly),
        outages=total_per_s * window_s,
        objective=objective,
        met=None if objective is None else _met(run, objective + evenly),
        some_outage=run.some_outage if none else 1.0,
        evenly=evenly,
    )


def _met(run: FiniteRun, needed: float) -> float:
    """The share of windows that are up for at least so much of their time."""
    if needed >= 1.0:
        return run.no_outage if needed == 1.0 else 0.0
    share = 1.0 - run.up_at_most(needed * run.window_s * (1 - 1e-12))
    return share if share > NOISE else 0.0
