"""Rolling restarts: one stop after the other, each node started again at once, the next one asked when the last one votes.

Leadership may move to a node whose turn is still to come, and moves again then. Behind a name of all nodes each node is a group of its
own, as they are well at different times. Behind a name that holds the leader alone what counts is who leads: each *term* is a group,
asked from when the name has found its leader until the name has lost it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.core.values import LEADER
from chaos.plan.places import LEADER_LAST, ROLLING
from chaos.predict.scenarios import giving_up, leader_name
from chaos.predict.scenarios.case import Away, Case, leaderless, renewals, succession, withdrawn
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell
from chaos.predict.scenarios.crash import serves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.predict.scenarios.case import Renewed

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

LOOKED_EVERY_S: Final = 0.05
"""How often a node that was restarted is asked whether it votes again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """One node's restart, per sample; the times of a succession are 0 where it does not lead."""

    given_up: bool
    """The next one in its place has another address."""

    leads: Flags
    lost_s: Floats
    detected_s: Floats
    elected_s: Floats
    ceases_s: Floats
    """From when on its health check fails."""
    dead_s: Floats
    serving_s: Floats
    away: Away


def scenario(case: Case, gone_s: Floats) -> Scenario | None:
    """All turns of one rolling restart; ``gone_s``: from a request to the death. None where a single missing node costs the quorum."""
    system = case.system
    if case.by_leader and system.nodes - 1 < system.quorum:
        return None
    named = system.front.leader_only and case.by_leader
    if named and system.front.resolve == "once":
        raise leader_name.never_learned()
    given_up = case.text("by", "") == giving_up.DELETE
    if given_up and giving_up.never_found(case):
        return None
    renewed = renewals(case)
    turns = _turns(case, gone_s, renewed, given_up)
    return _by_terms(case, turns, renewed) if named else _by_nodes(case, turns)


def _turns(case: Case, gone_s: Floats, renewed: Renewed, given_up: bool) -> list[_Turn]:
    """One after the other."""
    system, count = case.system, case.victims
    led = case.facts.role == LEADER and case.by_leader
    leader = _turn_of_leader(case, count) if led else np.full(case.samples, system.nodes)
    turns: list[_Turn] = []
    asked_s = case.zeros()
    for turn in range(count):
        leads = leader == turn
        ends_s = asked_s + gone_s
        lost_s, detected_s, elected_s = _succeeded(case, leads, asked_s, ends_s)
        dead_s = np.maximum(ends_s, elected_s) if system.hands_over else ends_s
        started_s = asked_s + giving_up.started(case, dead_s - asked_s) if given_up else dead_s
        ready_s = started_s + case.draw("restart_s", "a restart")
        resync = giving_up.resync(case) if given_up else "resync_s"
        voting_s = ready_s + case.optional(resync)
        serving_s = serves(case, ready_s, resync)
        fails_s = asked_s if system.drains or given_up else dead_s
        dismissed = giving_up.dismissed(case, asked_s, ready_s, renewed, together=1) if given_up else None
        away = withdrawn(case, False, ready_s, fails_s, renewed) if dismissed is None else dismissed
        ceases_s = np.where(leads, elected_s, dead_s) if system.hands_over else fails_s
        turns.append(_Turn(given_up, leads, lost_s, detected_s, elected_s, ceases_s, dead_s, serving_s, away))
        others = case.rng.integers(0, max(1, system.nodes - 1), case.samples)
        leader = np.where(leads, others + (others >= turn), leader)
        # Of one that another takes the place of, whoever made that one waits until its probes call it ready.
        probed_s = system.front.admission().sample(case.rng, case.samples) if given_up else case.zeros()
        whole_s = np.maximum(voting_s + probed_s, elected_s) + case.moment(LOOKED_EVERY_S)
        asked_s = whole_s + case.number("gap_s")
    return turns


def _by_nodes(case: Case, turns: list[_Turn]) -> Scenario:
    """Each node a group of its own: they are well at different times."""
    system, count = case.system, case.victims
    tracked = case.by_leader and case.facts.role == LEADER
    spells: list[list[Spell]] = [[] for _ in range(count + 1)]
    earlier: list[tuple[Spell, ...]] = []
    """What each node does before it ends."""
    blocks: list[Block] = []
    for place, turn in enumerate(turns):
        between = _between(case, turn, turn.leads)
        handed = between if system.hands_over else ()
        earlier.append((*spells[place], *handed))
        spells[place] += [*handed, Spell(Fate.PASS, turn.dead_s), Spell(Fate.REFUSE, np.maximum(turn.serving_s, turn.elected_s))]
        if tracked:
            for other in {*range(count + 1)} - {place}:
                spells[other] += between
            blocks += [Block("detection", np.where(turn.leads, turn.detected_s, 0.0)), Block("election", turn.elected_s)]
    lives = zip(turns, earlier, spells[:count], strict=True)
    groups = [group for turn, before, whole in lives for group in _addresses(turn, before, tuple(whole))]
    rest = system.nodes - count
    groups += [Group(rest, tuple(spells[-1]))] if rest else []
    return Scenario(case.samples, tuple(groups), tuple(blocks))


