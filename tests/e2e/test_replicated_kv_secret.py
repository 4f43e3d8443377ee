"""A cluster of replicated_kv with a secret, as real processes: it works, and strangers stay outside."""

from __future__ import annotations

import http.client
import json
import signal
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import PEER, Nodes, nodes, wait

pytestmark = pytest.mark.e2e
SECRET = "REPLICATED_KV_SECRET"


def posted(cluster: Nodes, name: str, path: str, body: object) -> int:
    """A request of a stranger to the peer port; its status."""
    connection = http.client.HTTPConnection(cluster.address(name), PEER, timeout=2)
    try:
        connection.request("POST", path, json.dumps(body))
        return connection.getresponse().status
    finally:
        connection.close()


def test_strangers_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes work through every node; nobody without the secret can beat, vote or write; a node with another secret takes no part."""
    monkeypatch.setenv(SECRET, "ours")
    with nodes(tmp_path) as cluster:
        for name in cluster.names:
            assert cluster.insist(name, "PUT", f"/kv/{name}", "v")[0] == 200
        term = int(cluster.status("n1")["term"] or 0)
        assert posted(cluster, "n1", "/raft/append", ["Beat", "n2", 99, 0, 0, 0, 1, True]) == 401
        assert posted(cluster, "n1", "/raft/vote", ["Vote", "n2", 99, 999, 99, True]) == 401
        assert posted(cluster, "n1", "/raft/forward", {"writes": [["a", "b", "put"]]}) == 401
        assert term <= int(cluster.status("n1")["term"] or 0) < 99, "nobody took the stranger's term over"
        away = next(name for name in cluster.names if name != cluster.leader())
        cluster.signal(away, signal.SIGKILL)
        monkeypatch.setenv(SECRET, "theirs")
        cluster.start(away)
        others = [name for name in cluster.names if name != away]
        wait("it is a stranger", lambda: not cluster.status(others[0])["peers"][away]["alive"])  # type: ignore[index,call-overload]
        assert cluster.ask(away, "PUT", "/kv/b", "v")[0] == 503
        assert cluster.insist(others[0], "PUT", "/kv/c", "v")[0] == 200
        cluster.signal(away, signal.SIGKILL)
        monkeypatch.setenv(SECRET, "ours")
        cluster.start(away)
        wait("it is one of us again", cluster.settled)
