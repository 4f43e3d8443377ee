"""Two data centres behind one name in priority order: what is predicted when one of them is lost."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.cluster import Dns, DnsCheck
from chaos.plan.plan import Parameter, Plan, PlannedNode
from chaos.predict.run import predict
from tests.support.predicting import PARAMETERS, a_plan, facts, of_class

CHECK = DnsCheck(every_s=0.2, fall=2)


def plan(promotion_s: float | None = 1.0, ttl_s: float = 1.0) -> Plan:
    """Three nodes in each of the zones a and b; a is asked first."""
    told = () if promotion_s is None else (Parameter("promotion_s", promotion_s, "s", "experiment"),)
    base = a_plan(nodes=6, parameters=PARAMETERS + told, dns=Dns(order=("a", "b"), check=CHECK, ttl_s=ttl_s))
    nodes = tuple(PlannedNode(f"n{number}", "data", "a" if number < 4 else "b") for number in range(1, 7))
    return msgspec.structs.replace(base, nodes=nodes)


def outage_s(of: Plan, role: str, for_s: float = 20.0) -> float:
    """Mean outage of writes after the death of three nodes."""
    found = of_class(predict(of, facts("kill", role, (for_s,) * 8, victims=3)))
    assert found.recovery_s.value is not None
    return found.recovery_s.value


def test_the_longer_of_the_name_and_the_silence_counts() -> None:
    """Checks: the last of three is out between 0.2 s and 0.4 s after the loss, on average at 0.35 s; caches: U(0, 1 s) more."""
    assert outage_s(plan(promotion_s=3.0), "zone:a") == pytest.approx(3.0, abs=0.05)
    assert outage_s(plan(promotion_s=0.001), "zone:a") == pytest.approx(0.35 + 0.5, abs=0.08)
    assert outage_s(plan(promotion_s=0.001, ttl_s=0.0), "zone:a") == pytest.approx(0.35, abs=0.05)


def test_one_that_is_back_before_the_name_turns_serves_itself() -> None:
    """Away for 50 ms, ready after 150 ms more, and it hears a leader within another beat."""
    assert outage_s(plan(), "zone:a", for_s=0.05) < 0.35


def test_without_a_second_centre_six_nodes_have_lost_half() -> None:
    """Until they are back."""
    assert outage_s(plan(promotion_s=None), "zone:a", for_s=20.0) > 20.0


def test_the_loss_of_the_copy_is_not_noticed_and_the_leader_is_one_of_three() -> None:
    """Two voters are left, not five: the first of two draws of U(0.5 s, 1 s) less half a beat."""
    lost = of_class(predict(plan(), facts("kill", "zone:b", (8.0,) * 4, victims=3)))
    assert lost.share.value == 0.0
    led = of_class(predict(plan(), facts("kill", "leader", (3.0,) * 8)))
    assert led.recovery_s.value == pytest.approx(0.5 + 0.5 / 3 - 0.05, abs=0.05)


def test_of_others_it_is_not_known_where_they_stand() -> None:
    """A follower of either centre: no prediction, rather than a wrong one."""
    assert of_class(predict(plan(), facts("kill", "follower", (3.0,)))).share.value is None
