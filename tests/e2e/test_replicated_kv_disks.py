"""Disks of replicated_kv as real processes: checkpoints, rot, and the loss of all of them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import Nodes, nodes, wait

pytestmark = pytest.mark.e2e


def put(cluster: Nodes, first: int, count: int) -> dict[str, str]:
    """Acknowledged writes through all nodes in turn."""
    done = {}
    for number in range(first, first + count):
        through = cluster.names[number % 3]
        if cluster.insist(through, "PUT", f"/kv/k{number}", str(number))[0] == 200:
            done[f"k{number}"] = str(number)
    return done


def has(cluster: Nodes, name: str, wanted: dict[str, str]) -> bool:
    """The node's own copy holds all of it."""
    return all(cluster.ask(name, "GET", f"/kv/{key}?local=1")[1].get("value") == value for key, value in wanted.items())


def test_checkpoints_by_time(tmp_path: Path) -> None:
    """Few writes, and yet a checkpoint: a restart begins from there."""
    with nodes(tmp_path, options=("--checkpoint-every", "200ms")) as cluster:
        done = put(cluster, 0, 5)
        wait("n1 has a checkpoint", lambda: int(cluster.status("n1").get("checkpoint") or 0) >= 5)
        cluster.signal("n1", signal.SIGKILL)
        cluster.start("n1")
        assert int(cluster.status("n1")["checkpoint"] or 0) >= 5
        assert has(cluster, "n1", done)


def test_a_rotten_log_is_survived(tmp_path: Path) -> None:
    """Bits flip on the disk of a follower: it says that it is in doubt, gets back what it lost, and takes part again."""
    with nodes(tmp_path) as cluster:
        done = put(cluster, 0, 30)
        follower = next(name for name in cluster.names if name != cluster.leader())
        cluster.signal(follower, signal.SIGKILL)
        log = next((tmp_path / follower).glob("log-*"))
        data = bytearray(log.read_bytes())
        data[len(data) // 3] ^= 64
        log.write_bytes(data)
        cluster.start(follower)
        wait("it votes again", lambda: bool(cluster.status(follower).get("voting")))
        assert cluster.status(follower)["doubtful"] is False
        assert not (tmp_path / follower / "doubt").exists() or wait("no mark", lambda: not (tmp_path / follower / "doubt").exists()) is None
        assert has(cluster, follower, done)
        assert list((tmp_path / follower).glob("damaged-*"))


def test_a_rotten_checkpoint_is_survived(tmp_path: Path) -> None:
    """The older checkpoint and the log do as well."""
    with nodes(tmp_path, options=("--compact-after", "20")) as cluster:
        done = put(cluster, 0, 90)
        wait("two checkpoints", lambda: len(list((tmp_path / "n2").glob("checkpoint-*[0-9]"))) == 2)
        cluster.signal("n2", signal.SIGKILL)
        newest = sorted((tmp_path / "n2").glob("checkpoint-*[0-9]"))[-1]
        data = bytearray(newest.read_bytes())
        data[len(data) // 2] ^= 1
        newest.write_bytes(data)
        cluster.start("n2")
        wait("it votes again", lambda: bool(cluster.status("n2").get("voting")))
        assert has(cluster, "n2", done)


def test_every_disk_is_lost(tmp_path: Path) -> None:
    """What the last backup holds is there again on all nodes, and writes go on from there."""
    place = tmp_path / "elsewhere"
    options = ("--backup", str(place), "--backup-every", "100ms", "--restore", "on")
    with nodes(tmp_path, options=options) as cluster:
        done = put(cluster, 0, 30)
        applied = int(cluster.status(cluster.leader() or "n1")["applied"] or 0)
        wait("a backup holds it", lambda: any(int(path.name[-12:]) >= applied for path in place.glob("backup-*[0-9]")))
        for name in cluster.names:
            cluster.signal(name, signal.SIGKILL)
            for path in (tmp_path / name).iterdir():
                path.unlink()
        for name in cluster.names:
            cluster.start(name)
        wait("all vote", cluster.settled)
        assert all(has(cluster, name, done) for name in cluster.names)
        more = put(cluster, 100, 10)
        assert len(more) == 10
