"""``stop``, ``restart`` and ``remove``: nodes that are asked to end, and nodes that come back with nothing.

A node that is asked to end serves until it is dead (``stop`` after the request, the grace at most). A leader then either just ends, which
is a kill (``stopping: crash``), or hands its leadership over first (``handover``): another one leads two round trips after the request,
and nobody had to notice anything. A node that drains (``drain``) fails its health check from the request on and serves all the same: one
that leaves the name, and the clients' caches, before it ends is not missed. A rolling restart is one such stop after the other, each node
started again at once and the next one asked when the last one votes; leadership may move to a node whose turn is still to come, and moves
again then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.core.values import LEADER
from chaos.plan.places import LEADER_LAST, ROLLING, TOGETHER
from chaos.plugin import Model
from chaos.predict.scenarios import crash as crashes
from chaos.predict.scenarios.case import Away, Case, assembled, leaderless, led, succession, withdrawn
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOOKED_EVERY_S: Final = 0.05
"""How often a node that was restarted is asked whether it votes again."""
GRACE_S: Final = 10.0


def stop(case: Case) -> Scenario:
    """Asked to end at 0, started again after ``for``."""
    gone_s = _gone_s(case)
    if _hands_over(case):
        return _handed_over(case, gone_s, case.for_s)
    # With the request as its moment, a stop is a kill that comes later and is taken back sooner.
    return delayed(crashes.kill(replace(case, for_s=np.maximum(case.for_s - gone_s, 0.0)), fails_s=_fails_s(case, gone_s)), gone_s)


def restart(case: Case) -> Scenario | None:
    """All at once, or one after the other; None where a single missing node costs the quorum, or the name holds the leader alone."""
    if case.victims > 1 and case.text("order", ROLLING) != TOGETHER:
        unknown = case.by_leader and (case.system.nodes - 1 < case.system.quorum or case.system.front.leader_only)
        return None if unknown else _rolling(case)
    gone_s = _gone_s(case)
    if _hands_over(case):
        return _handed_over(case, gone_s, gone_s)
    return delayed(crashes.kill(replace(case, for_s=case.zeros()), fails_s=_fails_s(case, gone_s)), gone_s)


def remove(case: Case) -> Scenario | None:
    """A kill after which a node comes back empty; None where a majority lost its data: what a system does then is its own."""
    emptied = bool(case.facts.params.get("volumes", True))
    if emptied and case.by_leader and case.system.nodes - case.victims < case.system.quorum:
        return None
    if not emptied or "resync_empty_s" not in case.system.given:
        return crashes.kill(case)
    return crashes.kill(case, resync="resync_empty_s")


def delayed(built: Scenario, by_s: Floats) -> Scenario:
    """The same, beginning so much later; until then all is well."""

    def later(group: Group) -> Group:
        spells = (Spell(Fate.PASS, by_s), *(Spell(each.fate, each.until_s + by_s, each.service) for each in group.spells))
        left_s, back_s = (None if time_s is None else time_s + by_s for time_s in (group.left_s, group.back_s))
        return Group(group.nodes, spells if group.spells else (), left_s, back_s)

    blocks = tuple(Block(each.name, np.where(each.until_s > 0, each.until_s + by_s, 0.0)) for each in built.blocks)
    return Scenario(built.samples, tuple(later(group) for group in built.groups), blocks)


def _gone_s(case: Case) -> Floats:
    """From the request to the death."""
    return np.minimum(case.optional("stop_s"), case.number("grace_s", GRACE_S))


def _fails_s(case: Case, gone_s: Floats) -> Floats:
    """From when on the health check fails, counted from the death: from the request on if the node drains."""
    return -gone_s if case.system.drains else case.zeros()


def _hands_over(case: Case) -> bool:
    """Does a lone leader leave with somebody to hand over to?"""
    system = case.system
    return system.hands_over and case.by_leader and case.leads and case.victims == 1 and system.nodes - 1 >= system.quorum


def _handed_over(case: Case, gone_s: Floats, started_s: Floats) -> Scenario:
    elected_s = case.zeros() + 2 * case.system.round_trip_s
    dead_s = np.maximum(gone_s, elected_s)
    ready_s = np.maximum(started_s, dead_s) + case.draw("restart_s", "a stop")
    serving_s = ready_s + case.moment(case.system.heartbeat_s)
    away = _shifted(withdrawn(case, False, ready_s - dead_s), dead_s)
    between = leaderless(case, case.zeros(), elected_s)
    leaver = Group(1, (*between, Spell(Fate.PASS, dead_s), Spell(Fate.REFUSE, serving_s)), away.left_s, away.back_s)
    return assembled(case, leaver, Group(case.system.nodes - 1, between), led(case.zeros(), elected_s), elected_s, elected_s)


def _rolling(case: Case) -> Scenario:
    """Each node a group of its own: they are well at different times."""
    system, count = case.system, case.victims
    tracked = case.by_leader and case.facts.role == LEADER
    leader = _turn_of_leader(case, count) if tracked else np.full(case.samples, system.nodes)
    spells: list[list[Spell]] = [[] for _ in range(count + 1)]
    aways: list[Away] = []
    blocks: list[Block] = []
    asked_s = case.zeros()
    for turn in range(count):
        leads = leader == turn
        gone_s = asked_s + _gone_s(case)
        lost_s, detected_s, elected_s = _succeeded(case, leads, asked_s, gone_s)
        dead_s = np.maximum(gone_s, elected_s) if system.hands_over else gone_s
        ready_s = dead_s + case.draw("restart_s", "a restart")
        voting_s = ready_s + case.optional("resync_s")
        serving_s = ready_s + case.moment(system.heartbeat_s) if case.by_leader else voting_s
        between = (Spell(Fate.PASS, lost_s), *leaderless(case, np.where(leads, detected_s, 0.0), elected_s))
        handed = between if system.hands_over else ()
        spells[turn] += [*handed, Spell(Fate.PASS, dead_s), Spell(Fate.REFUSE, np.maximum(serving_s, elected_s))]
        if tracked:
            for place in {*range(count + 1)} - {turn}:
                spells[place] += between
        aways.append(_shifted(withdrawn(case, False, ready_s - dead_s, _fails_s(case, dead_s - asked_s)), dead_s))
        blocks += [Block("detection", np.where(leads, detected_s, 0.0)), Block("election", elected_s)] if tracked else []
        others = case.rng.integers(0, max(1, system.nodes - 1), case.samples)
        leader = np.where(leads, others + (others >= turn), leader)
        whole_s = np.maximum(voting_s, elected_s) + case.moment(LOOKED_EVERY_S)
        asked_s = whole_s + case.number("gap_s")
    groups = [Group(1, tuple(listed), away.left_s, away.back_s) for listed, away in zip(spells, aways, strict=False)]
    rest = system.nodes - count
    groups += [Group(rest, tuple(spells[-1]))] if rest else []
    return Scenario(case.samples, tuple(groups), tuple(blocks))


def _turn_of_leader(case: Case, count: int) -> NDArray[np.int64]:
    """Each turn as likely, unless more is known of where the leader is, or it is kept for the end."""
    if case.text("order", ROLLING) == LEADER_LAST:
        return np.full(case.samples, count - 1)
    shares = case.facts.turns
    if len(shares) != count or sum(shares) <= 0:
        return case.rng.integers(0, count, case.samples)
    return case.rng.choice(count, case.samples, p=np.array(shares) / sum(shares))


def _succeeded(case: Case, leads: NDArray[np.bool_], asked_s: Floats, gone_s: Floats) -> tuple[Floats, Floats, Floats]:
    """When the leader is lost, that is noticed, and another one leads; 0 where it is not the leader whose turn it is."""
    if not leads.any():
        return case.zeros(), case.zeros(), case.zeros()
    if case.system.hands_over:
        lost_s, detected_s, elected_s = asked_s, asked_s, asked_s + 2 * case.system.round_trip_s
    else:
        noticed_s, chosen_s = succession(case, case.system.nodes - 1, loud=True)
        lost_s, detected_s, elected_s = gone_s, gone_s + noticed_s, gone_s + chosen_s
    return np.where(leads, lost_s, 0.0), np.where(leads, detected_s, 0.0), np.where(leads, elected_s, 0.0)


def _shifted(away: Away, by_s: Floats) -> Away:
    left_s, back_s = (None if time_s is None else time_s + by_s for time_s in (away.left_s, away.back_s))
    return Away(left_s, back_s)


STOP: Final = Model(stop)
RESTART: Final = Model(restart)
REMOVE: Final = Model(remove)
