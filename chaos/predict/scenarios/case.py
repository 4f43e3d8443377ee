"""What scenarios of faults have in common: succession, the loss of a quorum, and the name's set. Times in s after the effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.values import CLIENTS, DNS, FOLLOWER, LEADER
from chaos.experiment.selectors import LinkTo
from chaos.predict.facts import ClassFacts
from chaos.predict.scenarios import leader_name
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell
from chaos.predict.system import NOTHING, READ, System

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Renewed = Callable[[Floats], Floats]


ZONE: Final = "zone"
"""What the role of victims begins with that are all of a zone: ``zone:a``."""
ANY: Final = "any"
"""All other peers, as an end of a link."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One class of faults against one operation, to be drawn ``samples`` times; ``for_s`` has one entry a sample."""

    system: System
    facts: ClassFacts
    does: str
    for_s: Floats
    rng: np.random.Generator
    link: LinkTo | None = None
    grid: int | None = None
    """Which of the front's grids is the operation's own."""
    slot_s: float = 0.0

    @property
    def samples(self) -> int:
        return len(self.for_s)

    @property
    def victims(self) -> int:
        return max(1, min(self.facts.victims, self.system.nodes))

    @property
    def by_leader(self) -> bool:
        """Does the operation need a leader?"""
        return self.system.needs_leader(self.does)

    @property
    def reads_anywhere(self) -> bool:
        """Is it a read that any replica answers, sent to a name that holds the leader alone? Then who leads decides only who is asked."""
        return self.by_leader and self.does == READ and self.system.local_reads

    @property
    def leads(self) -> bool:
        """Is the leader among the victims?"""
        return self.facts.role == LEADER

    @property
    def first_centre(self) -> bool:
        """Is it the whole data centre that is lost which another one stands in for?"""
        return bool(self.system.first_zone) and self.facts.role == f"{ZONE}:{self.system.first_zone}"

    def zeros(self) -> Floats:
        """No time at all, for each sample."""
        return np.zeros(self.samples)

    def moment(self, within_s: float) -> Floats:
        """A random moment in such a period."""
        return self.rng.uniform(0.0, 1.0, self.samples) * within_s

    def number(self, name: str, default: float = 0.0) -> float:
        """One number among the fault's fields."""
        value = self.facts.params.get(name)
        return float(value) if isinstance(value, int | float) else default

    def draw(self, name: str, what_for: str) -> Floats:
        """Draws of one parameter."""
        return self.system.need(name, what_for).sample(self.rng, self.samples)

    def optional(self, name: str) -> Floats:
        """The same, 0 where nobody says it."""
        return self.system.given.get(name, NOTHING).sample(self.rng, self.samples)

    def text(self, name: str, default: str) -> str:
        """One word among the fault's fields."""
        return str(self.facts.params.get(name, default))


class Ways(msgspec.Struct, frozen=True):
    """Which connections a fault on links is about, seen from its victims."""

    opens: bool
    """Those the victims open to their peers: a leader's appends and beats, a follower's forwarded requests."""
    opened: bool
    """Those that peers open to them."""
    clients: bool = False
    dns: bool = False
    all_peers: bool = True
    """With every peer; else with one."""
    with_leader: bool = True
    """Is the leader at one of the ends?"""


def ways(case: Case) -> Ways:
    """From the selector of a link; without one, all with peers. A ``network`` that is still told of is not the peers'."""
    link, spared = case.link, bool(case.facts.what.network)
    if link is None:
        return Ways(not spared, not spared)
    ends = (link.source, link.destination)
    if CLIENTS in ends or DNS in ends:
        return Ways(False, False, CLIENTS in ends, DNS in ends)
    if spared:
        return Ways(False, False)
    out = link.source != ANY
    return Ways(out or link.both, not out or link.both, all_peers=ANY in ends, with_leader=case.leads or ANY in ends or LEADER in ends)


# --- the leader --------------------------------------------------------------------------------------------------------


def succession(case: Case, voters: int, loud: bool = False) -> tuple[Floats, Floats]:
    """When the voters have noticed that their leader is gone, and when they have another one that takes writes.

    ``loud``: its connections are closed or refused, which a system may notice long before a silence (``close_detection``), or
    begin an election for (``close_election``).
    """
    system = case.system
    if loud and "close_detection_s" in system.given:
        noticed_s = system.given["close_detection_s"].sample(case.rng, case.samples) + system.round_trip_s / 2
        return noticed_s, noticed_s + system.takeover.sample(case.rng, case.samples)
    if system.randomised:
        return system.election(voters, loud).sample(case.rng, case.samples)
    detected_s = system.watcher(loud).sample(case.rng, case.samples)
    return detected_s, detected_s + system.takeover.sample(case.rng, case.samples)


