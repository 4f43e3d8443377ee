"""Which connections go past a proxy, read off the kernel's table; and what is refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.agent.agent_parts import aside
from chaos.agent.agent_parts.aside import ESTABLISHED, LISTEN, Connection, Place
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.net.nft import PROXY_UID
from chaos.net.packets import Redirect
from chaos.runtimes.base.agents.link import Answer
from chaos.runtimes.base.agents.net.intercept import cut_old, refuse_unable

HERE, THERE, ELSEWHERE = "198.18.5.11", "198.18.5.12", "198.18.5.13"
REDIRECTS = {(THERE, 7000): 21001}
OLD = Connection((HERE, 40001), (THERE, 7000), ESTABLISHED, 0, held=True)
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5209 00000000:0000 0A 00000000:00000000 00:00000000 00000000 60001        0 301 1 0000000000000000 100 0 0 10 0
   1: 0B0512C6:9C41 0C0512C6:1B58 01 00000000:00000000 02:00000A5C 00000000     0        0 302 2 0000000000000000 20 4 30 10 -1
   2: 0B0512C6:9C42 0C0512C6:1B58 06 00000000:00000000 03:00000A5C 00000000     0        0 0 3 0000000000000000
"""
TABLE6 = """\
  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 303
1: 0000000000000000FFFF00000B0512C6:9C43 0000000000000000FFFF00000C0512C6:1B58 01 00000000:00000000 00:00000000 00000000  1000        0 304
2: 00000000000000000000000001000000:9C44 00000000000000000000000001000000:1B58 01 00000000:00000000 00:00000000 00000000  1000        0 305
"""


def half(of: Connection, to: int) -> Connection:
    """What the proxy that listens there took in."""
    return Connection(("127.0.0.1", to), of.local, ESTABLISHED, PROXY_UID, held=True)


def test_the_table_is_read_whichever_kind_of_socket_it_was(tmp_path: Path) -> None:
    """IPv4 in either form, what listens, what no program holds; IPv6 proper is none of it."""
    (tmp_path / "tcp").write_text(TABLE, encoding="ascii")
    assert [each.state for each in aside.connections(tmp_path)] == [LISTEN, ESTABLISHED, 6]
    (tmp_path / "tcp6").write_text(TABLE6, encoding="ascii")
    seen = aside.connections(tmp_path)
    assert seen[0] == Connection(("127.0.0.1", 21001), ("0.0.0.0", 0), LISTEN, PROXY_UID, held=True)
    assert seen[1] == OLD
    assert not seen[2].held
    assert seen[3].local == ("0.0.0.0", 8000)
    assert seen[4] == Connection((HERE, 40003), (THERE, 7000), ESTABLISHED, 1000, held=True)
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("others", "goes_past"),
    [
        ([], True),
        ([half(OLD, 21001)], False),
        ([half(OLD, 21002)], True),
        ([half(OLD._replace(local=(HERE, 40009)), 21001)], True),
    ],
)
def test_what_has_no_other_half_goes_past(others: list[Connection], goes_past: bool) -> None:
    """The half must be that of its own proxy and of its own port."""
    assert aside.past([OLD, *others], REDIRECTS) == [OLD] * goes_past


@pytest.mark.parametrize(
    "other",
    [
        OLD._replace(uid=PROXY_UID),
        OLD._replace(state=LISTEN),
        OLD._replace(held=False),
        OLD._replace(remote=(THERE, 7001)),
        OLD._replace(remote=(ELSEWHERE, 7000)),
        Connection((HERE, 7000), (THERE, 40001), ESTABLISHED, 0, held=True),
    ],
)
def test_what_is_none_of_ours_is_left_alone(other: Connection) -> None:
    """The proxy's own, what is over, other places, and what the other side opened."""
    assert aside.past([other], REDIRECTS) == []


def test_connections_to_other_ports_of_the_same_place_are_told() -> None:
    """But those are not that the other side opened to a port that is served here."""
    listening = Connection(("0.0.0.0", 7000), ("0.0.0.0", 0), LISTEN, 0, held=True)
    came_in = Connection((HERE, 7000), (THERE, 40001), ESTABLISHED, 0, held=True)
    other = OLD._replace(remote=(THERE, 7001))
    assert aside.unnamed([listening, came_in, OLD, other], REDIRECTS) == [other]


