"""Fault classes as scenarios: kind and role at injection decide who is harmed, who notices when, and how clients fail until then."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from chaos.core import plugins
from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.experiment.traffic import ClientPolicy
from chaos.plugin import Model
from chaos.predict.scenarios import checked, nameless, second_centre
from chaos.predict.scenarios import partition as partitions
from chaos.predict.scenarios.case import ZONE, Case, either
from chaos.predict.scenarios.client import Scenario

CLIENT_PORT: Final = "client"
NODE: Final = "node"
"""The role of victims in a system without roles."""
PILOT: Final = 64
MIXED: Final = "mixed"
"""The leader and followers."""


def scenario(case: Case) -> Scenario | None:
    """What the fault does; None if no model knows it."""
    built = _with_names(case)
    return None if built is None else nameless.without_names(case, checked.by_quorum(case, built, _with_names))


def _with_names(case: Case) -> Scenario | None:
    """The same as long as the name can be asked."""
    named = _scenario(case)
    if named is None or not case.reads_anywhere or case.facts.what.of_name:
        return named
    # The name decides whom clients ask, and each node answers as it would behind any name.
    anyone = msgspec.structs.replace(case.system, front=msgspec.structs.replace(case.system.front, leader_only=False))
    well = _scenario(replace(case, system=anyone))
    if well is None or len(well.groups) != len(named.groups):
        return named
    groups = tuple(replace(asked, spells=node.spells) for asked, node in zip(named.groups, well.groups, strict=True))
    return Scenario(named.samples, groups, named.blocks)


def _scenario(case: Case) -> Scenario | None:
    model = model_of(case.facts.kind)
    if model is None or case.text("port", "") not in ("", CLIENT_PORT):
        return None  # what a system does on its other ports is its own
    understood = model.understands(case)
    if understood is None:
        return None
    case = understood
    if case.system.first_zone and case.facts.role != LEADER:
        return _beside_another_centre(case, model)
    if model.whole or case.facts.role in (LEADER, FOLLOWER, NODE, partitions.GROUPS, CLIENTS, DNS) or not case.by_leader:
        return model.build(case)
    if case.facts.role == MIXED:
        return model.build(_as(case, LEADER))
    led = case.rng.uniform(0.0, 1.0, case.samples) < case.victims / case.system.nodes
    with_leader, without = model.build(_as(case, LEADER)), model.build(_as(case, FOLLOWER))
    return None if with_leader is None or without is None else either(led, with_leader, without)


def _beside_another_centre(case: Case, model: Model) -> Scenario | None:
    """With two data centres: what strikes one of them as a whole; who else is struck may be of either, and no model knows which."""
    if case.first_centre:
        return model.build(case) if case.facts.kind in ("kill", "power_off") else None
    return second_centre.copy_lost(case) if case.facts.role.startswith(f"{ZONE}:") else None


def model_of(kind: str) -> Model | None:
    """How faults of this kind are predicted; None where nothing says it. ``EnvironmentUnusable`` for one of another package that does
    not load."""
    found: Model | None = plugins.find("models", kind) if kind in plugins.names("models") else None
    return found


def knows(kind: str) -> bool:
    """Is there a model for faults of this kind, if not for every class of them?"""
    return model_of(kind) is not None


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
