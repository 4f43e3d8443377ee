"""What is not done by hand to pods that run already, though a run does it: refused before anything is done, in plain words."""

from __future__ import annotations

from typing import Final

from chaos.core.capabilities import Capability as C
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.runtimes.kubernetes.lodgers import BEYOND, EPHEMERAL, INSTEAD, WHY

OF_NAMES: Final = frozenset({C.NAME_SET, C.NAME_ANSWERS})
OF_MACHINES: Final = frozenset({C.HOSTS, C.HOST_CUTS, C.DRAINS})


def lacks(plan: Plan, known: frozenset[C]) -> tuple[str, str] | None:
    """What is wrong with the one fault of this plan, and what to do; None if it can be done. ``known``: what guests were placed for."""
    attach = plan.experiment.cluster.attach
    if attach is None or attach.pods is None:
        return None
    (fault,) = plan.experiment.faults
    needs = made(fault).needs
    if needs & OF_NAMES and C.NAME_SET not in known:
        return (
            f"this cluster is not prepared for '{fault.kind}': the cluster's DNS is left alone, and a resolver of ours must stand between "
            "it and the clients before their first request",
            f"an experiment that plans it (faults: [{{{fault.kind}: {{...}}, at: 5s, for: 10s}}]): nines up X.yaml, or nines run X.yaml",
        )
    if needs & OF_MACHINES:
        return (
            f"'{fault.kind}' of a whole machine cannot be done by hand: who opens it again, and switches it on, goes with a run",
            f"a run that plans it: faults: [{{{fault.kind}: {{...}}, target: {{host: NAME}}, at: 5s, for: 60s}}], then 'nines run'",
        )
    if attach.pods.guests == EPHEMERAL and (needs & BEYOND or plan.proxied):
        return f"'{fault.kind}' cannot be done with 'guests: ephemeral': {WHY}", INSTEAD
    if C.DELETES in needs and C.DELETES not in known:
        return (
            f"this cluster is not prepared for '{fault.kind}': the next pod may be on a machine where no guest of ours can be started",
            "start an experiment that names this fault: nines up X.yaml",
        )
    return None
