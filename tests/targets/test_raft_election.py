"""Leadership that is handed over, and elections without their safeguards."""

from __future__ import annotations

import pytest
from replicated_kv.rules import Rules

from tests.support.raft_ordeal import SECOND, ordeal
from tests.support.raft_world import MS, Member, World


def led(world: World) -> Member:
    """The leader, after a quiet start."""
    world.run(5 * SECOND)
    found = world.leader()
    assert found is not None
    return found


def test_the_heir_leads_within_some_round_trips() -> None:
    """Nothing acknowledged is lost, the old leader follows, and it takes far less than a time-out."""
    world = World(1, loss=0.0)
    old = led(world)
    world.propose("before")
    heir = next(name for name in world.names if name != old.name)
    assert old.raft.transfer(world.now, heir) == heir
    assert not old.raft.takes_writes(world.now)
    old.work()
    world.run(world.now + 200 * MS)
    new = world.leader()
    assert new is not None
    assert new.name == heir
    assert old.raft.state == "follower"
    world.propose("after")
    world.run(world.now + SECOND)
    assert {"before", "after"} <= set(world.acknowledged.values())


def test_an_heir_that_is_gone_gets_nothing() -> None:
    """A follower that was not heard lately is no heir; one that dies on the way costs one time-out without writes."""
    world = World(2, loss=0.0)
    old = led(world)
    heir = next(member for member in world.members.values() if member is not old)
    assert old.raft.transfer(world.now, heir.name) == heir.name
    heir.crash()
    old.work()
    world.run(world.now + SECOND)
    assert world.leader() is old
    assert old.raft.takes_writes(world.now)
    assert old.raft.transfer(world.now, heir.name) is None
    assert heir.raft.transfer(world.now) is None


@pytest.mark.parametrize("lease_reads", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_transfers_under_every_harm(seed: int, lease_reads: bool) -> None:
    """Leaderships are handed over at random times amid all harms, and no promise is broken."""
    world = World(seed, size=5 if seed % 2 else 3, rules=Rules(lease_reads=lease_reads))

    def hand_over() -> None:
        leader = world.leader()
        if leader is not None and leader.raft.transfer(world.now) is not None:
            leader.work()

    ordeal(world, 200, every=7, also=hand_over)
    assert {member.store.get("k") for member in world.members.values()} == {("last59", max(world.acknowledged))}
    assert all(world.history[at].value == value for at, value in world.acknowledged.items())


@pytest.mark.parametrize(("pre_vote", "elections"), [(True, 1), (False, 2)])
def test_a_node_that_comes_back_deposes_the_leader_without_polls(pre_vote: bool, elections: int) -> None:
    """Without pre-vote a node that was cut off has a higher term, and whoever hears it must follow."""
    world = World(3, loss=0.0, rules=Rules(pre_vote=pre_vote))
    leader = led(world)
    away = next(name for name in world.names if name != leader.name)
    world.cut = {pair for other in world.names for pair in ((away, other), (other, away))}
    world.run(world.now + 10 * SECOND)
    world.cut.clear()
    world.run(world.now + 5 * SECOND)
    assert len(world.elections) >= elections
    assert (len(world.elections) == 1) == pre_vote


@pytest.mark.parametrize("check_quorum", [True, False])
def test_a_leader_without_a_quorum_fences_itself(check_quorum: bool) -> None:
    """Cut off, it steps down; without the check it takes writes that nobody will ever acknowledge."""
    world = World(4, loss=0.0, rules=Rules(check_quorum=check_quorum))
    old = led(world)
    world.cut = {pair for other in world.names for pair in ((old.name, other), (other, old.name))}
    world.run(world.now + 3 * SECOND)
    assert old.raft.takes_writes(world.now) == (not check_quorum)
