"""A service over time, as a drawing shows it: requests good and bad and the latency of the good ones, in bins of one width."""

from __future__ import annotations

from typing import Final

import numpy as np

from chaos.measure.slots import BAD, GOOD
from chaos.measure.timeline import ServiceTimeline
from chaos.results.observed import Series

STEPS_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
MOST: Final = 1200
"""Bins: more than a screen has dots for, and a report of hours stays small."""
LEAST: Final = 5
"""Requests that a bin holds on average at least: of fewer a percentile says nothing."""


def series(service: ServiceTimeline) -> Series | None:
    """From the first slot on, the baseline included; None where no request was due. Latencies from due time, of good slots, in s."""
    slots = service.slots
    if not len(slots.due_s):
        return None
    span_s = float(slots.due_s[-1]) + slots.slot_s
    step_s = next((step for step in STEPS_S if span_s / step <= MOST and step >= LEAST * slots.slot_s), STEPS_S[-1])
    count = int(np.floor(span_s / step_s)) + 1
    place = np.clip((slots.due_s / step_s).astype(np.int64), 0, count - 1)
    good, bad = slots.state == GOOD, slots.state == BAD
    p50_s, p99_s = _percentiles(place[good], (slots.done_s - slots.due_s)[good], count)
    return Series(
        step_s=step_s,
        good=np.bincount(place[good], minlength=count).tolist(),
        bad=np.bincount(place[bad], minlength=count).tolist(),
        p50_s=p50_s,
        p99_s=p99_s,
    )


def _percentiles(place: np.ndarray, waits_s: np.ndarray, count: int) -> tuple[list[float | None], list[float | None]]:
    """Median and 99th percentile by bin, actual values; None for a bin without a good request."""
    order = np.lexsort((waits_s, place))
    waits_s = waits_s[order]
    sizes = np.bincount(place, minlength=count)
    begins = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    found: list[list[float | None]] = []
    for share in (0.5, 0.99):
        at = begins + np.maximum(np.ceil(share * sizes).astype(np.int64) - 1, 0)
        values = waits_s[np.minimum(at, max(len(waits_s) - 1, 0))] if len(waits_s) else np.zeros(count)
        found.append([round(float(value), 6) if size else None for value, size in zip(values, sizes, strict=True)])
    return found[0], found[1]
