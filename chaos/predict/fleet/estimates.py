"""What many lives of a fleet say, each figure with its interval and its n. Times in s.

Replications are independent and alike, so the 95 % interval of a mean over them is Student's. A mean outage is a ratio of two means: its
interval is that of a linearised ratio (Law 2015, *Simulation Modeling and Analysis*, 9.5.3). Causes that struck in fewer than ``FEW``
replications are marked: their intervals are too short. Without any outage there is no figure, but an upper bound (rule of three).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.experiment.fleet import YEAR_S
from chaos.predict.fleet.exact import Exact, exact
from chaos.predict.fleet.state import CAUSES, EVENTS
from chaos.predict.fleet.tables import SHARES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.experiment.fleet import Fleet
    from chaos.predict.fleet.replicate import Life

FEW: Final = 10
CONFIDENCE: Final = 0.95
OF_THREE: Final = -math.log(1 - CONFIDENCE)
"""No event in T bounds their rate by this over T."""


class Estimated(msgspec.Struct, frozen=True):
    """A figure, its 95 % interval, and how many replications it rests on; None is no data, with the reason."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""


class Cause(msgspec.Struct, frozen=True):
    """What began outages, and what they cost each group in a year."""

    cause: str
    outages: int
    """In all replications."""
    downtime_s_per_year: Estimated


class ServiceSimulated(msgspec.Struct, frozen=True):
    """Of one group of a service, as clients see it."""

    groups: int
    unavailability: Estimated
    downtime_s_per_year: Estimated
    outages_per_year: Estimated
    mean_outage_s: Estimated
    longest_s: float | None
    causes: tuple[Cause, ...]
    slo_met: Estimated | None
    """The share of windows, of all groups, in which the slo was met."""
    exact: Exact
    """The same by the exact chain."""


class Level(msgspec.Struct, frozen=True):
    """For how long a year at least so many groups are down at once, what retries hide included."""

    groups: int
    s_per_year: Estimated


class Simulated(msgspec.Struct, frozen=True):
    """All of it."""

    fleet: str
    nodes: int
    zones: int
    regions: int
    years: float
    replications: int
    seed: int
    changes: int
    services: dict[str, ServiceSimulated]
    levels: tuple[Level, ...]
    most_down: int
    events: dict[str, int]
    """In all replications: nodes that crashed, nodes struck by a common cause, outages of zones and regions, planned restarts, switches."""


def simulated(fleet: Fleet, lives: Sequence[Life]) -> Simulated:
    """From the lives of all replications."""
    lost_s = np.array([each.lost_s for each in lives])
    outages = np.array([each.outages for each in lives])
    services = {}
    for place, (name, service) in enumerate(fleet.services.items()):
        group_years = service.groups * fleet.years
        yearly_s, counts = lost_s[:, place, :] / group_years, outages[:, place, :]
        downtime = _mean(yearly_s.sum(axis=1), int(counts.sum()), counts.sum(axis=1))
        rate = _mean(counts.sum(axis=1) / group_years, int(counts.sum()), counts.sum(axis=1))
        if rate.value is None:
            rate = msgspec.structs.replace(rate, low=0.0, high=OF_THREE / (group_years * len(lives)))
        longest_s = max(each.longest_s[place] for each in lives)
        services[name] = ServiceSimulated(
            groups=service.groups,
            unavailability=_scaled(downtime, 1 / YEAR_S),
            downtime_s_per_year=downtime,
            outages_per_year=rate,
            mean_outage_s=_ratio(lost_s[:, place, :].sum(axis=1), counts.sum(axis=1)),
            longest_s=longest_s if longest_s > 0 else None,
            causes=tuple(
                Cause(cause, int(counts[:, at].sum()), _mean(yearly_s[:, at], int(counts[:, at].sum()), counts[:, at]))
                for at, cause in enumerate(CAUSES)
                if counts[:, at].any()
            ),
            slo_met=_met(lives, place) if fleet.slo else None,
            exact=exact(fleet, service),
        )
    groups = sum(each.groups for each in fleet.services.values())
    level_s = np.array([each.level_s for each in lives]) / fleet.years
    bounds = [max(1, math.floor(share * groups) + 1) for share in SHARES]
    levels = {at_least: level_s[:, place] for place, at_least in enumerate(bounds) if at_least <= groups}
    return Simulated(
        fleet=fleet.name,
        nodes=fleet.nodes,
        zones=sum(map(len, fleet.regions.values())),
        regions=len(fleet.regions),
        years=fleet.years,
        replications=len(lives),
        seed=fleet.seed,
        changes=sum(each.changes for each in lives),
        services=services,
        levels=tuple(Level(at_least, _mean(each, int((each > 0).sum()), each)) for at_least, each in levels.items()),
        most_down=max(each.most_down for each in lives),
        events=dict(zip(EVENTS, np.array([each.events for each in lives]).sum(axis=0).tolist(), strict=True)),
    )


def _half(errors: float, n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * errors / math.sqrt(n)


def _mean(values: NDArray[np.float64], events: int, of_each: NDArray[np.float64]) -> Estimated:
    n = len(values)
    if events == 0:
        return Estimated(None, None, None, n, "none in any replication")
    half = _half(float(values.std(ddof=1)), n)
    return Estimated(float(values.mean()), max(0.0, float(values.mean()) - half), float(values.mean()) + half, n, _few(of_each))


def _few(of_each: NDArray[np.float64]) -> str:
    struck = int((of_each > 0).sum())
    return f"too few: in {struck} of {len(of_each)} replications" if struck < FEW else ""


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimated:
    n = len(above)
    if not below.any():
        return Estimated(None, None, None, n, "none in any replication")
    ratio = float(above.sum() / below.sum())
    half = _half(float((above - ratio * below).std(ddof=1)) / float(below.mean()), n)
    return Estimated(ratio, max(0.0, ratio - half), ratio + half, n, _few(below))


def _met(lives: Sequence[Life], place: int) -> Estimated:
    """Of the share that was *not* met, from which the interval never leaves [0, 1]."""
    shares = np.array([1 - each.windows_met[place] / each.windows[place] for each in lives])
    missed = _mean(shares, int((shares > 0).sum()), shares)
    if missed.value is None:
        windows = sum(each.windows[place] for each in lives)
        return Estimated(None, None, None, len(lives), f"met in all of {windows:,} windows")
    assert missed.low is not None
    assert missed.high is not None
    return Estimated(1 - missed.value, max(0.0, 1 - missed.high), 1 - missed.low, missed.n, missed.reason)


def _scaled(figure: Estimated, factor: float) -> Estimated:
    value, low, high = (None if each is None else each * factor for each in (figure.value, figure.low, figure.high))
    return Estimated(value, low, high, figure.n, figure.reason)
