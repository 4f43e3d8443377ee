"""Nodes that drain: their health check fails from the request on, and they serve until they end."""

from __future__ import annotations

import random

import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Role
from chaos.experiment.traffic import ClientPolicy
from chaos.judge.power import power
from chaos.plan.plan import Parameter, Window
from chaos.predict.run import predict
from chaos.results.predicted import ClassPredicted
from tests.support.predicting import PARAMETERS, a_plan, facts, of_class

DRAIN = (("stopping", "drain"),)
TWO_S = Dns(ttl_s=2.0)
"""With two checks of 250 ms a node is out of all caches 2.5 s after its check began to fail."""


def draining(stop_s: float, kind: str = "restart", victims: int = 1, words: tuple[tuple[str, str], ...] = DRAIN) -> ClassPredicted:
    """Independent nodes that serve on for so long after the request; one attempt, so that nothing hides a dead address."""
    parameters = (Parameter("restart_s", 0.3, "s", "target"), Parameter("stop_s", stop_s, "s", "target"))
    plan = a_plan(replication="none", client=ClientPolicy(attempts=1), dns=TWO_S, words=words, parameters=parameters)
    return of_class(predict(plan, facts(kind, "node", (8.0,) * 4, victims, gap_s=1.0, grace_s=10.0)))


@pytest.mark.parametrize(("kind", "victims", "stop_s"), [("restart", 1, 2.55), ("restart", 3, 4.0), ("stop", 1, 2.55)])
def test_a_node_that_drains_for_longer_than_the_name_needs_is_not_missed(kind: str, victims: int, stop_s: float) -> None:
    """Out of the set 500 ms after the request at the latest, out of the caches two seconds later; then it ends."""
    assert draining(stop_s, kind, victims).share.value == 0.0


def test_without_the_word_serving_on_does_not_help() -> None:
    """The name learns of the end only from the end."""
    assert (draining(4.0, words=()).share.value or 0.0) > 0.5


def test_a_short_drain_is_felt_by_those_that_still_know_the_name() -> None:
    """Held against a play of the caches: the node leaves them at U(0.25, 0.5) + U(0, 2), ends at 1 s and is well again 0.3 s later.

    Clients pick one of three each 10 ms; two dead ones in a row are an outage.
    """
    generator = random.Random(3)
    noticed = 0
    for _ in range(4000):
        left_s = generator.uniform(0.25, 0.5) + generator.uniform(0.0, 2.0)
        due_s, before = 1.0 + generator.uniform(0.0, 0.01), False
        while due_s < min(left_s, 1.3):
            dead = generator.random() < 1 / 3
            if dead and before:
                noticed += 1
                break
            due_s, before = due_s + 0.01, dead
    assert draining(1.0).share.value == pytest.approx(noticed / 4000, abs=0.03)


def test_a_plan_warns_of_a_drain_that_is_too_short() -> None:
    """Two checks of 250 ms and two seconds of TTL: 2.5 s are enough, 2 s are not."""
    spec = FaultSpec("deploy", "restart", {"grace_s": 10.0}, At((1.0,)), 8.0, None, Role("any", count=3))
    window = Window("deploy.1", "deploy", "restart", 10.0, 18.0, 0)
    warned = []
    for stop_s in (2.0, 2.5):
        parameters = (Parameter("restart_s", 0.3, "s", "target"), Parameter("stop_s", stop_s, "s", "target"))
        plan = a_plan(replication="none", dns=TWO_S, words=DRAIN, parameters=parameters, faults=(spec,), windows=(window,))
        warned.append([text for text in power(plan).warnings if "drains" in text])
    assert [len(each) for each in warned] == [1, 0]
    assert "2.5 s" in warned[0][0]


def test_a_leader_that_drains_still_has_to_be_followed() -> None:
    """Its name traffic goes elsewhere in time, and is handed on to it; when it ends the others must notice."""
    known = (*PARAMETERS, Parameter("stop_s", 4.0, "s", "target"))
    found = of_class(predict(a_plan(parameters=known, words=DRAIN), facts("stop", "leader", (8.0,) * 3)))
    killed = of_class(predict(a_plan(), facts("kill", "leader", (8.0,) * 3)))
    assert found.outage_s.value == pytest.approx(killed.outage_s.value, abs=0.02)
