"""The formulas of the articles that this project grew from: as printed, what they really compute, and the right form.

No verdict and no report uses the printed ones, and nothing here is offered at the top of ``chaos.predict``: they are kept so that
whoever has read them can see what they say. Times and rates may be in any one unit, since only their products matter.

F_P(s; x) = sum over k <= s of exp(-x) x^k / k! is the Poisson distribution function: Q(s + 1, x), the regularised upper
incomplete gamma function. It is never summed here: the sum loses all digits of 1 - F_P once x is far below s.
"""

from __future__ import annotations

import math

import msgspec

from chaos.core.errors import BadInput


class Formula(msgspec.Struct, frozen=True):
    """A printed formula's value, what that value is, and the value and name of the right form under the stated assumptions."""

    name: str
    printed: str
    value: float
    meaning: str
    is_probability: bool
    corrected: float | None
    corrected_name: str
    assumptions: tuple[str, ...]
    warning: str = ""


def reliability_as_printed(failures_per_time: float, spares: int, time: float) -> Formula:
    """R(s) = 1 - F_P(s; lt). That is P(more than s failures): the *complement* of the reliability with s cold spares.

    Two proofs that the print is wrong: it rises with time, and it falls with every spare.
    """
    from scipy.special import gammainc, gammaincc

    expected = _positive("failure rate", failures_per_time) * _time(time)
    _spares(spares)
    return Formula(
        name="R(s)",
        printed="1 - sum_{k=0..s} exp(-lt) (lt)^k / k!",
        value=float(gammainc(spares + 1, expected)),
        meaning=f"P(more than {spares} failures by then): the distribution function of an Erlang({spares + 1}) time",
        is_probability=True,
        corrected=float(gammaincc(spares + 1, expected)),
        corrected_name="reliability of one active unit with s cold spares: sum_{k=0..s} exp(-lt) (lt)^k / k!",
        assumptions=("spares are cold: they do not fail unused", "switching is instant and never fails", "nothing is repaired"),
    )


def availability_as_printed(failures_per_time: float, repairs_per_time: float, spares: int, time: float) -> Formula:
    """A(s) = 1 - F_P(s; lt) - F_P(s; mt). That is nothing: it lies in [-1, 1), is -1 at t = 0 and tends to 1 for all rates.

    It has no derivation: the probability of *few repairs* is taken off as if repairs were bad.
    """
    from scipy.special import gammainc, gammaincc

    failures, repairs = _positive("failure rate", failures_per_time), _positive("repair rate", repairs_per_time)
    _spares(spares)
    value = float(gammainc(spares + 1, failures * _time(time)) - gammaincc(spares + 1, repairs * time))
    outside = "" if 0.0 <= value <= 1.0 else f"{value:.4g} is no probability; "
    return Formula(
        name="A(s)",
        printed="1 - sum_{k=0..s} exp(-lt) (lt)^k / k! - sum_{k=0..s} exp(-mt) (mt)^k / k!",
        value=value,
        meaning="nothing: -1 at t = 0, and 1 in the limit whatever the rates",
        is_probability=False,
        corrected=1.0 - cold_spares_one_crew(failures, repairs, spares) if spares else one_unit_availability(failures, repairs, time),
        corrected_name="long-run availability with s cold spares and one crew" if spares else "availability of one unit at that time",
        assumptions=("up at t = 0", "times to failure and to repair are exponential"),
        warning=f"{outside}its limit is 1 whatever the rates",
    )


def availability_from_mtbf(mtbf: float, mttr: float) -> Formula:
    """MTBF / (MTBF + MTTR): the long-run availability if MTBF means the *mean up time*; with failure to failure it is another."""
    up, down = _positive("MTBF", mtbf), _time(mttr)
    if down > up:
        other, why = None, "MTBF below MTTR cannot be from failure to failure"
    else:
        other, why = (up - down) / up, ""
    return Formula(
        name="Availability",
        printed="MTBF / (MTBF + MTTR)",
        value=up / (up + down),
        meaning="long-run availability, if MTBF is the mean up time",
        is_probability=True,
        corrected=other,
        corrected_name="(MTBF - MTTR) / MTBF, if MTBF is from failure to failure",
        assumptions=("the long run, with any distributions of finite mean",),
        warning=why,
    )


