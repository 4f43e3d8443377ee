"""Clients and names: a dead name server, clients that never ask again, machines that go dark, the engine's own balancer."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.traffic import ClientPolicy
from chaos.predict.run import draws, predict
from tests.reference.delays import dead_server_loss_s
from tests.support.name_client import Policy, mean_lost_s
from tests.support.predicting import a_plan, facts, of_class

PINNED = ClientPolicy(attempts=1, other_address=False, resolve="once")
ASKING = ClientPolicy(attempts=1, other_address=False)


@pytest.mark.parametrize(("down_s", "ttl_s"), [(5.0, 1.0), (0.6, 2.0), (3.0, 0.0)])
def test_a_dead_name_server(down_s: float, ttl_s: float) -> None:
    """Lost is what outlasts what is left of the TTL: the model's mean against the closed form, and against draws of it."""
    plan = a_plan(dns=Dns(ttl_s=ttl_s))
    found = of_class(predict(plan, facts("dns", "groups", (down_s,), mode="servfail")))
    mean_s = (found.outage_s.value or 0.0) * (found.share.value or 0.0)
    assert mean_s == pytest.approx(dead_server_loss_s(down_s, ttl_s), abs=0.03)
    drawn = np.maximum(down_s - np.random.default_rng(1).uniform(0.0, ttl_s, 100_000), 0.0).mean()
    assert dead_server_loss_s(down_s, ttl_s) == pytest.approx(drawn, rel=0.02)


def lost_s(policy: Policy) -> float:
    """Mean seconds of outage that the models expect of one such fault."""
    client = ClientPolicy(policy.timeout_s, policy.attempts, policy.other, policy.deadline_s, policy.resolve)
    plan = a_plan(client=client, dns=Dns(ttl_s=policy.ttl_s))
    traffic = plan.experiment.traffic
    rates = zip(traffic.operations.items(), policy.rates_per_s, strict=True)
    operations = {name: msgspec.structs.replace(spec, rate_per_s=rate) for (name, spec), rate in rates}
    experiment = msgspec.structs.replace(plan.experiment, traffic=msgspec.structs.replace(traffic, operations=operations))
    fields = {"delay_s": policy.delay_s} if policy.mode == "slow" else {}
    told = facts("dns", "groups", (policy.lasts_s,), mode=policy.mode, **fields)
    drawn = draws(msgspec.structs.replace(plan, experiment=experiment), told, next(iter(operations)))
    return float(next(iter(drawn.values())).downtime_s.mean())


SHORT = Policy(rates_per_s=(20.0, 20.0))
LONG = Policy(rates_per_s=(10.0, 10.0), ttl_s=3.0)
CASES = [
    Policy(),
    replace(SHORT, attempts=1, ttl_s=0.0),
    replace(LONG, attempts=3, other=False),
    replace(SHORT, attempts=3, deadline_s=2.0, lasts_s=3.0),
    replace(SHORT, resolve="per-request", attempts=3),
    replace(SHORT, attempts=2, rates_per_s=(2.0, 1.0), lasts_s=4.0),
    replace(SHORT, mode="refused"),
    replace(SHORT, mode="servfail", ttl_s=2.0, attempts=3),
    replace(SHORT, mode="nxdomain"),
    replace(LONG, mode="nxdomain", lasts_s=1.5),
    replace(SHORT, mode="nxdomain", resolve="per-request"),
    replace(SHORT, mode="wrong"),
    replace(SHORT, mode="wrong", ttl_s=0.0, attempts=1),
    replace(LONG, mode="wrong", attempts=3, other=False),
    replace(SHORT, mode="wrong", resolve="per-request"),
    replace(SHORT, mode="slow", delay_s=0.83, attempts=1),
    replace(SHORT, mode="slow", delay_s=0.83, lasts_s=4.0),
    replace(SHORT, mode="slow", delay_s=0.77, ttl_s=0.0, attempts=1),
    replace(SHORT, mode="slow", delay_s=0.4, resolve="per-request"),
    replace(SHORT, mode="slow", delay_s=0.1, ttl_s=0.0),
]


