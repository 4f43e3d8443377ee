"""From measured outages to production: U = sum over fault classes of rate x mean visible outage, with how sure that is.

The outages are measured here, per effective fault and with zeros for those that clients did not notice. The rates are not: most are
*chosen* in the experiment (``1 per 45d per node``) and have no uncertainty that anybody knows; some were *counted* in production
(``3 in 365d per node``, or ``0 in 365d``). Two sources of uncertainty, simulated together:

    counted rate        Gamma(r + 1/2) / exposure: valid at r = 0
    mean outage         the confidence distribution whose ends are the interval of a mean (``measure.means``); of one fault B / Gamma(1)
    none noticed in m   share ~ Beta(1, m), exact at its upper end, and an outage as long as the fault lasted: no other length is known;
                        at the lower end nothing

A class is down at most all the time, so no draw exceeds that. Where the upper end reaches it there is no bound, and that is said.
First order: faults that strike while another is being recovered from are not in it (the model's figure has them). For one kind with
counted faults and exponential outages there is an exact bound, ``odds_bound`` (F distribution).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.rng import derive
from chaos.core.units import show_share
from chaos.core.values import FOLLOWER, LEADER
from chaos.experiment.production import PLANNED, ZONE, ProductionRate
from chaos.measure import evidence as stats_evidence
from chaos.measure.means import CONFIDENCE, few, possible_means
from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.plan.plan import Plan
from chaos.results.observed import Estimate
from chaos.results.verdict import Contribution, Extrapolated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

YEAR_S: Final = 365 * 86400.0
DRAWS: Final = 20_000
METHOD: Final = (
    "simulated: what the means may be (log-scale bootstrap-t, allowing for outages of a kind not seen), at rates that are not of this run"
)
UNBOUND: Final = "no bound: it may be down all the time"


class Share(msgspec.Struct, frozen=True):
    """The faults of one class in production, and what was measured of such faults here."""

    fault_class: str
    per_s: float
    """Of the whole cluster."""
    downs_s: tuple[float, ...]
    """Visible downtime after each measured fault, zeros included."""
    for_s: float
    """How long such a fault lasted, on average."""
    rate: str = ""
    counted: int | None = None
    exposure_s: float = 0.0
    """In which so many of *these* faults were counted, over the whole cluster."""
    weight: float = 1.0
    """The part of the counted faults that falls on this class."""
    stands_in: str = ""
    """The class that these outages were measured of, if it was another one."""

    @property
    def kind(self) -> str:
        """The first half of the class."""
        return self.fault_class.partition("/")[0]

    @property
    def measured(self) -> str:
        """The class whose faults were measured."""
        return self.stands_in or self.fault_class


def extrapolate(plan: Plan, seen: Timeline, coarse: str = "") -> Extrapolated | None:
    """The judged service at the experiment's production rates; None without rates. ``coarse``: why its outages could not be seen."""
    rates = plan.experiment.predict.production
    service = seen.services.get(plan.judge)
    if not rates or service is None:
        return None
    lack = stats_evidence.lacking(service) or seen.damage or coarse
    if lack:
        nothing = Estimate(None, reason=lack)
        return Extrapolated(nothing, nothing, [], lack)
    measured = _measured(service, seen)
    shares: list[Share] = []
    for rate in rates:
        if rate.kind == PLANNED:  # no fault: people choose when
            continue
        found = _shares(plan, rate, measured)
        if not found:
            left_out = [
                why.reason for fault in seen.faults if fault.kind == rate.kind and (why := service.untold.get(fault.id)) is not None
            ]
            reason = f"no fault of kind '{rate.kind}' was measured in this run" + (f": {left_out[0]}" if left_out else "")
            nothing = Estimate(None, reason=reason)
            return Extrapolated(nothing, nothing, [], reason)
        shares += found
    return combine(shares, derive(plan.seed, "extrapolation"))


