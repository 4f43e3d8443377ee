"""A supervised node of replicated_kv as real processes: dead or hung, it is back by itself."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import nodes, wait

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_node_is_started_again(tmp_path: Path, number: signal.Signals) -> None:
    """The leader's own process is killed or frozen: another process serves in its place, and knows what was written."""
    with nodes(tmp_path, options=("--supervisor", "on", "--hung-after", "1s")) as cluster:
        leader = cluster.leader()
        assert leader is not None
        assert cluster.insist(leader, "PUT", "/kv/a", "v")[0] == 200
        pid = int(str(cluster.status(leader)["pid"]))
        assert pid != cluster.running[leader].pid
        os.kill(pid, number)
        wait("another process serves", lambda: cluster.status(leader).get("pid") not in {None, pid})
        wait("all vote", cluster.settled)
        assert cluster.insist(leader, "GET", "/kv/a")[1]["value"] == "v"


def test_nobody_serves_without_its_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the supervisor takes the node with it; SIGTERM ends both in order."""
    with nodes(tmp_path, options=("--supervisor", "on")) as cluster:
        pid = int(str(cluster.status("n1")["pid"]))
        cluster.signal("n1", signal.SIGKILL)
        wait("the node is gone", lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
        process = cluster.running["n2"]
        cluster.signal("n2", signal.SIGTERM)
        assert process.returncode == 0
