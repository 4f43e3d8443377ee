"""Who must have a write before it is acknowledged, and who may answer a read: each mode in the simulated world."""

from __future__ import annotations

import pytest
from replicated_kv.rules import ALL, ASYNC, NONE, QUORUM, Rules
from replicated_kv.store import Store

from tests.support.raft_ordeal import SECOND, ordeal
from tests.support.raft_world import MS, Member, World


def led(world: World) -> Member:
    """The leader, after a quiet start."""
    world.run(5 * SECOND)
    found = world.leader()
    assert found is not None
    return found


def alone(world: World, member: Member) -> None:
    """Cut it off from all others."""
    world.cut = {pair for other in world.names for pair in ((member.name, other), (other, member.name))}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rules", [Rules(ALL), Rules(QUORUM, lease_reads=True), Rules(pre_vote=False)], ids=["all", "lease", "no-poll"])
def test_safe_under_every_harm(rules: Rules, seed: int) -> None:
    """All but the asynchronous mode keep every promise; what is read is never older than what was acknowledged before."""
    world = World(seed, size=5 if seed % 3 == 0 else 3, rules=rules)
    ordeal(world, 200)
    assert {member.store.get("k") for member in world.members.values()} == {("last59", max(world.acknowledged))}
    assert all(world.history[at].value == value for at, value in world.acknowledged.items())
    assert world.reads > 0


@pytest.mark.parametrize("seed", range(12))
def test_async_agrees_in_the_end(seed: int) -> None:
    """An old primary that has what its successor never had becomes the successor's state again."""
    world = World(seed, size=5 if seed % 3 == 0 else 3, rules=Rules(ASYNC))
    ordeal(world)
    assert len({(member.store.applied, tuple(member.store.items())) for member in world.members.values()}) == 1
    assert next(iter(world.members.values())).store.get("k") == ("last59", max(world.acknowledged))


def test_async_loses_what_only_the_primary_had() -> None:
    """A primary that is cut off acknowledges alone; its successor does not know what it acknowledged."""
    world = World(1, loss=0.0, rules=Rules(ASYNC))
    old = led(world)
    alone(world, old)
    world.propose("lost")
    world.run(world.now + 200 * MS)
    assert "lost" in world.acknowledged.values()
    world.run(world.now + 3 * SECOND)
    world.cut.clear()
    world.propose("kept")
    world.run(world.now + 3 * SECOND)
    assert {member.store.get("k")[0] for member in world.members.values()} == {"kept"}  # type: ignore[index]


def test_all_waits_for_every_node() -> None:
    """One silent node of three: nothing more is acknowledged, and soon nothing is taken; when the node is back all goes on."""
    world = World(2, loss=0.0, rules=Rules(ALL))
    leader = led(world)
    away = next(member for member in world.members.values() if member is not leader)
    away.crash()
    world.propose("waits")
    world.run(world.now + SECOND)
    assert "waits" not in world.acknowledged.values()
    assert not leader.raft.takes_writes(world.now)
    away.start()
    world.run(world.now + 2 * SECOND)
    assert "waits" in world.acknowledged.values()
    assert leader.raft.takes_writes(world.now)


def test_alone_there_is_no_election() -> None:
    """A node without others leads at once."""
    world = World(3, size=1, rules=Rules(NONE))
    world.run(10 * MS)
    world.propose("mine")
    world.run(world.now + 200 * MS)
    assert list(world.acknowledged.values()) == ["mine"]


def test_a_lease_ends_before_another_leads() -> None:
    """A leader that is cut off answers reads for a while, and not any more when its successor may have been chosen."""
    world = World(4, loss=0.0, rules=Rules(lease_reads=True))
    old = led(world)
    assert old.raft.lease_holds(world.now)
    alone(world, old)
    held = []
    while world.leader() in {None, old}:
        held.append(old.raft.state == "leader" and old.raft.lease_holds(world.now))
        world.run(world.now + MS)
    assert held[0]
    assert not held[-1]
    assert not old.raft.lease_holds(world.now)


def test_a_node_that_was_started_again_keeps_the_promise_of_its_last_life() -> None:
    """With leases a fresh node votes for nobody until no lease can be left; without, it votes at once."""
    for lease_reads in (True, False):
        world = World(5, loss=0.0, rules=Rules(lease_reads=lease_reads))
        leader = led(world)
        other = next(member for member in world.members.values() if member is not leader)
        other.crash()
        other.start()
        assert other.raft._hears_leader(world.now) == lease_reads
        assert not other.raft._hears_leader(world.now + SECOND)


@pytest.mark.parametrize(
    ("op", "values", "becomes"),
    [("put", ["a", "b"], "b"), ("append", ["a", "b", "a"], "a,b,a"), ("add", ["a", "b", "a"], "a,b"), ("incr", ["2", "x", "-5"], "-3")],
)
def test_what_a_write_does(op: str, values: list[str], becomes: str) -> None:
    """Put, append to a list, add to a set, add to a number."""
    from replicated_kv.messages import Entry

    store = Store()
    for at, value in enumerate(values, 1):
        store.apply(Entry(at, 1, "k", value, op))
    assert store.get("k") == (becomes, len(values))