def _measured(service: ServiceTimeline, seen: Timeline) -> dict[str, tuple[list[float], list[float]]]:
    """Fault class -> downtime after each of its faults, and how long each fault lasted. Planned overlaps are no isolated faults."""
    owned = service.by_fault()
    found: dict[str, tuple[list[float], list[float]]] = {}
    for trial in service.told(seen.trials):
        if len(trial.faults) > 1:
            continue
        downs_s, for_s = found.setdefault(trial.fault_class, ([], []))
        downs_s.append(math.fsum(service.visible_s(outage) for outage in trial.outages(owned)))
        fault = trial.faults[0]
        until_s = seen.end_s if fault.healed_s is None else fault.healed_s
        for_s.append(max(until_s - trial.effective_s, 0.0))
    return found


def _shares(plan: Plan, rate: ProductionRate, measured: dict[str, tuple[list[float], list[float]]]) -> list[Share]:
    """A rate per node falls on whoever leads for one node and on the others for the rest; one per cluster likewise, on a node at random."""
    if rate.kind == ZONE:
        return _zone_shares(plan, rate, measured)
    like = {name: each for name, each in measured.items() if name.partition("/")[0] == rate.kind}
    if not like:
        return []
    nodes = len(plan.nodes)
    per_s = rate.per_s * (nodes if rate.per == "node" else 1)
    exposure_s = rate.exposure_s
    roles = {f"{rate.kind}/{LEADER}": 1 / nodes, f"{rate.kind}/{FOLLOWER}": 1 - 1 / nodes}
    if not roles.keys() & like.keys() or nodes == 1:
        roles = {name: 1 / len(like) for name in like}
    shares = []
    for name, weight in roles.items():
        known = like.get(name)
        stand_in, (downs_s, for_s) = (name, known) if known is not None else _worst(like)
        other = "" if known is not None else stand_in
        shares.append(
            Share(name, per_s * weight, tuple(downs_s), math.fsum(for_s) / len(for_s), rate.text, rate.counted, exposure_s, weight, other)
        )
    return [share for share in shares if share.per_s > 0]


def _zone_shares(plan: Plan, rate: ProductionRate, measured: dict[str, tuple[list[float], list[float]]]) -> list[Share]:
    """Each zone by the machines that were switched off there; one that was not like the worst of the others."""
    like = {name: each for name, each in measured.items() if name.startswith(f"power_off/{ZONE}:")}
    if not like:
        return []
    zones = sorted({node.zone for node in plan.nodes if node.zone is not None})
    shares = []
    for zone in zones:
        name = f"power_off/{ZONE}:{zone}"
        known = like.get(name)
        stand_in, (downs_s, for_s) = (name, known) if known is not None else _worst(like)
        other = "" if known is not None else stand_in
        shares.append(
            Share(name, rate.per_s, tuple(downs_s), math.fsum(for_s) / len(for_s), rate.text, rate.counted, rate.exposure_s, 1.0, other)
        )
    return shares


def _worst(like: dict[str, tuple[list[float], list[float]]]) -> tuple[str, tuple[list[float], list[float]]]:
    name = max(like, key=lambda each: math.fsum(like[each][0]) / len(like[each][0]))
    return name, like[name]


