"""Pods of others that are replaced: which node the next pod is, and who is told of its address and its labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest

from chaos.api import order
from chaos.core.clock import ManualClock
from chaos.core.errors import CapabilityMissing
from chaos.core.values import NodeInfo
from chaos.dns.spec import order_of
from chaos.experiment.pods import PodsSpec
from chaos.history.events import NodeUp, Row
from chaos.kube.find import Pod, pod_of
from chaos.plugin import Deployment
from chaos.query.watch_spec import WatchedNode
from chaos.runtimes.kubernetes.able import refuse_moving
from chaos.runtimes.kubernetes.guests import PodGuests
from chaos.runtimes.kubernetes.helpers import PodHelpers
from chaos.runtimes.kubernetes.layout import PodLayout, Resolver
from chaos.runtimes.kubernetes.node import PodNode
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.unit.kube.test_find import thing

SPEC = PodsSpec("shop", selector="app=store")


def pod(name: str, number: int, *, ending: bool = False, **labels: str) -> dict[str, Any]:
    """As the API server tells of it."""
    metadata: dict[str, Any] = {"uid": f"uid-{name}-{number}", "labels": {"app": "store", **labels}}
    found = thing(name, metadata=metadata | ({"deletionTimestamp": "now"} if ending else {}))
    found["status"]["podIP"] = f"10.0.0.{number}"
    return found


class Guests(PodGuests):
    """Guests that are entered nowhere."""

    def __init__(self, told: list[str], sink: Callable[[Row], None]) -> None:
        pods = {node: pod_of(pod(f"store-{node}", number, tier="a"), SPEC) for number, node in enumerate(("n1", "n2", "n3"), start=1)}
        nobody = cast("Any", None)
        super().__init__(nobody, "run-1", SPEC, "app=store", pods, nobody, sink, ManualClock())
        self._net, self.told = cast("Any", object()), told
        self._move = self.place
        for name, its in self.pods.items():
            info = NodeInfo(name, "store", None, its.address, {"client": 8080}, labels={})
            self.nodes[name] = PodNode(info, nobody, sink, ManualClock())
            self.nodes[name].labelled(its.labels)
            self._stands[name] = its.uid

    def place(self, name: str, its: Pod) -> NodeInfo:
        return NodeInfo(name, "store", None, its.address, {"client": 8080}, labels=its.labels)

    def _enter(self, name: str, pod: Pod) -> Any:
        self.told.append(f"{name} in {pod.name} at {pod.address}")

    def _join(self, name: str, pod: Pod, link: Any) -> None:
        del link
        self._stands[name] = pod.uid

    def take(self, kind: str, its: dict[str, Any]) -> None:
        self._take(kind, its)
        self._worker.submit(lambda: None).result()


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def guests(rows: list[Row]) -> Guests:
    return Guests([], rows.append)


def test_a_pod_of_another_name_takes_the_place_of_the_one_that_is_gone(guests: Guests, rows: list[Row]) -> None:
    """A Deployment's: before the first one is gone there may be four of them, and the fourth is nobody's until then."""
    early = pod("store-new", 9)
    guests.take("ADDED", early)
    assert guests.told == []
    guests.take("MODIFIED", pod("store-n2", 2, ending=True))
    guests.take("MODIFIED", early)
    assert guests.told == ["n2 in store-new at 10.0.0.9"]
    (row,) = [row for row in rows if isinstance(row, NodeUp)]
    assert (row.node, row.address, row.container) == ("n2", "10.0.0.9", "store-new")
    guests.take("DELETED", pod("store-n2", 2, ending=True))
    guests.take("ADDED", pod("store-more", 10))
    assert len(guests.told) == 1
    assert guests.pods["n2"].name == "store-new"


def test_each_of_two_that_go_has_a_successor(guests: Guests) -> None:
    for name, number in (("store-n3", 3), ("store-n1", 1)):
        guests.take("MODIFIED", pod(name, number, ending=True))
    guests.take("ADDED", pod("store-x", 11))
    guests.take("ADDED", pod("store-y", 12))
    assert guests.told == ["n1 in store-x at 10.0.0.11", "n3 in store-y at 10.0.0.12"]


def test_labels_are_those_that_the_api_server_told_last(guests: Guests) -> None:
    """In place, as operators label their primary; and of the next pod."""
    assert guests.nodes["n2"].info.labels == {"app": "store", "tier": "a"}
    guests.take("MODIFIED", pod("store-n2", 2, tier="b"))
    assert guests.nodes["n2"].info.labels == {"app": "store", "tier": "b"}
    guests.take("DELETED", pod("store-n2", 2, ending=True))
    guests.take("ADDED", pod("store-n2", 22, index="7"))
    info = guests.nodes["n2"].info
    assert (info.address, info.labels) == ("10.0.0.22", {"app": "store", "index": "7"})


def test_where_no_selector_speaks_of_labels_none_are_kept(guests: Guests) -> None:
    guests.nodes["n1"].moved(NodeInfo("n1", "store", None, "10.0.0.1", {}))
    guests.take("MODIFIED", pod("store-n1", 1, tier="b"))
    assert guests.nodes["n1"].info.labels is None


def test_a_pod_whose_network_was_made_anew_is_joined_again(guests: Guests) -> None:
    """Kubelet makes a sandbox again that died: the same pod, at another address."""
    anew = pod("store-n2", 2)
    anew["status"]["podIP"] = "10.0.0.77"
    guests.take("MODIFIED", anew)
    assert guests.told == ["n2 in store-n2 at 10.0.0.77"]
    assert guests.nodes["n2"].info.address == "10.0.0.77"
    guests.take("MODIFIED", anew)
    assert len(guests.told) == 1


# --- who is told of an address ------------------------------------------------------------------------------------------

TEXT: Final = """\
experiment: shop
question: Do customers notice?
cluster:
  attach: {kubernetes: {namespace: shop, service: store}, roles: {leader: {http: "http://{address}:8080/", json: "role=leader"}}}
  nodes: 3
