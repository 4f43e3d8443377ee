"""``dns``: the name server itself fails. Caches carry on for what is left of their TTL; then nobody knows whom to ask.

    resolve ttl          good for U(0, TTL) more (a cache is renewed each TTL, at a random phase), bad until the server answers again
    resolve per-request  bad at once
    resolve once         not harmed at all: the answer was taken for ever

A server that is ``down`` is asked again after the client's time-out, so clients come back up to one time-out after it does; one that
answers with an error (``servfail``, ``nxdomain``) is asked anew by each request. The other modes are not modelled.
"""

from __future__ import annotations

import numpy as np

from chaos.models.cases import Case
from chaos.models.client import Block, Group, Scenario

SILENT = "down"
LOUD = ("servfail", "nxdomain")


def server(case: Case) -> Scenario | None:
    """A name server without an answer; None for modes that are not modelled."""
    mode = case.text("mode", SILENT)
    if mode not in (SILENT, *LOUD):
        return None
    front, nodes = case.system.front, case.system.nodes
    if front.resolve == "once":
        return Scenario(case.samples, (Group(nodes, ()),))
    left_s = front.stale.sample(case.rng, case.samples)
    again_s = case.moment(case.system.client.timeout_s) if mode == SILENT else case.zeros()
    harmed = left_s < case.for_s
    away_s, back_s = np.where(harmed, left_s, np.inf), np.where(harmed, case.for_s + again_s, np.inf)
    return Scenario(case.samples, (Group(nodes, (), away_s, back_s),), (Block("dns", np.where(harmed, back_s, 0.0)),))


def dead_server_loss_s(down_s: float, ttl_s: float) -> float:
    """Seconds of requests lost while a name server is down for ``down_s``, busy caches of a random phase: what outlasts U(0, TTL)."""
    if ttl_s <= 0:
        return down_s
    return down_s - ttl_s / 2 if down_s >= ttl_s else down_s**2 / (2 * ttl_s)
