"""replicated_kv as real processes: what is acknowledged survives kills, pauses and restarts; what cannot be done is refused at once."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import Nodes, nodes, wait

pytestmark = pytest.mark.e2e
AT_ONCE_S = 0.3
ENDS_WITHIN_S = 0.5
TRIES = 10


class Writer:
    """Clients that write unique values through all nodes until told to stop, and remember what was acknowledged."""

    def __init__(self, cluster: Nodes) -> None:
        self.cluster = cluster
        self.acknowledged: dict[str, str] = {}
        self.count = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in cluster.names]

    def __enter__(self) -> Writer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, through: str) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            key, value = f"{through}-{number % 50}", f"{through}-{number}"
            status, _ = self.cluster.ask(through, "PUT", f"/kv/{key}", value, timeout_s=1.0)
            if status == 200:
                self.acknowledged[key] = value
                self.count += 1
                continue
            if status != 503:
                # It may have been done: whatever is read there now is right.
                self.acknowledged.pop(key, None)
            time.sleep(0.005)

    def await_more(self, count: int) -> None:
        """Until so many further writes were acknowledged."""
        wanted = self.count + count
        wait(f"{count} further writes", lambda: self.count >= wanted)

    def check(self) -> None:
        """Every node has every acknowledged write, and they agree."""
        wait("all nodes vote", self.cluster.settled)
        applied = max(int(str(self.cluster.status(name)["applied"])) for name in self.cluster.names)
        wait("all have applied it", lambda: all(int(str(self.cluster.status(name)["applied"])) >= applied for name in self.cluster.names))
        assert len(self.acknowledged) > 50
        for key, value in self.acknowledged.items():
            for name in self.cluster.names:
                assert self.cluster.ask(name, "GET", f"/kv/{key}?local=1")[1]["value"] == value


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Nodes]:
    """Three settled nodes, with frequent compaction."""
    with nodes(tmp_path, options=("--compact-after", "200")) as started:
        yield started


def leader_of(cluster: Nodes) -> str:
    """The present leader's name."""
    wait("there is a leader", lambda: cluster.leader() is not None)
    found = cluster.leader()
    assert found is not None
    return found


def test_no_acknowledged_write_is_lost_when_leaders_die(cluster: Nodes) -> None:
    """Two leaders are killed under writes and come back; every acknowledged write is on every node."""
    with Writer(cluster) as writer:
        for _ in range(2):
            writer.await_more(100)
            old = leader_of(cluster)
            cluster.signal(old, signal.SIGKILL)
            wait("another leads", lambda old=old: cluster.leader() not in {None, old})  # type: ignore[misc]
            writer.await_more(60)
            cluster.start(old)
            wait("all nodes vote", cluster.settled)
    writer.check()


def test_a_paused_leader_does_not_acknowledge_what_is_lost(cluster: Nodes) -> None:
    """A leader that slept through an election follows the new leader at once, and nothing it acknowledged is missing."""
    with Writer(cluster) as writer:
        writer.await_more(100)
        old = leader_of(cluster)
        cluster.signal(old, signal.SIGSTOP)
        rest = [name for name in cluster.names if name != old]
        wait("another leads", lambda: any(cluster.status(name)["state"] == "leader" for name in rest))
        writer.await_more(60)
        cluster.signal(old, signal.SIGCONT)
        wait("the old leader follows", lambda: cluster.status(old).get("state") == "follower")
        wait("it votes again", lambda: bool(cluster.status(old).get("voting")))
    writer.check()


def test_without_a_quorum_it_refuses_at_once(cluster: Nodes) -> None:
    """One node of three knows that it cannot write, and says so without letting the client wait."""
    leader = leader_of(cluster)
    rest = [name for name in cluster.names if name != leader]
    for name in rest:
        cluster.signal(name, signal.SIGKILL)
    wait("it leads no more", lambda: cluster.status(leader)["state"] != "leader")
    for method, body in (("PUT", "x"), ("GET", None)):

        def took_s(method: str = method, body: str | None = body) -> float:
            asked = time.monotonic()
            assert cluster.ask(leader, method, "/kv/a", body, timeout_s=10.0)[0] == 503
            return time.monotonic() - asked

        assert any(took_s() < AT_ONCE_S for _ in range(TRIES)), "it let all of them wait"
    assert cluster.ask(leader, "GET", "/kv/a?local=1")[0] == 404


def test_all_at_once_lose_power(cluster: Nodes) -> None:
    """After a kill of all nodes the log brings everything back, compacted part and tail."""
    with Writer(cluster) as writer:
        writer.await_more(600)
    for name in cluster.names:
        cluster.signal(name, signal.SIGKILL)
    for name in cluster.names:
        cluster.start(name)
    writer.check()
    assert any(list((cluster.folder / name).glob("checkpoint-*")) for name in cluster.names)


def test_a_node_that_lost_its_disk_is_brought_up_by_a_snapshot(cluster: Nodes) -> None:
    """An emptied follower gets the state and the log behind it."""
    with Writer(cluster) as writer:
        writer.await_more(300)
        follower = next(name for name in cluster.names if name != leader_of(cluster))
        cluster.signal(follower, signal.SIGKILL)
        for path in (cluster.folder / follower).iterdir():
            path.unlink()
        writer.await_more(100)
        cluster.start(follower)
        wait("it votes", lambda: bool(cluster.status(follower).get("voting")))
    writer.check()


def test_values_and_keys_of_any_kind(cluster: Nodes) -> None:
    """Percent-encoded keys, text beyond ASCII and a large value come back through every node; a missing key is 404."""
    for key, value in (("a%2Fb%20c", "plain"), ("%D0%BA", "значение"), ("large", "x" * 900_000), ("empty", "")):
        for name in cluster.names:
            assert cluster.insist(name, "PUT", f"/kv/{key}", value.encode().decode("latin-1"))[0] == 200
        for name in cluster.names:
            assert cluster.insist(name, "GET", f"/kv/{key}")[1]["value"] == value
    assert cluster.insist("n1", "GET", "/kv/none") == (404, {"missing": True})
    assert cluster.ask("n1", "PUT", "/kv/huge", "x" * 1_100_000)[0] in {0, 413}
    assert cluster.ask("n1", "GET", "/nowhere")[0] == 404


def test_it_ends_cleanly_and_fast_on_sigterm(cluster: Nodes) -> None:
    """SIGTERM ends a node with status 0, whatever it does; on a machine that is busy it takes its time, but not each time."""

    def took_s() -> float:
        process, begun = cluster.running["n2"], time.monotonic()
        cluster.signal("n2", signal.SIGTERM)
        ended = time.monotonic()
        assert process.returncode == 0
        cluster.start("n2")
        return ended - begun

    assert any(took_s() < ENDS_WITHIN_S for _ in range(TRIES))
