"""Raft under a hostile, seeded world: loss, delay, duplication, reordering, partitions, crashes with unsaved data, compaction."""

from __future__ import annotations

import pytest

from tests.support.raft_ordeal import SECOND, ordeal
from tests.support.raft_world import MS, World


@pytest.mark.parametrize("seed", range(24))
def test_no_seed_breaks_safety_and_all_recover(seed: int) -> None:
    """Under all harms at once no promise of Raft is broken, and when they end the cluster works and agrees."""
    world = World(seed, size=5 if seed % 3 == 0 else 3)
    ordeal(world)
    assert world.leader() is not None
    assert {member.store.get("k") for member in world.members.values()} == {("last59", max(world.acknowledged))}
    assert len(world.acknowledged) > 60
    assert world.reads > 0
    assert all(world.history[at].value == value for at, value in world.acknowledged.items())


def test_a_world_repeats_itself() -> None:
    """The same seed gives the same run, so that a failure can be looked into."""
    worlds = [World(5), World(5)]
    for world in worlds:
        world.run(20 * SECOND)
    assert worlds[0].elections == worlds[1].elections
    assert worlds[0].elections


def test_a_stable_cluster_keeps_its_leader() -> None:
    """Without loss or harm there is one election in a minute."""
    world = World(1, loss=0.0)
    world.run(60 * SECOND)
    assert len(world.elections) == 1


def test_a_node_that_comes_back_deposes_nobody() -> None:
    """A follower that was cut off for long comes back into the same term (pre-vote)."""
    world = World(2, loss=0.0)
    world.run(5 * SECOND)
    leader = world.leader()
    assert leader is not None
    away = next(name for name in world.names if name != leader.name)
    world.cut = {pair for other in world.names for pair in ((away, other), (other, away))}
    world.run(30 * SECOND)
    term = leader.raft.term
    world.cut.clear()
    world.run(40 * SECOND)
    assert len(world.elections) == 1
    assert world.members[away].raft.term == term
    assert world.members[away].raft.leader == leader.name


def test_a_leader_without_a_quorum_steps_down() -> None:
    """A cut-off leader stops being one within the shortest time-out and a beat, and acknowledges nothing meanwhile."""
    world = World(3, loss=0.0)
    world.run(5 * SECOND)
    leader = world.leader()
    assert leader is not None
    world.cut = {pair for other in world.names for pair in ((leader.name, other), (other, leader.name))}
    world.run(world.now + 20 * MS)
    acknowledged = dict(world.acknowledged)
    world.propose("lost")
    world.run(world.now + 700 * MS)
    assert leader.raft.state != "leader"
    assert world.acknowledged == acknowledged


def test_a_laggard_gets_the_state_in_chunks() -> None:
    """A follower that was away while the log was compacted is brought up by a snapshot of several chunks."""
    world = World(4, loss=0.0)
    world.run(5 * SECOND)
    leader = world.leader()
    assert leader is not None
    away = next(member for member in world.members.values() if member is not leader)
    away.crash()
    for number in range(5000):
        entry = leader.raft.propose(f"key{number}", "v")
        leader.pending[entry.at] = (entry.term, "v")
    leader.work()
    world.run(world.now + 2 * SECOND)
    leader.raft.log.compact(leader.store.applied)
    away.start()
    world.run(world.now + 3 * SECOND)
    assert away.store.applied == leader.store.applied
    assert away.store.items() == leader.store.items()
    assert away.raft.voting
