"""replicated_kv with its switches turned, as real processes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import Nodes, nodes, wait

pytestmark = pytest.mark.e2e
TRIES = 5


@contextmanager
def settled(folder: Path, *options: str) -> Iterator[tuple[Nodes, str, list[str]]]:
    """The cluster, its leader, and the others."""
    with nodes(folder, options=options) as cluster:
        leader = cluster.leader()
        assert leader is not None
        yield cluster, leader, [name for name in cluster.names if name != leader]


def put(cluster: Nodes, through: str, key: str, value: str = "v") -> int:
    """A write; its status."""
    return cluster.insist(through, "PUT", f"/kv/{key}", value)[0]


def test_all_refuses_while_a_node_is_away(tmp_path: Path) -> None:
    """One dead follower stops the writes at once, and its return lets them go on."""
    with settled(tmp_path, "--replication", "all") as (cluster, leader, (away, _)):
        wait("all take a write", lambda: put(cluster, leader, "a") == 200)
        cluster.signal(away, signal.SIGKILL)
        wait("writes are refused", lambda: cluster.ask(leader, "PUT", "/kv/b", "v")[0] == 503)
        assert cluster.insist(leader, "GET", "/kv/a")[0] == 200
        cluster.start(away)
        wait("writes are taken", lambda: put(cluster, leader, "c") == 200)
        assert cluster.ask(away, "GET", "/kv/c?local=1")[0] in {200, 404}


def test_async_acknowledges_alone(tmp_path: Path) -> None:
    """With both followers frozen a write is acknowledged, as long as the leader leads, for which a busy machine may be too late."""

    def written_alone(cluster: Nodes) -> bool:
        wait("one leads", cluster.settled)
        leader = cluster.leader()
        others = [name for name in cluster.names if name != leader]
        for name in others:
            cluster.signal(name, signal.SIGSTOP)
        status = cluster.ask(str(leader), "PUT", "/kv/a", "v", timeout_s=10.0)[0]
        for name in others:
            cluster.signal(name, signal.SIGCONT)
        assert status in {200, 503}
        return status == 200

    with settled(tmp_path, "--replication", "async") as (cluster, _, _):
        assert any(written_alone(cluster) for _ in range(TRIES))


def test_none_keeps_every_node_alone(tmp_path: Path) -> None:
    """What one node has no other one has, and nobody leads."""
    cluster = Nodes(tmp_path, options=("--replication", "none"))
    try:
        for name in cluster.names:
            cluster.start(name)
            assert put(cluster, name, name) == 200
        assert [cluster.ask("n2", "GET", f"/kv/{name}")[0] for name in cluster.names] == [404, 200, 404]
        assert {cluster.status(name)["state"] for name in cluster.names} == {"alone"}
    finally:
        cluster.end()


def test_lease_reads_see_every_write(tmp_path: Path) -> None:
    """What was acknowledged through one node is read at once through another, by the leader's lease."""
    with settled(tmp_path, "--reads", "leader") as (cluster, _, _):
        for number in range(20):
            through, asked = cluster.names[number % 3], cluster.names[(number + 1) % 3]
            assert put(cluster, through, "k", str(number)) == 200
            assert cluster.insist(asked, "GET", "/kv/k")[1]["value"] == str(number)


def test_append_add_and_count(tmp_path: Path) -> None:
    """Operations beside put, through leader and followers; an unknown one is refused."""
    with settled(tmp_path) as (cluster, _, _):
        for name in cluster.names:
            assert cluster.insist(name, "POST", "/kv/list?do=append", name)[0] == 200
            assert cluster.insist(name, "POST", "/kv/set?do=add", "same")[0] == 200
            assert cluster.insist(name, "POST", "/kv/count?do=incr", "2")[0] == 200
        values = [cluster.insist("n1", "GET", f"/kv/{key}")[1]["value"] for key in ("list", "set", "count")]
        assert values == ["n1,n2,n3", "same", "6"]
        assert cluster.ask("n1", "POST", "/kv/list?do=burn", "x")[0] == 405


def test_a_leader_hands_over_before_it_ends(tmp_path: Path) -> None:
    """SIGTERM with ``stopping: handover``: it ends well, another one leads, and nobody waited for a time-out."""
    options = ("--stopping", "handover", "--election-timeout-min", "5s", "--election-timeout-max", "6s")
    with settled(tmp_path, *options) as (cluster, leader, others):
        assert put(cluster, leader, "a") == 200
        process = cluster.running[leader]
        begun = time.monotonic()
        cluster.signal(leader, signal.SIGTERM)
        assert process.returncode == 0
        wait("another leads", lambda: cluster.leader() in others)
        assert time.monotonic() - begun < 5.0
        assert cluster.insist(others[0], "GET", "/kv/a")[1]["value"] == "v"


def test_the_leadership_goes_where_it_is_sent(tmp_path: Path) -> None:
    """``POST /transfer?to=`` names the heir; a follower has nothing to hand over."""
    with settled(tmp_path) as (cluster, leader, (heir, other)):
        assert cluster.ask(other, "POST", f"/transfer?to={heir}") == (409, {"heir": None})
        asked = f"/transfer?to={heir}"
        wait("it is handed over", lambda: cluster.ask(cluster.leader() or leader, "POST", asked) == (200, {"heir": heir}))
        wait("the heir leads", lambda: cluster.leader() == heir)


@pytest.mark.parametrize("kind", ["fixed", "phi"])
def test_every_node_sees_who_is_silent(tmp_path: Path, kind: str) -> None:
    """A frozen follower is suspected by both others, also by the one that it has nothing to do with, and trusted again when it runs."""
    with settled(tmp_path, "--detector", kind) as (cluster, _, (frozen, *_)):
        seen = [name for name in cluster.names if name != frozen]

        def alive(name: str) -> object:
            return cluster.status(name)["peers"][frozen]["alive"]  # type: ignore[index,call-overload]

        wait("both trust it", lambda: all(alive(name) for name in seen))
        cluster.signal(frozen, signal.SIGSTOP)
        wait("both suspect it", lambda: not any(alive(name) for name in seen))
        cluster.signal(frozen, signal.SIGCONT)
        wait("both trust it", lambda: all(alive(name) for name in seen))
