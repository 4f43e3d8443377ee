"""What clients see of a fault: every slot's attempts, one after the other, against nodes whose state changes with time.

A cluster is a few *groups* of nodes that are alike (the victims, the others; or the leader, the followers). What a group does
with an attempt that begins at x seconds after the effect is a sequence of spells:

    REFUSE   says no at once (a reset, a refusal, an error): the attempt fails where it began
    LOSE     silence: the attempt is lost with its whole time-out, even if the spell ends meanwhile
    DROP     silence, and a no when the spell ends (what was handed on to a lost leader is given up when that is noticed)
    WAIT     held: answered when the spell ends (and the answer has been served), if that is within the time-out; else lost
    SLOW     answered after a time that is drawn for each attempt
    PASS     answered at once; what follows the last spell, and what was before the effect

A slot is due on its grid whatever happened before. Its first attempt begins at its due time, each further one where the last
failed, as long as attempts and the deadline allow; an attempt goes to an address drawn evenly from those that the cached
answer holds (not yet tried ones, if the policy says so). Nodes whose name was withdrawn are drawn no more. So retries that help
and retries that do not, stale caches, partial outages and fast and slow failures come out by themselves, in any mixture.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.predict.scenarios import outages as slots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.experiment.client import Backoff
    from chaos.experiment.traffic import ClientPolicy

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Counts = NDArray[np.int32]

INSTANT_S: Final = 1e-6
"""Less than this before a deadline is too late: it only keeps rounding from granting an attempt no time at all."""
PER_CHUNK: Final = 1_500_000
"""Slots worked on in one go: bounds the memory."""


class Fate(enum.IntEnum):
    """What a node does with an attempt."""

    PASS = 0
    REFUSE = 1
    LOSE = 2
    WAIT = 3
    SLOW = 4
    DROP = 5


Service = Callable[[np.random.Generator, int], "Floats"]
"""Draws answer times in s."""


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
    """One stretch of a group's life, from the end of the one before (or from the effect) until ``until_s`` of each sample."""

    fate: Fate
    until_s: Floats
    service: Service | None = None
    most_s: float = math.inf
    """No answer of ``service`` takes longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Nodes that are alike, and the stretch (if any) in which the answers that clients hold leave them out: they ask them neither
    from ``left_s`` on nor before ``back_s``; and not at all any more from ``gone_s`` on. ``unlisted``: further such stretches."""

    nodes: int
    spells: tuple[Spell, ...]
    left_s: Floats | None = None
    back_s: Floats | None = None
    gone_s: Floats | None = None
    unlisted: tuple[tuple[Floats, Floats], ...] = ()

    def refuses_s(self, samples: int) -> Floats:
        """Until when it does nothing but refuse, from the effect on."""
        until_s, goes_on = np.zeros(samples), np.ones(samples, dtype=bool)
        for spell in self.spells:
            if spell.fate is not Fate.REFUSE:
                goes_on &= spell.until_s <= until_s
            else:
                until_s = np.where(goes_on, np.maximum(until_s, spell.until_s), until_s)
        return until_s

    @property
    def last_s(self) -> Floats | None:
        """When the last spell ends; None without any."""
        return np.maximum.reduce([spell.until_s for spell in self.spells]) if self.spells else None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of a fault's time with a cause, per sample: for the anatomy."""

    name: str
    until_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One fault, many samples of it. Times in s after the effect; ``blocks`` follow one another, what is left is the client's."""

    samples: int
    groups: tuple[Group, ...]
    blocks: tuple[Block, ...] = ()
    first_due_s: Floats | None = None
    """When the first slot after the effect is due, where what happens goes by the slots themselves; else at a random phase."""

    @property
    def nodes(self) -> int:
        """All of them."""
        return sum(group.nodes for group in self.groups)

    def harmless(self, policy: ClientPolicy) -> bool:
        """Every node answers every first attempt in time, however slowly: all slots are good, and none need be asked."""
        limit_s = min(policy.timeout_s, policy.deadline_s) - INSTANT_S
        spells = [spell for group in self.groups for spell in group.spells]
        listed = any(group.left_s is None and not group.unlisted for group in self.groups)  # else there may be nobody to ask
        return listed and all(spell.fate is Fate.SLOW and spell.most_s < limit_s for spell in spells)

    def hopeless_s(self) -> Floats:
        """Until when every node refuses at once, per sample: what begins and ends all its attempts before that is a bad slot."""
        return np.asarray(np.minimum.reduce([group.refuses_s(self.samples) for group in self.groups]), dtype=np.float64)

    def horizon_s(self, policy: ClientPolicy) -> Floats:
        """The due time from which all slots are good, per sample.

        That is when so few nodes are still unwell, or still asked, that attempts at distinct addresses must reach a well one in
        time. Knowing it spares asking hours of slots whose fate is certain.
        """
        horizon_s = np.zeros(self.samples)
        ends: list[tuple[Group, Floats]] = []
        listed = self.nodes  # those that the answers go on holding: only they can be the well ones
        for group in self.groups:
            last_s = group.last_s
            if last_s is not None:
                gone = group.left_s is not None and (group.back_s is None or bool(np.all(group.back_s >= last_s)))
                listed -= group.nodes if gone else 0
                ends.append((group, np.minimum(last_s, group.left_s) if gone and group.left_s is not None else last_s))
        for _, end_s in ends:
            unwell = np.sum([group.nodes * (other_s >= end_s) for group, other_s in ends], axis=0)
            waits_s = policy.waits_s(policy.attempts - 1)
            reaches = (unwell < policy.attempts) & (unwell < listed)
            reaches &= np.where(unwell > 0, unwell * policy.timeout_s + waits_s, 0.0) < policy.deadline_s - INSTANT_S
            safe = reaches & policy.other_address
            horizon_s = np.maximum(horizon_s, np.where(safe, 0.0, end_s))
        for group in self.groups:
            horizon_s = np.maximum.reduce([horizon_s, *(to_s for _, to_s in group.unlisted)])
        if all(group.left_s is not None for group in self.groups):  # the name may be left without any address
            back = [group.back_s for group in self.groups if group.back_s is not None]
            horizon_s = np.maximum.reduce([horizon_s, *(np.where(np.isfinite(back_s), back_s, 0.0) for back_s in back)])
        return horizon_s


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one fault did to a service, per sample: downtime by the outage rule (0: not noticed), outages, effect to the last end."""

    downtime_s: Floats
    recovery_s: Floats
    outages: Ints
    lost_s: Floats
    """Bad slots times their width, noticed as an outage or not."""
    phases: dict[str, float] = field(default_factory=dict)
    """Mean length of each part of the noticed outages; they sum to the mean outage."""

    @property
    def noticed(self) -> NDArray[np.bool_]:
        """Did clients notice?"""
        return self.outages > 0


def see(scenario: Scenario, policy: ClientPolicy, rule: slots.Rule, rng: np.random.Generator) -> Seen:
    """Ask every slot from the effect to the end of the last spell, and apply the outage rule."""
    if scenario.harmless(policy):
        nothing = np.zeros(scenario.samples)
        return Seen(nothing, nothing.copy(), nothing.astype(np.int64), nothing.copy())
    horizon_s = scenario.horizon_s(policy)
    order = np.argsort(horizon_s, kind="stable")  # samples of like length together: no slots wasted on short ones
    parts: list[tuple[Ints, slots.Outages]] = []
    lost_s = np.zeros(scenario.samples)
    begin = 0
    while begin < scenario.samples:
        end = _chunk_end(horizon_s[order], begin, rule.slot_s)
        rows = order[begin:end]
        found, lost_s[rows] = _chunk(scenario, rows, horizon_s[rows], policy, rule, rng)
        parts.append((rows, found))
        begin = end
    sample = np.concatenate([rows[found.sample] for rows, found in parts])
    found = slots.Outages(
        sample, np.concatenate([found.start_s for _, found in parts]), np.concatenate([found.end_s for _, found in parts])
    )
    size = scenario.samples
    return Seen(
        downtime_s=slots.per_sample(found, found.end_s - found.start_s, size),
        recovery_s=np.maximum(slots.last_end_s(found, size), 0.0),
        outages=np.bincount(found.sample, minlength=size).astype(np.int64),
        lost_s=lost_s,
        phases=_phases(scenario, found),
    )


def _chunk_end(ordered_s: Floats, begin: int, slot_s: float) -> int:
    """As many samples as fit, all padded to the longest among them."""
    counts = np.ceil(ordered_s[begin:] / slot_s) + 2
    fits = np.searchsorted(counts * np.arange(1, len(counts) + 1), PER_CHUNK, side="right")
    return begin + max(1, int(fits))


def _chunk(
    scenario: Scenario, rows: Ints, horizon_s: Floats, policy: ClientPolicy, rule: slots.Rule, rng: np.random.Generator
) -> tuple[slots.Outages, Floats]:
    """The outages of these samples, and the seconds that their bad slots are worth."""
    count = int(np.ceil(horizon_s.max(initial=0.0) / rule.slot_s)) + 1
    phase_s = scenario.first_due_s
    first_due_s = rng.random(len(rows)) * rule.slot_s if phase_s is None else phase_s[rows]
    # Due times rise along a sample: what is bad for sure, what is asked and what is good for sure are stretches of it, one after the other.
    hopeless_s = scenario.hopeless_s()[rows] - min(policy.waits_s(policy.attempts - 1), policy.deadline_s)
    certain = np.minimum(_due_before(np.minimum(hopeless_s, horizon_s), first_due_s, rule.slot_s), count)
    asked = np.clip(_due_before(horizon_s, first_due_s, rule.slot_s), certain, count) - certain
    bad = np.arange(count) < certain[:, None]
    place = np.arange(asked.sum())  # of each slot that is asked, in all of ``bad``
    number = place + np.repeat(certain - (np.cumsum(asked) - asked), asked)
    place = number + np.repeat(np.arange(len(rows)) * count, asked)
    due_s = np.repeat(first_due_s, asked) + number * rule.slot_s
    bad.reshape(-1)[place] = _slots_bad(scenario, np.repeat(rows, asked), due_s, policy, rng)
    return slots.outages(bad, first_due_s, rule), np.count_nonzero(bad, axis=1) * rule.slot_s


def _due_before(limit_s: Floats, first_due_s: Floats, slot_s: float) -> Ints:
    """How many slots of each sample are due before its limit: by the due times themselves, whatever the division rounds."""
    count = np.maximum(np.ceil((limit_s - first_due_s) / slot_s), 0.0).astype(np.int64)
    count -= (count > 0) & (first_due_s + (count - 1) * slot_s >= limit_s)
    count += first_due_s + count * slot_s < limit_s
    return count


def _slots_bad(scenario: Scenario, sample: Ints, due_s: Floats, policy: ClientPolicy, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Is each slot bad? ``sample`` and ``due_s`` are one entry a slot. Most attempts are answered: only the others are reckoned with."""
    bad = np.zeros(len(due_s), dtype=bool)
    pending: Ints | None = None  # all of them
    at_s, limit_s = due_s, due_s + policy.deadline_s
    tried: Counts | None = None
    if policy.other_address and policy.attempts > 1:
        tried = np.zeros((len(scenario.groups), len(due_s)), dtype=np.int32)
    listed = _listed(scenario, policy, rng)
    for attempt in range(max(1, policy.attempts)):
        if listed is not None:
            group = listed[sample, attempt % listed.shape[1]]
        else:
            group = _pick(scenario.groups, sample, at_s, tried if attempt else None, rng)
        lost, failed_s = _unanswered(scenario.groups, group, sample, at_s, limit_s, policy.timeout_s, rng)
        if tried is not None:
            for index in range(len(tried)):
                tried[index] += group == index
        if pending is None:
            bad = lost
        else:
            bad[pending] = lost
        waits = None if policy.backoff is None else rng.random(len(at_s))
        again = np.flatnonzero(lost)
        next_s = failed_s[again]
        if policy.backoff is not None and waits is not None:
            next_s = next_s + _waits_s(policy.backoff, attempt + 1, waits[again])
        in_time = next_s < limit_s[again] - INSTANT_S
        again, at_s = again[in_time], next_s[in_time]
        if not len(again):
            break
        pending = again if pending is None else pending[again]
        sample, limit_s = sample[again], limit_s[again]
        tried = None if tried is None else tried[:, again]
    return bad


