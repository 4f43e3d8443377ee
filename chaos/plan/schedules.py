"""When faults are due: pure functions from a schedule to start times, in seconds after the end of the baseline.

    at        the times as written
    every     k periods, k = 1, 2, ..., each later by U(0, jitter), so that caches are not hit in step with their time to live
    poisson   gaps Exp(mean)                                  renewal   independent gaps of a given mean and shape

Random gaps (poisson, renewal) run from the *end* of one window to the start of the next: faults strike a cluster that is whole,
at that rate of up time, and windows of one fault never overlap.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator

from chaos.core.errors import BadInput
from chaos.experiment.schedules import At, Every, Poisson, Renewal, Schedule

MAX_WINDOWS = 10_000
"""More than this in one run is a slip of the pen, not an experiment."""


def starts_s(
    schedule: Schedule, *, for_s: float, times: int | None, horizon_s: float | None, jitter_s: float, rng: random.Random
) -> tuple[float, ...]:
    """Start times, ascending. Without ``times``, as many as begin and end (``for_s`` later) within ``horizon_s``.

    ``times`` wins over the horizon: whether all of them fit is for the caller to check. Raises ``BadInput`` if neither says
    when to stop.
    """
    if isinstance(schedule, At):
        return tuple(sorted(schedule.times_s))
    if times is None and horizon_s is None:
        raise BadInput("nothing says how often", right="add 'times:', or a 'duration:' to the experiment")
    found: list[float] = []
    for start_s in _endless(schedule, for_s, jitter_s, rng):
        if times is not None and len(found) >= times:
            break
        if times is None and horizon_s is not None and start_s + for_s > horizon_s:
            break
        if len(found) >= MAX_WINDOWS:
            raise BadInput(f"more than {MAX_WINDOWS:,} faults", right="lengthen the period, or set 'times:'")
        found.append(start_s)
    return tuple(found)


def _endless(schedule: Every | Poisson | Renewal, for_s: float, jitter_s: float, rng: random.Random) -> Iterator[float]:
    if isinstance(schedule, Every):
        index = 0
        while True:
            index += 1
            yield index * schedule.period_s + (0.0 if schedule.exact else rng.uniform(0.0, jitter_s))
    gap_s = gaps(schedule, rng)
    at_s = 0.0
    while True:
        at_s += gap_s()
        yield at_s
        at_s += for_s


def gaps(schedule: Poisson | Renewal, rng: random.Random) -> Callable[[], float]:
    """A source of gaps with the schedule's mean.

    Weibull: scale = mean / Γ(1 + 1/shape). Lognormal: σ² = ln(1 + cv²), µ = ln(mean) - σ²/2. Uniform on mean (1 ± √3 cv), which
    needs cv at most 1/√3.
    """
    mean_s = schedule.mean_s
    if isinstance(schedule, Poisson):
        return lambda: rng.expovariate(1.0 / mean_s)
    if schedule.distribution == "weibull":
        scale_s = mean_s / math.gamma(1.0 + 1.0 / schedule.shape)
        return lambda: rng.weibullvariate(scale_s, schedule.shape)
    if schedule.distribution == "lognormal":
        sigma = math.sqrt(math.log1p(schedule.cv**2))
        return lambda: rng.lognormvariate(math.log(mean_s) - sigma**2 / 2.0, sigma)
    half_s = math.sqrt(3.0) * schedule.cv * mean_s
    return lambda: rng.uniform(mean_s - half_s, mean_s + half_s)


def problem(schedule: Schedule, for_s: float, jitter_s: float) -> tuple[str, str] | None:
    """What is wrong with a schedule in itself, and what would be right; None if nothing is."""
    match schedule:
        case At(times_s=times_s):
            return _wrong_times(times_s, for_s)
        case Every(period_s=period_s, exact=exact):
            needed_s = for_s + (0.0 if exact else jitter_s)
            if period_s <= 0 or period_s < needed_s:
                why = f"each lasts {for_s:g}s" + ("" if exact or not jitter_s else f" and comes up to {jitter_s:g}s late")
                return f"one every {period_s:g}s would overlap the next: {why}", f"a period of at least {max(needed_s, 0.1):g}s"
        case Poisson(mean_s=mean_s) | Renewal(mean_s=mean_s) if mean_s <= 0:
            return "a mean gap of 0s is no schedule", "a time like 15s"
        case Renewal(distribution=distribution, shape=shape, cv=cv):
            if shape <= 0 or cv < 0:
                return "shape must be positive, cv not negative", "shape: 2, cv: 0.5"
            if distribution == "uniform" and cv > 1 / math.sqrt(3.0):
                return f"a uniform gap cannot have a cv of {cv:g}", "at most 0.577"
    return None


def _wrong_times(times_s: tuple[float, ...], for_s: float) -> tuple[str, str] | None:
    ordered = sorted(times_s)
    for first_s, second_s in itertools.pairwise(ordered):
        if second_s < first_s + for_s or second_s == first_s:
            return f"the one at {second_s:g}s would begin before the one at {first_s:g}s has ended", f"at least {for_s:g}s apart"
    return None
