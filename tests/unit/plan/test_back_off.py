"""A runtime that waits before it starts a dead node again: the waits that kubelet's source gives, and what `nines plan` says of them."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.cluster import AttachSpec
from chaos.experiment.faults import FaultSpec
from chaos.experiment.pods import Past, PodsSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named, Role, Selector
from chaos.plan import objectives
from chaos.plan.back_off import BackOff, Death, cautions, of, planned_s, struck_s
from chaos.plan.plan import Parameter, Plan, Window
from tests.support.predicting import PARAMETERS, a_plan

KUBELET = BackOff(10.0, 300.0, 600.0, seen_s=(0.0, 1.0), look_s=(10.0, 15.0), tick_s=1.0)
SAID = (
    Parameter("back_off_s", 10.0, "s", "kubelet's default"),
    Parameter("back_off_most_s", 300.0, "s", "kubelet's default"),
    Parameter("back_off_forgets_s", 600.0, "s", "kubelet's default"),
    Parameter("back_off_look_s", 10.0, "s", "kubelet's default", high=15.0),
    Parameter("back_off_tick_s", 1.0, "s", "kubelet's default"),
    Parameter("probes_look", 0.0, "", "kubelet's default", word="true"),
    Parameter("death_seen_s", 0.0, "s", "kubelet's default", high=1.0),
)


def test_the_waits_of_kubelet() -> None:
    """0, 10, 20, 40, 80, 160, 300, 300 s: as client-go's Backoff gives them to doBackOff, kills following each other at once."""
    assert KUBELET.owed_s([0.0] * 8) == (0, 10, 20, 40, 80, 160, 300, 300)


def test_ten_quiet_minutes_after_the_start_end_it() -> None:
    """Counted from the start and not from the death; then it begins anew."""
    started_s = KUBELET.started_s(0.0)
    assert KUBELET.owed_s([0.0, started_s + 590.0]) == (0, 10)
    assert KUBELET.owed_s([0.0, started_s + 595.0]) == pytest.approx((0, 5))
    assert KUBELET.owed_s([0.0, started_s + 600.1, started_s + 620.0]) == (0, 0, 10)


def test_a_wait_ends_when_all_is_forgotten() -> None:
    """Kubelet collects what is ten minutes old (``GC`` of client-go's Backoff), also while the container waits.

    Six kills have it wait 300 s after the next; one that comes 350 s after the sixth start is over 250 s later, and the next waits 10 s.
    """
    began_s = [0.0]
    for owed_s in (0, 10, 20, 40, 80, 160):
        began_s.append(began_s[-1] + KUBELET.started_s(owed_s))
    late_s = began_s[6] + 350.0
    assert KUBELET.owed_s([*began_s[:6], late_s, late_s + 300.0]) == pytest.approx((0, 10, 20, 40, 80, 160, 250, 10))


def test_deaths_before_the_run_are_remembered() -> None:
    """Two of them: 20 s are owed, and 40 s; but nothing of a node that was started more than ten minutes ago."""
    assert KUBELET.owed_s([5.0, 60.0], Past(2, -120.0)) == (20, 40)
    assert KUBELET.owed_s([5.0, 60.0], Past(2, -597.0)) == (0, 10)
    assert KUBELET.owed_s([5.0], Past(2, -590.0)) == (5,)


def test_a_kill_that_is_due_while_the_node_is_dead_comes_when_it_runs() -> None:
    """Every 15 s: the third is due while the node still waits, and the waits grow all the same."""
    assert KUBELET.owed_s([15.0 * number for number in range(5)]) == (0, 10, 20, 40, 80)


def test_the_rule_is_what_the_parameters_say() -> None:
    """And there is none where nobody says that the runtime waits."""
    assert of(SAID) == KUBELET
    assert of(PARAMETERS) is None
    assert of((Parameter("back_off_s", 1.0, "s", "experiment"),)) == BackOff(1.0, 1.0, 2.0)
    assert of((*SAID, Parameter("readiness_every_s", 3.0, "s", "the cluster's own word"))) == msgspec.structs.replace(KUBELET, probed_s=3.0)


def killing(every_s: float, times: int, target: Selector, recovery: str = "policy", said: tuple[Parameter, ...] = SAID) -> Plan:
    """So many kills of such a victim."""
    spec = FaultSpec("strike", "kill", {"recovery": recovery}, At((0.0,)), 5.0, None, target)
    windows = tuple(
        Window(f"strike.{number}", "strike", "kill", number * every_s, number * every_s + 5.0, number) for number in range(times)
    )
    return a_plan(parameters=PARAMETERS + said, faults=(spec,), windows=windows)


def test_kills_of_one_node_are_counted() -> None:
    """By their windows."""
    assert list(planned_s(killing(15.0, 4, Named(("n1",)))).values()) == [0, 10, 20, 40]


def test_of_an_open_selector_nodes_are_taken_in_turn() -> None:
    """Six kills of any of three: two each."""
    waits_s = planned_s(killing(15.0, 6, Role("any", count=1)))
    assert [waits_s[f"strike.{number}"] for number in range(6)] == [0, 0, 0, 10, 10, 10]


def test_what_the_harness_starts_owes_nothing() -> None:
    """Nor what a runtime starts that does not wait."""
    assert planned_s(killing(15.0, 4, Named(("n1",)), recovery="restart")) == {}
    assert planned_s(killing(15.0, 4, Named(("n1",)), said=())) == {}


