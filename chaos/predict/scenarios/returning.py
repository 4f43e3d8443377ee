"""A node that comes back from a partition with a higher term, where nodes stand without asking first (Raft without pre-vote).

    cut off        the node hears no leader, waits out its time-out, stands in vain, and again: each time its term rises
    back           its answer to the leader's next beat tells of the higher term, so that the leader steps down: nobody leads
    election       all wait out a time-out from then on. The node that was away lacks what was written meanwhile, so a ballot
                   that it begins first is lost, and all wait once more

Ongaro, *Consensus: bridging theory and practice* (2014), 9.6. A leader that was cut off comes back the same way, if it has stood often
enough to be ahead of the leader that follows it: once it stood as often as the others did, their term is as high as its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.predict.scenarios.case import Case, leaderless
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLLOWERS_STAND: Final = 1
"""A follower's term is ahead once it stood: the leader still has the term in which it was cut off."""
LEADERS_STAND: Final = 2
"""A leader's only once it stood twice: the first time it reaches the term of its successor."""


def follower(case: Case, found: Scenario, patience_s: Floats) -> Scenario:
    """What ``found`` says of the cut, and the election after it where the follower's patience ended before."""
    return _with_election(case, found, patience_s < case.for_s)


def leader(case: Case, found: Scenario, gives_up_s: Floats, elected_s: Floats) -> Scenario:
    """The same for a leader that stepped down, waited and stood twice before the end of the cut, and was followed meanwhile."""
    timeout = case.system.given["election_timeout_s"]
    waits_s = timeout.sample(case.rng, LEADERS_STAND * case.samples).reshape(LEADERS_STAND, case.samples).sum(axis=0)
    return _with_election(case, found, (gives_up_s + waits_s < case.for_s) & (elected_s < case.for_s))


def _with_election(case: Case, found: Scenario, ahead: NDArray[np.bool_]) -> Scenario:
    """All nodes lose their leader a beat after the end of the cut, in samples where the node that comes back is ahead.

    Left out behind a name that holds the leader alone, which would have to follow it twice (``assumptions``).
    """
    system = case.system
    if system.front.leader_only:
        return found
    election = system.election(system.nodes)
    stale = 1.0 / system.nodes  # as likely as any other, the node that was away stands first
    election = msgspec.structs.replace(election, refused=1.0 - (1.0 - election.refused) * (1.0 - stale))
    begins_s = case.for_s + case.moment(system.beat_s)
    draws_s = election.timeout.sample(case.rng, case.samples * system.nodes).reshape(case.samples, system.nodes)
    noticed_s, won_s = election.ballots(case.rng, draws_s)
    noticed_s, won_s = (np.where(ahead, begins_s + wait_s, 0.0) for wait_s in (noticed_s, won_s))
    well = Spell(Fate.PASS, np.where(ahead, begins_s, 0.0))
    groups = tuple(_then(group, well, leaderless(case, noticed_s, won_s)) for group in found.groups)
    ended = [Block("heal", np.where(ahead, begins_s, 0.0))] if not found.blocks else []
    blocks = (*found.blocks, *ended, Block("detection", noticed_s), Block("election", won_s))
    return Scenario(found.samples, groups, blocks, found.first_due_s)


def _then(group: Group, well: Spell, after: tuple[Spell, ...]) -> Group:
    """What a group does after the spells that it has."""
    return replace(group, spells=(*group.spells, well, *after))
