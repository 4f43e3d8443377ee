"""What a plan's faults need of the links' runtime, known before anything starts.

Connections can be turned aside into a proxy only from their first packet on, and their age is known only if they were watched
from it, so both must stand before the system does. And both cost a little: what no fault needs is not made.
"""

from __future__ import annotations

import msgspec

from chaos.core.values import Cut, Link, Shaping, Toxic
from chaos.net.tc import kernel_needs
from chaos.plan.faults import planned_faults
from chaos.plugin import ActsOnLinks, Deployment


class Needs(msgspec.Struct, frozen=True):
    """``toxics``: links that a stream toxic may be put on. ``ages``: a fault cuts new connections only. ``queues``: of the kernel's."""

    toxics: frozenset[Link] = frozenset()
    ages: bool = False
    queues: frozenset[str] = frozenset()


def needs(deployment: Deployment) -> Needs:
    """Of all faults of the plan, whoever they may come to hit; of a link that the plan names and no fault explains, everything."""
    plan, target = deployment.plan, deployment.target
    part = plan.experiment.cluster.dns.part or next(iter(target.parts))
    names = [node.name for node in plan.nodes]
    toxics: set[Link] = set()
    explained: set[Link] = set()
    ages = False
    queues: frozenset[str] = frozenset()
    for planned in planned_faults(plan.experiment, target, plan.nodes, part):
        if not isinstance(planned.fault, ActsOnLinks):
            continue
        for victims in planned.possible:
            rules = planned.fault.rules(victims, names)
            toxics |= {rule.link for rule in rules if isinstance(rule, Toxic)}
            explained |= {rule.link for rule in rules}
            ages = ages or any(isinstance(rule, Cut) and rule.existing == "keep" for rule in rules)
            queues |= kernel_needs(rule for rule in rules if isinstance(rule, Shaping))
    return Needs(frozenset(toxics | (set(plan.links) - explained)), ages, queues)
