"""Two sets of runs held against each other: per fault class the mean outage, over all faults availability and latency.

Each row is a ratio, new over old, with the interval and p-values of ``ratio_test``; numbers are never subtracted and called a change.

    no worse      the 90 % interval lies below the margin (1.3 times): shown, by a non-inferiority test at 5 %
    worse         not that, and p < 5 % (corrected by Holm over all rows) for a ratio of 1 or less
    cannot tell   neither; with the number of further faults that would tell

Faults are taken one by one where the runs of each side may be pooled (``k_samples``), else a run counts as one piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.evidence import k_samples, needed
from chaos.evidence.ratio_test import LEVEL, Ratio, Values, log_error, ratio
from chaos.evidence.rows import Trials
from chaos.measure.means import CONFIDENCE, few, interval_of_mean
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MARGIN: Final = 1.3
REGRESSION: Final = 1.5
"""The factor whose chance to be found is told beside each row."""
MTTR: Final = "mttr"
AVAILABILITY: Final = "availability"
LATENCY: Final = "latency_p99"
MEASURES: Final = (MTTR, AVAILABILITY, LATENCY)
SAME: Final = "no worse"
WORSE: Final = "worse"
OPEN: Final = "cannot tell"
FAULT: Final = "fault"
RUN: Final = "run"
BOOTSTRAPPED: Final = 100
"""Beyond so many values the mean's logarithm is as good as normal, and no resampling is worth its time."""
LEAST_LAW: Final = 8
"""With fewer values of the old version, those of the new one help to tell how values spread."""


class Compared(msgspec.Struct, frozen=True):
    """One row. Times in s, availability as a share."""

    measure: str
    fault_class: str
    """Empty: over all faults."""
    old: Estimate
    new: Estimate
    unit: str
    """What counts as one piece of evidence: ``fault`` or ``run``."""
    pooling_p: float | None
    """The chance of runs that differ so much, the smaller one of both sides; None: nothing to tell apart."""
    ratio: float | None
    """New over old; of availability the ratio of downtime shares."""
    low: float | None
    high: float | None
    """The 90 % interval of the ratio."""
    p_worse: float | None
    """If nothing had changed: the chance of so large a ratio; corrected by Holm over the rows."""
    p_margin: float | None
    """If it were worse by the margin: the chance of so small a ratio."""
    power: float | None
    """The chance that these numbers find values ``REGRESSION`` times as large."""
    verdict: str
    more: int | None = None
    """Where it cannot be told: about how many more pieces of the new version would tell."""
    reason: str = ""


class Comparison(msgspec.Struct, frozen=True):
    """All rows of one configuration, and the worst of their verdicts."""

    configuration: str
    experiment: str
    old: str
    """What the old side is called."""
    new: str
    old_runs: int
    new_runs: int
    old_faults: int
    new_faults: int
    margin: float
    verdict: str
    rows: list[Compared]
    cautions: list[str] = []


class _Draft(msgspec.Struct):
    """A row before the rows around it are known."""

    measure: str
    fault_class: str
    old: Values
    new: Values
    unit: str
    pooling_p: float | None
    ratio: Ratio | None
    reason: str = ""


class _Pieces(msgspec.Struct, frozen=True, eq=False):
    """Values of one measure on one side, fault by fault."""

    sums: Floats
    sizes: Floats
    runs: Ints

    def values(self, unit: str) -> Values:
        """One by one, or run by run."""
        if unit == FAULT:
            return Values(self.sums, self.sizes)
        _, labels = np.unique(self.runs, return_inverse=True)
        return Values(weighed(labels, self.sums), weighed(labels, self.sizes))


def weighed(labels: Ints, weights: Floats) -> Floats:
    """The sum of the weights of each label."""
    return np.bincount(labels, weights).astype(np.float64)