def _waits_s(backoff: Backoff, failed: int, drawn: Floats) -> Floats:
    """The wait after so many failed attempts, for each draw; linear in the draw, so two of them say all."""
    none_s, all_s = backoff.wait_s(failed, 0.0), backoff.wait_s(failed, 1.0)
    return none_s + (all_s - none_s) * drawn


def _listed(scenario: Scenario, policy: ClientPolicy, rng: np.random.Generator) -> Ints | None:
    """For clients that ask the endpoints they know in one order: which group each of them is of, for each sample; else None."""
    if policy.endpoints is None or policy.endpoints.order == "random":
        return None
    of_node = np.repeat(np.arange(len(scenario.groups)), [group.nodes for group in scenario.groups])
    return rng.permuted(np.tile(of_node, (scenario.samples, 1)), axis=1)


def _pick(groups: Sequence[Group], sample: Ints, at_s: Floats, tried: Counts | None, rng: np.random.Generator) -> Ints:
    """Which group each attempt goes to; -1 where the answer is empty. ``tried``: attempts made of each, where others come first."""
    members = [_asked(group, sample, at_s) for group in groups]
    if tried is not None:
        fresh = [np.maximum(each - before, 0) for each, before in zip(members, tried, strict=True)]
        some = np.sum(fresh, axis=0) > 0
        members = [np.where(some, new, each) for new, each in zip(fresh, members, strict=True)]
    total = sum(members)
    drawn = rng.random(len(sample)) * total
    chosen: Ints = np.zeros(len(sample), dtype=np.int64)
    until: Counts | int = 0
    for each in members[:-1]:
        until = until + each
        chosen += drawn >= until
    return chosen if isinstance(total, int) else np.where(total > 0, chosen, -1)


