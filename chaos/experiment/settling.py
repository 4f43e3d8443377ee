"""``settle``: how long to wait before each fault until the cluster is well again, and a condition of one's own that must hold then.

::

    settle: 20s
    settle: {for: 1m, until: {http: "http://{address}:{client}/synced", json: "state=streaming"}}     of every node that lives
    settle: {for: 1m, until: {command: "./replication-caught-up"}}                                    status 0
    settle: {until: {service: read}}                                                                  no failed request in its last second
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

from chaos.core.errors import BadInput
from chaos.core.units import Seconds
from chaos.experiment.forms import WORDS, one_of, whole
from chaos.experiment.safety import COMMAND
from chaos.experiment.schedules import AT_LEAST_0, SPAN
from chaos.experiment.schema import Schema
from chaos.experiment.source import Table
from chaos.experiment.tables import Rule, Strict, Written, table

KINDS: Final = ("http", "command", "service")
OK: Final = "ok"
"""In place of a service's name: the one that is judged."""
_EXAMPLE: Final = 'one of: {http: "http://{address}:{client}/ready"}, {command: "./ready"}, {service: read}'


def _one_kind(entry: Table) -> None:
    found = [key for key in KINDS if key in entry.entries]
    if len(found) != 1:
        what = f"'{found[0]}' and '{found[1]}' are two conditions" if found else "'until' says nothing to wait for"
        raise BadInput(what, place=entry.place, right=_EXAMPLE)
    for key in ("status", "json"):
        if key in entry.entries and found[0] != "http":
            raise BadInput(f"'{key}' goes with 'http'", place=entry.entries[key].place, right="leave it out")


_ONE_KIND: Final[Schema] = {
    "oneOf": [{"required": [kind]} for kind in KINDS],
    "dependentRequired": {"status": ["http"], "json": ["http"]},
}


@Written(rules=(Rule(_one_kind, _ONE_KIND),), inline=True)
class SettleUntil(Strict, frozen=True):
    """One condition of the user's own."""

    http: Annotated[str | None, WORDS] = None
    """A URL that must be answered; with ``{address}``, of every node that lives, of the part that clients ask"""
    status: Annotated[int | None, whole(ge=100, le=599)] = None
    """Of the answer; without it, any from 200 to 299"""
    json: Annotated[str | None, WORDS] = None
    """An expression that holds for the answer"""
    command: Annotated[tuple[str, ...] | None, COMMAND] = None
    """A program that ends with status 0, started without a shell"""
    service: Annotated[str | None, WORDS] = None
    """An operation none of whose requests failed in the last second; ``ok`` for the one that is judged"""
    every_s: Annotated[Seconds, SPAN] = 0.5
    """How often it is asked while it is waited for"""
    timeout_s: Annotated[Seconds, SPAN] = 2.0
    """No answer within this time is a no"""

    def __str__(self) -> str:
        if self.command is not None:
            return shlex.join(self.command)
        return self.http or f"service: {self.service}"


@Written(blank=True, inline=True)
class Settle(Strict, frozen=True):
    """How long at most, and until what."""

    for_s: Annotated[float, AT_LEAST_0] = 20.0
    until: Annotated[SettleUntil | None, table(SettleUntil)] = None
    """What must hold beside nodes that are up and voting, and clients that are answered"""


SETTLE: Final[Any] = one_of(AT_LEAST_0.then(lambda for_s, _: Settle(for_s)), table=table(Settle))
