"""Prediction held against observation: consistent, inconsistent, or too few faults to tell. A judging part: it sees both sides.

Per fault class, and over all faults of the judged service (class ``""``), on the total downtime B of its m faults:

* **Shape.** What was noticed against draws of the predicted law (``shape_test``): whole outages may sum up right by chance.
* **Test.** B against the exact distribution of the sum of m independent predicted outages of true shape (FFT on the grid of
  slots, zeros for faults that nobody notices included): p = 2 min(P(S <= B), P(S >= B)). The noticed share likewise against the
  binomial. Over the classes p is corrected by Holm.
* **Equivalence.** Suppose outages really last k times as long as predicted, in the predicted shape. The k for which B is not
  extreme form the 90 % interval [B / q95(S), B / q05(S)] (for exponential outages [2B / (t chi2_.95,2m), 2B / (t chi2_.05,2m)]).
  Inside [1/d, d], with the margin d, prediction and truth are the same for practical purposes.
* **Verdict.** Equivalence shown: consistent (``detectable`` if p < 0.05 as well: different, but within the margin). Else p < 0.05:
  inconsistent. Else inconclusive, with the number of faults that would decide if things go on as they are.

A class that predicts no outage has no k. There the noticed share is judged: the margin on a mean allows the share 1 - 1/d of
faults to be lost or added, so with m faults and none noticed it is consistent once the 95 % bound 1 - 0.05^(1/m) is below that
(8 faults for d = 1.5). One such fault is inconclusive by itself and does not spoil the overall verdict, which is on total downtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from chaos.core.errors import BadInput
from chaos.core.rng import derive
from chaos.core.search import least_count
from chaos.judge import shape_test as agreement_shape
from chaos.judge.downtime_sums import SumDistribution
from chaos.results.verdict import Agreement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONSISTENT: Final = "consistent"
INCONSISTENT: Final = "inconsistent"
INCONCLUSIVE: Final = "inconclusive"
OVERALL: Final = ""
"""The class of the row that speaks of all faults together."""

LEVEL: Final = 0.05
POWER: Final = 0.8
MOST_FAULTS: Final = 10_000


class Draws(Protocol):
    """Predicted faults of one class, one entry a draw (``models.predicting.ClassSamples``)."""

    @property
    def downtime_s(self) -> Floats: ...

    @property
    def noticed(self) -> NDArray[np.bool_]: ...

    @property
    def stratum(self) -> NDArray[np.int64]: ...

    @property
    def faults(self) -> tuple[int, ...]: ...


class _Row(msgspec.Struct, frozen=True):
    """One comparison before the correction for several."""

    measure: str
    fault_class: str
    faults: int
    predicted: float
    observed: float
    p_value: float
    low: float | None
    """With ``high``, the 90 % interval of true over predicted; for a share, of the share; none for a shape."""
    high: float | None
    equivalent: bool
    needed: int | None
    within: tuple[float, float] | None = None


def compare(
    service: str,
    observed: Mapping[str, Sequence[float]],
    predicted: Mapping[str, Draws],
    margin: float,
    slot_s: float,
    spreads: Mapping[str, float] | None = None,
) -> tuple[list[Agreement], str]:
    """All rows, the overall one first, and the overall verdict.

    ``observed``: fault class -> the service's downtime in s for each effective fault, zeros included. ``predicted``: the draws of
    the same run's prediction. A class without draws (its kind is unknown to the models) cannot agree: it is inconclusive, and so
    is the whole. ``spreads``: class -> how uncertain its predicted mean itself is (coefficient of variation), ``OVERALL`` -> all of it.
    """
    spreads = spreads or {}
    if not margin > 1.0:
        raise BadInput(f"a margin of {margin} leaves no room for agreement", right="a factor above 1, such as 1.5")
    seen = {name: [float(value) for value in values] for name, values in observed.items() if len(values)}
    known = {name: values for name, values in seen.items() if name in predicted}
    rows: list[_Row] = []
    for name, values in known.items():
        kinds = _kinds(predicted[name], len(values))
        rows.append(_share_row(name, values, predicted[name], margin))
        if any(draws.any() for draws, _ in kinds):
            rows.append(_downtime_row(name, values, kinds, margin, slot_s, spreads.get(name, 0.0)))
        # A law whose mean is itself uncertain has no shape to be held to.
        shaped = None if spreads.get(name) else _shape_row(name, values, kinds, margin, slot_s, derive(0, "agreement", service, name))
        rows += [] if shaped is None else [shaped]
    corrected = holm([row.p_value for row in rows])
    shown = [_agreement(service, row, p_value) for row, p_value in zip(rows, corrected, strict=True)]
    shown += [_unknown(service, name, values) for name, values in seen.items() if name not in predicted]
    overall = _overall(service, seen, known, predicted, margin, slot_s, spreads.get(OVERALL, 0.0))
    return [overall, *shown], overall.verdict


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given: valid however the tests depend on each other."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _overall(
    service: str,
    seen: Mapping[str, Sequence[float]],
    known: Mapping[str, Sequence[float]],
    predicted: Mapping[str, Draws],
    margin: float,
    slot_s: float,
    spread: float,
) -> Agreement:
    """On the total downtime of all faults; where none of them is predicted to cost any, on the noticed share of all."""
    everything = [value for values in seen.values() for value in values]
    if not everything or len(known) < len(seen):
        return _unknown(service, OVERALL, everything)
    kinds = [kind for name, values in known.items() for kind in _kinds(predicted[name], len(values))]
    if any(draws.any() for draws, _ in kinds):
        row = _downtime_row(OVERALL, everything, kinds, margin, slot_s, spread)
    else:
        row = _none_row(OVERALL, everything, margin)
    return _agreement(service, row, row.p_value)


def _kinds(draws: Draws, faults: int) -> list[tuple[Floats, int]]:
    """The draws of each duration with its number of faults; one pool where the run had another number than was predicted for."""
    if sum(draws.faults) != faults or len(draws.faults) == 1:
        return [(draws.downtime_s, faults)]
    return [(draws.downtime_s[draws.stratum == stratum], count) for stratum, count in enumerate(draws.faults)]


def _downtime_row(
    name: str, values: Sequence[float], kinds: Sequence[tuple[Floats, int]], margin: float, slot_s: float, spread: float
) -> _Row:
    total_s, faults = sum(values), len(values)
    sums = SumDistribution(kinds, slot_s, spread)
    top_s, bottom_s = sums.quantile_s(1 - LEVEL), sums.quantile_s(LEVEL)
    low = total_s / top_s if top_s > 0 else None
    high = total_s / bottom_s if bottom_s > 0 else None
    equivalent = low is not None and high is not None and low >= 1 / margin and high <= margin
    return _Row(
        "downtime", name, faults, sums.mean_s, total_s, sums.p_value(total_s), low, high, equivalent,
        _needed(kinds, total_s / sums.mean_s, margin, faults), (1 / margin, margin),
    )  # fmt: skip


def _share_row(name: str, values: Sequence[float], draws: Draws, margin: float) -> _Row:
    """The noticed share, exact: binomial, or the sum of binomials where durations differ."""
    from scipy.special import bdtr, bdtrc, betaincinv

    faults, noticed = len(values), sum(1 for value in values if value > 0)
    share = _share(draws)
    if share <= 0.0:
        return _none_row(name, values, margin)
    below = float(bdtr(noticed, faults, share))
    above = float(bdtrc(noticed - 1, faults, share)) if noticed else 1.0
    low = float(betaincinv(noticed, faults - noticed + 1, LEVEL)) if noticed else 0.0
    high = float(betaincinv(noticed + 1, faults - noticed, 1 - LEVEL)) if noticed < faults else 1.0
    allowed = 1 - 1 / margin
    within = (max(0.0, share - allowed), min(1.0, share + allowed))
    equivalent = within[0] <= low and high <= within[1]
    needed = None if equivalent else least_count(lambda count: share_power(count, share, allowed) >= POWER, faults + 1, MOST_FAULTS)
    p_value = min(1.0, 2 * min(below, above))
    return _Row("share", name, faults, share, noticed / faults, p_value, low, high, equivalent, needed, within)


def _none_row(name: str, values: Sequence[float], margin: float) -> _Row:
    """No fault is predicted to be noticed. One that is noticed refutes that."""
    from scipy.special import betaincinv

    faults, noticed = len(values), sum(1 for value in values if value > 0)
    high = float(betaincinv(noticed + 1, faults - noticed, 1 - LEVEL)) if noticed < faults else 1.0
    allowed = 1 - 1 / margin
    equivalent = high <= allowed
    needed = (
        None if equivalent or noticed else least_count(lambda count: share_power(count, 0.0, allowed) >= POWER, faults + 1, MOST_FAULTS)
    )
    p_value = 0.0 if noticed else 1.0
    return _Row("share", name, faults, 0.0, noticed / faults, p_value, 0.0, high, equivalent, needed, (0.0, allowed))


def _shape_row(
    name: str, values: Sequence[float], kinds: Sequence[tuple[Floats, int]], margin: float, slot_s: float, seed: int
) -> _Row | None:
    """The shape of the noticed outages; None where there are too few to look at."""
    found = agreement_shape.shape(values, [draws for draws, _ in kinds], [count for _, count in kinds], slot_s, seed)
    if found is None:
        return None
    allowed = 1 - 1 / margin
    equivalent = found.highest <= allowed
    # Both parts of the bound shrink with the root of the number: what is left for them decides how many it takes.
    reach = (found.expected * math.sqrt(found.outages) + math.sqrt(math.log(1 / LEVEL) / 2)) / allowed
    needed = None if equivalent else max(len(values) + 1, math.ceil(reach**2 * len(values) / found.outages))
    return _Row("shape", name, len(values), found.expected, found.distance, found.p_value, None, None, equivalent, needed)


def _share(draws: Draws) -> float:
    weights = [float(draws.noticed[draws.stratum == stratum].mean()) * count for stratum, count in enumerate(draws.faults)]
    return min(1.0, sum(weights) / sum(draws.faults))


def share_power(faults: int, share: float, allowed: float) -> float:
    """The chance that so many faults show the share to be within ``allowed`` of the predicted one, if it is just that.

    All of them or none, as predicted, leave 1 - 0.05^(1/m): so eight faults show a share of 1 (or 0) to a margin of 1.5, six do not.
    """
    import numpy as np
    from scipy.special import betaincinv, gammaln, xlog1py, xlogy

    noticed = np.arange(faults + 1)
    low = np.where(noticed > 0, betaincinv(np.maximum(noticed, 1), faults - noticed + 1, LEVEL), 0.0)
    high = np.where(noticed < faults, betaincinv(noticed + 1, np.maximum(faults - noticed, 1), 1 - LEVEL), 1.0)
    shown = (low >= share - allowed) & (high <= share + allowed)
    chance = min(max(share, 0.0), 1.0)
    ways = gammaln(faults + 1) - gammaln(noticed + 1) - gammaln(faults - noticed + 1)
    return float(np.exp(ways + xlogy(noticed, chance) + xlog1py(faults - noticed, -chance))[shown].sum())


def _needed(kinds: Sequence[tuple[Floats, int]], ratio: float, margin: float, faults: int) -> int | None:
    """How many faults decide, with power 80 %, if the true ratio is the observed one: equivalence, or that there is a difference.

    By a gamma law with the spread of the predicted faults, which gives 172 / 53 / 19 for exponential ones and a margin of
    1.25 / 1.5 / 2, if the prediction is exactly right.
    """
    import numpy as np
    from scipy.special import gammainc, gammaincc, gammaincinv

    mean_s = sum(float(draws.mean()) * count for draws, count in kinds) / faults
    variance = sum(float(np.var(draws)) * count for draws, count in kinds) / faults
    if mean_s <= 0 or ratio <= 0:
        return None
    if variance <= 0:
        return faults + 1
    shape = mean_s**2 / variance
    # A ratio whose own error covers 1 is taken as 1: else chance would decide how many faults are asked for.
    true = 1.0 if abs(math.log(ratio)) < 1.645 / math.sqrt(faults * shape) else ratio

    def decided(count: int) -> bool:
        top, bottom = (float(gammaincinv(count * shape, share)) / (count * shape) for share in (1 - LEVEL, LEVEL))
        scale = true / (count * shape)
        same = float(gammainc(count * shape, margin * bottom / scale) - gammainc(count * shape, top / margin / scale))
        less, more = (float(gammaincinv(count * shape, share)) / (count * shape) for share in (LEVEL / 2, 1 - LEVEL / 2))
        different = float(gammainc(count * shape, less / scale) + gammaincc(count * shape, more / scale))
        return same >= POWER or different >= POWER

    return least_count(decided, faults + 1, MOST_FAULTS)


def _agreement(service: str, row: _Row, p_value: float) -> Agreement:
    small = p_value < LEVEL
    verdict = CONSISTENT if row.equivalent else INCONSISTENT if small else INCONCLUSIVE
    return Agreement(
        measure=row.measure,
        service=service,
        fault_class=row.fault_class,
        predicted=row.predicted,
        observed=row.observed,
        p_value=p_value,
        verdict=verdict,
        detectable=row.equivalent and small,
        faults_to_decide=row.needed if verdict == INCONCLUSIVE else None,
        low=row.low,
        high=row.high,
        within=row.within,
    )


def _unknown(service: str, name: str, values: Sequence[float]) -> Agreement:
    return Agreement("downtime", service, name, None, sum(values) if values else None, None, INCONCLUSIVE, False, None)
