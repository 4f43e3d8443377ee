"""Nodes that join, leave and are replaced while the cluster serves, in the simulated world."""

from __future__ import annotations

import pytest
from replicated_kv.members import Members

from tests.support.raft_ordeal import SECOND, ordeal
from tests.support.raft_world import Member, World


def led(world: World) -> Member:
    """The leader, after a quiet start."""
    world.run(5 * SECOND)
    found = world.leader()
    assert found is not None
    return found


def changed(world: World, add: str | None = None, remove: str | None = None) -> bool:
    """Ask the leader for a change; was it taken?"""
    leader = world.leader()
    if leader is None:
        return False
    places = dict(leader.raft.members.now) | ({add: ""} if add else {})
    places = {name: place for name, place in places.items() if name != remove}
    taken = leader.raft.change_members(places) is not None
    leader.work()
    return taken


def test_a_node_joins_and_counts() -> None:
    """A fourth node gets everything, votes, and is one of those whose majority counts."""
    world = World(1, 4, loss=0.0, founders=3)
    led(world)
    world.propose("before")
    world.run(world.now + SECOND)
    assert world.members["n4"].store.applied == 0
    assert not world.members["n4"].raft.belongs
    assert changed(world, add="n4")
    world.run(world.now + 2 * SECOND)
    assert world.members["n4"].store.get("k") == world.members["n1"].store.get("k")
    assert {member.raft.quorum for member in world.members.values()} == {3}
    assert world.members["n4"].raft.voting


def test_a_leader_that_leaves_steps_down_when_it_may() -> None:
    """It commits its own leaving by the others, then follows; another one leads, and the one that left deposes nobody."""
    world = World(2, 4, loss=0.0)
    old = led(world)
    assert changed(world, remove=old.name)
    world.run(world.now + 3 * SECOND)
    new = world.leader()
    assert new is not None
    assert new is not old
    assert old.name not in new.raft.members.now
    elections = len(world.elections)
    world.propose("after")
    world.run(world.now + 20 * SECOND)
    assert "after" in world.acknowledged.values()
    assert len(world.elections) == elections


def test_one_change_at_a_time() -> None:
    """A second change waits for the first one, and two nodes at once are refused."""
    world = World(3, 5, loss=0.0, founders=3)
    leader = led(world)
    assert leader.raft.change_members(dict.fromkeys(world.names, "")) is None
    assert changed(world, add="n4")
    assert not changed(world, add="n5")
    world.run(world.now + SECOND)
    assert changed(world, add="n5")
    assert leader.raft.change_members({}) is None


def test_a_dead_node_is_replaced() -> None:
    """Remove the dead one, add the new one; then another may die."""
    world = World(4, 4, loss=0.0, founders=3)
    leader = led(world)
    dead = next(member for member in world.members.values() if member is not leader and member.raft.belongs)
    dead.crash()
    assert changed(world, remove=dead.name)
    world.run(world.now + SECOND)
    assert changed(world, add="n4")
    world.run(world.now + 2 * SECOND)
    leader.crash()
    world.run(world.now + 3 * SECOND)
    world.propose("still")
    world.run(world.now + SECOND)
    assert "still" in world.acknowledged.values()


@pytest.mark.parametrize("seed", range(12))
def test_members_change_amid_every_harm(seed: int) -> None:
    """Nodes come and go at random, never fewer than three; no promise is broken, and whoever belongs agrees in the end."""
    world = World(seed, 5, founders=3)

    def change() -> None:
        leader = world.leader()
        if leader is None:
            return
        now = leader.raft.members.now
        name = world.rng.choice(world.names)
        if name not in now:
            changed(world, add=name)
        elif len(now) > 3:
            changed(world, remove=name)

    ordeal(world, 250, every=4, also=change)
    world.run(world.now + 3 * SECOND)
    leader = world.leader()
    assert leader is not None
    world.verify()
    belong = [world.members[name] for name in leader.raft.members.now]
    assert {member.store.get("k") for member in belong} == {
        ("last59", max(at for at, value in world.acknowledged.items() if value == "last59"))
    }
    assert leader.raft.members.changed_at > 0


def test_a_change_that_is_taken_back() -> None:
    """Entries that are truncated take their members with them; a state that comes brings its own."""
    members = Members({"n1": ""})
    members.change(5, {"n1": "", "n2": ""})
    members.change(9, {"n1": "", "n2": "", "n3": ""})
    assert members.at(4) == {"n1": ""}
    assert members.at(8) == {"n1": "", "n2": ""}
    assert members.truncate(9)
    assert not members.truncate(9)
    assert (members.changed_at, sorted(members.now)) == (5, ["n1", "n2"])
    members.reset(20, {"n7": ""})
    assert (members.changed_at, members.now) == (20, {"n7": ""})
