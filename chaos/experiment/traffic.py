"""``traffic``: what clients ask, how often, how they ask, and what counts as an outage."""

from __future__ import annotations

from typing import Annotated, Final

from chaos.core.units import PerSecond, Seconds
from chaos.experiment.client import ClientPolicy
from chaos.experiment.demand import EACH_S, Demand
from chaos.experiment.forms import Form, mapping, one_of, string
from chaos.experiment.source import Table, Value, table_of
from chaos.experiment.tables import Key, Strict, Written, table
from chaos.experiment.target.operation import operation

__all__ = ["ClientPolicy", "OperationSpec", "OutageRule", "TrafficSpec"]

_RATE: Final[Form[float | Demand]] = one_of(EACH_S, table=table(Demand))
_ASKED: Final = operation(does="read", besides={"rate": _RATE})


class OutageRule(Strict, frozen=True):
    """Open after ``open`` bad slots in a row, close after ``close`` good ones, join gaps shorter than ``merge_s``."""

    open: int = 2
    close: int = 2
    merge_s: Seconds = 0.0


class OperationSpec(Strict, frozen=True):
    """One service: the target's operation of that name, or one defined here (then ``probe`` and ``options``)."""

    rate_per_s: PerSecond
    """Of the requests that are spread evenly over the run, by which outages are seen"""
    probe: str | None = None
    does: str | None = None
    options: dict[str, str] = {}
    demand: Demand | None = None
    """The whole rate, where that changes; ``rate_per_s`` is the lowest of it"""

    @property
    def most_per_s(self) -> float:
        """The highest rate of the run."""
        return self.rate_per_s if self.demand is None else self.demand.most_per_s

    @property
    def rate_text(self) -> str:
        """As people read it."""
        return f"{self.rate_per_s:g}/s" if self.demand is None else self.demand.text


def _of_target(rate_per_s: float, _: Value) -> OperationSpec:
    return OperationSpec(rate_per_s)


def _defined_here(value: Value) -> OperationSpec:
    entry: Table = table_of(value)
    rate = _RATE.read(entry.need("rate", "100/s"))
    rate_per_s, demand = (rate.least_per_s, rate) if isinstance(rate, Demand) else (rate, None)
    if set(entry.entries) == {"rate"}:
        return OperationSpec(rate_per_s, demand=demand)
    kind = _ASKED.read(entry)
    return OperationSpec(rate_per_s, probe=kind.probe, does=kind.does, options=kind.options, demand=demand)


_SERVICE: Final = one_of(EACH_S.then(_of_target), table=Form(_defined_here, _ASKED.describe))
"""``100/s`` of the target's operation of that name, or one defined here."""
_EXAMPLE: Final = "operations: {write: 100/s}"


@Written(blank=True, inline=True)
class TrafficSpec(Strict, frozen=True):
    """What clients do."""

    operations: Annotated[dict[str, OperationSpec], mapping(_SERVICE, empty="there is no operation", right=_EXAMPLE), Key(example=_EXAMPLE)]
    """What clients ask, and how often: an operation of the target, or one defined here"""
    client: Annotated[ClientPolicy, table(ClientPolicy)] = ClientPolicy()
    outage: OutageRule = OutageRule()
    judge: Annotated[str | None, string("an operation")] = None
    """The operation that the objectives speak of"""
