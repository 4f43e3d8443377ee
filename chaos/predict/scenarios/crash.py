"""``kill``, ``power_off`` and ``pause``: the first makes victims loud, the others silent.

A *loud* node refuses at once (its process is dead, its machine lives), and so does a dead one behind a proxy, which accepts and
closes. A *silent* node swallows attempts, each with its whole time-out: the same "node down" is two different outages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.core.values import LEADER
from chaos.plan.back_off import POLICY
from chaos.plugin import Model
from chaos.predict.scenarios import eviction, second_centre
from chaos.predict.scenarios.case import Case, assembled, leaderless, led, quorum_lost, steps_down, succession, withdrawn
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell
from chaos.predict.scenarios.restarted import Restarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chaos.predict.scenarios.case import Away

    Floats = NDArray[np.float64]


def kill(
    case: Case, resync: str = "resync_s", fails_s: Floats | None = None, away: Callable[[Floats], Away] | None = None
) -> Scenario:  # fmt: skip
    """Victims refuse until they are started again (``for``), ready and voting; a lost leader is followed by another.

    ``resync``: the parameter that says how long a node takes to vote again. ``fails_s``: from when on the victims' health check fails;
    None: from their death, which is at 0. ``away``: when clients do not ask them, by when they are ready; None: as the check says.
    """
    return _crash(case, silent=False, resync=resync, fails_s=fails_s, leaves=away)


def power_off(case: Case) -> Scenario:
    """The same with the machine gone: attempts vanish until it is started again, and so does what was handed on to it."""
    return _crash(case, silent=True, resync="resync_s")


def _crash(
    case: Case, silent: bool, resync: str, fails_s: Floats | None = None, leaves: Callable[[Floats], Away] | None = None
) -> Scenario:  # fmt: skip
    system = case.system
    fails_s = case.zeros() if fails_s is None else fails_s
    # What a node's own supervisor starts again does not wait for the schedule.
    alone = case.text("process", "main") == "serving"
    started_s = case.draw("respawn_s", "a kill of the serving process") if alone else started(case, machine=silent)
    ready_s = started_s + case.draw("restart_s", "a kill")
    serving_s = serves(case, ready_s, resync)
    dark = (Spell(Fate.LOSE, started_s),) if silent else ()
    if case.first_centre:
        return second_centre.takes_over(case, (*dark, Spell(Fate.REFUSE, serving_s)), serving_s, silent)
    away = withdrawn(case, silent, ready_s, fails_s, machine=silent) if leaves is None else leaves(ready_s)
    stay = system.nodes - case.victims
    down = Group(case.victims, (*dark, Spell(Fate.REFUSE, serving_s)), away.left_s, away.back_s)
    if not case.by_leader:
        blocks = (Block("restart", started_s), Block("resync", serving_s)) if stay == 0 else ()
        return assembled(case, down, Group(stay, ()), blocks, None)
    if stay < system.quorum:
        return quorum_lost(case, "restart", started_s, ready_s, ready_s + case.optional(resync), loud=not silent, away=away)
    if case.facts.role != LEADER:
        return assembled(case, down, Group(stay, ()), (), None)
    detected_s, elected_s = succession(case, stay, loud=not silent)
    # Hanging or not, what was handed on to a dead process fails at once: unless the node holds it for the next leader.
    lost_s = detected_s if system.hangs or silent else case.zeros()
    others = Group(stay, leaderless(case, lost_s, elected_s))
    victims = Group(case.victims, (*dark, Spell(Fate.REFUSE, np.maximum(serving_s, elected_s))), away.left_s, away.back_s)
    return assembled(case, victims, others, led(detected_s, elected_s), elected_s, fails_s, silent)


def started(case: Case, machine: bool) -> Floats:
    """When the victims' processes are started again: with the schedule, a machine's boot after its power is back, or by a runtime that
    waits (``back_off``): then ``for_s`` is what it owes, and the start comes with its first look after that."""
    rule = case.system.back_off
    if machine:
        return eviction.started_s(case, case.for_s + case.optional("boot_s"))
    if rule is None or case.text("recovery", "") != POLICY:
        return case.for_s
    return Restarted(rule).sample(case.rng, case.for_s)


def pause(case: Case) -> Scenario:
    """Victims are silent until they are let go on; a leader that sleeps longer than its followers' patience is deposed."""
    system, awake_s = case.system, case.for_s
    away = withdrawn(case, True, awake_s)
    stay = system.nodes - case.victims
    asleep = Group(case.victims, (Spell(Fate.WAIT, awake_s),), away.left_s, away.back_s)
    if not case.by_leader or (stay >= system.quorum and case.facts.role != LEADER):
        return assembled(case, asleep, Group(stay, ()), (), None)
    if system.nodes == 1:  # it is its own quorum, and goes on where it stopped
        return assembled(case, asleep, Group(0, ()), (Block("resume", awake_s),), None)
    if stay < system.quorum:
        return quorum_lost(case, "resume", awake_s, awake_s, awake_s, loud=False, away=away)
    detected_s, elected_s = succession(case, stay)
    deposed = (detected_s < awake_s) | steps_down(case, awake_s)
    noticed_s, again_s = np.where(deposed, detected_s, 0.0), np.where(deposed, elected_s, 0.0)
    same_s = np.where(deposed, 0.0, awake_s)
    others = Group(stay, (*leaderless(case, noticed_s, again_s), Spell(Fate.WAIT, same_s)))
    # A deposed leader wakes up to answers for a term that is over: what it held is lost.
    slept = (Spell(Fate.LOSE, np.where(deposed, awake_s, 0.0)), Spell(Fate.WAIT, same_s), Spell(Fate.REFUSE, again_s))
    blocks = (Block("resume", same_s), *led(noticed_s, again_s))
    return assembled(case, Group(case.victims, slept, away.left_s, away.back_s), others, blocks, again_s, silent=True)


def serves(case: Case, ready_s: Floats, resync: str = "resync_s") -> Floats:
    """When a node that is ready answers again: if it hands requests on, once it hears a leader; a replica that any read will do for,
    at once; a node by itself, when it has what it serves."""
    if case.by_leader and not case.reads_anywhere:
        return ready_s + case.moment(case.system.heartbeat_s)
    return ready_s if case.system.replicated else ready_s + case.optional(resync)


KILL: Final = Model(kill)
POWER_OFF: Final = Model(power_off)
PAUSE: Final = Model(pause)
