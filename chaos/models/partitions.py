"""``partition``: a leader cut off its peers steps down and its followers elect; a follower cut off serves nobody who needs a leader."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.errors import BadInput
from chaos.kinds import CLIENTS, FOLLOWER, LEADER
from chaos.models.cases import Case, assembled, either, leaderless, led, quorum_lost, succession, withdrawn
from chaos.models.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GROUPS: Final = "groups"
"""The role of victims that are whole groups."""


def partition(case: Case) -> Scenario:
    if case.facts.role == GROUPS:
        return _split(case)
    include = case.facts.params.get("include") or ("peers",)
    listed = include if isinstance(include, tuple) else (str(include),)
    return _isolated(case, "peers" in listed, CLIENTS in listed, "dns" in listed)


def _cut_fate(case: Case) -> Fate:
    return Fate.REFUSE if case.text("behavior", "drop") == "reject" else Fate.LOSE


def _isolated(case: Case, peers: bool, clients: bool, dns: bool) -> Scenario:
    """Some nodes are cut off their peers, and perhaps off the clients and the name server's checks."""
    system, healed_s, fate = case.system, case.for_s, _cut_fate(case)
    stay = system.nodes - case.victims
    left_s = withdrawn(case, silent=fate is Fate.LOSE) if dns else None
    if not case.by_leader or not peers:
        cut = (Spell(fate, healed_s),) if clients else ()
        return assembled(case, Group(case.victims, cut, left_s), Group(stay, ()), (), None)
    if stay < system.quorum:
        return quorum_lost(case, healed_s, healed_s, healed_s, loud=fate is Fate.REFUSE)
    heartbeat_s = system.need("heartbeat_s", "a partition").mean_s
    rejoined_s = healed_s + case.rng.uniform(0.0, 1.0, case.samples) * heartbeat_s
    detected_s, elected_s = succession(case, stay)
    if case.facts.role != LEADER:
        patience_s = _patience(case, heartbeat_s)
        handed_on = Fate.DROP if fate is Fate.LOSE else fate
        alone = (Spell(fate, healed_s),) if clients else (Spell(handed_on, np.minimum(patience_s, healed_s)),)
        still = np.where(patience_s < healed_s, rejoined_s, healed_s)
        return assembled(case, Group(case.victims, (*alone, Spell(Fate.REFUSE, still)), left_s), Group(stay, ()), (), None)
    gives_up_s = _gives_up(case, heartbeat_s)
    deposed = (detected_s < healed_s) | (gives_up_s < healed_s)
    others = Group(stay, _forwarding(case, fate, np.where(deposed, detected_s, healed_s), np.where(deposed, elected_s, healed_s)))
    until_s = np.where(deposed, np.maximum(rejoined_s, elected_s), healed_s)
    alone = (Spell(fate, healed_s),) if clients else (Spell(Fate.DROP, np.minimum(gives_up_s, healed_s)),)
    blocks = (Block("restart", np.where(deposed, 0.0, healed_s)), *led(np.where(deposed, detected_s, 0.0), np.where(deposed, elected_s, 0.0)))
    return assembled(case, Group(case.victims, (*alone, Spell(Fate.REFUSE, until_s)), left_s), others, blocks, elected_s)


def _forwarding(case: Case, fate: Fate, detected_s: Floats, elected_s: Floats) -> tuple[Spell, ...]:
    """Followers that hand writes on to a leader they cannot reach, until they notice."""
    lost_s = detected_s if fate is Fate.LOSE or case.system.hangs else case.zeros()
    return leaderless(case, lost_s, elected_s)


def _patience(case: Case, heartbeat_s: float) -> Floats:
    """When a follower that hears nothing stands for election."""
    timeout = case.system.given.get("election_timeout_s")
    if timeout is None:
        return case.system.watcher().sample(case.rng, case.samples)
    return timeout.sample(case.rng, case.samples) - case.rng.uniform(0.0, 1.0, case.samples) * heartbeat_s


def _gives_up(case: Case, heartbeat_s: float) -> Floats:
    """When a leader that hears no quorum steps down: the shortest election time-out after it last did, seen at its next beat."""
    timeout = case.system.given.get("election_timeout_s")
    low_s = case.system.watcher().mean_s if timeout is None else timeout.low_s
    return low_s + case.rng.uniform(0.0, 1.0, case.samples) * heartbeat_s


def _split(case: Case) -> Scenario:
    """Groups kept apart: the one with a quorum goes on, after an election if the leader is elsewhere (each node leads equally often)."""
    system, healed_s = case.system, case.for_s
    sizes = _group_sizes(case)
    largest = max(sizes)
    if not case.by_leader:
        return Scenario(case.samples, (Group(system.nodes, ()),))
    if largest < system.quorum:
        lost = replace(case, facts=msgspec.structs.replace(case.facts, role=LEADER, victims=system.nodes))
        return quorum_lost(lost, healed_s, healed_s, healed_s, loud=False)
    apart = msgspec.structs.replace(case.facts, victims=system.nodes - largest)
    led_apart = case.rng.uniform(0.0, 1.0, case.samples) >= largest / system.nodes
    by_role = {
        role: _isolated(replace(case, facts=msgspec.structs.replace(apart, role=role)), True, False, False) for role in (LEADER, FOLLOWER)
    }
    return either(led_apart, by_role[LEADER], by_role[FOLLOWER])


def _group_sizes(case: Case) -> list[int]:
    groups = case.facts.params.get("groups")
    named = [sum(1 for member in group if member != CLIENTS) for group in groups] if isinstance(groups, tuple) else []
    if not named:
        raise BadInput(f"{case.facts.fault_class}: the sizes of the groups are not known")
    rest = case.system.nodes - sum(named)
    return [*named, rest] if rest > 0 else named