def after_quorum_lost(case: Case, able_s: Floats, voters: int) -> tuple[Floats, Floats]:
    """The same where an election can only succeed once nodes are back, at ``able_s``.

    Those that stayed stood in vain and go on doing so: each is somewhere in a time-out of its own. Those that come back begin one.
    A node that is alone waits for nobody: it leads as soon as it is able to.
    """
    system = case.system
    if system.alone:
        return able_s, able_s
    if not system.randomised:
        detected_s = able_s + system.watcher().sample(case.rng, case.samples)
        return detected_s, detected_s + system.takeover.sample(case.rng, case.samples)
    election = system.election(system.nodes)
    low_s, high_s = election.timeout.low_s, election.timeout.high_s
    draws_s = election.timeout.sample(case.rng, case.samples * system.nodes).reshape(case.samples, system.nodes)
    size = (case.samples, voters)
    # What is left of a time-out at a random moment: the one that is met is longer than most, in proportion to its length.
    met_s = np.sqrt(low_s**2 + case.rng.uniform(0.0, 1.0, size) * (high_s**2 - low_s**2))
    draws_s[:, :voters] = met_s * case.rng.uniform(0.0, 1.0, size)
    started_s, won_s = election.ballots(case.rng, draws_s)
    return able_s + started_s, able_s + won_s


def leaderless(case: Case, lost_until_s: Floats, elected_s: Floats) -> tuple[Spell, ...]:
    """The others while there is no leader: attempts vanish until it is noticed, then are refused or held.

    A node that refuses without a leader also gives up, when it notices, what it had handed on; one that holds has lost it, unless it sends
    it anew to the next leader.
    """
    hangs = case.system.hangs
    if case.system.resends:
        lost_until_s = case.zeros()
    return (Spell(Fate.LOSE if hangs else Fate.DROP, lost_until_s), Spell(Fate.WAIT if hangs else Fate.REFUSE, elected_s))


def led(detected_s: Floats, elected_s: Floats) -> tuple[Block, ...]:
    """The two parts of a succession."""
    return (Block("detection", detected_s), Block("election", elected_s))


# --- the name ----------------------------------------------------------------------------------------------------------


class Away(msgspec.Struct, frozen=True):
    """From when until when clients do not ask some nodes, by the name's set and their caches; None: they always do."""

    left_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None = None
    back_s: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None = None


ALWAYS_ASKED: Final = Away()


def renewals(case: Case) -> Renewed:
    """Tells when clients use an answer from after a change: their cache is renewed once in each TTL, at one phase for each sample.

    With ``resolve_on_error`` also at their first attempt after the change that fails: behind a name that holds the leader alone that is
    the next one, whoever asks for what.
    """
    front = case.system.front
    phase_s = case.moment(front.ttl_s)
    met_s = next_error_s(case, 1.0) if front.on_error and front.leader_only else None

    def renewed(change_s: Floats) -> Floats:
        learned_s = np.full(case.samples, np.inf) if met_s is None else change_s + met_s
        if front.one_address:
            return change_s
        if front.resolve == "once":
            return learned_s if met_s is not None else change_s
        if front.resolve != "ttl" or front.ttl_s <= 0:
            return change_s
        return np.minimum(np.asarray(phase_s + np.ceil((change_s - phase_s) / front.ttl_s) * front.ttl_s), learned_s)

    return renewed


def next_error_s(case: Case, share: float) -> Floats:
    """After a random moment, how long until an attempt goes to one of the nodes that fail, which are so large a share of those asked."""
    rate_per_s = sum(1.0 / slot_s for slot_s, _ in case.system.front.grids) or 1.0 / (case.slot_s or 1.0)
    if share >= 1:
        return case.moment(1.0 / rate_per_s)
    return case.rng.exponential(1.0 / (rate_per_s * share), case.samples)


def withdrawn(
    case: Case, silent: bool, well_s: Floats, fails_s: Floats | float = 0.0, renewed: Renewed | None = None, machine: bool = False
) -> Away:
    """The health check takes victims out of the set, unless they are well again before, and back in some checks after that.

    ``fails_s``: from when on the check fails; before 0 for a node that says so while it still serves. ``renewed``: the renewals of the
    clients' cache, where several changes meet the same one. ``machine``: the node's machine is gone, and whoever would ask it with it.
    """
    front = case.system.front
    if not front.health_checked or (front.resolve == "once" and not front.on_error and not front.one_address):
        return ALWAYS_ASKED
    renewed = renewals(case) if renewed is None else renewed
    out_s = fails_s + front.withdrawal(silent, machine).sample(case.rng, case.samples)
    once = front.resolve == "once" and not front.one_address  # such clients learn of nobody that comes back
    left_s = np.full(case.samples, np.inf) if once else renewed(out_s)
    back_s = np.full(case.samples, np.inf) if once else renewed(well_s + front.admission().sample(case.rng, case.samples))
    if front.on_error:
        left_s = np.minimum(left_s, out_s + next_error_s(case, case.victims / case.system.nodes))
    stays = out_s >= well_s
    return Away(np.where(stays, np.inf, left_s), np.where(stays, np.inf, np.maximum(back_s, left_s)))


