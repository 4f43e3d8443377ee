"""Every mistake that can be switched on is found by a check of the simulated world, and without them all checks hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from replicated_kv.rules import Rules
from replicated_kv.wrong import CHECKPOINT_TORN, WRONG

from tests.support.paths import ROOT
from tests.support.raft_ordeal import ordeal
from tests.support.raft_world import MS, World

SEEDS = 10


def found(rules: Rules, seed: int, steps: int) -> str:
    """What the first check that finds anything says; empty if none does."""
    world = World(seed, rules=rules)
    try:
        ordeal(world, steps, every=25, also=world.verify)
        world.verify()
    except (AssertionError, ValueError, KeyError) as error:
        return str(error)[:200] or type(error).__name__
    return ""


@pytest.mark.parametrize("wrong", WRONG)
def test_every_mistake_is_found(wrong: str) -> None:
    """In at least nine of ten seeds."""
    says = [found(Rules(wrong=wrong), seed, 1500) for seed in range(SEEDS)]
    assert sum(map(bool, says)) >= 9, says


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("lease_reads", [False, True])
def test_without_a_mistake_nothing_is_found(seed: int, lease_reads: bool) -> None:
    """The same ordeal, the same checks."""
    assert found(Rules(lease_reads=lease_reads), seed, 300) == ""


def test_the_setting_names_them_all() -> None:
    """target.yaml offers each switch, and none by default."""
    target = yaml.safe_load((ROOT / "targets" / "replicated_kv" / "target.yaml").read_text(encoding="utf-8"))
    assert target["settings"]["wrong"]["choices"] == ["none", *WRONG]
    assert target["settings"]["wrong"]["default"] == "none"


@pytest.mark.parametrize(("wrong", "keys"), [("", 2000), (CHECKPOINT_TORN, 500)])
def test_a_torn_checkpoint_on_disk(tmp_path: Path, wrong: str, keys: int) -> None:
    """A crash in the middle of the file: written whole or not at all, the state is there; written in place, most of it is gone."""
    from replicated_kv import checkpoint
    from replicated_kv.checkpoint import Snapshot
    from replicated_kv.messages import Entry
    from replicated_kv.storage import Save, Storage

    storage = Storage(tmp_path, fsync=False, wrong=wrong)
    storage.recover()
    storage.save([Save(None, [Entry(at, 1, f"k{at}", "v") for at in range(1, 2001)], None)])
    storage.rotate()
    items = [(f"k{at}", "v", at) for at in range(1, 2001)]

    class Crash(Exception):
        pass

    class Half(list[tuple[str, str, int]]):
        def __getitem__(self, where: object) -> object:  # type: ignore[override]
            if isinstance(where, slice) and where.start == 500:
                raise Crash
            return super().__getitem__(where)  # type: ignore[index]

    with pytest.raises(Crash):
        storage.write_checkpoint(Snapshot(2000, 1, Half(items)))
    recovered = Storage(tmp_path, fsync=False, wrong=wrong).recover()
    assert checkpoint.ITEMS_A_FRAME == 50
    assert len(recovered.log) + len(recovered.snapshot.items if recovered.snapshot else []) == keys


def test_a_mistake_shows_by_itself_too() -> None:
    """Before the quorum: a cut-off leader acknowledges what nobody else has."""
    world = World(1, loss=0.0, rules=Rules(wrong="ack-before-quorum"))
    world.run(5000 * MS)
    leader = world.leader()
    assert leader is not None
    world.cut = {pair for other in world.names for pair in ((leader.name, other), (other, leader.name))}
    world.propose("alone")
    world.run(world.now + 100 * MS)
    assert "alone" in world.acknowledged.values()
