"""Fault classes as scenarios: kind and role at injection decide who is harmed, who notices when, and how clients fail until then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from chaos.kinds import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.models import crashes, latencies, partitions
from chaos.models.cases import Case, either
from chaos.models.client import Scenario

NODE: Final = "node"
"""The role of victims in a system without roles."""
MIXED: Final = "mixed"
"""The leader and followers."""


def scenario(case: Case) -> Scenario | None:
    """What the fault does; None if the models do not know its kind."""
    build = BUILDERS.get(case.facts.kind)
    if build is None:
        return None
    if case.facts.role in (LEADER, FOLLOWER, NODE, partitions.GROUPS, CLIENTS, DNS) or not case.by_leader:
        return build(case)
    if case.facts.role == MIXED:
        return build(_as(case, LEADER))
    led = case.rng.uniform(0.0, 1.0, case.samples) < case.victims / case.system.nodes
    return either(led, build(_as(case, LEADER)), build(_as(case, FOLLOWER)))


def _as(case: Case, role: str) -> Case:
    """The same case, with victims of another role."""
    return replace(case, facts=msgspec.structs.replace(case.facts, role=role))


BUILDERS: Final[Mapping[str, Callable[[Case], Scenario]]] = {
    "kill": crashes.kill,
    "pause": crashes.pause,
    "partition": partitions.partition,
    "latency": latencies.latency,
}
"""Kind -> its scenario."""
