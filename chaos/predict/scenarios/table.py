"""Fault classes as scenarios: kind and role at injection decide who is harmed, who notices when, and how clients fail until then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.experiment.spec import ClientPolicy
from chaos.predict.scenarios import crash as crashes
from chaos.predict.scenarios import dns as names
from chaos.predict.scenarios import latency as latencies
from chaos.predict.scenarios import partition as partitions
from chaos.predict.scenarios import shutdown as leaving
from chaos.predict.scenarios import streams
from chaos.predict.scenarios.case import Case, either
from chaos.predict.scenarios.client import Scenario

NODE: Final = "node"
"""The role of victims in a system without roles."""
PILOT: Final = 64
MIXED: Final = "mixed"
"""The leader and followers."""


def scenario(case: Case) -> Scenario | None:
    """What the fault does; None if the models do not know its kind."""
    if case.facts.kind == "dns":
        return names.server(case)
    build = BUILDERS.get(case.facts.kind)
    if build is None or latencies.by_packets(case):
        return None
    if case.facts.kind == "partition":
        shaped = partitions.understood(case)
        if shaped is None:
            return None
        case = shaped
    if case.facts.role in (LEADER, FOLLOWER, NODE, partitions.GROUPS, CLIENTS, DNS) or not case.by_leader:
        return build(case)
    if case.facts.role == MIXED:
        return build(_as(case, LEADER))
    led = case.rng.uniform(0.0, 1.0, case.samples) < case.victims / case.system.nodes
    with_leader, without = build(_as(case, LEADER)), build(_as(case, FOLLOWER))
    return None if with_leader is None or without is None else either(led, with_leader, without)


def knows(kind: str) -> bool:
    """Are there scenarios for faults of this kind, if not for every class of them?"""
    return kind == "dns" or kind in BUILDERS


def slots_each(case: Case, policy: ClientPolicy, slot_s: float) -> float:
    """How many slots one sample of it costs, on average: asked of a few, to decide how many samples are worth their time."""
    few = replace(case, for_s=case.for_s[:PILOT], rng=np.random.default_rng(0))
    built = scenario(few)
    if built is None:
        return 1.0
    horizon_s = built.horizon_s(policy)
    # Hopeless slots cost next to nothing.
    return 1.0 + float((horizon_s - 0.9 * np.minimum(built.hopeless_s(), horizon_s)).mean()) / slot_s


def _as(case: Case, role: str) -> Case:
    """The same case, with victims of another role."""
    return replace(case, facts=msgspec.structs.replace(case.facts, role=role))


BUILDERS: Final[Mapping[str, Callable[[Case], Scenario | None]]] = {
    "kill": crashes.kill,
    "power_off": crashes.power_off,
    "pause": crashes.pause,
    "partition": partitions.partition,
    "latency": latencies.latency,
    "stop": leaving.stop,
    "restart": leaving.restart,
    "remove": leaving.remove,
    "down": streams.down,
    "timeout": streams.timeout,
}
"""Kind -> its scenario."""