def _addresses(turn: _Turn, before: tuple[Spell, ...], spells: tuple[Spell, ...]) -> tuple[Group, ...]:
    """One node, or the old address and the next one's, where another node takes its place. ``before``: its spells until it ends."""
    away = turn.away
    if not turn.given_up or away.left_s is None or away.back_s is None:
        return (Group(1, spells, away.left_s, away.back_s),)
    return giving_up.addresses(1, spells, away.left_s, away.back_s, turn.dead_s, before)


def _by_terms(case: Case, turns: list[_Turn], renewed: Renewed) -> Scenario:
    """Term 0 is that of the leader before the restart; the one that begins with the election of a turn follows it in its place."""
    never_s = np.full(case.samples, np.inf)
    front = case.system.front
    term = np.zeros(case.samples, dtype=np.int64)
    found_s = [np.full(case.samples, -np.inf), *(never_s for _ in turns)]
    gone_s = [never_s.copy() for _ in range(len(turns) + 1)]
    spells: list[list[Spell]] = [[] for _ in gone_s]
    blocks: list[Block] = []
    for place, turn in enumerate(turns):
        left_s = renewed(turn.ceases_s + front.withdrawal(False).sample(case.rng, case.samples))
        new_s = renewed(turn.elected_s + front.admission().sample(case.rng, case.samples))
        for index in range(place + 1):
            its_own = turn.leads & (term == index)
            others = () if case.reads_anywhere else _between(case, turn, turn.leads & ~its_own)
            handed = _between(case, turn, its_own) if case.system.hands_over and not case.reads_anywhere else ()
            back_s = np.where(its_own, turn.serving_s if case.reads_anywhere else np.maximum(turn.serving_s, turn.elected_s), 0.0)
            spells[index] += [*others, *handed, Spell(Fate.PASS, np.where(its_own, turn.dead_s, 0.0)), Spell(Fate.REFUSE, back_s)]
            gone_s[index] = np.where(its_own, left_s, gone_s[index])
        found_s[place + 1] = np.where(turn.leads, new_s, np.inf)
        term = np.where(turn.leads, place + 1, term)
        blocks += [Block("detection", np.where(turn.leads, turn.detected_s, 0.0)), Block("election", turn.elected_s)]
        blocks += [Block("dns", np.where(turn.leads, new_s, 0.0))]
    groups = [
        Group(1, tuple(listed), np.full(case.samples, -np.inf), begins_s, ends_s)
        for listed, begins_s, ends_s in zip(spells, found_s, gone_s, strict=True)
    ]
    return Scenario(case.samples, tuple(groups), tuple(blocks))


def _between(case: Case, turn: _Turn, where: Flags) -> tuple[Spell, ...]:
    """What nodes other than the lost leader do until there is another, in these samples."""
    detected_s, elected_s = np.where(where, turn.detected_s, 0.0), np.where(where, turn.elected_s, 0.0)
    return (Spell(Fate.PASS, np.where(where, turn.lost_s, 0.0)), *leaderless(case, detected_s, elected_s))


def _turn_of_leader(case: Case, count: int) -> NDArray[np.int64]:
    """Each turn as likely, unless more is known of where the leader is, or it is kept for the end."""
    if case.text("order", ROLLING) == LEADER_LAST:
        return np.full(case.samples, count - 1)
    shares = case.facts.turns
    if len(shares) != count or sum(shares) <= 0:
        return case.rng.integers(0, count, case.samples)
    return case.rng.choice(count, case.samples, p=np.array(shares) / sum(shares))


def _succeeded(case: Case, leads: Flags, asked_s: Floats, gone_s: Floats) -> tuple[Floats, Floats, Floats]:
    """When the leader is lost, that is noticed, and another one leads; 0 where it is not the leader whose turn it is."""
    if not leads.any():
        return case.zeros(), case.zeros(), case.zeros()
    if case.system.hands_over:
        lost_s, detected_s, elected_s = asked_s, asked_s, asked_s + 2 * case.system.round_trip_s
    else:
        noticed_s, chosen_s = succession(case, case.system.nodes - 1, loud=True)
        lost_s, detected_s, elected_s = gone_s, gone_s + noticed_s, gone_s + chosen_s
    return np.where(leads, lost_s, 0.0), np.where(leads, detected_s, 0.0), np.where(leads, elected_s, 0.0)