def combine(shares: Sequence[Share], seed: int) -> Extrapolated:
    """The sum over the classes, its interval, and whose uncertainty makes it. A rate is drawn once for all classes that it falls on."""
    import numpy as np

    rng = np.random.default_rng(seed)
    factors = {(share.kind, share.rate): _rate_factor(share, rng) for share in shares}
    # Two classes that rest on the same measured faults are right or wrong together.
    means_s = {share.measured: _means_s(share, rng, derive(seed, share.measured)) for share in shares}
    columns = [np.minimum(share.per_s * factors[share.kind, share.rate] * means_s[share.measured], 1.0) for share in shares]
    points = [share.per_s * math.fsum(share.downs_s) / len(share.downs_s) for share in shares]
    total = np.sum(columns, axis=0)
    high = float(np.quantile(total, (1 + CONFIDENCE) / 2))
    # Of a class that nobody noticed the law is one of how much it may be at most: at least it is nothing.
    noticed = np.sum([column for share, column in zip(shares, columns, strict=True) if any(share.downs_s)] or [np.zeros(1)], axis=0)
    low = float(np.quantile(noticed, (1 - CONFIDENCE) / 2))
    variances = _variances(columns)
    whole = math.fsum(variances)
    parts = [
        Contribution(
            fault_class=share.fault_class, rate=share.rate, rate_basis="chosen" if share.counted is None else "counted",
            faults=0 if share.stands_in else len(share.downs_s), downtime_s_per_year=point * YEAR_S,
            variance_share=variance / whole if whole > 0 else None,
            note=_note(share),
        )
        for share, point, variance in zip(shares, points, variances, strict=True)
    ]  # fmt: skip
    point = math.fsum(points)
    faults = sum(len(share.downs_s) for share in shares if not share.stands_in)
    is_bound = high < 1.0
    # An interval is as good as the class that was tried least.
    least = min(len(share.downs_s) for share in shares)
    reason = "; ".join(each for each in (few(least), "" if is_bound else UNBOUND) if each)
    # First order: at rates whose outages would not fit into a year the sum says no more than "all of it".
    down = Estimate(
        min(point, 1.0) * YEAR_S, min(low, 1.0) * YEAR_S, high * YEAR_S if is_bound else None, CONFIDENCE, faults, METHOD, reason
    )
    if point <= 0:
        reason = "no fault was noticed: its value would be a perfect 1, only the bound says something"
        return Extrapolated(Estimate(None, 1 - high if is_bound else None, None, CONFIDENCE, faults, METHOD, reason), down, parts, reason)
    available = Estimate(max(1 - point, 0.0), 1 - high if is_bound else None, max(1 - low, 0.0), CONFIDENCE, faults, METHOD, reason)
    return Extrapolated(available, down, parts)


def _variances(columns: Sequence[Floats]) -> list[float]:
    """Each class's part of the variance of the sum; a few draws without any bound are held to the last percent that has one."""
    import numpy as np

    held = [np.minimum(column, np.quantile(column, 0.99)) for column in columns]
    total = np.sum(held, axis=0)
    return [max(float(np.cov(column, total)[0, 1]), 0.0) for column in held]


def _rate_factor(share: Share, rng: np.random.Generator) -> Floats:
    """What the true rate may be, relative to the one that is stated: exactly that, if it was chosen."""
    import numpy as np

    if share.counted is None:
        return np.ones(DRAWS)
    drawn: Floats = rng.gamma(share.counted + 0.5, 1.0, DRAWS) / (share.counted + 0.5)
    return drawn


def _means_s(share: Share, rng: np.random.Generator, seed: int) -> Floats:
    """What the true mean downtime of such a fault may be."""
    import numpy as np

    downs_s = np.array(share.downs_s)
    ranks = (rng.permutation(DRAWS) + 0.5) / DRAWS
    if not downs_s.any():
        # 1 - (1 - v)^m of all samples of m would have shown one: so the bound at 97.5 % is 1 - 0.025^(1/m).
        unnoticed: Floats = -np.expm1(np.log1p(-ranks) / len(downs_s)) * share.for_s
        return unnoticed
    return possible_means(downs_s, seed, ranks)


def _note(share: Share) -> str:
    if share.stands_in:
        return f"not injected here, counted like {share.stands_in}"
    if any(share.downs_s):
        return ""
    most = 1 - 0.05 ** (1 / len(share.downs_s))
    injected = f"{len(share.downs_s)} {'fault' if len(share.downs_s) == 1 else 'faults'}"
    return f"0 of {injected} caused an outage; upper bound {show_share(round(most, 2))}, each assumed to last as long as the fault"