def compare(old: Trials, new: Trials, *, margin: float = MARGIN, measures: Sequence[str] = MEASURES) -> list[Compared]:
    """The rows of two sides; those first whose figure is a class's own."""
    drafts = []
    if MTTR in measures:
        for name in dict.fromkeys([*new.fault_class, *old.fault_class]):
            drafts.append(_draft(MTTR, name, _outages(old, name), _outages(new, name), margin))
    if AVAILABILITY in measures:
        drafts.append(_draft(AVAILABILITY, "", _downtime(old), _downtime(new), margin))
    if LATENCY in measures:
        drafts.append(_draft(LATENCY, "", _latency(old), _latency(new), margin))
    tested = [draft for draft in drafts if draft.ratio is not None]
    corrected = _holm([draft.ratio.p_worse for draft in tested if draft.ratio is not None])
    by_row = {id(draft): p_value for draft, p_value in zip(tested, corrected, strict=True)}
    return [_judged(draft, by_row.get(id(draft)), len(tested), margin) for draft in drafts]


def overall(rows: Sequence[Compared]) -> str:
    """Worse if any row is; no worse if all are; else it cannot be told."""
    verdicts = {row.verdict for row in rows}
    return WORSE if WORSE in verdicts else SAME if verdicts == {SAME} else OPEN


# --- what is compared --------------------------------------------------------------------------------------------------


def _outages(trials: Trials, fault_class: str) -> _Pieces:
    """The outages of a class that clients noticed."""
    kept = _column(trials.outage_s)
    chosen = (np.array([name == fault_class for name in trials.fault_class], dtype=bool)) & (kept > 0)
    return _Pieces(kept[chosen], np.ones(int(chosen.sum())), _runs(trials)[chosen])


def _downtime(trials: Trials) -> _Pieces:
    """All that was down, over the time that it was looked at: each cycle stands for their mean, since how long one is says nothing."""
    down, cycle = _column(trials.down_s), _column(trials.cycle_s)
    chosen = ~np.isnan(down) & (cycle > 0)
    count = int(chosen.sum())
    return _Pieces(down[chosen], np.full(count, cycle[chosen].mean() if count else 1.0), _runs(trials)[chosen])


def _latency(trials: Trials) -> _Pieces:
    """The 99th percentile of the good requests of each cycle."""
    waits = _column(trials.latency_p99_s)
    chosen = ~np.isnan(waits)
    return _Pieces(waits[chosen], np.ones(int(chosen.sum())), _runs(trials)[chosen])


def _column(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)  # None becomes not a number


def _runs(trials: Trials) -> Ints:
    return np.array(trials.run, dtype=np.int64)


# --- one row -----------------------------------------------------------------------------------------------------------


def _draft(measure: str, fault_class: str, old: _Pieces, new: _Pieces, margin: float) -> _Draft:
    chances = [p for side in (old, new) if len(side.sums) and (p := k_samples.p_value(side.sums / side.sizes, side.runs)) is not None]
    pooling_p = min(chances, default=None)
    unit = RUN if pooling_p is not None and pooling_p * len(chances) < k_samples.LEVEL else FAULT
    olds, news = old.values(unit), new.values(unit)
    reason = ""
    if not len(olds) or not len(news):
        what = {MTTR: "no outage was noticed", AVAILABILITY: "no fault took effect", LATENCY: "no good request is known"}[measure]
        sides = "on either side" if not len(olds) and not len(news) else "on the old side" if not len(olds) else "on the new side"
        reason = f"{what} {sides}"
    return _Draft(measure, fault_class, olds, news, unit, pooling_p, None if reason else ratio(olds, news, margin), reason)


