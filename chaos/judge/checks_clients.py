"""Whether clients were in a state to see what a fault does: well when it began, and able to reach every node that their name promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from chaos.experiment.schedules import OnService
from chaos.experiment.tls_options import is_encrypted, unverified
from chaos.measure import slots as timeline_slots
from chaos.measure.timeline import Timeline
from chaos.plan.plan import Plan
from chaos.results import check_names
from chaos.results.verdict import Check

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
SHOWN: Final = 4
LEADS_TO, ONE_ADDRESS = "name_leads_to", "one-address"
CHANCE: Final = 1e-6
"""A node that is never asked by chance, at even shares, is rarer than this: then it is no chance."""


def well_before_faults(plan: Plan, timeline: Timeline) -> Check:
    """A fault that strikes while the service is down already shows neither whether clients notice it, nor how long."""
    name = check_names.WELL_BEFORE
    if not timeline.trials:
        return Check(name, PASS, "no fault took effect")
    asked_for = {spec.name for spec in plan.experiment.faults if spec.when is not None and _waits_for_an_outage(spec.when.on)}
    names = {fault.id: fault.name for fault in timeline.faults}
    judged: list[str] = []
    others: list[str] = []
    for service, seen in timeline.services.items():
        for fault, why in seen.untold.items():
            if why.outage and names.get(fault) not in asked_for:
                (judged if service == plan.judge else others).append(f"{service}: {fault} is left out: {why.reason}")
    told = judged or others
    if not told:
        return Check(name, PASS, "clients were well when each fault began")
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return Check(name, FAIL if judged else UNKNOWN, "; ".join(told[:SHOWN]) + more)


def _waits_for_an_outage(condition: object) -> bool:
    return isinstance(condition, OnService) and condition.state == "down"


def every_node_asked(plan: Plan, timeline: Timeline, candidates: Sequence[str]) -> Check:
    """Where the balancer spreads clients over all nodes, each must have been asked: else what befalls the others is not seen."""
    name = check_names.REACHED
    dns = plan.experiment.cluster.dns
    if len(candidates) < 2:
        return Check(name, PASS, "the name stands for one node")
    if dns.order or dns.check.what.startswith("role:"):
        return Check(name, PASS, "the name is not meant to lead to every node")
    if not plan.experiment.traffic.client.draws_evenly:
        return Check(name, PASS, "clients are not meant to ask every node")
    if any(each.name == LEADS_TO and each.word == ONE_ADDRESS for each in plan.parameters):
        return Check(name, PASS, "the name leads to one address of all nodes: which of them answered is not seen")
    endpoints = plan.experiment.traffic.client.endpoints
    if endpoints is not None and endpoints.nodes:
        candidates = [node for node in candidates if node in endpoints.nodes]
    zones = {planned.name: planned.zone or "" for planned in plan.nodes}
    weights = {node: dns.weights.get(zones.get(node, ""), 1.0) if dns.weights else 1.0 for node in candidates}
    counts = dict.fromkeys(candidates, 0)
    for seen in timeline.services.values():
        sent = seen.slots.address[seen.slots.kind != timeline_slots.UNSENT]
        for number, count in timeline_slots.count_addresses(np.asarray(sent)).items():
            node = timeline.node_at(number)
            if node in counts:
                counts[node] += count
    total = sum(counts.values())
    if not total:
        return Check(name, FAIL if _any_answered(timeline) else UNKNOWN, "no request was sent to any node of the name")
    whole = math.fsum(weights.values())
    never = [
        node
        for node, count in counts.items()
        if not count and weights[node] > 0 and total * math.log1p(-min(weights[node] / whole, 1 - 1e-12)) < math.log(CHANCE)
    ]
    if never and plan.experiment.traffic.client.redirects:
        return Check(name, PASS, f"clients follow redirects, and only the last node of each request is recorded: never {', '.join(never)}")
    if never:
        listed = " and ".join(never) if len(never) < 3 else f"{', '.join(never[:-1])} and {never[-1]}"
        return Check(name, FAIL, f"clients never reached {listed} in {total} requests: what happens there, they do not see")
    return Check(name, PASS, ", ".join(f"{node} {count}" for node, count in counts.items()))


def certificates(plan: Plan) -> list[Check]:
    """Whether whoever answered was known to be the service; nothing where no operation is encrypted."""
    encrypted = [name for name, kind in plan.operations.items() if is_encrypted(kind)]
    if not encrypted:
        return []
    open_to_all = unverified(plan.operations)
    if not open_to_all:
        return [Check(check_names.CERTIFICATES, PASS, f"verified in each connection of {', '.join(encrypted)}")]
    told = f"not verified for {', '.join(open_to_all)} (verify: false): whoever answered was believed"
    return [Check(check_names.CERTIFICATES, PASS, told)]


def _any_answered(timeline: Timeline) -> bool:
    return any(bool(np.any(seen.slots.state == timeline_slots.GOOD)) for seen in timeline.services.values())
