"""What a simulated cluster has to go through: every harm at random, then peace."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.raft_world import MS, World

SECOND = 1000 * MS
HARMS = [
    "crash", "restart", "restart", "cut", "isolate", "heal", "heal", "heal", "compact", "crash in checkpoint", "blackout", "blackout",
    "slow", "cut leader",
]  # fmt: skip


def hurt(world: World) -> None:
    """Do one random harm, or heal one."""
    rng = world.rng
    harm = rng.choice(HARMS)
    member = world.members[rng.choice(world.names)]
    if harm == "crash" and member.alive:
        member.crash()
    elif harm == "blackout":
        for other in world.members.values():
            other.crash()
        for other in world.members.values():
            other.start()
    elif harm == "restart" and not member.alive:
        member.start()
    elif harm == "cut":
        world.cut.add((rng.choice(world.names), rng.choice(world.names)))
    elif harm == "isolate":
        world.cut |= {pair for other in world.names for pair in ((member.name, other), (other, member.name))}
    elif harm == "heal":
        world.cut.clear()
        world.slow_share = 0.02
    elif harm == "slow":
        world.slow_share = 0.7
    elif harm == "cut leader" and (leader := world.leader()) is not None:
        world.cut |= {pair for other in world.names for pair in ((leader.name, other), (other, leader.name))}
    elif harm == "crash in checkpoint" and member.alive:
        member.checkpoint(0)
        world.run(world.now + rng.randint(0, 40) * MS)
        member.crash()
        member.start()
    elif harm == "compact" and member.alive:
        member.checkpoint(rng.choice([0, 3]))


def ordeal(world: World, steps: int = 300, every: int = 0, also: Callable[[], None] | None = None) -> None:
    """Writes, reads and harms, then everything is healed and the cluster gets the time to agree."""
    for step in range(steps):
        world.run(world.now + world.rng.randint(1, 120) * MS)
        world.propose(f"v{step}")
        if step % 2:
            world.propose(f"m{step}", f"key{step % 7}", "append")
            world.propose("1", "count", "incr")
        if step % 3 == 0:
            world.read(step)
        if also is not None and step % every == 0:
            also()
        if world.rng.random() < 0.15:
            hurt(world)
    world.cut.clear()
    world.loss, world.slow_share = 0.0, 0.0
    for member in world.members.values():
        if not member.alive:
            member.start()
    for step in range(60):
        world.run(world.now + 100 * MS)
        world.propose(f"last{step}")
    world.run(world.now + 2 * SECOND)