def fault_tolerance_as_printed(mtbf: float, mttr: float, nodes: int, needed: int) -> Formula:
    """MTBF / (MTBF + MTTR) once more, under another name. Faults that are tolerated are a count: nodes - needed."""
    if not 1 <= needed <= nodes:
        raise BadInput(f"{needed} of {nodes} nodes cannot be needed", right="1 <= needed <= nodes")
    again = availability_from_mtbf(mtbf, mttr)
    return msgspec.structs.replace(
        again,
        name="Fault_tolerance",
        meaning="availability again",
        corrected=float(nodes - needed),
        corrected_name="tolerated faults: nodes - needed; beside it the coverage, P(no visible outage | a fault), with its interval",
        assumptions=("any ``needed`` of the nodes suffice",),
        warning="",
    )


def scalability_as_printed(throughput: tuple[float, float], nodes: tuple[float, float]) -> Formula:
    """Load_increase / Resource_increase: its unit depends on the reading; three readings of one formula give three numbers."""
    (before, after), (few, many) = throughput, nodes
    for name, value in (("throughput", before), ("throughput", after), ("nodes", few), ("nodes", many)):
        _positive(name, value)
    if few == many:
        raise BadInput("the resources did not change", right="two different numbers of nodes")
    per_node = (after - before) / (many - few)
    relative = ((after - before) / before) / ((many - few) / few)
    return Formula(
        name="Scalability",
        printed="Load_increase / Resource_increase",
        value=per_node,
        meaning=f"{per_node:g} more per node added; relative increases give {relative:g} instead",
        is_probability=False,
        corrected=(after / before) / (many / few),
        corrected_name="efficiency (X2 / X1) / (R2 / R1) at a fixed latency objective",
        assumptions=("both throughputs were measured at the same latency objective",),
    )


def maintainability_as_printed(uptime: float, downtime: float, time: float) -> Formula:
    """Downtime / Uptime: the odds of unavailability, which *grow* as maintenance gets worse. Maintainability is M(t) = P(repaired by t)."""
    up, down = _positive("uptime", uptime), _positive("downtime", downtime)
    return Formula(
        name="Maintainability",
        printed="Downtime / Uptime",
        value=down / up,
        meaning="unavailability odds, (1 - A) / A",
        is_probability=False,
        corrected=-math.expm1(-_time(time) / down),
        corrected_name="M(t) = P(repair done within t), for exponential repairs of that mean",
        assumptions=("``downtime`` and ``uptime`` are of one cycle: MTTR and mean up time", "repair times are exponential"),
    )


# --- what the reader of A(s) may have wanted ---------------------------------------------------------------------------


def one_unit_availability(failures: float, repairs: float, time: float) -> float:
    """m / (l + m) + l / (l + m) exp(-(l + m) t): one unit that is up at t = 0."""
    both = _positive("failure rate", failures) + _positive("repair rate", repairs)
    return (repairs + failures * math.exp(-both * _time(time))) / both


def cold_spares_one_crew(failures: float, repairs: float, spares: int) -> float:
    """Long-run *un*availability with s cold spares and one crew: r^(s+1) / sum_{j<=s+1} r^j, r = l / m."""
    ratio = _positive("failure rate", failures) / _positive("repair rate", repairs)
    _spares(spares)
    return 1.0 / math.fsum(ratio ** (place - spares - 1) for place in range(spares + 2))


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise BadInput(f"a {name} of {value}", right="above 0 and finite")
    return value


def _time(value: float) -> float:
    if not (value >= 0 and math.isfinite(value)):
        raise BadInput(f"a time of {value}", right="0 or more, and finite")
    return value


def _spares(spares: int) -> None:
    if spares < 0:
        raise BadInput(f"{spares} spares", right="0 or more")