class Kernel:
    """A table that changes as connections are ended."""

    def __init__(self, *there: Connection, refuses: int = 0, idle: bool = False) -> None:
        self.there = list(there)
        self.refuses = refuses
        self.idle = idle
        self.ended: list[Place] = []

    def connections(self) -> list[Connection]:
        """With one that was just dialled, new at each look: its other half is not there yet."""
        fresh = OLD._replace(local=(HERE, 50000 + len(self.looks)))
        self.looks.append(fresh)
        if not self.idle and len(self.looks) > 5:
            self.there = []  # they spoke, and the packet rule told them
        return [*self.there, fresh]

    looks: list[Connection]

    def destroy(self, one: Connection) -> int:
        """As ``sock_diag`` would."""
        self.ended.append(one.local)
        if not self.refuses:
            self.there.remove(one)
        return self.refuses


def cut(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, within_s: float = 60.0, *, destroys: bool = True) -> dict[str, float | str]:
    """What comes of it."""
    kernel.looks = []
    monkeypatch.setattr(aside, "connections", kernel.connections)
    monkeypatch.setattr(aside, "destroy", kernel.destroy)
    monkeypatch.setattr(aside, "LOOK_EVERY_S", 0.0)
    return aside.cut(REDIRECTS, within_s, destroys=destroys)


def test_old_ones_are_ended_and_new_ones_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was there at two looks is old; it is done when several looks in a row show none."""
    kernel = Kernel(OLD, OLD._replace(local=(HERE, 40002)), idle=True)
    assert cut(monkeypatch, kernel) == {"cut": 2.0, "left": "", "why": ""}
    assert sorted(kernel.ended) == [(HERE, 40001), (HERE, 40002)]


def test_a_kernel_that_cannot_end_them_leaves_it_to_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that speak are gone soon; the silent ones stay, and are told with the reason."""
    found = cut(monkeypatch, Kernel(OLD, refuses=95))
    assert (found["cut"], found["left"]) == (1.0, "")
    found = cut(monkeypatch, Kernel(OLD, idle=True), within_s=0.02, destroys=False)
    assert found["left"] == f"{THERE}:7000"
    assert "not supported" in str(found["why"])


class Agent:
    """Answers as it is told."""

    def __init__(self, **result: float | str) -> None:
        self.result = {"taken": "", "proxies": 0.0, "unnamed": "", "cut": 2.0, "left": "", "why": "", **result}
        self.asked: dict[str, object] = {}

    def call(self, do: str, timeout_s: float = 5.0, **fields: object) -> Answer:
        self.asked = {"do": do, "timeout_s": timeout_s, **fields}
        return Answer(id=1, at_ns=1, result=dict(self.result))


ASIDE = [Redirect(THERE, 7000, 21001)]


@pytest.mark.parametrize(
    ("found", "error", "says", "right"),
    [
        ({"taken": "8474"}, EnvironmentUnusable, "n1 listens on port 8474", r"ports: \[8474\]"),
        ({"proxies": 1.0}, EnvironmentUnusable, "runs as uid 60001", "another user"),
        ({"unnamed": f"{THERE}:9000, {THERE}:7001"}, CapabilityMissing, "no proxy stands for", r"ports: \[7001, 9000\]"),
    ],
)
def test_what_would_be_in_our_way_is_refused(
    found: dict[str, float | str], error: type[CapabilityMissing | EnvironmentUnusable], says: str, right: str
) -> None:
    """With what would help."""
    agent = Agent()
    refuse_unable("n1", agent, ASIDE, 8474)  # type: ignore[arg-type]
    assert agent.asked["ports"] == [8474, 21001]
    with pytest.raises(error, match=says) as refused:
        refuse_unable("n1", Agent(**found), ASIDE, 8474)  # type: ignore[arg-type]
    assert refused.match(right)


def test_connections_that_stay_are_refused() -> None:
    """A delay that some never meet would say nothing about the rest."""
    assert cut_old("n1", Agent(), ASIDE) == 2  # type: ignore[arg-type]
    with pytest.raises(EnvironmentUnusable, match=f"(?s){THERE}:7000 could not be ended within 10 s .no way.*CONFIG_INET_DIAG_DESTROY"):
        cut_old("n1", Agent(left=f"{THERE}:7000", why="no way"), ASIDE)  # type: ignore[arg-type]