@pytest.mark.parametrize("policy", CASES, ids=str)
def test_as_an_independent_client_loses_it(policy: Policy) -> None:
    """Within 3 % of a simulation, event by event, that shares no line with the models."""
    assert lost_s(policy) == pytest.approx(mean_lost_s(policy, faults=100 if policy.ttl_s > 2 else 40), rel=0.03, abs=0.005)


@pytest.mark.parametrize(
    ("mode", "expected_s"),
    [("down", 2.0 + 0.125 - 0.5 - 0.5), ("refused", 2.0 - 0.5), ("servfail", 2.0 - 0.5), ("wrong", 2.0 - 0.25), ("nxdomain", 2.0)],
)
def test_two_seconds_worked_by_hand(mode: str, expected_s: float) -> None:
    """A TTL of 1 s, two attempts of 250 ms: half a TTL is spared, and silence spares who waited; what is kept lasts whole TTLs."""
    assert lost_s(Policy(mode=mode)) == pytest.approx(expected_s, rel=0.015)


def test_once_is_asked_once() -> None:
    """The simulation agrees that these clients lose nothing."""
    assert mean_lost_s(replace(SHORT, resolve="once"), faults=5) == 0.0


def test_clients_that_asked_once_do_not_care_for_the_server() -> None:
    """They have their answer for ever."""
    found = of_class(predict(a_plan(client=PINNED), facts("dns", "groups", (5.0,))))
    assert found.share.value == 0.0


def test_clients_that_ask_each_time_fail_at_once() -> None:
    """No cache, no patience: the whole time is lost."""
    plan = a_plan(client=ClientPolicy(resolve="per-request"))
    found = of_class(predict(plan, facts("dns", "groups", (2.0,), mode="nxdomain")))
    assert found.outage_s.value == pytest.approx(2.0, abs=0.02)


def test_pinned_clients_go_on_asking_a_dead_follower() -> None:
    """A read from any node, a follower down for 10 s: those that ask anew lose some 1.5 s of it, those that never do all of it."""
    told = facts("kill", "follower", (10.0,))
    words = (("reads", "local"),)
    asking, pinned = (of_class(predict(a_plan(client=client, words=words), told), "read").recovery_s.value for client in (ASKING, PINNED))
    assert asking is not None and pinned is not None
    assert pinned > 9.0
    assert asking < 3.0


def test_pinned_clients_behind_a_name_that_holds_the_leader_alone() -> None:
    """They would never learn of the next one: no figure is better than a wrong one."""
    plan = a_plan(client=PINNED, dns=Dns(check=DnsCheck(what="role:leader")))
    with pytest.raises(BadInput, match="never learn"):
        predict(plan, facts("kill", "leader", (2.0,)))


def test_a_machine_that_goes_dark_costs_time_outs() -> None:
    """A follower without power: an attempt is lost with its time-out where a dead process would have refused."""
    one = ClientPolicy(attempts=2, timeout_s=0.25, deadline_s=0.25)
    plan = a_plan(client=one)
    killed, dark = (of_class(predict(plan, facts(kind, "follower", (5.0,)))).share.value for kind in ("kill", "power_off"))
    assert killed == 0.0
    assert dark is not None and dark > 0.5
    loud, silent = (of_class(predict(a_plan(), facts(kind, "leader", (5.0,)))).recovery_s.value for kind in ("kill", "power_off"))
    assert loud is not None and silent is not None
    assert silent >= loud - 0.02


def test_the_engine_lists_the_dead() -> None:
    """Docker's own balancer checks nobody: like round-robin, and the report says so."""
    told = facts("kill", "follower", (10.0,))
    by_balancer = {}
    for balancer in ("engine", "round-robin", "health-checked"):
        predicted = predict(a_plan(client=ASKING, dns=Dns(balancer=balancer)), told).predicted
        by_balancer[balancer] = predicted.by_fault["kill/follower"].recovery_s.value
        assert any("engine" in line for line in predicted.assumptions) == (balancer == "engine")
    assert by_balancer["engine"] == pytest.approx(by_balancer["round-robin"], rel=1e-6)
    assert (by_balancer["health-checked"] or 0.0) < 5.0 < (by_balancer["engine"] or 0.0)
