"""When an alert must fire and when it may, by the requests of a recorded run alone: what Prometheus' answer is held against.

The run is embedded in good traffic of the same rate, before and after, as long as the longest window. Prometheus sees the counters only at
scrapes, and the harness tells of a second only once its requests are decided. So the share of failed requests over a window is taken over
every stretch that those delays allow: the alert must fire where all of them are above the threshold, and may where one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.measure.slots import BAD, GOOD, Slots
from chaos.report.alerts.rules import BurnAlert, OutageAlert, Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS: Final = 4
"""Points of the grid a scrape interval."""
TELLS_S: Final = 1.0
"""The prober tells of whole seconds."""


class Expected(msgspec.Struct, frozen=True, eq=False):
    """Of one alert, at each evaluation: whether it must be firing, and whether it may be."""

    at_s: NDArray[np.float64]
    must: NDArray[np.bool_]
    may: NDArray[np.bool_]


class Truth:
    """The requests of one run, counted; times in seconds since its first request, negative before."""

    def __init__(self, slots: Slots, deadline_s: float, rules: Rules, before_s: float, after_s: float, gap_s: float) -> None:
        self._step_s = min(rules.scrape_s, rules.evaluation_s) / STEPS
        self._scrape_s = rules.scrape_s
        self._gap_s = gap_s
        """Samples before the run are so far apart."""
        self._lag_s = TELLS_S + deadline_s
        known = (slots.state == GOOD) | (slots.state == BAD)
        due_s = slots.due_s[known]
        self._grid_s = np.arange(-before_s, slots.end_s + after_s + self._step_s / 2, self._step_s)
        rate_per_s = 1.0 / slots.slot_s
        inside = np.searchsorted(due_s, self._grid_s, side="right")
        around = np.minimum(self._grid_s, 0.0) * rate_per_s + np.maximum(self._grid_s - slots.end_s, 0.0) * rate_per_s
        self._all = around + inside
        self._bad = np.concatenate(([0], np.cumsum(slots.state[known] == BAD)))[inside].astype(np.float64)

    def burn(self, alert: BurnAlert, at_s: NDArray[np.float64]) -> Expected:
        """Above the threshold over both windows."""
        least_long, most_long = self._ratios(alert.long_s, at_s)
        least_short, most_short = self._ratios(alert.short_s, at_s)
        above = alert.threshold
        return Expected(at_s, (least_long > above) & (least_short > above), (most_long > above) & (most_short > above))

    def outage(self, alert: OutageAlert, at_s: NDArray[np.float64]) -> Expected:
        """No good request for so long, and some bad one."""
        within = alert.after_s + self._scrape_s
        most = np.zeros(len(at_s), dtype=np.bool_)
        for first_s, last_s in self._stretches(within):
            bad, every = self._between(at_s + first_s, at_s + last_s)
            most |= (bad > 0) & (bad >= every)
        # it must fire once every request that a scrape may have left out is bad as well
        wider_bad, wider_all = self._between(at_s - within - self._lag_s - self._scrape_s, at_s)
        return Expected(at_s, (wider_bad > 0) & (wider_bad >= wider_all), most)

    def _ratios(self, window_s: float, at_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        least = np.full(len(at_s), np.inf)
        most = np.full(len(at_s), -np.inf)
        for first_s, last_s in self._stretches(window_s):
            bad, every = self._between(at_s + first_s, at_s + last_s)
            ratio = np.divide(bad, every, out=np.zeros(len(at_s)), where=every > 0)
            least, most = np.minimum(least, ratio), np.maximum(most, ratio)
        # of a counter that begins at 0 Prometheus extrapolates a scrape less (promql.extrapolatedRate)
        return least * (1.0 - self._scrape_s / window_s), most

    def _stretches(self, window_s: float) -> list[tuple[float, float]]:
        """(begin, end) relative to an evaluation: the window's own, and those that lack a scrape at an end or what is not told yet."""
        lag = int(np.ceil(self._lag_s / self._step_s))
        gap = round(self._gap_s / self._step_s)
        return [
            (-window_s + (first - later) * self._step_s, -(last + later) * self._step_s)
            for first in sorted({*range(STEPS + 1), gap})
            for last in range(STEPS + 1)
            for later in sorted({0, lag // 2, lag})
        ]

    def _between(self, begin_s: NDArray[np.float64], end_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(bad, all) requests due in each stretch."""
        first, last = self._places(begin_s), self._places(end_s)
        return self._bad[last] - self._bad[first], self._all[last] - self._all[first]

    def _places(self, at_s: NDArray[np.float64]) -> NDArray[np.intp]:
        places: NDArray[np.intp] = np.rint((at_s - self._grid_s[0]) / self._step_s).astype(np.intp)
        return places.clip(0, len(self._grid_s) - 1)