def _asked(group: Group, sample: Ints, at_s: Floats) -> Counts | int:
    """How many of its nodes the answers hold at that time."""
    if group.left_s is None and group.gone_s is None and not group.unlisted:
        return group.nodes
    there = np.ones(len(sample), dtype=bool) if group.left_s is None else at_s < group.left_s[sample]
    if group.back_s is not None:
        there |= at_s >= group.back_s[sample]
    if group.gone_s is not None:
        there &= at_s < group.gone_s[sample]
    for from_s, to_s in group.unlisted:
        there &= (at_s < from_s[sample]) | (at_s >= to_s[sample])
    return there * np.int32(group.nodes)


def _unanswered(
    groups: Sequence[Group], group: Ints, sample: Ints, at_s: Floats, limit_s: Floats, timeout_s: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], Floats]:
    """Which attempts are not answered, and when each of those has failed."""
    lost = group < 0  # nobody to ask: fails at once
    failed_s = at_s.copy()
    for index, members in enumerate(groups):
        if members.spells:
            mine = np.flatnonzero(group == index)
            for rows, when_s in _failures(members.spells, sample[mine], at_s[mine], limit_s[mine], timeout_s, rng):
                lost[mine[rows]] = True
                failed_s[mine[rows]] = when_s
    return lost, failed_s


