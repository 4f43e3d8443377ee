"""Nodes of replicated_kv that join, leave and are replaced while the cluster serves, as real processes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import PEER, Nodes, nodes, wait

pytestmark = pytest.mark.e2e


def changed(cluster: Nodes, query: str) -> None:
    """Ask the leader until the change is done."""

    def done() -> bool:
        leader = cluster.leader()
        return leader is not None and cluster.ask(leader, "POST", f"/members?{query}", timeout_s=5)[0] == 200

    wait(query, done)


def test_a_dead_node_is_replaced_while_serving(tmp_path: Path) -> None:
    """n4 takes the place of n2: it gets what was written, survives a restart as a member, and another node may die then."""
    with nodes(tmp_path) as cluster:
        for number in range(20):
            assert cluster.insist("n1", "PUT", f"/kv/k{number}", str(number))[0] == 200
        cluster.signal("n2", signal.SIGKILL)
        changed(cluster, "remove=n2")
        cluster.names.append("n4")
        cluster.options = ("--join", "on")
        cluster.start("n4")
        assert cluster.status("n4")["members"] == {}
        changed(cluster, f"add=n4&at={cluster.address('n4')}:{PEER}")
        wait("n4 votes", lambda: bool(cluster.status("n4").get("voting")))
        assert cluster.insist("n4", "GET", "/kv/k7")[1]["value"] == "7"
        cluster.signal("n4", signal.SIGKILL)
        cluster.start("n4")
        wait("all vote", cluster.settled)
        leader = cluster.leader()
        assert leader is not None
        cluster.signal(leader, signal.SIGKILL)
        rest = [name for name in cluster.names if name not in {leader, "n2"}]
        wait("the others serve", lambda: cluster.ask(rest[0], "PUT", "/kv/after", "v")[0] == 200)
        assert sorted(cluster.status(rest[0])["members"]) == ["n1", "n3", "n4"]  # type: ignore[arg-type]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """Both or neither of add and remove, no address, a member that is none, a follower that is asked."""
    with nodes(tmp_path) as cluster:
        leader = cluster.leader()
        assert leader is not None
        other = next(name for name in cluster.names if name != leader)
        for query in ("", "add=n9", "add=n9&at=here", "add=n9&at=h:1&remove=n1"):
            wait(f"a no to '{query}'", lambda query=query: cluster.ask(cluster.leader() or leader, "POST", f"/members?{query}")[0] == 400)  # type: ignore[misc]
        assert cluster.ask(leader, "POST", "/members?remove=n9")[0] == 409
        assert cluster.ask(other, "POST", "/members?remove=n1")[0] == 409
