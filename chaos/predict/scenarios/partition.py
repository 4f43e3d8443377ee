"""``partition``: a leader cut off its peers steps down and its followers elect; a follower cut off serves nobody who needs a leader.

``drop`` is silence: what goes over the link is lost with its whole time-out, or given up by the node that handed it on once it
notices. ``reject`` is an immediate no. Clients still reach a node that is only cut off its peers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.plan import shapes
from chaos.plugin import Model
from chaos.predict.scenarios import eviction, giving_up, returning
from chaos.predict.scenarios.case import (
    ALWAYS_ASKED,
    Away,
    Case,
    Ways,
    assembled,
    either,
    leaderless,
    led,
    quorum_lost,
    succession,
    ways,
    withdrawn,
)
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GROUPS: Final = "groups"
"""The role of victims that are whole groups."""


def understood(case: Case) -> Case | None:
    """The case in terms of groups, where it is a shape; None for the shapes that the models do not know.

    Random halves are two groups of known sizes, whoever is in them. With its minority a leader is cut off like one that is isolated
    with companions. On the side of a majority a victim is well and others are cut off; a bridge and a ring leave every node a
    majority that no scenario here describes. Of a network that peers do not use only the clients' share is felt, and not split by groups.
    """
    if _spares_peers(case):
        groups = case.facts.params.get("groups")
        return None if isinstance(groups, tuple) and any(CLIENTS in group for group in groups) else case
    shape, _, role = case.facts.role.partition(":")
    nodes = case.system.nodes
    if shape == shapes.HALVES:
        sizes = [len(group) for group in shapes.halves([str(number) for number in range(nodes)])]
        groups = tuple(tuple(f"{side}-{number}" for number in range(size)) for side, size in enumerate(sizes))
        params = {**case.facts.params, "groups": groups}
        return replace(case, facts=msgspec.structs.replace(case.facts, role=GROUPS, params=params))
    if shape == shapes.MINORITY:
        victims = shapes.side_size(shape, nodes)
        return replace(case, facts=msgspec.structs.replace(case.facts, role=role, victims=victims))
    return None if shape in {shapes.MAJORITY, shapes.BRIDGE, shapes.RING} else case


def partition(case: Case) -> Scenario:
    """Groups kept apart, or some nodes cut off; of one network alone only until peers have found their way on another one; of a whole
    machine until others take the place of its nodes, where it stays silent for so long."""
    if case.text("network", "") and not _spares_peers(case) and "other_way_s" in case.system.given:
        case = replace(case, for_s=np.minimum(case.for_s, case.draw("other_way_s", "the cut of a network")))
    if _by_host(case):
        case = replace(case, for_s=eviction.served_s(case, giving_up.gone(case)))
    return _split(case) if case.facts.role == GROUPS and not _spares_peers(case) else _cut_off(case, _ways(case))


def _ways(case: Case) -> Ways:
    """Of nodes, from the fields that say who is cut off from them, which way."""
    if case.link is not None:
        return ways(case)
    include = ("peers", CLIENTS, DNS) if _by_host(case) else case.facts.params.get("include") or ("peers",)
    listed = include if isinstance(include, tuple) else (str(include),)
    direction, peers = case.text("direction", "both"), "peers" in listed and not _spares_peers(case)
    return Ways(peers and direction != "to", peers and direction != "from", CLIENTS in listed, DNS in listed)


def _by_host(case: Case) -> bool:
    """The whole machine is cut off, and who checks the nodes on it is on it."""
    return case.text("by", "") == "host"


def _spares_peers(case: Case) -> bool:
    return bool(case.facts.what.network)


def _cut_off(case: Case, cut: Ways) -> Scenario:
    """Some nodes are cut off their peers, and perhaps off the clients and the name server's checks."""
    system, healed_s = case.system, case.for_s
    fate = Fate.REFUSE if case.text("behavior", "drop") == "reject" else Fate.LOSE
    stay = system.nodes - case.victims
    away = withdrawn(case, fate is Fate.LOSE, healed_s, machine=_by_host(case)) if cut.dns else ALWAYS_ASKED
    from_clients = (Spell(fate, healed_s),) if cut.clients else ()
    if not case.by_leader or not (cut.opens or cut.opened) or not cut.with_leader:
        return assembled(case, Group(case.victims, from_clients, away.left_s, away.back_s), Group(stay, ()), (), None)
    if not cut.all_peers and system.nodes > 2:
        return _one_link(case, cut, fate)
    # Without beats there is no following: a leader sends them on connections that it opens.
    if not (cut.opens if case.leads else cut.opened):
        unheard = Spell(fate, healed_s)
        victims = Group(case.victims, from_clients if case.leads else (unheard,), away.left_s, away.back_s)
        return assembled(case, victims, Group(stay, (unheard,) if case.leads else ()), (), None)
    if stay < system.quorum:
        return quorum_lost(case, "heal", healed_s, healed_s, healed_s, loud=fate is Fate.REFUSE, away=away)
    return _leader_cut_off(case, fate, from_clients, away) if case.leads else _follower_cut_off(case, fate, from_clients, away)


