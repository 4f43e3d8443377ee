"""Victims outside the part behind the name: no prediction, with the reason; and a class of their own, in plan and run alike."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import LinkTo, Named, Role, Selector, Zone
from chaos.plan.plan import Plan, PlannedNode, Window
from chaos.plan.selection import resolve
from chaos.plan.traits import made
from chaos.predict.facts import PART
from chaos.predict.run import facts_from_plan, predict
from tests.support.predicting import a_plan

NODES = (
    *(PlannedNode(f"web-{number}", "web", "a") for number in (1, 2, 3)),
    PlannedNode("db-1", "db", "b"),
    *(PlannedNode(f"watch-{number}", "watch", "a") for number in (1, 2, 3)),
)


def aimed(target: Selector | None, kind: str = "kill", replication: str = "none", **params: object) -> Plan:
    """Three faults on that target, of a system of three parts behind one name."""
    spec = FaultSpec("it", kind, params, At((1.0,)), 2.0, None, target)  # type: ignore[arg-type]
    windows = tuple(Window(f"it.{turn}", "it", kind, 10.0 * turn, 10.0 * turn + 2.0, 0) for turn in (1, 2, 3))
    plan = a_plan(dns=Dns(part="web"), replication=replication, faults=(spec,), windows=windows)
    return msgspec.structs.replace(plan, nodes=NODES)


@pytest.mark.parametrize("replication", ["none", "quorum"])
@pytest.mark.parametrize(
    ("target", "role", "inside"),
    [
        (Named(("db-1",)), "part:db", False),
        (Role("any", part="watch"), "part:watch", False),
        (Role("any", count=2, part="watch"), "part:watch", False),
        (Role("any", zone="b"), "part:db", False),
        (LinkTo("db-1", "web-1"), "part:db", False),
        (Named(("web-1",)), "", True),
        (Role("any"), "", True),
        (Role("any", part="web"), "", True),
    ],
)
def test_the_class_is_the_same_in_plan_and_run(target: Selector, role: str, inside: bool, replication: str) -> None:
    """The plan foresees what the moment of injection finds."""
    plan = aimed(target, replication=replication)
    found = {each.role for each in facts_from_plan(plan).classes}
    roles = [{f"web-{leader}": frozenset({"leader"})} if plan.has_roles else {} for leader in (1, 2, 3)]
    met = {
        resolve(
            target, nodes=NODES, roles=held, up=frozenset(n.name for n in NODES),
            protect=(), draw=draw, last={}, part="web", has_roles=plan.has_roles,
            fault=made(plan.experiment.faults[0]),
        ).role
        for held in roles for draw in range(8)
    }  # fmt: skip
    assert found <= met
    if not inside:
        assert found == {role}
        assert role.startswith(PART)


@pytest.mark.parametrize(
    "target", [Named(("db-1",)), Role("any", part="watch"), Zone("a"), LinkTo("web-1", "db-1", both=True), Named(("web-1", "db-1"))]
)
def test_no_prediction_is_made_of_what_no_model_knows(target: Selector) -> None:
    """A single point of failure in another part is not a node like the others: nobody says that clients will not notice."""
    plan = aimed(target)
    predicted = predict(plan, facts_from_plan(plan)).predicted
    (found,) = predicted.by_fault.values()
    assert found.share.value is None
    assert "'web' alone" in found.share.reason
    assert predicted.availability.value is None and predicted.own_share is None


def test_others_are_counted_within_their_part() -> None:
    """One fault in three meets the leader of three, whatever stands beside them; all followers are two."""
    plan = aimed(Role("any"), replication="quorum")
    assert {each.role: each.count for each in facts_from_plan(plan).classes} == {"follower": 2, "leader": 1}
    (followers,) = facts_from_plan(aimed(Role("followers"), replication="quorum")).classes
    assert followers.victims == 2