def with_past(plan: Plan, past: dict[str, Past]) -> Plan:
    """As a cluster told it before the plan."""
    pods = PodsSpec("shop", service="store", past=past)
    cluster = msgspec.structs.replace(plan.experiment.cluster, attach=AttachSpec(pods=pods))
    return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, cluster=cluster))


def test_a_plan_counts_what_kubelet_remembers() -> None:
    """Of the node that it is said of; and says so, while it matters."""
    plan = with_past(killing(15.0, 2, Named(("n1",))), {"n1": Past(1, -60.0), "n2": Past(5, -30.0)})
    assert list(planned_s(plan).values()) == [10, 20]
    said = " ".join(cautions(plan))
    assert "n1 was started 60 s before this plan, after a death" in said
    assert "waits 10 s after the next one" in said
    old = with_past(killing(15.0, 2, Named(("n1",))), {"n1": Past(1, -700.0)})
    assert list(planned_s(old).values()) == [0, 10]
    assert "before this plan" not in " ".join(cautions(old))


def struck_by(kind: str, params: dict[str, object], times: int = 3) -> Plan:
    """So many of these faults of one node, 15 s apart."""
    plan = killing(15.0, times, Named(("n1",)))
    spec = FaultSpec("strike", kind, params, At((0.0,)), 5.0, None, Named(("n1",)))
    windows = tuple(msgspec.structs.replace(window, kind=kind) for window in plan.windows)
    return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, faults=(spec,)), windows=windows)


@pytest.mark.parametrize(
    ("kind", "params", "owed"),
    [
        ("memory", {"percent": 1.0, "recovery": "policy"}, [0, 10, 20]),
        ("memory", {"percent": 0.5, "recovery": "policy"}, []),  # a node that has half of its memory left does not die of it
        ("kill", {"signal": "TERM", "recovery": "policy"}, [0, 10, 20]),
        ("kill", {"process": "serving"}, []),
        ("pause", {}, []),
    ],
)
def test_whatever_ends_a_container_is_counted(kind: str, params: dict[str, object], owed: list[float]) -> None:
    plan = struck_by(kind, params)
    assert list(planned_s(plan).values()) == owed
    assert len(cautions(plan)) == bool(owed)


@pytest.mark.parametrize(("kind", "params"), [("delete", {}), ("restart", {"by": "delete"}), ("power_off", {"by": "command"})])
def test_another_pod_and_a_machine_that_boots_begin_anew(kind: str, params: dict[str, object]) -> None:
    """Kubelet counts by the pod's uid, and in its memory alone: two kills, the other fault, two kills."""
    plan = killing(15.0, 5, Named(("n1",)))
    between = FaultSpec("between", kind, params, At((30.0,)), 5.0, None, Named(("n1",)))
    windows = [
        msgspec.structs.replace(each, fault="between", kind=kind) if number == 2 else each for number, each in enumerate(plan.windows)
    ]
    faults = (*plan.experiment.faults, between)
    plan = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, faults=faults), windows=tuple(windows))
    assert planned_s(plan) == {"strike.0": 0, "strike.1": 10, "strike.3": 0, "strike.4": 10}


def test_of_several_victims_the_longest_wait_counts() -> None:
    """In a run, by who was really struck."""
    plan = killing(15.0, 1, Named(("n1",)))
    deaths = [Death("a", "strike", 0.0, ("n1",)), Death("b", "strike", 20.0, ("n1", "n2")), Death("c", "strike", 60.0, ("n2",))]
    assert struck_s(plan, deaths) == {"a": 0.0, "b": 10.0, "c": 10.0}


def test_plan_warns_of_kills_that_are_not_alike() -> None:
    """With the waits, and the spacing that would do."""
    (said,) = cautions(killing(15.0, 4, Named(("n1",))))
    assert "'strike'" in said
    assert "0 s, 10 s, 20 s, 40 s" in said
    assert "Space them by more than 10 min 10 s" in said


@pytest.mark.parametrize(
    "plan", [killing(1000.0, 4, Named(("n1",))), killing(15.0, 1, Named(("n1",))), killing(15.0, 4, Named(("n1",)), said=())]
)
def test_plan_does_not_warn_where_they_are(plan: Plan) -> None:
    """Far apart, alone, or on a runtime that starts dead nodes at once."""
    assert cautions(plan) == ()


@pytest.mark.parametrize(("kind", "fields"), [("power_off", {}), ("partition", {"by": "host"})])
@pytest.mark.parametrize(("for_s", "said"), [(400.0, 1), (300.0, 0)])
def test_plan_warns_of_machines_that_are_given_up(for_s: float, said: int, kind: str, fields: dict[str, str]) -> None:
    """After 50 s and 300 s more without their word."""
    spec = FaultSpec("dark", kind, fields, At((0.0,)), for_s, None, Named(("n1",)))
    around = (Parameter("machine_grace_s", 50.0, "s", "kubelet's default"), Parameter("eviction_s", 300.0, "s", "kubelet's default"))
    plan = a_plan(parameters=PARAMETERS + around, faults=(spec,))
    assert len([each for each in objectives.cautions(plan) if "gives a node up" in each]) == said
