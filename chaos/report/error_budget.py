"""What an SLO allows, and how much of it a run's outages use at the rates that its experiment assumes for production."""

from __future__ import annotations

from typing import Final, NamedTuple

from chaos.report import format as say
from chaos.results.observed import Estimate
from chaos.results.predicted import Production
from chaos.results.report import Report

YEAR_S: Final = 365 * 86400.0


class Budget(NamedTuple):
    """What the SLO allows in its window, and the share of the allowance that the measured outages use at the assumed rates."""

    promised: float
    window_s: float
    used: float | None = None
    low: float | None = None
    high: float | None = None
    few: bool = False

    @property
    def allowed_s(self) -> float:
        """Downtime within one window."""
        return (1 - self.promised) * self.window_s


def budget(report: Report) -> Budget | None:
    """None without an SLO that allows any downtime."""
    promised, window_s = report.slo.get("availability"), report.slo.get("window_s")
    if not promised or promised >= 1 or not window_s:
        return None
    yearly_s = (1 - promised) * YEAR_S
    down = report.extrapolated.downtime_s_per_year if report.extrapolated is not None else Estimate(None)
    used, low, high = (None if each is None else each / yearly_s for each in (down.value, down.low, down.high))
    return Budget(promised, window_s, used, low, high, few=say.TOO_FEW in down.reason)


def production(report: Report) -> Production | None:
    """The model's figures for it."""
    return report.predicted.production if report.predicted is not None else None
