"""How many faults a claim needs, and what a promise allows: arithmetic to be done before anything is broken. Times in s.

    mttr_limit_s   the longest mean outage that a promised availability leaves at a rate of faults
    faults_needed  how many faults show that the mean outage is below it
    trials_needed  how many faultless trials show that (nearly) every fault is survived
    Budget         what a promise allows in its window, and when burning it should raise an alarm

"How many faults for 99.95 % at 95 %?" has no answer without a rate of faults in production, and no injection can supply that rate.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.search import least_count

YEAR_S: Final = 365 * 86400.0
CONFIDENCE: Final = 0.95
POWER: Final = 0.8
LEVEL: Final = 0.05
"""Error allowed on each side of the interval of true over predicted."""
LEAST: Final = 2
"""One fault has no spread: nothing is claimed of it."""
MOST: Final = 1_000_000
ROUNDING: Final = 1e-9

ALERTS: Final = ((0.02, 3600.0), (0.05, 6 * 3600.0), (0.10, 3 * 86400.0))
"""Share of the budget that is spent within a time, for the usual three alerts (Beyer et al., *The Site Reliability Workbook*, 2018,
chapter 5). Their burn rates 14.4, 6 and 1 are those of a window of 30 days; of another window they follow from the shares."""


def mttr_limit_s(availability: float, faults_per_s: float) -> float:
    """The longest mean outage with which faults at this rate of *up* time still leave that availability: (1/A - 1)/L."""
    _inside(availability, "an availability")
    if not 0 < faults_per_s < math.inf:
        raise BadInput(f"a rate of {faults_per_s} faults a second", right="a positive rate")
    return (1.0 / availability - 1.0) / faults_per_s


def faults_needed(cv: float, margin: float, confidence: float = CONFIDENCE, power: float = POWER) -> int | None:
    """The least number of faults that, with this chance, shows the mean outage to be below a limit ``margin`` times as long.

    Outages of gamma shape with this coefficient of variation (1: exponential). The upper bound of the mean of m of them is
    mean m / (quantile of a sum of m), so m must bring q_power(sum) / q_(1-confidence)(sum) down to ``margin``; for large m that is
    about ((z_confidence + z_power) cv / ln margin)^2. None above a million.
    """
    _inside(confidence, "a confidence")
    _inside(power, "a power")
    if not (0 <= cv < math.inf and 1 < margin < math.inf):
        raise BadInput(f"a cv of {cv} and a margin of {margin}", right="cv at least 0, margin above 1")
    if cv == 0:
        return LEAST
    from scipy.special import gammaincinv

    def holds(faults: int) -> bool:
        shape = faults / cv**2
        low = gammaincinv(shape, 1.0 - confidence)
        # Of a tiny shape the quantile underflows to 0: then it is far below the other one, whatever the margin.
        return bool(low > 0.0 and gammaincinv(shape, power) <= margin * low)

    return least_count(holds, LEAST, MOST)


def agreement_faults(cv: float, margin: float, power: float = POWER) -> int | None:
    """How many faults show, with this chance, that a prediction which is exactly right is right to within a factor ``margin``.

    The 90 % interval of true over predicted, [B/q95, B/q05] for the total B of gamma-shaped outages, must lie in [1/d, d]. For
    exponential ones that takes 173 / 53 / 19 faults for d = 1.25 / 1.5 / 2. None above a million.
    """
    _inside(power, "a power")
    if not (0 <= cv < math.inf and 1 < margin < math.inf):
        raise BadInput(f"a cv of {cv} and a margin of {margin}", right="cv at least 0, margin above 1")
    if cv == 0:
        return 1
    from scipy.special import gammainc, gammaincinv

    def holds(faults: int) -> bool:
        shape = faults / cv**2
        top, bottom = gammaincinv(shape, 1 - LEVEL), gammaincinv(shape, LEVEL)
        return bool(gammainc(shape, float(margin * bottom)) - gammainc(shape, float(top / margin)) >= power)

    return least_count(holds, 1, MOST)


class Alert(msgspec.Struct, frozen=True):
    """Page when, over ``window_s``, the budget burns this many times as fast as it may; ``spends`` is the share gone by then."""

    burn: float
    window_s: float
    spends: float


class AlertLeftOut(msgspec.Struct, frozen=True):
    """One of the usual alerts that makes no sense for a promise, and why."""

    burn: float
    window_s: float
    spends: float
    reason: str


class Budget(msgspec.Struct, frozen=True):
    """What an availability promised over a window allows."""

    availability: float
    window_s: float

    def checked(self) -> Budget:
        """Itself; ``BadInput`` if there is no budget in it."""
        _inside(self.availability, "a promised availability")
        if not 0 < self.window_s < math.inf:
            raise BadInput(f"a window of {self.window_s} s", right="a positive time")
        return self

    @property
    def downtime_s(self) -> float:
        """(1 - promise) x window."""
        return (1.0 - self.availability) * self.window_s

    def faults(self, outage_s: float) -> float:
        """How many outages of this mean length fit into it."""
        if not 0 < outage_s < math.inf:
            raise BadInput(f"outages of {outage_s} s", right="a positive time")
        return self.downtime_s / outage_s

    @property
    def fastest_burn(self) -> float:
        """How many times as fast as allowed it burns while nothing works at all: 1 / (1 - promise). No alert above it can fire."""
        return 1.0 / (1.0 - self.availability)

    def alerts(self) -> tuple[Alert, ...]:
        """Those of the usual three that make sense: burn rate = share of the budget x window / time of the alert."""
        return tuple(alert for alert in self._usual() if not self._senseless(alert))

    def alerts_left_out(self) -> tuple[AlertLeftOut, ...]:
        """The others, each with its reason."""
        found = ((alert, self._senseless(alert)) for alert in self._usual())
        return tuple(AlertLeftOut(alert.burn, alert.window_s, alert.spends, reason) for alert, reason in found if reason)

    def _usual(self) -> list[Alert]:
        return [Alert(spends * self.window_s / within_s, within_s, spends) for spends, within_s in ALERTS]

    def _senseless(self, alert: Alert) -> str:
        if alert.burn < 1.0 - ROUNDING:
            return "a burn rate below 1 never uses the budget up"
        if alert.burn > self.fastest_burn * (1.0 + ROUNDING):
            return f"with this objective nothing burns faster than {self.fastest_burn:.4g}×, so it could never fire"
        return ""


def _inside(value: float, what: str) -> None:
    if not 0 < value < 1:
        raise BadInput(f"{what} of {value} is out of range", right="above 0 and below 1")
