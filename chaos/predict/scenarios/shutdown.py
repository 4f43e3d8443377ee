"""``stop``, ``restart`` and ``remove``: nodes that are asked to end, and nodes that come back with nothing.

A node that is asked to end serves until it is dead (``stop`` after the request, the grace at most). A leader then either just ends, which
is a kill (``stopping: crash``), or hands its leadership over first (``handover``): another one leads two round trips after the request
(or ``takeover``), and nobody had to notice anything. A node that drains (``drain``) fails its health check from the request on and serves
all the same: one that leaves the name, and the clients' caches, before it ends is not missed. A rolling restart is one such stop after the
other, each node started again at once and the next one asked when the last one votes; leadership may move to a node whose turn is still to
come, and moves again then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.plan.places import ROLLING, TOGETHER
from chaos.plugin import Model
from chaos.predict.scenarios import crash as crashes
from chaos.predict.scenarios import giving_up, rolling
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.client import Scenario
from chaos.predict.scenarios.handover import handed_over, hands_over
from chaos.predict.scenarios.later import delayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRACE_S: Final = 10.0


def stop(case: Case) -> Scenario:
    """Asked to end at 0, started again after ``for``."""
    gone_s = _gone_s(case)
    if hands_over(case):
        return handed_over(case, gone_s, case.for_s)
    # With the request as its moment, a stop is a kill that comes later and is taken back sooner.
    return delayed(crashes.kill(replace(case, for_s=np.maximum(case.for_s - gone_s, 0.0)), fails_s=_fails_s(case, gone_s)), gone_s)


def restart(case: Case) -> Scenario | None:
    """All at once, or one after the other (``rolling``); None where a single missing node costs the quorum."""
    if case.text("by", "") == giving_up.DELETE:
        return rolling.scenario(case, giving_up.gone(case)) if case.victims > 1 else giving_up.given_up(case)
    if case.victims > 1 and case.text("order", ROLLING) != TOGETHER:
        return rolling.scenario(case, _gone_s(case))
    gone_s = _gone_s(case)
    if hands_over(case):
        return handed_over(case, gone_s, gone_s)
    return delayed(crashes.kill(replace(case, for_s=case.zeros()), fails_s=_fails_s(case, gone_s)), gone_s)


def remove(case: Case) -> Scenario | None:
    """A kill after which a node comes back empty; None where a majority lost its data: what a system does then is its own."""
    emptied = bool(case.facts.params.get("volumes", True))
    if emptied and case.by_leader and case.system.nodes - case.victims < case.system.quorum:
        return None
    if not emptied or "resync_empty_s" not in case.system.given:
        return crashes.kill(case)
    return crashes.kill(case, resync="resync_empty_s")


def _gone_s(case: Case) -> Floats:
    """From the request to the death."""
    return np.minimum(case.optional("stop_s"), case.number("grace_s", GRACE_S))


def _fails_s(case: Case, gone_s: Floats) -> Floats:
    """From when on the health check fails, counted from the death: from the request on if the node drains."""
    return -gone_s if case.system.drains else case.zeros()


STOP: Final = Model(stop)
RESTART: Final = Model(restart)
REMOVE: Final = Model(remove)
