"""Acknowledged writes that die with a primary: what its replicas had not got yet (``replication: async``).

A primary that acknowledges alone and crashes takes the last ``replication_lag`` of acknowledged writes with it: rate x lag. One that is
cut off from its replicas and not from its clients goes on acknowledging until it learns that another one leads: that is lost as well, up
to the whole time of the cut.
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
        cut_s = max(each.for_s, default=0.0)
        return Range(None, per_s * lag.low_s, per_s * (lag.high_s + cut_s), reason="clients may go on writing to a primary that is cut off")
    return Range(per_s * lag.mean_s, per_s * lag.low_s, per_s * lag.high_s)
