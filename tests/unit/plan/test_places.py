"""The leader's place, carried from fault to fault: against worked figures, and against a leader who is followed one fault at a time."""

from __future__ import annotations

import random

import msgspec
import pytest

from chaos.experiment.selectors import Named, Role
from chaos.plan import places
from chaos.plan.places import Strike
from chaos.plan.plan import Plan
from chaos.predict.run import draws, facts_from_plan, predict
from tests.support.predicting import a_plan
from tests.support.synthetic import kills

ROUND = Strike("restart", "mixed", ((0, 1, 2),), places.ROLLING)


def test_a_round_of_three_by_hand() -> None:
    """From anywhere: first, second or third, each a third. After it never the third; in the long run 2/3 and 1/3 of the first two."""
    law = places.evenly(3)
    assert places.turns(law, ROUND) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    law = places.after(law, ROUND)
    assert law[2] == 0.0
    for _ in range(20):
        law = places.after(law, ROUND)
    assert law == pytest.approx((2 / 3, 1 / 3, 0.0))


def test_leaders_that_a_round_ends() -> None:
    """Of three nodes 9/4, 3/2 and 1 from the first, second and third turn: 19/12 from anywhere, 2 in the long run."""
    for turns, lost in (
        ((1, 0, 0), 9 / 4),
        ((0, 1, 0), 3 / 2),
        ((0, 0, 1), 1.0),
        ((1 / 3, 1 / 3, 1 / 3), 19 / 12),
        ((2 / 3, 1 / 3, 0), 2.0),
    ):
        assert places.leaders_lost(turns, 3) == pytest.approx(lost)


def test_the_prediction_says_what_leader_last_would_save() -> None:
    """One election instead of two; nothing where leadership is handed over, or the leader is last already."""
    (line,) = advice(restarts(3, "rolling"))
    assert "'order: leader-last': one election instead of 2.0" in line
    assert advice(restarts(3, "leader-last")) == []
    assert advice(msgspec.structs.replace(restarts(3, "rolling"), parameters=a_plan(words=(("stopping", "handover"),)).parameters)) == []


def advice(plan: Plan) -> list[str]:
    """What the prediction advises."""
    return predict(plan, facts_from_plan(plan)).predicted.advice


def elections(nodes: int, rounds: int, leader_last: bool, draw: random.Random) -> list[int]:
    """Of each round, by following one leader: whoever is restarted while leading is followed by any of the others."""
    leader = draw.randrange(nodes)
    found = []
    for _ in range(rounds):
        order = sorted(range(nodes), key=lambda node: (leader_last and node == leader, node))
        lost = 0
        for node in order:
            if node == leader:
                lost += 1
                leader = draw.choice([other for other in range(nodes) if other != node])
        found.append(lost)
    return found


@pytest.mark.parametrize(("nodes", "order"), [(3, "rolling"), (5, "rolling"), (3, "leader-last")])
def test_ten_rounds_cost_what_a_followed_leader_costs(nodes: int, order: str) -> None:
    """Elections of ten rolling restarts, in the mean of many runs; each costs the service what one kill of the leader does."""
    draw = random.Random(5)
    runs = [sum(elections(nodes, 10, order == "leader-last", draw)) for _ in range(4000)]
    plan = restarts(nodes, order)
    kill_s = of_plan(kill_of_leader(nodes))
    assert of_plan(plan) / kill_s * 10 == pytest.approx(sum(runs) / len(runs), rel=0.05)


def restarts(nodes: int, order: str) -> Plan:
    """Ten rolling restarts of all nodes."""
    spec, windows = kills([10.0 + 20.0 * number for number in range(10)], for_s=15.0, kind="restart")
    spec = msgspec.structs.replace(spec, target=Role("any", count=nodes), params={"order": order})
    return a_plan(nodes=nodes, faults=(spec,), windows=tuple(windows))


def kill_of_leader(nodes: int) -> Plan:
    spec, windows = kills([10.0], for_s=8.0)
    spec = msgspec.structs.replace(spec, target=Role("leader"))
    return a_plan(nodes=nodes, faults=(spec,), windows=tuple(windows))


def of_plan(plan: Plan) -> float:
    """Mean seconds that one fault of the plan costs writes."""
    (samples,) = draws(plan, facts_from_plan(plan), "write").values()
    return float(samples.downtime_s.mean())


def test_a_node_that_is_killed_again_and_again_no_longer_leads() -> None:
    """Of ten kills of n1 at most the first can meet the leader: nothing moves leadership back."""
    spec, windows = kills([10.0 + 20.0 * number for number in range(10)])
    spec = msgspec.structs.replace(spec, target=Named(("n1",)))
    counts = {each.fault_class: each.count for each in facts_from_plan(a_plan(faults=(spec,), windows=tuple(windows))).classes}
    assert counts == {"kill/follower": 10}
    law = places.evenly(3)
    struck = Strike("kill", "", ((0,),))
    assert places.chance(law, struck) == pytest.approx(1 / 3)
    law = places.after(law, struck)
    assert places.chance(law, struck) == 0.0


def test_what_is_known_of_a_fault_narrows_the_law() -> None:
    """n1 was killed as a follower, so that it did not lead; then as the leader of a term that n2 or n3 has taken over since."""
    law = places.narrowed(places.evenly(3), Strike("kill", "follower", ((0,),)))
    assert law == pytest.approx((0.0, 0.5, 0.5))
    law = places.narrowed(places.evenly(3), Strike("kill", "leader", ((0,),)))
    assert places.after(law, Strike("kill", "leader", ((0,),))) == pytest.approx((0.0, 0.5, 0.5))
    assert places.after(places.evenly(3), Strike("pause", "", ((0,),), deposes=False)) == places.evenly(3)


def test_pods_are_rolled_from_the_last_name() -> None:
    """n1 was killed as the leader, so n2 or n3 leads. Rolled from n3 on: 15/8 elections, where from n1 on there would be 5/4."""
    kill, killed = kills([10.0], for_s=5.0)
    kill = msgspec.structs.replace(kill, target=Named(("n1",)))
    roll, rolled = kills([30.0], for_s=15.0, kind="restart")
    elections_ = {}
    for params in ({"by": "delete"}, {}):
        spec = msgspec.structs.replace(roll, target=Named(("n1", "n2", "n3")), params=params)
        plan = a_plan(faults=(kill, spec), windows=(*killed, *rolled))
        turns = next(each.turns for each in facts_from_plan(plan).classes if each.kind == "restart")
        elections_[params.get("by", "process")] = places.leaders_lost(turns, 3)
    assert elections_ == pytest.approx({"delete": 15 / 8, "process": 5 / 4})
