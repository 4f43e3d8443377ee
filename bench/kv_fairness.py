"""Who is elected when leaders die: the nodes' shares over many elections of the simulated cluster.

    python -m bench.kv_fairness [--json] [--quick]

All nodes are up again before the next kill, so each of the n - 1 others has the same right to be next. To reach: the largest share of the
possible wins is at most 1.15 times the even one.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from bench.servers import runs

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "targets" / "replicated_kv")]

from tests.support.raft_world import MS, World  # noqa: E402 - it needs the target's folder

SIZE = 5


def elections(count: int, seed: int = 1) -> tuple[Counter[str], Counter[str]]:
    """Wins of each node, and how often each could have won: it was alive and had not led before."""
    world = World(seed, SIZE, loss=0.0)
    world.run(3000 * MS)
    wins: Counter[str] = Counter()
    chances: Counter[str] = Counter()
    for _ in range(count):
        old = world.leader()
        assert old is not None
        chances.update(name for name in world.names if name != old.name)
        world.run(world.now + world.rng.randint(0, 100) * MS)
        old.crash()
        world.run(world.now + 2000 * MS)
        new = world.leader()
        assert new is not None
        wins[new.name] += 1
        old.start()
        world.run(world.now + 500 * MS)
    return wins, chances


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    count = 200 if chosen.quick else 2000
    wins, chances = elections(count)
    shares = {name: wins[name] / chances[name] * (SIZE - 1) for name in sorted(wins)}
    shown = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    limit = 1.5 if chosen.quick else 1.15
    even = len(shares) == SIZE and max(shares.values()) <= limit
    return runs.show([runs.Row(f"wins by chances, {count} elections, 1 is even", f"at most {limit}", shown, "", even)], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
