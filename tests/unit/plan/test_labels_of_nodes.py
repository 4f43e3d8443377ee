"""Targets by label: which nodes a plan takes them for, what is refused, and that models see no more in them than those nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chaos.api import order, order_text
from chaos.cli.manual_orders import attached, by_nodes, written
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.rng import stream
from chaos.core.values import NodeInfo, Victims
from chaos.experiment.pods import PodsSpec
from chaos.experiment.selectors import Labelled, Role
from chaos.faults.pause import Pause
from chaos.kube.api import Api
from chaos.plan.describe import describe
from chaos.plan.plan import Plan, PlannedNode
from chaos.plan.selection import NothingMatched, possible, resolve
from chaos.predict.run import facts_from_plan
from chaos.run.life import pick
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.support.standing_nodes import StandingNodes
from tests.unit.kube.test_find import thing

LABELS = [
    {"app": "store", "tier": "cache", "apps.kubernetes.io/pod-index": "0"},
    {"app": "store", "tier": "store", "apps.kubernetes.io/pod-index": "1"},
    {"app": "store", "tier": "cache", "apps.kubernetes.io/pod-index": "2"},
]
TEXT = """\
experiment: shop
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store}}{roles}}}{target}, nodes: 3{more}}}
traffic: {{operations: {{{operation}}}}}
faults: [{{{fault}, target: {whom}, at: [1s], for: 3s}}]
"""


@pytest.fixture(autouse=True)
def three_pods(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """With these labels; of which parts they were asked."""
    asked: list[tuple[str, ...]] = []

    def answer(attach: object, parts: tuple[str, ...]) -> Mapping[str, Sequence[Mapping[str, str]]]:
        del attach
        asked.append(parts)
        return {parts[0]: LABELS}

    monkeypatch.setattr(KubernetesRuntime, "labels", answer)
    return asked


def planned(folder: Path, whom: str, *, more: str = "", fault: str = "pause: {}", leads: bool = False, limits: str = "") -> Plan:
    file = folder / "shop.yaml"
    operation = "write: {rate: 20/s}" if leads else 'home: {http: "http://store:8080/", rate: 20/s}'
    target = ", target: replicated_kv" if leads else ""
    name = ", name: store" if leads else ""
    file.write_text(TEXT.format(whom=whom, more=more, fault=fault, operation=operation, target=target, roles=name) + limits)
    return order(file).plan


def meant(plan: Plan) -> set[tuple[str, ...]]:
    """All that the one fault of a plan may pick."""
    (spec,) = plan.experiment.faults
    found = possible(spec.target, nodes=plan.nodes, protect=(), part=plan.nodes[0].part, has_roles=plan.has_roles, fault=Pause())
    return {victims.nodes for victims in found}


@pytest.mark.parametrize(
    ("whom", "hits"),
    [
        ("{label: tier=cache}", {("n1", "n3")}),
        ("{label: tier!=cache}", {("n2",)}),
        ('{label: "app=store,apps.kubernetes.io/pod-index in (0, 1)"}', {("n1", "n2")}),
        ("{label: tier=cache, any: 1}", {("n1",), ("n3",)}),
        ("{label: tier, percent: 60%}", {("n1", "n2"), ("n1", "n3"), ("n2", "n3")}),
        ("{label: tier=cache, zone: left}", {("n1",)}),
        ("{label: app=store, zone: right, any: 1}", {("n2",), ("n3",)}),
        ("{zone: right, any: 1}", {("n2",), ("n3",)}),
        ("{host: right, any: 1}", {("n2",), ("n3",)}),
        ("{label: tier=cache, part: store}", {("n1", "n3")}),
    ],
)  # fmt: skip
def test_a_plan_knows_whom_labels_mean(tmp_path: Path, whom: str, hits: set[tuple[str, ...]]) -> None:
    assert meant(planned(tmp_path, whom, more=", zones: {left: [n1], right: [n2, n3]}")) == hits


@pytest.mark.parametrize(
    ("whom", "hits"),
    [("{label: tier=cache, role: leader}", {("n1",), ("n3",)}), ("{label: tier=store, role: followers}", {("n2",)}),
     ("{label: tier=cache, followers: 1}", {("n1",), ("n3",)})],
)  # fmt: skip
def test_a_role_among_those_with_labels(tmp_path: Path, whom: str, hits: set[tuple[str, ...]]) -> None:
    assert meant(planned(tmp_path, whom, leads=True)) == hits


def test_nothing_is_asked_where_nobody_speaks_of_labels(tmp_path: Path, three_pods: list[tuple[str, ...]]) -> None:
    plan = planned(tmp_path, "any")
    assert (three_pods, [node.labels for node in plan.nodes]) == ([], [None] * 3)
    planned(tmp_path, "{label: tier=cache}")
    assert three_pods == [("store",)]


def test_the_table_of_a_plan_says_who_it_is(tmp_path: Path) -> None:
    (row,) = describe(planned(tmp_path, "{label: tier=cache}"))
    assert row.target == "label tier=cache: n1, n3"
    (row,) = describe(planned(tmp_path, "{label: tier=cache, any: 1}"))
    assert row.target == "1 of any (label tier=cache: n1, n3)"


@pytest.mark.parametrize(
    ("whom", "more", "says"),
    [
        ("{label: tier=disk}", "",
         "shop.yaml:5: faults[0].target.label: none of the pods has the labels 'tier=disk' (labels that are there:"
         " tier=cache (n1, n3), tier=store (n2), app=store (n1, n2, n3), apps.kubernetes.io/pod-index=0 (n1),"),
        ("{label: tier=store, zone: left}", ", zones: {left: [n1], right: [n2, n3]}",
         "shop.yaml:5: faults[0].target: no node in the zone 'left' has the labels 'tier=store' (those that have: n2 (right))"),
        ("{label: tier=cache, any: 3}", "",
         "faults[0].target: the selector matches nothing: 3 are wanted, and only 2 may be picked (n1, n3)"),
        ("{zone: left, host: left}", ", zones: {left: [n1]}", "faults[0].target.host: 'host' does not go with 'zone' (one of them)"),
        ("{label: tier=cache, link: clients -> n1}", "", "'label' does not go with 'link' ('link' alone)"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_starts(tmp_path: Path, whom: str, more: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, whom, more=more)
    assert says in str(refused.value)


def test_a_protected_node_is_not_meant_by_its_labels(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"faults\[0\].target: n3 is protected"):
        planned(tmp_path, "{label: tier=cache}", limits="limits: {protect: [n3]}\n")
    assert meant(planned(tmp_path, "{label: tier=cache, any: 1}", limits="limits: {protect: [n3]}\n"))


def test_nodes_of_ours_have_no_labels(tmp_path: Path) -> None:
    text = """\