def _leader_cut_off(case: Case, fate: Fate, from_clients: tuple[Spell, ...], away: Away) -> Scenario:
    healed_s, stay = case.for_s, case.system.nodes - case.victims
    detected_s, elected_s = succession(case, stay, loud=fate is Fate.REFUSE)
    gives_up_s = _gives_up(case)
    deposed = (detected_s < healed_s) | (gives_up_s < healed_s)
    noticed_s, again_s = np.where(deposed, detected_s, 0.0), np.where(deposed, elected_s, 0.0)
    same_s = np.where(deposed, 0.0, healed_s)
    lost_s = np.where(deposed, detected_s, healed_s) if fate is Fate.LOSE or case.system.hangs else case.zeros()
    others = Group(stay, leaderless(case, lost_s, np.where(deposed, elected_s, healed_s)))
    told_s = np.where(deposed, _told(case), healed_s)
    until_s = np.where(deposed, np.maximum(told_s, elected_s), healed_s)
    # A primary that asks nobody leads on for those who reach it, until it learns better: two of them take writes.
    leads_on_s = np.minimum(gives_up_s, told_s if case.system.asynchronous else healed_s)
    victims = Group(case.victims, (*(from_clients or _alone(case, leads_on_s)), Spell(Fate.REFUSE, until_s)), away.left_s, away.back_s)
    # The check hears of it when the leader itself gives up, or meets silence at once where it is cut off as well.
    unasked = away.left_s is not None
    ceases_s = case.zeros() if unasked else leads_on_s
    blocks = (Block("heal", same_s), *led(noticed_s, again_s))
    found = assembled(case, victims, others, blocks, again_s, ceases_s, silent=unasked and fate is Fate.LOSE)
    return returning.leader(case, found, gives_up_s, elected_s) if case.system.deposes else found


def _alone(case: Case, leads_on_s: Floats) -> tuple[Spell, ...]:
    """What those see who reach a leader that is cut off from the others, while it takes itself for the leader."""
    system = case.system
    if not system.asynchronous:
        return (Spell(Fate.DROP, leads_on_s),)
    without = system.goes_on(case.victims - 1)
    if without is None:
        return (Spell(Fate.PASS, leads_on_s),)
    taken_s = np.minimum(without.sample(case.rng, case.samples), leads_on_s)
    return (Spell(Fate.PASS, taken_s), Spell(Fate.LOSE if system.waits_for_replicas else Fate.REFUSE, leads_on_s))


def _follower_cut_off(case: Case, fate: Fate, from_clients: tuple[Spell, ...], away: Away) -> Scenario:
    patience_s = _patience(case)
    victims = Group(case.victims, (*from_clients, *_abandoned(case, fate, patience_s)), away.left_s, away.back_s)
    found = assembled(case, victims, Group(case.system.nodes - case.victims, ()), (), None)
    return returning.follower(case, found, patience_s) if case.system.deposes else found


