"""From the fate of every slot to outages, by the rule that durations are measured with: the probe layer of the models.

    slots    g g b b g b b b g g g      (open 2, close 2)
    outage       [-----------]          from midway before its first bad slot to midway after its last

An outage opens after ``open`` bad slots in a row, closes after ``close`` good ones, both back-dated; gaps shorter than
``merge_s`` are joined. So one shorter than ``open`` slots is not noticed, and short good spells inside one do not end it.
This is the model's own reading of that rule: the measured side has another, and the two must agree on any run of slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """The outage rule with its slot width."""

    slot_s: float
    open: int
    close: int
    merge_s: float = 0.0


TRUE: Final = Rule(0.01, 1, 1)
"""What production suffers, whatever the probe of a run can see: every bad slot counts, so the expected downtime of an outage is its
length for any slot width (the number of slots in it, times their width, has that mean at a random phase)."""


@dataclass(frozen=True, slots=True, eq=False)
class Outages:
    """All outages of many samples: which sample, and from when to when (s, on the samples' own time axes)."""

    sample: Ints
    start_s: Floats
    end_s: Floats


def outages(bad: NDArray[np.bool_], first_due_s: Floats, rule: Rule) -> Outages:
    """The outages of each row of ``bad[sample, slot]``; slot k of a row is due at first_due + k slots. All before and after is good."""
    rows, slots = bad.shape
    width = slots + rule.close
    padded = np.zeros(rows * width + 2, dtype=bool)
    padded[1:-1].reshape(rows, width)[:, :slots] = bad
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    starts, ends = edges[0::2], edges[1::2]
    if not len(starts):
        nothing = np.zeros(0)
        return Outages(np.zeros(0, dtype=np.int64), nothing, nothing)
    # Bad runs that are less than ``close`` good slots apart belong together; the padding keeps the rows apart.
    begins_cluster = np.concatenate(([True], starts[1:] - ends[:-1] >= rule.close))
    heads = np.flatnonzero(begins_cluster)
    never = len(padded)
    opens = np.where(ends - starts >= rule.open, starts, never)
    opened = np.minimum.reduceat(opens, heads)
    closed = np.maximum.reduceat(ends, heads)
    there = opened < never
    opened, closed = opened[there], closed[there]
    sample = opened // width
    offset = sample * width
    start_s = first_due_s[sample] + (opened - offset - 0.5) * rule.slot_s
    end_s = first_due_s[sample] + (closed - offset - 0.5) * rule.slot_s
    return _merged(Outages(sample.astype(np.int64), start_s, end_s), rule.merge_s)


def _merged(found: Outages, merge_s: float) -> Outages:
    if merge_s <= 0 or len(found.sample) < 2:
        return found
    apart = (found.sample[1:] != found.sample[:-1]) | (found.start_s[1:] - found.end_s[:-1] >= merge_s)
    heads = np.flatnonzero(np.concatenate(([True], apart)))
    return Outages(found.sample[heads], found.start_s[heads], np.maximum.reduceat(found.end_s, heads))


def per_sample(found: Outages, values: Floats, samples: int) -> Floats:
    """The sum over each sample's outages."""
    return np.bincount(found.sample, weights=values, minlength=samples).astype(np.float64)


def last_end_s(found: Outages, samples: int) -> Floats:
    """The end of each sample's last outage, 0 where it has none."""
    last = np.zeros(samples)
    np.maximum.at(last, found.sample, found.end_s)
    return last