experiment: ours
question: Who?
cluster: {target: replicated_kv, nodes: 3}
traffic: {operations: {write: 20/s}}
faults: [{pause: {}, target: {label: tier=cache}, at: 1s, for: 1s}]
"""
    for runtime in ("local", "fake", "kubernetes"):
        with pytest.raises(BadInput, match=r"label: nodes that Nines starts carry no labels of yours \(a node by name, {part"):
            order_text(text, tmp_path / "ours.yaml", runtime=runtime)


def test_other_numbers_than_the_experiment_says_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KubernetesRuntime, "labels", lambda _, parts: {parts[0]: LABELS[:2]})
    with pytest.raises(EnvironmentUnusable, match="2 pods run, and the experiment says 3"):
        planned(tmp_path, "{label: tier=cache}")


def test_runs_differ_in_nothing_by_what_pods_were_labelled_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template's hash is another one after each change."""
    first = planned(tmp_path, "{label: tier=cache}")
    monkeypatch.setattr(KubernetesRuntime, "labels", lambda _, parts: {parts[0]: [{**each, "hash": "2"} for each in LABELS]})
    second = planned(tmp_path, "{label: tier=cache}")
    assert first.nodes != second.nodes
    assert first.configuration == second.configuration


# --- the runtimes' own word ---------------------------------------------------------------------------------------------


def test_pods_say_their_labels_in_the_order_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Answers:
        def listed(self, *_: str) -> list[dict[str, Any]]:
            return [thing("store-1", metadata={"labels": {"tier": "b"}}), thing("store-0", metadata={"labels": {"tier": "a"}})]

    from chaos.kube.spots import there

    assert [pod.labels for pod in there(cast("Api", Answers()), PodsSpec("shop", selector="app=store"))] == [{"tier": "a"}, {"tier": "b"}]


def test_containers_are_picked_by_their_labels_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a compose project with a part for each service."""
    found = {"web": [{"tier": "a"}, {"tier": "b"}], "api": [{"tier": "b"}]}
    monkeypatch.setattr(DockerRuntime, "labels", lambda _, parts: {part: found[part] for part in parts})
    text = """\
