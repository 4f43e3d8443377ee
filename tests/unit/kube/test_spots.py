"""Where pods stand: hosts and zones that selectors name, asked of an API server that answers as a real one does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.api import order
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.rng import stream
from chaos.core.values import NodeInfo
from chaos.experiment.pods import PodsSpec
from chaos.experiment.selectors import Zone
from chaos.kube.api import Api, Refused
from chaos.kube.find import ZONE
from chaos.kube.spots import spots
from chaos.plugin import Spot
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.support.standing_nodes import StandingNodes
from tests.unit.kube.test_find import thing

SPEC = PodsSpec("shop", selector="app=store")
TEXT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store}}}}, nodes: 3{more}}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults: [{{pause: {{}}, target: {target}, at: [1s], for: 3s}}]
"""


class Answers:
    """Of an API server, by kind."""

    def __init__(self, may_see_machines: bool = True) -> None:
        self._may = may_see_machines
        self.asked: list[str] = []

    def listed(self, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        del namespace, selector
        self.asked.append(kind)
        if kind == "pods":
            return [
                thing("store-1", spec={"nodeName": "m2"}), thing("store-0", spec={"nodeName": "m1"}),
                thing("nines-x", spec={"nodeName": "m9", "hostNetwork": True}, metadata={"labels": {"nines.run": "x"}}),
            ]  # fmt: skip
        if not self._may:
            raise Refused(403, "nodes is forbidden", "")
        return [{"metadata": {"name": name, "labels": {ZONE: zone} if zone else {}}} for name, zone in
                (("m1", "a"), ("m2", "b"), ("m3", ""))]  # fmt: skip


def test_a_host_is_known_without_the_right_to_read_machines() -> None:
    api = Answers(may_see_machines=False)
    assert spots(cast("Api", api), SPEC, {"m2"}) == [Spot("m1"), Spot("m2")]
    assert api.asked == ["pods"]


def test_a_zone_is_a_label_of_the_machine() -> None:
    assert spots(cast("Api", Answers()), SPEC, {"b"}) == [Spot("m1", "a"), Spot("m2", "b")]
    with pytest.raises(EnvironmentUnusable, match="the machines may not be read") as refused:
        spots(cast("Api", Answers(may_see_machines=False)), SPEC, {"b"})
    assert "zones: {a: [n1, n2]}" in str(refused.value)


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Three pods on two machines in two zones; what was asked."""
    asked: list[set[str]] = []

    def answer(attach: object, named: set[str]) -> Sequence[Spot]:
        del attach
        asked.append(named)
        return [Spot("m1", "a"), Spot("m2", "b"), Spot("m2", "b")]

    monkeypatch.setattr(KubernetesRuntime, "spots", answer)
    return asked


def ordered(folder: Path, target: str, more: str = ""):
    file = folder / "shop.yaml"
    file.write_text(TEXT.format(target=target, more=more))
    return order(file)


@pytest.mark.parametrize(("target", "hit"), [("{host: m2}", ["n2", "n3"]), ("{zone: a}", ["n1"])])
def test_a_plan_knows_who_stands_there(stands: list[set[str]], tmp_path: Path, target: str, hit: list[str]) -> None:
    plan = ordered(tmp_path, target).plan
    (spec,) = plan.experiment.faults
    assert isinstance(spec.target, Zone)
    assert stands == [{spec.target.zone}]
    assert [node.name for node in plan.nodes if node.stands_in(spec.target.zone)] == hit
    assert [(node.zone, node.host) for node in plan.nodes] == [("a", "m1"), ("b", "m2"), ("b", "m2")]


def test_nobody_is_asked_of_zones_that_the_file_defines(stands: list[set[str]], tmp_path: Path) -> None:
    plan = ordered(tmp_path, "{zone: left}", ", zones: {left: [n1], right: [n2, n3]}").plan
    assert [node.zone for node in plan.nodes] == ["left", "right", "right"]
    assert ordered(tmp_path, "any").plan.windows
    assert stands == []


def test_a_place_where_nobody_stands_is_refused(stands: list[set[str]], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no zone 'm7'"):
        ordered(tmp_path, "{host: m7}")
    assert stands


def test_other_numbers_than_the_experiment_says_are_refused(stands: list[set[str]], tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(TEXT.format(target="{zone: a}", more="").replace("nodes: 3", "nodes: 2"))
    with pytest.raises(EnvironmentUnusable, match="3 pods run, and the experiment says 2"):
        order(file)
    assert stands


def test_runs_differ_in_nothing_by_where_pods_stood(stands: list[set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ordered(tmp_path, "{host: m2}").plan
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot("m2"), Spot("m2"), Spot("m1")])
    second = ordered(tmp_path, "{host: m2}").plan
    assert stands
    assert [node.host for node in second.nodes] == ["m2", "m2", "m1"]
    assert first.configuration == second.configuration


def test_whom_a_host_means_is_who_stands_there_now(stands: list[set[str]], tmp_path: Path) -> None:
    """A pod whose successor stands elsewhere is not hit there any more."""
    from chaos.run.life import pick

    plan = ordered(tmp_path, "{host: m2}").plan
    assert stands
    hosts = {"n1": "m2", "n2": "m1", "n3": "m2"}
    cluster = StandingNodes({name: NodeInfo(name, "store", None, "10.0.0.1", {}, host=host) for name, host in hosts.items()})
    (spec,) = plan.experiment.faults
    victims = pick(plan, cast("Any", cluster), spec, frozenset({"n1", "n2", "n3"}), draw=stream(1, "x").randrange(9))
    assert victims.nodes == ("n1", "n3")
