"""Containers of others that come back at another address: who is told, and what keeps to the old one."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.api import order_text
from chaos.core.clock import ManualClock
from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, Link, NodeInfo
from chaos.history.events import NodeUp, Row
from chaos.plugin import Deployment
from chaos.runtimes.docker.attach import guests as module
from chaos.runtimes.docker.attach.find import Ground, Key
from chaos.runtimes.docker.attach.guests import Guests
from chaos.runtimes.docker.attach.layout import AttachedLayout
from chaos.runtimes.docker.attach.node import AttachedNode
from chaos.runtimes.docker.attach.session import ContainerSession

GROUND = Ground("web", IPv4Network("198.18.9.0/24"), "198.18.9.1", has_names=True)
ADDRESSES = {"n1": "198.18.9.4", "n2": "198.18.9.5"}
TEXT = """\
experiment: web
question: How long do visitors wait?
cluster: {{attach: {{label: app=web}}, nodes: 2}}
traffic: {{operations: {{home: {{http: "http://{host}:8080/", rate: 20/s}}}}}}
faults: [{fault}]
"""
KILL = "{kill: {}, target: n1, at: 1s, for: 1s}"


def deployment(folder: Path, *, host: str = "web", fault: str = KILL) -> Deployment:
    found = order_text(TEXT.format(host=host, fault=fault), folder / "web.yaml")
    return Deployment(run="web-1", folder=folder, plan=found.plan, target=found.target)


class Broken:
    """What ends a run."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, why: str) -> None:
        self.said.append(why)


class World(Guests):
    """Guests that are entered nowhere, over an engine that says where containers are."""

    def __init__(self, layout: AttachedLayout, refuses: str = "") -> None:
        self.layout, self.broken, self.rows, self.told = layout, Broken(), list[Row](), list[str]()
        self.refuses = refuses
        nobody, clock = cast("Any", None), ManualClock()
        keys = [Key(node, name=f"web-{node}") for node in ADDRESSES]
        super().__init__(nobody, keys, GROUND, "image", False, cast("Any", self.broken), self.rows.append, clock)
        self._containers = cast("Any", type("Containers", (), {"api": None}))
        self._move = self.move
        for name, info in layout.nodes.items():
            self.nodes[name] = AttachedNode(info, nobody, nobody, lambda: "", False, self.rows.append, clock)

    def move(self, name: str, address: str) -> NodeInfo:
        if self.refuses:
            raise CapabilityMissing(self.refuses, how="an address of its own")
        return self.layout.moved_to(name, address)

    def _enter(self, name: str, inspected: dict[str, Any]) -> Any:
        self.told.append(f"{name} at {self.nodes[name].info.address}, rules to {self.layout.addresses().first(name)}")
        del inspected

    def _join(self, name: str, inspected: dict[str, Any], link: Any) -> None:
        del inspected, link
        self.told.append(f"{name} joined")

    def start(self, monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
        """The engine tells that it has started there."""
        said = {"Name": f"/web-{name}", "State": {"Running": True}, "NetworkSettings": {"Networks": {"web": {"IPAddress": address}}}}
        monkeypatch.setattr(module, "look_up", lambda *_: said)
        self._join_again(name)


@pytest.fixture
def layout(tmp_path: Path) -> AttachedLayout:
    made = AttachedLayout(deployment(tmp_path), GROUND, ADDRESSES, "web")
    made.place_clients("198.18.9.9")
    return made


def test_rules_questions_and_history_follow_it(layout: AttachedLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(layout)
    world.start(monkeypatch, "n1", "198.18.9.4")
    assert (world.told, world.rows) == (["n1 at 198.18.9.4, rules to 198.18.9.4", "n1 joined"], [])
    world.told.clear()
    world.start(monkeypatch, "n1", "198.18.9.77")
    assert world.told == ["n1 at 198.18.9.77, rules to 198.18.9.77", "n1 joined"]
    (row,) = world.rows
    assert isinstance(row, NodeUp)
    assert (row.node, row.address, row.container) == ("n1", "198.18.9.77", "web-n1")
    assert layout.addresses().pairs(Link(CLIENTS, "n1")) == [("198.18.9.9", "198.18.9.77")]
    assert layout.ask(layout.part("n1").ready.ask, "n1").http == "http://198.18.9.77:8080/"
    assert world.broken.said == []


@pytest.mark.parametrize(
    ("address", "refuses", "says"),
    [("", "", "n1 came back at no address, not at 198.18.9.4: it left the network web"),
     ("198.18.9.77", "proxies stand before the old one",
      "n1 came back at 198.18.9.77, not at 198.18.9.4: proxies stand before the old one; an address of its own")],
)  # fmt: skip
def test_what_cannot_follow_ends_the_run(
    layout: AttachedLayout, monkeypatch: pytest.MonkeyPatch, address: str, refuses: str, says: str
) -> None:
    world = World(layout, refuses)
    world.start(monkeypatch, "n1", address)
    assert world.broken.said == [says]
    assert world.told == []
    assert layout.nodes["n1"].address == "198.18.9.4"


@pytest.mark.parametrize(
    ("host", "fault", "says"),
    [("web", KILL, ""), ("{address}", KILL, ""),
     ("web", '{latency: {latency: 50ms}, target: {link: "n1 -> n2"}, at: 1s, for: 1s}', "the proxies of stream faults stand before"),
     ("web", '{reorder: {percent: 10%}, target: {link: "n1 -> n2"}, at: 1s, for: 1s}', "the kernel's queues tell packets by the old one")],
)  # fmt: skip
def test_what_keeps_to_an_address(tmp_path: Path, host: str, fault: str, says: str) -> None:
    """By the session, which knows what its plan needs; clients that ask no name know the old address."""
    made = deployment(tmp_path, host=host, fault=fault)
    layout = AttachedLayout(made, GROUND, ADDRESSES, "")
    layout.place_clients("198.18.9.9")
    session = ContainerSession.__new__(ContainerSession)
    session._deployment, session._layout, session._helpers = made, layout, None
    session._name, session._traffic = ("web" if host == "web" else ""), True
    says = says or ("" if host == "web" else "clients ask no name and know the old one")
    if not says:
        assert session._move("n1", "198.18.9.77").address == "198.18.9.77"
        return
    with pytest.raises(CapabilityMissing, match=says):
        session._move("n1", "198.18.9.77")
    assert layout.nodes["n1"].address == "198.18.9.4"
