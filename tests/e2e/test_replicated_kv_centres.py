"""Two data centres of replicated_kv as real processes: one is lost as a whole, the other one goes on."""

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

from bench.kv_nodes import Nodes, wait

pytestmark = pytest.mark.e2e

A, B = ("n1", "n2", "n3"), ("n4", "n5", "n6")
ZONES = ",".join([*(f"{name}=a" for name in A), *(f"{name}=b" for name in B)])


@contextmanager
def centres(folder: Path, *options: str) -> Iterator[Nodes]:
    """Both settled: one leader that clients see, and the standby has all."""
    cluster = Nodes(folder, 6, ("--zones", ZONES, "--second-centre", "async", "--promote-after", "1s", *options))
    try:
        for name in cluster.names:
            cluster.start(name)
        wait("the standby has all", lambda: caught_up(cluster, B, 1), every_s=0.02)
        yield cluster
    finally:
        cluster.end()


def centre(cluster: Nodes, name: str) -> dict[str, object]:
    """What that node knows of the centres."""
    return cluster.status(name).get("centre") or {}  # type: ignore[return-value]


def caught_up(cluster: Nodes, names: tuple[str, ...], epoch: int) -> bool:
    """All of these are nodes of a standby that has a whole copy."""
    return all(found.get("whole") and found["epoch"] == epoch for found in (centre(cluster, name) for name in names))


def put(cluster: Nodes, through: str, key: str) -> int:
    """A write; its status."""
    return cluster.insist(through, "PUT", f"/kv/{key}", "v")[0]


def test_a_lost_centre_is_replaced_and_comes_back_as_the_standby(tmp_path: Path) -> None:
    """Writes through either centre reach the primary. It dies: the standby is promoted by the clients that come, and misses at most what
    was written since it had last asked. It returns: it follows, and gives up what only it had."""
    with centres(tmp_path, "--mirror-every", "200ms") as cluster:
        assert cluster.leader() in A
        assert put(cluster, "n5", "through-b") == 200
        assert cluster.insist("n6", "GET", "/kv/through-b")[1]["value"] == "v"
        assert cluster.ask("n1", "GET", "/kv/%00centre")[0] == 400
        written: list[str] = []
        copied, until = 0, time.monotonic() + 0.7
        while time.monotonic() < until or not copied:
            written.append(f"k{len(written)}")
            assert put(cluster, "n2", written[-1]) == 200
            while copied < len(written) and cluster.ask("n4", "GET", f"/kv/{written[copied]}?local=1")[0] == 200:
                copied += 1
        for name in A:
            cluster.signal(name, signal.SIGKILL)
        lost_at = time.monotonic()
        wait("the second centre takes writes", lambda: cluster.ask("n4", "PUT", "/kv/after", "v")[0] == 200)
        assert time.monotonic() - lost_at > 0.5, "the standby did not wait for the silence"
        missing = [key for key in written if cluster.insist("n4", "GET", f"/kv/{key}")[0] == 404]
        assert not set(missing) & set(written[:copied]), "what the standby had is gone"
        assert cluster.insist("n5", "GET", "/kv/through-b")[1]["value"] == "v"
        for name in A:
            cluster.start(name)
        wait("the old primary follows", lambda: caught_up(cluster, A, 2))
        assert cluster.leader() in B
        wait("it has what was written meanwhile", lambda: cluster.ask("n1", "GET", "/kv/after?local=1")[0] == 200)
        assert all(cluster.ask("n1", "GET", f"/kv/{key}?local=1")[0] == 404 for key in missing)
        assert put(cluster, "n1", "through-a") == 200
        assert cluster.insist("n4", "GET", "/kv/through-a")[0] == 200


def test_the_second_centre_answers_reads_from_its_copy(tmp_path: Path) -> None:
    """With ``reads: local`` it answers although the first one is frozen, and with ``second_centre: reads`` it never takes over."""
    with centres(tmp_path, "--reads", "local", "--second-centre", "reads") as cluster:
        assert put(cluster, "n1", "x") == 200
        wait("the copy is there", lambda: cluster.ask("n4", "GET", "/kv/x")[0] == 200)
        for name in A:
            cluster.signal(name, signal.SIGSTOP)
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            assert cluster.ask("n4", "PUT", "/kv/y", "v")[0] in {503, 504}
            assert cluster.ask("n5", "GET", "/kv/x")[0] == 200