def _one_link(case: Case, cut: Ways, fate: Fate) -> Scenario:
    """Only two nodes cannot talk, one of them the leader: the follower at the other end is as good as cut off, or cannot hand on."""
    unheard = cut.opens if case.leads else cut.opened
    patience_s = _patience(case)
    spells = _abandoned(case, fate, patience_s) if unheard else (Spell(fate, case.for_s),)
    follower = replace(case, facts=msgspec.structs.replace(case.facts, role=FOLLOWER))
    found = assembled(follower, Group(1, spells), Group(case.system.nodes - 1, ()), (), None)
    return returning.follower(follower, found, patience_s) if unheard and case.system.deposes else found


def _abandoned(case: Case, fate: Fate, patience_s: Floats) -> tuple[Spell, ...]:
    """A follower without its leader: what it hands on is lost until it notices, then it refuses until it hears a leader again."""
    handed_on = Spell(Fate.DROP if fate is Fate.LOSE else fate, np.minimum(patience_s, case.for_s))
    return (handed_on, Spell(Fate.REFUSE, np.where(patience_s < case.for_s, _rejoined(case), 0.0)))


def _patience(case: Case) -> Floats:
    """How long a follower that is cut off waits for its leader."""
    timeout = case.system.given.get("election_timeout_s")
    if timeout is None:
        return case.system.watcher().sample(case.rng, case.samples)
    return timeout.sample(case.rng, case.samples) - case.moment(case.system.beat_s)


def _told(case: Case) -> Floats:
    """When a leader that was replaced meanwhile hears of it: the next beat, or as long after the healing as its keepers take."""
    if "replaced_s" not in case.system.given:
        return _rejoined(case)
    return case.for_s + case.draw("replaced_s", "the return of a leader")


def _rejoined(case: Case) -> Floats:
    """When a node that was cut off hears the next beat."""
    return case.for_s + case.moment(case.system.beat_s)


def _gives_up(case: Case) -> Floats:
    """When a leader that hears no quorum steps down: the shortest election time-out after it last did, seen at its next beat.

    A primary that asks nobody goes on; one with a lease tries to renew it at its next turn, and gives up when that took too long.
    """
    system = case.system
    if "lease_s" in system.given and "lease_retry_s" in system.given:
        return case.moment(system.beat_s) + case.draw("lease_retry_s", "the cut of a leader with a lease")
    if system.asynchronous:
        return np.full(case.samples, np.inf)
    timeout = system.given.get("election_timeout_s")
    low_s = system.watcher().mean_s if timeout is None else timeout.low_s
    return low_s + case.moment(system.beat_s)


def _split(case: Case) -> Scenario:
    """Groups kept apart: the one with a quorum goes on, after an election if the leader is elsewhere (each node leads equally often)."""
    system, healed_s = case.system, case.for_s
    largest = max(_group_sizes(case))
    if not case.by_leader:
        return Scenario(case.samples, (Group(system.nodes, ()),))
    if largest < system.quorum:
        lost = replace(case, facts=msgspec.structs.replace(case.facts, role=LEADER, victims=system.nodes))
        return quorum_lost(lost, "heal", healed_s, healed_s, healed_s, loud=False)
    led_apart = case.rng.uniform(0.0, 1.0, case.samples) >= largest / system.nodes
    cut = Ways(True, True)
    apart = [msgspec.structs.replace(case.facts, victims=system.nodes - largest, role=role) for role in (LEADER, FOLLOWER)]
    with_leader, without = (_cut_off(replace(case, facts=facts), cut) for facts in apart)
    return either(led_apart, with_leader, without)


def _group_sizes(case: Case) -> list[int]:
    groups = case.facts.params.get("groups")
    named = [sum(1 for member in group if member != CLIENTS) for group in groups] if isinstance(groups, tuple | list) else []
    if not named:
        raise BadInput(f"{case.facts.fault_class}: the sizes of the groups are not known")
    rest = case.system.nodes - sum(named)
    return [*named, rest] if rest > 0 else named


PARTITION: Final = Model(partition, understands=understood)
