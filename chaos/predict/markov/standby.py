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

from chaos.core.errors import BadInput
from chaos.predict.markov import solve as gth


def standby_unavailability(failures: float, repairs: float, spares: int, *, dormant: float = 0.0, crews: int | None = None) -> float:
    """The long-run unavailability. ``crews`` None: one for each unit."""
    _checked(failures, repairs, spares, dormant)
    if crews is not None and crews < 1:
        raise BadInput(f"{crews} repair crews never finish", right="1 or more")
    down = np.arange(spares + 1)
    fails = failures * (1.0 + dormant * (spares - down))
    repaired = repairs * np.minimum(down + 1, crews or spares + 1)
    return float(gth.birth_death(np.asarray(fails, dtype=np.float64), np.asarray(repaired, dtype=np.float64))[-1])


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


def _checked(failures: float, repairs: float, spares: int, dormant: float) -> None:
    for name, value in (("failure rate", failures), ("repair rate", repairs)):
        if not (value > 0 and math.isfinite(value)):
            raise BadInput(f"a {name} of {value}", right="above 0 and finite")
    if spares < 0:
        raise BadInput(f"{spares} spares", right="0 or more")
    if not 0.0 <= dormant <= 1.0:
        raise BadInput(f"spares that fail at {dormant} times the rate of the active unit", right="0 (cold) to 1 (hot)")
