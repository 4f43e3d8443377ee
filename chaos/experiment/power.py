"""How the power of a machine is switched: two commands, which belong together."""

from __future__ import annotations

from typing import Annotated, Final

from chaos.core.errors import BadInput
from chaos.experiment.safety import COMMAND
from chaos.experiment.schema import Schema
from chaos.experiment.source import Table
from chaos.experiment.tables import Rule, Strict, Written

BOTH: Final[Schema] = {"dependentRequired": {"power_off": ["power_on"], "power_on": ["power_off"]}}


def check_power(entry: Table) -> None:
    """One command alone is refused: what is switched off must come back."""
    off, on = entry.get("power_off"), entry.get("power_on")
    one = off if on is None else on if off is None else None
    if one is not None:
        missing = "power_on" if on is None else "power_off"
        raise BadInput(
            f"'{missing}' is missing: a host that is switched off must come back", place=one.place, right=f"{missing}: a command"
        )


@Written(rules=(Rule(check_power, BOTH),), inline=True)
class MachineSpec(Strict, frozen=True):
    """How the power of a machine is switched, by commands where Nines was started"""

    power_off: Annotated[tuple[str, ...], COMMAND]
    """Takes its power away; run without a shell. For the fault ``power_off`` with ``by: command``"""
    power_on: Annotated[tuple[str, ...], COMMAND]
    """Gives it back"""
