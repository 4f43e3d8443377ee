"""``dns``: the name server itself fails. Caches carry on for what is left of their TTL; then nobody knows whom to ask.

    resolve ttl          good for U(0, TTL) more (a cache is renewed each TTL, at a random phase), bad until the server answers again
    resolve per-request  bad at once
    resolve once         not harmed at all: the answer was taken for ever

A server that is ``down`` is asked again after the client's time-out, so clients come back up to one time-out after it does; one that
answers with an error (``servfail``, ``nxdomain``) is asked anew by each request. A ``wrong`` address is kept like a right one: from
the renewal after the effect to the first one after the healing every request is refused. ``stale``, ``missing`` and ``ttl`` harm
nobody by themselves: all nodes are well, and some of them stand in the answer. ``slow`` is not modelled: who waits for a name, and
how long, is the client's resolver's own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.models.cases import Case
from chaos.models.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SILENT = "down"
LOUD = ("servfail", "nxdomain")
WRONG = "wrong"
HARMLESS = ("stale", "missing", "ttl")


def server(case: Case) -> Scenario | None:
    """A name server without an answer; None for modes that are not modelled."""
    mode = case.text("mode", SILENT)
    front, nodes = case.system.front, case.system.nodes
    if mode not in (SILENT, *LOUD, WRONG, *HARMLESS) or (mode == "missing" and (nodes == 1 or front.leader_only)):
        return None
    if front.resolve == "once" or mode in HARMLESS:
        return Scenario(case.samples, (Group(nodes, ()),))
    left_s = front.stale.sample(case.rng, case.samples)
    if mode == WRONG:
        return _wrong(case, left_s)
    again_s = case.moment(case.system.client.timeout_s) if mode == SILENT else case.zeros()
    harmed = left_s < case.for_s
    away_s, back_s = np.where(harmed, left_s, np.inf), np.where(harmed, case.for_s + again_s, np.inf)
    return Scenario(case.samples, (Group(nodes, (), away_s, back_s),), (Block("dns", np.where(harmed, back_s, 0.0)),))


def _wrong(case: Case, from_s: Floats) -> Scenario:
    """Nobody listens there: refused at once, until the cache is renewed with the right answer."""
    ttl_s = case.system.front.ttl_s if case.system.front.resolve == "ttl" else 0.0
    lasts_s = case.for_s - from_s
    until_s = from_s + (np.ceil(lasts_s / ttl_s) * ttl_s if ttl_s > 0 else lasts_s)
    harmed = lasts_s > 0
    spells = (Spell(Fate.PASS, np.where(harmed, from_s, 0.0)), Spell(Fate.REFUSE, np.where(harmed, until_s, 0.0)))
    return Scenario(case.samples, (Group(case.system.nodes, spells),), (Block("dns", np.where(harmed, until_s, 0.0)),))


def dead_server_loss_s(down_s: float, ttl_s: float) -> float:
    """Seconds of requests lost while a name server is down for ``down_s``, busy caches of a random phase: what outlasts U(0, TTL)."""
    if ttl_s <= 0:
        return down_s
    return down_s - ttl_s / 2 if down_s >= ttl_s else down_s**2 / (2 * ttl_s)
