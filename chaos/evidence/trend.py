"""How the mean outage of a fault class went from run to run: points for a picture, and what all runs together show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.evidence import k_samples
from chaos.evidence.compare import FAULT, MTTR, RUN, Compared, compare, estimate_of, weighed
from chaos.evidence.ratio_test import Values
from chaos.evidence.rows import Trials
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN: Final = 60
"""So many of the newest runs make a picture."""


class Point(msgspec.Struct, frozen=True):
    """One run: its mean outage, the shortest and the longest one, in s."""

    version: str
    mean_s: float
    least_s: float
    most_s: float
    faults: int


class Trend(msgspec.Struct, frozen=True):
    """A fault class over all runs of one configuration."""

    fault_class: str
    faults: int
    """Noticed ones: only they have an outage."""
    runs: int
    versions: int
    outage_s: Estimate
    """The mean outage of all runs together."""
    unit: str
    """What its interval takes for one piece of evidence."""
    pooling_p: float | None
    newest: str
    """The newest version."""
    compared: Compared | None
    """The newest version against all before; None where there is but one."""
    points: list[Point]
    added: int = 0
    """How many of the faults are of the newest version."""


def trends(trials: Trials, margin: float) -> list[Trend]:
    """One for each fault class of which clients noticed a fault, in the order in which they occur."""
    outages = np.array(trials.outage_s, dtype=np.float64)
    runs, versions = np.array(trials.run, dtype=np.int64), np.array(trials.version, dtype=object)
    classes = np.array(trials.fault_class, dtype=object)
    found = []
    for name in dict.fromkeys(trials.fault_class):
        chosen = (classes == name) & (outages > 0)
        if chosen.any():
            found.append(_trend(name, outages[chosen], runs[chosen], versions[chosen], margin))
    return found


def _trend(name: str, outages_s: NDArray[np.float64], runs: NDArray[np.int64], versions: NDArray[np.object_], margin: float) -> Trend:
    pooling_p = k_samples.p_value(outages_s, runs)
    unit = RUN if pooling_p is not None and pooling_p < k_samples.LEVEL else FAULT
    _, firsts, labels, counts = np.unique(runs, return_index=True, return_inverse=True, return_counts=True)
    sums = weighed(labels, outages_s)
    values = Values(outages_s, np.ones(len(outages_s))) if unit == FAULT else Values(sums, counts.astype(np.float64))
    order = np.argsort(firsts)[-SHOWN:]
    points = []
    for place in order.tolist():
        mine = outages_s[labels == place]
        points.append(Point(str(versions[firsts[place]]), float(mine.mean()), float(mine.min()), float(mine.max()), len(mine)))
    newest = str(versions[-1])
    return Trend(
        fault_class=name,
        faults=len(outages_s),
        runs=len(counts),
        versions=len(set(versions.tolist())),
        outage_s=estimate_of(MTTR, values, unit),
        unit=unit,
        pooling_p=pooling_p,
        newest=newest,
        compared=_newest_against_all(name, outages_s, runs, versions, newest, margin),
        points=points,
        added=int(np.count_nonzero(versions == newest)),
    )


def _newest_against_all(
    name: str, outages_s: NDArray[np.float64], runs: NDArray[np.int64], versions: NDArray[np.object_], newest: str, margin: float
) -> Compared | None:
    is_new = versions == newest
    if is_new.all():
        return None
    old, new = (_only(name, outages_s[chosen], runs[chosen], versions[chosen]) for chosen in (~is_new, is_new))
    return compare(old, new, margin=margin, measures=(MTTR,))[0]


def _only(name: str, outages_s: NDArray[np.float64], runs: NDArray[np.int64], versions: NDArray[np.object_]) -> Trials:
    count = len(outages_s)
    nothing = [None] * count
    return Trials(
        runs.tolist(), versions.tolist(), [name] * count, outages_s.tolist(), [0] * count, [0.0] * count, nothing, nothing, nothing
    )