experiment: web
question: How long do visitors wait?
cluster: {attach: {compose: shop, services: [web, api]}, parts: {web: 2, api: 1}}
traffic: {operations: {home: {http: "http://web:8080/start", rate: 20/s}}}
faults: [{pause: {}, target: {label: tier=b}, at: 1s, for: 1s}]
"""
    assert meant(order_text(text, tmp_path / "web.yaml").plan) == {("web-2", "api-1")}


# --- at the moment of injection -----------------------------------------------------------------------------------------


def standing(labels: Sequence[dict[str, str] | None]) -> StandingNodes:
    """n1, n2... with these labels."""
    infos = [NodeInfo(f"n{number}", "store", None, "10.0.0.1", {}, labels=its) for number, its in enumerate(labels, start=1)]
    return StandingNodes({info.name: info for info in infos})


@pytest.mark.parametrize(
    ("now", "hit"),
    [([{"tier": "store"}, {"tier": "cache"}, {"tier": "cache"}], ("n2", "n3")), ([None, None, None], ("n1", "n3")),
     ([{}, {}, {"tier": "cache"}], ("n3",))],
)  # fmt: skip
def test_whom_labels_mean_is_who_has_them_now(tmp_path: Path, now: list[dict[str, str] | None], hit: tuple[str, ...]) -> None:
    """An operator may move the label of its primary, and the next pod of a name may have others."""
    plan = planned(tmp_path, "{label: tier=cache}")
    cluster = standing(now)
    victims = pick(plan, cast("Any", cluster), plan.experiment.faults[0], frozenset(cluster.nodes), draw=stream(1, "x").randrange(9))
    assert victims.nodes == hit


def test_a_label_that_nobody_has_by_now_matches_nobody(tmp_path: Path) -> None:
    plan = planned(tmp_path, "{label: tier=cache}")
    cluster = standing([{}, {}, {}])
    with pytest.raises(NothingMatched, match="these nodes would be nobody"):
        pick(plan, cast("Any", cluster), plan.experiment.faults[0], frozenset(cluster.nodes), draw=1)


NODES = tuple(
    PlannedNode(f"n{i}", "data", zone, labels={"tier": tier, "i": str(i)})
    for i, (zone, tier) in enumerate(["aX", "aY", "bX", "bY", "bX"], 1)
)


@pytest.mark.parametrize(
    "selector",
    [Labelled("tier=X"), Labelled("tier=X", zone="b"), Role("any", label="tier=X"), Role("any", count=2, label="i>2"),
     Role("followers", label="tier=Y"), Role("leader", label="tier=X"), Role("any", percent=0.5, label="tier", zone="b")],
)  # fmt: skip
def test_whatever_is_resolved_was_seen_by_planning(selector: Labelled | Role) -> None:
    """For every leader and draw; and it has the labels."""
    seen = set(possible(selector, nodes=NODES, protect=(), part="data", has_roles=True, fault=Pause()))
    for leader, draw in itertools.product(("n1", "n3"), range(10)):
        roles = {node.name: frozenset({"leader"} if node.name == leader else ()) for node in NODES}
        found = resolve(
            selector, nodes=NODES, roles=roles, up=frozenset(roles), protect=(), draw=draw, last={}, part="data", has_roles=True,
            fault=Pause(),
        )  # fmt: skip
        assert found in seen
        assert isinstance(found, Victims)
        assert all(node.fits(None, selector.zone, selector.label) for node in NODES if node.name in found.nodes)


# --- predictions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "named"),
    [("{label: tier=cache}", "[n1, n3]"), ("{label: tier=store}", "n2"), ("{label: app=store, any: 1}", "{any: 1}"),
     ("{label: app=store, role: leader}", "leader"), ("{label: app=store, role: followers}", "followers")],
)  # fmt: skip
def test_models_see_no_more_in_labels_than_the_nodes_that_they_mean(tmp_path: Path, label: str, named: str) -> None:
    """Number, role and leader's place of each fault, by which everything else is predicted."""
    for fault in ("kill: {recovery: policy}", "pause: {}"):
        by_label, by_name = (facts_from_plan(planned(tmp_path, whom, fault=fault, leads=True)) for whom in (label, named))
        assert by_label == by_name


@pytest.mark.parametrize(("whom", "leaders"), [("{label: app=store, any: 1}", 100), ("{label: tier=cache, any: 1}", 1)])
def test_a_pick_among_labels_strikes_a_leader_only_where_it_has_them(tmp_path: Path, whom: str, leaders: int) -> None:
    """Of 300 pauses among all three a third meets the leader. Among n1 and n3 two of three leaders can be met; each that is met is followed
    by n2, which no fault meets any more, as often as by the other one: 2/3 x 2 faults meet a leader, in the mean."""
    plan = planned(tmp_path, whom, leads=True)
    windows = tuple(msgspec.structs.replace(plan.windows[0], id=f"w{number}") for number in range(300))
    classes = facts_from_plan(msgspec.structs.replace(plan, windows=windows)).classes
    assert {each.role: each.count for each in classes} == {"leader": leaders, "follower": 300 - leaders}


# --- by hand ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["label:tier=cache", "label: tier=cache", "{label: tier=cache}", '{"label": "tier=cache"}'])
def test_labels_by_hand(monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    monkeypatch.setattr(KubernetesRuntime, "running", lambda *_: {"store": ["store-0", "store-1", "store-2"]})
    ordered = attached(written("pause", to, "3s", []), pods={"namespace": "shop", "service": "store"})
    assert ordered.experiment.faults[0].target == Labelled("tier=cache")
    assert meant(ordered.plan) == {("n1", "n3")}


def test_a_container_s_name_in_labels_stays_one() -> None:
    known = {"store-0": "n1"}
    for words in ("label:statefulset.kubernetes.io/pod-name=store-0", '{label: "a=store-0", any: 1}'):
        assert by_nodes(words, known) == words
    assert by_nodes("label-x", {"label-x": "n2"}) == "n2"


def test_wrong_labels_by_hand_are_refused_before_anything_is_asked() -> None:
    """On pods a harness would be started in the cluster first."""
    with pytest.raises(BadInput, match=r"^--to: 'tier=!' is no requirement of a label selector"):
        written("pause", "label:tier=!", "10s", [])
    assert written("pause", "label:tier in (a, b)", "10s", []).to == "label:tier in (a, b)"