def _judged(draft: _Draft, p_worse: float | None, rows: int, margin: float) -> Compared:
    found, more, power = draft.ratio, None, None
    verdict, reason = OPEN, draft.reason
    if found is not None and not draft.old.sums.any() and not draft.new.sums.any():
        least = math.ceil(math.log(LEVEL) / math.log(1 / margin))
        verdict = SAME if len(draft.new) >= least else OPEN
        more = least - len(draft.new) if verdict == OPEN else None
        reason = "nothing was lost on either side"
    elif found is not None:
        p_value = 1.0 if p_worse is None else p_worse
        shown = found.high is not None and found.high < margin
        verdict = SAME if shown else WORSE if p_value <= LEVEL else OPEN
        law = _law(draft, found)
        if law is not None:
            design = needed.Design(law, len(draft.old), LEVEL / rows)
            power = needed.finds(design, len(draft.new), REGRESSION)
            more = _more(design, draft, found, margin) if verdict == OPEN else None
            reason = _too_few_old(design, more, draft.unit, margin) if verdict == OPEN else ""
    return Compared(
        measure=draft.measure,
        fault_class=draft.fault_class,
        old=estimate_of(draft.measure, draft.old, draft.unit),
        new=estimate_of(draft.measure, draft.new, draft.unit),
        unit=draft.unit,
        pooling_p=draft.pooling_p,
        ratio=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        p_worse=p_worse,
        p_margin=found.p_margin if found else None,
        power=power,
        verdict=verdict,
        more=more,
        reason=reason,
    )


def _law(draft: _Draft, found: Ratio) -> Floats | None:
    """How values spread: as the old ones do, or all where they are few."""
    old: Floats = draft.old.sums / draft.old.sizes
    if len(old) >= LEAST_LAW:
        return old if old.any() else None
    law: Floats = np.concatenate([old, draft.new.sums / draft.new.sizes / (found.value or 1.0)])
    return law if law.any() and len(law) > 2 else None


def _more(design: needed.Design, draft: _Draft, found: Ratio, margin: float) -> int | None:
    """To show that it is no worse, or that it is: whichever takes less, if things are as they look."""
    seen = found.value or 1.0
    # A ratio whose own interval holds 1 is taken as 1: else chance would decide how many are asked for.
    true = 1.0 if found.low is None or found.high is None or found.low <= 1.0 <= found.high else seen
    counts = [needed.to_show(design, margin, true)]
    if true > 1.0:
        counts.append(needed.to_find(design, true))
    known = [count for count in counts if count is not None]
    return max(1, min(known) - len(draft.new)) if known else None


def _too_few_old(design: needed.Design, more: int | None, unit: str, margin: float) -> str:
    """Why no number of new ones alone would tell, and what would."""
    if more is not None:
        return ""
    both = needed.to_show(design._replace(old=None), margin)
    wanted = f"about {both} {unit}s on each side would" if both is not None else "the outages are too uneven"
    return f"the old side has too few {unit}s; {wanted}"


def estimate_of(measure: str, values: Values, unit: str) -> Estimate:
    """The figure of one side, with a 95 % interval."""
    count = len(values)
    if not count:
        return Estimate(None, n=0, reason="nothing was seen")
    low, high, method = _interval(values)
    middle = values.mean
    reason = few(count).replace("too few", f"too few {unit}s")
    if measure != AVAILABILITY:
        return Estimate(middle, low, high, CONFIDENCE, count, method, reason)
    ends = (None if high is None else max(0.0, 1 - high), None if low is None else 1 - low)
    return Estimate(1 - middle, *ends, CONFIDENCE, count, method, reason)


def _interval(values: Values) -> tuple[float | None, float | None, str]:
    if len(values) <= BOOTSTRAPPED:
        return interval_of_mean(values.sums, 0, parts=values.sizes)
    error, middle = 1.959964 * log_error(values), values.mean
    if middle <= 0:
        return 0.0, None, "normal on the log scale"
    return middle * math.exp(-error), middle * math.exp(error), "normal on the log scale"


def _holm(p_values: Sequence[float]) -> list[float]:
    """Corrected so that one wrong call among all of them is no likelier than the level (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found, worst = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, p_values[place] * (len(p_values) - rank)))
        found[place] = worst
    return found
