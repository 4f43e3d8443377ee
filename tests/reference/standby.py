"""Standby of one active unit with s spares: hot, warm and cold, with any number of repair crews, by one birth-death chain.

With j units down, the active one fails at rate l and each of the s - j spares at ``dormant`` x l (0: cold, 1: hot, between: warm);
min(j, crews) are repaired at rate m each. Down while all s + 1 are (Birolini, section 6.4; Tijms 2003, chapter 8). Switching is
perfect and instant. Rates in any one unit of time.

    cold, one crew      r^(s+1) / sum_{j<=s+1} r^j             r = l / m
    cold, a crew each   Erlang's loss formula B(s + 1, r)
    hot, a crew each    (l / (l + m))^(s+1)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chaos.core.errors import BadInput


def birth_death(up_rates: NDArray[np.float64], down_rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The long-run vector of a chain that only steps to its neighbours, in log space: 10,000 states are no trouble.

    ``up_rates[i]`` is the rate i -> i + 1 and ``down_rates[i]`` the rate i + 1 -> i; both must be > 0.
    """
    up = np.asarray(up_rates, dtype=np.float64)
    down = np.asarray(down_rates, dtype=np.float64)
    if up.shape != down.shape or up.ndim != 1:
        raise BadInput("a birth-death chain needs as many rates up as down")
    if not (np.all(np.isfinite(up)) and np.all(np.isfinite(down)) and np.all(up > 0) and np.all(down > 0)):
        raise BadInput("a rate of the chain is not > 0", right="all rates of a birth-death chain are > 0 and finite")
    logs = np.concatenate(([0.0], np.cumsum(np.log(up) - np.log(down))))
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def standby_unavailability(failures: float, repairs: float, spares: int, *, dormant: float = 0.0, crews: int | None = None) -> float:
    """The long-run unavailability. ``crews`` None: one for each unit."""
    _checked(failures, repairs, spares, dormant)
    if crews is not None and crews < 1:
        raise BadInput(f"{crews} repair crews never finish", right="1 or more")
    down = np.arange(spares + 1)
    fails = failures * (1.0 + dormant * (spares - down))
    repaired = repairs * np.minimum(down + 1, crews or spares + 1)
    return float(birth_death(np.asarray(fails, dtype=np.float64), np.asarray(repaired, dtype=np.float64))[-1])


def standby_survival(failures: float, spares: int, until: float, *, dormant: float = 0.0) -> float:
    """R(t) without repair: the time to the last failure is a sum of exponential times, one for each unit.

    For cold spares it is the Erlang law, for hot ones the largest of s + 1 exponential times; between, the chain is solved.
    """
    from scipy.linalg import expm
    from scipy.special import gammaincc

    _checked(failures, 1.0, spares, dormant)
    if not (until >= 0 and math.isfinite(until)):
        raise BadInput(f"a time of {until}", right="0 or more, and finite")
    if dormant == 0.0:
        return float(gammaincc(spares + 1, failures * until))
    if dormant == 1.0:
        return float(-math.expm1((spares + 1) * math.log(-math.expm1(-failures * until)))) if until > 0 else 1.0
    fails = failures * (1.0 + dormant * (spares - np.arange(spares + 1)))
    generator = np.diag(-fails) + np.diag(fails[:-1], 1)
    return float(expm(generator * until)[0].sum())


def standby_mttf(failures: float, spares: int, *, dormant: float = 0.0) -> float:
    """Mean time to the last failure without repair: sum over units of 1 / rate; (s + 1) / l for cold spares."""
    _checked(failures, 1.0, spares, dormant)
    return math.fsum(1.0 / (failures * (1.0 + dormant * left)) for left in range(spares + 1))


def erlang_b(servers: int, load: float) -> float:
    """Erlang's loss formula, by its recursion: (r^c / c!) / sum_{j<=c} r^j / j!."""
    if servers < 0 or not (load > 0 and math.isfinite(load)):
        raise BadInput(f"{servers} servers at a load of {load}", right="0 or more servers, a load above 0")
    lost = 1.0
    for units in range(1, servers + 1):
        lost = load * lost / (units + load * lost)
    return lost


def cold_spares_crew_each(failures: float, repairs: float, spares: int) -> float:
    """Long-run unavailability with s cold spares and a crew for each: Erlang's loss formula B(s + 1, r), by its recursion."""
    return erlang_b(spares + 1, failures / repairs)


def hot_spares_crew_each(failures: float, repairs: float, spares: int) -> float:
    """The same with hot spares: (l / (l + m))^(s+1)."""
    return float((failures / (failures + repairs)) ** (spares + 1))


def hot_spares_reliability(failures_per_time: float, spares: int, time: float) -> float:
    """Reliability with s *hot* spares and no repair: 1 - (1 - exp(-lt))^(s+1)."""
    return 1.0 - (-math.expm1(-failures_per_time * time)) ** (spares + 1)


def _checked(failures: float, repairs: float, spares: int, dormant: float) -> None:
    for name, value in (("failure rate", failures), ("repair rate", repairs)):
        if not (value > 0 and math.isfinite(value)):
            raise BadInput(f"a {name} of {value}", right="above 0 and finite")
    if spares < 0:
        raise BadInput(f"{spares} spares", right="0 or more")
    if not 0.0 <= dormant <= 1.0:
        raise BadInput(f"spares that fail at {dormant} times the rate of the active unit", right="0 (cold) to 1 (hot)")
