"""Mistakes that are switched on show in real processes as well."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import nodes, wait

pytestmark = pytest.mark.e2e
TRUSTED_S = 1.2
"""Longer than any lease: the nodes' shortest election time-out is 0.5 s."""


@pytest.mark.parametrize("wrong", ["none", "replay-twice"])
def test_counting_after_a_restart(tmp_path: Path, wrong: str) -> None:
    """Ten ones make ten, before and after; with the log replayed twice more."""
    with nodes(tmp_path, options=("--wrong", wrong)) as cluster:
        for _ in range(10):
            assert cluster.insist("n1", "POST", "/kv/count?do=incr", "1")[0] == 200
        for name in cluster.names:
            cluster.signal(name, signal.SIGKILL)
        for name in cluster.names:
            cluster.start(name)
        wait("all vote", cluster.settled)
        value = cluster.insist("n1", "GET", "/kv/count")[1]["value"]
        assert (value == "10") == (wrong == "none")


@pytest.mark.parametrize("wrong", ["none", "stale-lease"])
def test_reads_of_a_leader_without_followers(tmp_path: Path, wrong: str) -> None:
    """A leader whose followers are frozen soon refuses reads; one that trusts in its lease for ever answers them."""
    with nodes(tmp_path, options=("--wrong", wrong)) as cluster:
        leader = cluster.leader()
        assert leader is not None
        assert cluster.insist(leader, "PUT", "/kv/a", "v")[0] == 200
        leader = cluster.leader() or leader
        for name in cluster.names:
            if name != leader:
                cluster.signal(name, signal.SIGSTOP)
        if wrong == "none":
            wait("reads are refused", lambda: cluster.ask(leader, "GET", "/kv/a")[0] == 503)
        else:
            until_s = time.monotonic() + TRUSTED_S
            while time.monotonic() < until_s:
                assert cluster.ask(leader, "GET", "/kv/a", timeout_s=10.0)[0] == 200