def assembled(
    case: Case,
    victims: Group,
    others: Group,
    blocks: tuple[Block, ...],
    led_s: Floats | None,
    ceases_s: Floats | None = None,
    silent: bool = False,
) -> Scenario:
    """Both groups, and how long clients are busy with the name.

    ``led_s``: when a new leader is there, 0 where the old one goes on; None: nobody new. The rest matters where the name holds the leader
    alone: when the old one fails the check for good (None: at once), and whether the check then meets silence.
    """
    if case.system.front.leader_only and (case.by_leader or case.facts.role in (LEADER, FOLLOWER)):
        ceases_s = case.zeros() if ceases_s is None else ceases_s
        return leader_name.scenario(case, victims, others, blocks, led_s, ceases_s, silent, renewals(case))
    if others.nodes == 0 and victims.back_s is not None:
        blocks = (*blocks, Block("dns", np.where(np.isfinite(victims.back_s), victims.back_s, 0.0)))
    elif victims.left_s is not None and victims.last_s is not None and not case.system.client_evades(victims.nodes):
        blocks = (*blocks, Block("dns", np.minimum(victims.left_s, victims.last_s)))
    groups = (victims, others) if others.nodes > 0 else (victims,)
    return Scenario(case.samples, groups, blocks)


def quorum_lost(
    case: Case, phase: str, freed_s: Floats, ready_s: Floats, serving_s: Floats, loud: bool, away: Away = ALWAYS_ASKED
) -> Scenario:
    """Too few stay: nothing is written until nodes are back (in the phase so called), and then a leader is needed if there is none."""
    system = case.system
    stay = system.nodes - case.victims
    anew = case.leads or bool(steps_down(case, ready_s).all())
    detected_s, led_s = after_quorum_lost(case, ready_s, stay) if anew else (ready_s, serving_s)
    held = Fate.WAIT if system.hangs or system.waits_for_replicas else Fate.REFUSE
    others = Group(stay, (Spell(held, led_s),))
    spells = (Spell(Fate.REFUSE if loud else Fate.LOSE, freed_s), Spell(Fate.REFUSE, led_s))
    victims = Group(case.victims, spells, away.left_s, away.back_s)
    blocks = (Block(phase, freed_s), Block("detection", detected_s), Block("election", led_s))
    ceases_s = case.zeros() if case.leads else np.full(case.samples, patience_s(case))
    return assembled(case, victims, others, blocks, led_s if anew else None, ceases_s, silent=case.leads and not loud)


def patience_s(case: Case) -> float:
    """How long a leader goes on without hearing a quorum: by Raft's rule the shortest election time-out; else for ever."""
    timeout = case.system.given.get("election_timeout_s")
    return np.inf if timeout is None else timeout.low_s


def steps_down(case: Case, for_s: Floats) -> Flags:
    """Does a leader that hears no quorum for so long give up?"""
    return for_s > patience_s(case)


def either(first: Flags, one: Scenario, other: Scenario) -> Scenario:
    """Sample by sample, one scenario or the other; both have the victims first, then the others."""
    nothing = np.zeros(one.samples)
    groups = []
    for mine, yours in zip(one.groups, other.groups, strict=True):
        spells = [Spell(each.fate, np.where(first, each.until_s, nothing), each.service) for each in mine.spells]
        spells += [Spell(each.fate, np.where(first, nothing, each.until_s), each.service) for each in yours.spells]
        left_s = [np.full(one.samples, np.inf) if group.left_s is None else group.left_s for group in (mine, yours)]
        back_s = [np.full(one.samples, np.inf) if group.back_s is None else group.back_s for group in (mine, yours)]
        away = mine.left_s is not None or yours.left_s is not None
        returns_s = np.where(first, *back_s)
        leaves_s = np.where(first, *left_s) if away else None
        groups.append(Group(mine.nodes, tuple(spells), leaves_s, returns_s if np.isfinite(returns_s).any() else None))
    blocks = tuple(Block(block.name, np.where(first, block.until_s, nothing)) for block in one.blocks)
    return Scenario(one.samples, tuple(groups), blocks)
