"""Acknowledged writes that die with a primary: what its replicas had not got yet (``replication: async``).

A primary that acknowledges alone and crashes takes the last ``replication_lag`` of acknowledged writes with it: rate x lag. One that is
cut off from its replicas and not from its clients goes on acknowledging until it learns that another one leads: that is lost as well, up
to the whole time of the cut. One that needs replicas (``replicas_needed``) goes on for as long as they count (``ReplicasHeard``); one that
waits for their word on each write acknowledges nothing that none of them has.
"""

from __future__ import annotations

from chaos.core.values import LEADER
from chaos.plan.plan import Plan
from chaos.predict.facts import ClassFacts
from chaos.predict.system import System
from chaos.results.predicted import Range


def writes(plan: Plan, known: System, each: ClassFacts, service: str) -> Range | None:
    """Per fault of that class; None where the primary waits for others, where it is not the victim, or where nothing is written."""
    if not known.asynchronous or plan.operations[service].does != "write" or each.role != LEADER:
        return None
    if each.what.leader == "keeps" or (known.hands_over and each.what.polite):
        return None
    lag = known.given.get("replication_lag_s")
    if lag is None:
        return Range(None, reason="how far replicas lag behind is not said (model: {replication_lag: ...})")
    per_s = plan.experiment.traffic.operations[service].rate_per_s
    if each.what.severs:
        goes_on = known.goes_on(each.victims - 1)
        if goes_on is not None and known.waits_for_replicas:  # what a replica has not is not acknowledged
            return Range(
                None, 0.0, per_s * lag.high_s, reason="what was acknowledged is on a replica, though perhaps not on the next primary"
            )
        told_s = known.given["replaced_s"].high_s if "replaced_s" in known.given else 0.0
        cut_s = max(each.for_s, default=0.0) + told_s
        cut_s = cut_s if goes_on is None else min(cut_s, goes_on.longest_s)
        return Range(None, per_s * lag.low_s, per_s * (lag.high_s + cut_s), reason="clients may go on writing to a primary that is cut off")
    return Range(per_s * lag.mean_s, per_s * lag.low_s, per_s * lag.high_s)
