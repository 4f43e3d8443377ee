"""``dns``: the name server itself does wrong. Every node is well; what an attempt meets is what the client's resolver has for it.

    per-request   each attempt asks by itself, from the effect to the healing
    ttl           all operations share one cache: its answer carries on to the end of its life; then attempts ask, and share questions
    once          not harmed at all: the answer was taken for ever

Of an attempt that asks, or that finds a wrong answer kept, becomes:

    down              it waits; the question is asked again each time-out, and the first one after the healing is answered: for all who wait
    slow              the same, or the answer comes late: whichever is first. Then that is kept, and the next renewal is late again
    refused, servfail it fails at once, until the healing
    nxdomain          it fails at once, and so do all others until the "no" that is kept is renewed after the healing
    wrong             it is lost with its time-out, until the wrong address is renewed after the healing

So attempts that wait for a silent server are saved if the answer comes within (attempts x time-out); those that a wrong address swallows
only by a later attempt. ``stale``, ``missing`` and ``ttl`` harm nobody by themselves, as long as an address is left in the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.plugin import Model
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

SILENT: Final = "down"
SLOW: Final = "slow"
FAILS: Final = ("refused", "servfail")
KEPT_NO: Final = "nxdomain"
WRONG: Final = "wrong"
HARMLESS: Final = ("stale", "missing", "ttl")
ONCE, PER_REQUEST = "once", "per-request"

AHEAD_S: Final = 0.01
"""A cached answer in use is renewed so long before its end, or a fiftieth of its life if that is less (docs/measuring.md)."""
LONG_AGO: Final = 50
"""So many lives of an answer before the fault the traffic began: its grids have any phase by then."""
TRIP_S: Final = 0.0003
"""A question and its answer. It is short, and still decides: what is due with the question, or waits just as long, is on the wrong side."""
HAIR_S: Final = 1e-7
"""Keeps rounding from putting an attempt that ends with an answer on the right side of it."""
MOST_CYCLES: Final = 10_000


def server(case: Case) -> Scenario | None:
    """A name server that does wrong; None for modes that are not modelled."""
    mode, front = case.text("mode", SILENT), case.system.front
    if mode == "missing" and front.leader_only:
        return None
    if mode == "missing" and case.system.nodes == 1:
        mode = KEPT_NO  # an empty answer, kept like any that says no
    if mode not in (SILENT, SLOW, *FAILS, KEPT_NO, WRONG, *HARMLESS):
        return None
    delay_s = case.number("delay_s") if mode == SLOW else np.inf
    if front.resolve == ONCE or mode in HARMLESS:
        return Scenario(case.samples, (Group(case.system.nodes, ()),))
    if front.resolve == PER_REQUEST:
        return _asking_each_time(case, mode, delay_s)
    uses = _Uses.drawn(case)
    spells = _kept(case, uses, mode) if mode in (KEPT_NO, WRONG, *FAILS) else _awaited(case, uses, delay_s)
    return _scenario(case, spells, uses.first_due_s)


def _asking_each_time(case: Case, mode: str, delay_s: float) -> Scenario:
    """No cache: what a question meets is what its attempt meets."""
    if mode == SLOW and delay_s + 2 * case.system.round_trip_s < min(case.system.client.timeout_s, case.system.client.deadline_s):
        return Scenario(case.samples, (Group(case.system.nodes, ()),))
    fate = Fate.LOSE if mode in (SILENT, SLOW, WRONG) else Fate.REFUSE
    return _scenario(case, [Spell(fate, case.for_s)], None)


def _scenario(case: Case, spells: list[Spell], first_due_s: Floats | None) -> Scenario:
    harmed = np.any([spell.until_s > 0 for spell in spells if spell.fate is not Fate.PASS], axis=0)
    blocks = (Block("dns", np.where(harmed, case.for_s, 0.0)),)
    return Scenario(case.samples, (Group(case.system.nodes, tuple(spells)),), blocks, first_due_s)


# --- a cache that all operations share ---------------------------------------------------------------------------------


def _kept(case: Case, uses: _Uses, mode: str) -> list[Spell]:
    """Answers that say no, or something wrong: from the first question of the fault until the cache knows better."""
    front, for_s = case.system.front, case.for_s
    last_s = uses.last_answer_s(front.ttl_s)
    over_s, asks_s = last_s + front.ttl_s, uses.renewal_s(last_s, front.ttl_s)
    if mode in FAILS or front.ttl_s <= 0:
        fate = Fate.LOSE if mode == WRONG else Fate.REFUSE
        harmed = np.maximum(over_s, asks_s) < for_s
        return _spells(fate, harmed, np.maximum(over_s, 0.0), for_s)
    harmed = asks_s < for_s
    begins_s = np.where(asks_s < over_s, asks_s + TRIP_S, asks_s)  # who asks ahead goes on with what is kept
    at_s = asks_s
    for _ in range(MOST_CYCLES):
        wrong = at_s < for_s
        if not wrong.any():
            break
        over_s = np.where(wrong, at_s + TRIP_S + front.ttl_s, over_s)
        at_s = np.where(wrong, uses.renewal_s(at_s + TRIP_S, front.ttl_s), at_s)
    until_s = np.where(at_s < over_s, at_s + TRIP_S, at_s)
    return _spells(Fate.LOSE if mode == WRONG else Fate.REFUSE, harmed, begins_s, until_s)


def _served(rng: np.random.Generator, size: int) -> Floats:  # noqa: ARG001 - always as long
    """From the question that is answered to the answer."""
    return np.full(size, TRIP_S)


def _spells(fate: Fate, harmed: Flags, begins_s: Floats, until_s: Floats) -> list[Spell]:
    return [Spell(Fate.PASS, np.where(harmed, begins_s, 0.0)), Spell(fate, np.where(harmed, until_s, 0.0))]


def _awaited(case: Case, uses: _Uses, delay_s: float) -> list[Spell]:
    """No answer, or a late one: attempts wait from the end of what is kept until one comes; then all is well for another life of it."""
    ttl_s, for_s = case.system.front.ttl_s, case.for_s
    if delay_s + 2 * case.system.round_trip_s < min(case.system.client.timeout_s, case.system.client.deadline_s):
        return [Spell(Fate.WAIT, case.zeros())]  # each waits a little and is answered
    spells: list[Spell] = []
    last_s = uses.last_answer_s(ttl_s)
    for _ in range(MOST_CYCLES):
        asks_s = uses.renewal_s(last_s, ttl_s)
        harmed = asks_s < for_s
        if not harmed.any():
            break
        over_s = np.maximum(last_s + ttl_s, 0.0)
        answered_s = uses.answered_s(asks_s, over_s, for_s, delay_s)
        spells += [Spell(Fate.PASS, np.where(harmed, over_s, 0.0)), Spell(Fate.WAIT, np.where(harmed, answered_s - HAIR_S, 0.0), _served)]
        last_s = np.where(harmed, answered_s + TRIP_S, last_s)
        if not np.isfinite(delay_s):
            break
    return spells or [Spell(Fate.WAIT, case.zeros())]


@dataclass(frozen=True, slots=True, eq=False)
class _Uses:
    """When the name is needed: the slots of all operations, whose grids stand to each other as in a run, at any phase to the fault."""

    start_s: Floats
    """Of the traffic, in s before the effect; one entry a sample."""
    grids: tuple[tuple[float, float], ...]
    """(slot width, phase) of each operation, in s."""
    timeout_s: float
    covers_s: float
    """How long a request goes on trying."""
    first_due_s: Floats | None

    @classmethod
    def drawn(cls, case: Case) -> _Uses:
        client, front = case.system.client, case.system.front
        grids = front.grids or ((case.slot_s or client.timeout_s / 10, 0.0),)
        life_s = max(front.ttl_s, *(slot_s for slot_s, _ in grids))
        start_s = -life_s * (LONG_AGO + case.moment(LONG_AGO))
        own = grids[case.grid] if case.grid is not None else None
        first_due_s = None if own is None else np.mod(start_s + own[1], own[0])
        covers_s = min(max(1, client.attempts) * client.timeout_s, client.deadline_s)
        return cls(start_s, grids, client.timeout_s, covers_s, first_due_s)

    def next_s(self, from_s: Floats) -> Floats:
        """The first use at or after these moments."""
        found = np.full(len(from_s), np.inf)
        for slot_s, phase_s in self.grids:
            base_s = self.start_s + phase_s
            found = np.minimum(found, base_s + np.ceil((from_s - base_s) / slot_s - 1e-9) * slot_s)
        return found

    def previous_s(self, upto_s: Floats) -> Floats:
        """The last use at or before these moments."""
        found = np.full(len(upto_s), -np.inf)
        for slot_s, phase_s in self.grids:
            base_s = self.start_s + phase_s
            found = np.maximum(found, base_s + np.floor((upto_s - base_s) / slot_s + 1e-9) * slot_s)
        return found

    def renewal_s(self, answered_s: Floats, ttl_s: float) -> Floats:
        """The next question after an answer: ahead of the end of its life, by the first use there; else by the first use after it."""
        return self.next_s(answered_s + ttl_s - min(AHEAD_S, ttl_s / 50))

    def last_answer_s(self, ttl_s: float) -> Floats:
        """When the answer came that the cache holds as the fault begins."""
        if ttl_s <= 0:
            return self.previous_s(np.full(len(self.start_s), -TRIP_S)) + TRIP_S
        # Grids that repeat make a beat of questions: some beats before the fault, at any of its phases.
        at_s = self.next_s(np.full(len(self.start_s), -4.0 * ttl_s)) + TRIP_S
        beat_s = self.renewal_s(at_s, ttl_s) + TRIP_S - at_s
        at_s = self.next_s(-beat_s * (2.0 + np.mod(self.start_s / beat_s * np.e, 1.0))) + TRIP_S
        while True:
            following_s = self.renewal_s(at_s, ttl_s)
            if (following_s >= 0).all():
                return at_s
            at_s = np.where(following_s < 0, following_s + TRIP_S, at_s)

    def answered_s(self, asks_s: Floats, over_s: Floats, for_s: Floats, delay_s: float) -> Floats:
        """When a question first put at ``asks_s`` has its answer: late by ``delay_s``, or at once where it is repeated after the fault.

        A question lives as long as somebody waits for it; after that the next one to need it puts a new one.
        """
        narrowest_s = min(slot_s for slot_s, _ in self.grids)
        if narrowest_s <= min(self.timeout_s, self.covers_s) - AHEAD_S:  # somebody always waits
            again_s = asks_s + np.ceil((for_s - asks_s) / self.timeout_s) * self.timeout_s
            return np.minimum(asks_s + delay_s, again_s)
        first_s, at_s, found_s = asks_s.copy(), asks_s.copy(), np.full(len(asks_s), np.inf)
        for _ in range(MOST_CYCLES):
            found_s = np.where(np.isinf(found_s) & (at_s >= for_s), at_s, found_s)
            then_s = at_s + self.timeout_s
            found_s = np.where(np.isinf(found_s) & (first_s + delay_s <= then_s), first_s + delay_s, found_s)
            if np.isfinite(found_s).all():
                break
            due_s = self.previous_s(then_s)
            awaited = (due_s + self.covers_s > then_s + TRIP_S) & (due_s >= over_s - TRIP_S)
            at_s = np.where(awaited, then_s, self.next_s(then_s))
            first_s = np.where(awaited, first_s, at_s)
        return found_s


DNS: Final = Model(server, whole=True)