traffic: {operations: {home: {http: "http://store:8080/", rate: 20/s}}}
faults: [{pause: {}, target: {label: tier=a}, at: [1s], for: 3s}]
"""


class Told:
    """A helper that notes what it is told."""

    def __init__(self) -> None:
        self.child = self
        self.lines: list[bytes] = []

    def tell(self, line: bytes) -> bool:
        self.lines.append(line)
        return True


def test_resolver_and_role_watch_follow_a_pod_to_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a missing record is that of an address that nobody has, and a role is asked of nobody."""
    monkeypatch.setattr(KubernetesRuntime, "labels", lambda _, parts: {parts[0]: [{"tier": "a"}] * 3})
    file = tmp_path / "shop.yaml"
    file.write_text(TEXT, encoding="utf-8")
    found = order(file)
    deployment = Deployment(run="shop-1", folder=tmp_path, plan=found.plan, target=found.target)
    addresses = {"n1": "10.0.0.1", "n2": "10.0.0.2", "n3": "10.0.0.3", "clients": "10.0.0.7"}
    layout = PodLayout(deployment, addresses, "10.0.0.9", "store", Resolver("10.96.0.10", "shop.svc.cluster.local"))
    nobody = cast("Any", None)
    helpers = PodHelpers(deployment, layout, nobody, nobody, cast("Any", print), ManualClock(), "")
    resolver, watch = Told(), Told()
    readers = Told()
    helpers._forward, helpers._watch, helpers._data_clients = cast("Any", resolver), cast("Any", watch), cast("Any", readers)
    layout.move("n2", "10.0.0.22", "m1", {"tier": "b"})
    helpers.moved("n2")
    (line,) = resolver.lines
    moved = order_of(line).moved  # type: ignore[union-attr]
    assert (moved.node, moved.address) == ("n2", "10.0.0.22")
    (line,) = watch.lines
    asked = msgspec.json.decode(line, type=WatchedNode)
    assert (asked.node, asked.roles["leader"].http) == ("n2", "http://10.0.0.22:8080/")
    assert readers.lines == [b'{"node":"n2","address":"10.0.0.22"}']
    assert layout.nodes["n2"].labels == {"tier": "b"}
    helpers.close()


KNOWS: Final = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, {pods}}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://{host}:8080/", rate: 20/s}}}}{client}}}
faults: [{{{fault}, target: n1, at: [1s], for: 3s}}{further}]
"""


@pytest.mark.parametrize(
    ("host", "client", "further", "says"),
    [
        ("{{address}}", "", "", "clients ask no name and know the old one"),
        ("store", ", client: {{endpoints: [n1, n2]}}", "", "with 'client: {endpoints: ...}' clients know the old one"),
        ("store", "", ', {{latency: {{latency: 50ms}}, target: {{link: "n1 -> n2"}}, at: [9s], for: 3s}}', "the proxies of stream faults"),
        ("store", "", "", ""),
    ],
)  # fmt: skip
def test_what_keeps_to_an_address_does_not_go_with_pods_that_are_deleted(
    tmp_path: Path, host: str, client: str, further: str, says: str
) -> None:
    """A run; by hand there are no clients. Faults after which the pod stays go with all of it."""

    def deployment(fault: str) -> Deployment:
        file = tmp_path / "shop.yaml"
        pods = "service: store" if host == "store" else "selector: app=store"
        more = {"pods": pods, "host": host.format(), "client": client.format(), "further": further.format(), "fault": fault}
        file.write_text(KNOWS.format(**more), encoding="utf-8")
        found = order(file)
        return Deployment(run="shop-1", folder=tmp_path, plan=found.plan, target=found.target)

    refuse_moving(deployment("pause: {}"))
    if not says:
        refuse_moving(deployment("delete: {}"))
        return
    with pytest.raises(CapabilityMissing, match=f"a deleted pod's successor has another address, and .*{says.split(' {', maxsplit=1)[0]}"):
        refuse_moving(deployment("delete: {}"))
    if "proxies" not in says:
        refuse_moving(deployment("delete: {}"), traffic=False)
