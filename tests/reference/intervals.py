"""Exact intervals, for times that are known to be exponential."""

from __future__ import annotations

import math

from chaos.core.errors import BadInput
from chaos.measure.means import CONFIDENCE


def odds_bound(events: int, exposure_s: float, downtime_s: float, repairs: int, confidence: float = CONFIDENCE) -> float:
    """The upper bound of downtime over uptime: (B/m) ((r+1)/T) F_conf(2r+2, 2m), from r counted failures in T, m repairs of B in all.

    Failures as a Poisson process, repairs exponential; valid at r = 0. The availability is at least 1 / (1 + it).
    """
    if events < 0 or repairs < 1 or not 0 < exposure_s < math.inf or not 0 < downtime_s < math.inf or not 0 < confidence < 1:
        raise BadInput(
            f"{events} failures in {exposure_s} s and {repairs} repairs of {downtime_s} s give no bound",
            right="at least one repair, positive times, a confidence inside (0, 1)",
        )
    from scipy.special import fdtri

    return downtime_s / repairs * (events + 1) / exposure_s * float(fdtri(2 * events + 2, 2 * repairs, confidence))


def f_interval(cycles: int, up_s: float, down_s: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of an availability from so many complete cycles, where up and down times are *known* to be exponential
    (Trivedi 2001, example 10.27): 1 / (1 + g F) with g = down / up and quantiles of F with 2n and 2n degrees of freedom.

    The default is ``natural_availability``, which does not need to know that.
    """
    from scipy.special import fdtri

    if cycles < 1 or not (up_s > 0 and down_s > 0 and math.isfinite(up_s + down_s)):
        raise BadInput(f"{cycles} cycles of {up_s} s up and {down_s} s down", right="at least one, with times above 0")
    tail, odds = (1 - confidence) / 2, down_s / up_s
    low, high = (1 / (1 + odds * float(fdtri(2 * cycles, 2 * cycles, share))) for share in (1 - tail, tail))
    return low, high