def _failures(
    spells: tuple[Spell, ...], sample: Ints, at_s: Floats, limit_s: Floats, timeout_s: float, rng: np.random.Generator
) -> Iterator[tuple[Ints, Floats]]:
    """The attempts that are not answered, and when each of them has failed; nothing of the others."""
    rows = np.arange(len(at_s))
    for spell in spells:
        until_s = spell.until_s[sample]
        inside = at_s < until_s
        here = np.flatnonzero(inside)
        if len(here):
            begin_s, end_s = at_s[here], until_s[here]
            expiry_s = np.minimum(begin_s + timeout_s, limit_s[here])
            match spell.fate:
                case Fate.REFUSE:
                    yield rows[here], begin_s
                case Fate.LOSE:
                    yield rows[here], expiry_s
                case Fate.DROP:
                    yield rows[here], np.minimum(expiry_s, end_s)
                case Fate.WAIT | Fate.SLOW:
                    done_s = end_s if spell.fate is Fate.WAIT else begin_s
                    if spell.service is not None:
                        done_s = done_s + spell.service(rng, len(here))
                    late = done_s > expiry_s
                    yield rows[here[late]], expiry_s[late]
            left = np.flatnonzero(~inside)
            rows, sample, at_s, limit_s = rows[left], sample[left], at_s[left], limit_s[left]


def _phases(scenario: Scenario, found: slots.Outages) -> dict[str, float]:
    """Mean time of a noticed fault's outages that falls into each block; the rest is the client's."""
    noticed = int(np.count_nonzero(np.bincount(found.sample)))
    if not noticed:
        return {}
    parts: dict[str, float] = {}
    begin_s = np.full(len(found.sample), -np.inf)  # an edge may lie up to half a slot before the effect: the first block's
    for block in scenario.blocks:
        until_s = block.until_s[found.sample]
        is_there = until_s > 0
        inside_s = np.minimum(found.end_s, until_s) - np.maximum(found.start_s, begin_s)
        parts[block.name] = parts.get(block.name, 0.0) + float(np.maximum(inside_s, 0.0)[is_there].sum()) / noticed
        begin_s = np.where(is_there, np.maximum(begin_s, until_s), begin_s)
    rest_s = found.end_s - np.maximum(found.start_s, begin_s)
    parts["client"] = float(np.maximum(rest_s, 0.0).sum()) / noticed
    return parts
