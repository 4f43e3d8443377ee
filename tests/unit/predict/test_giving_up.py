"""Pods that are deleted, evicted and rolled: what the name, the old address and the next pod do, held against plays of single events."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.run import draws, predict
from chaos.results.predicted import ClassPredicted
from tests.support.predicting import PARAMETERS, a_plan, facts, of_class

ASKS = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6, resolve="per-request")
KEEPS = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6)
SLOT_S = 0.01
PLAYS = 3000
Span = tuple[float, float]


def said(
    stop_s: float, *, name_lag: Span = (0.0, 0.0), ending_lag: Span = (0.0, 0.0), ttl_s: float = 0.0, **more: float
) -> tuple[Parameter, ...]:
    """3 s until the next one's process runs, 2 s until it is ready, a probe each second."""
    known = {"restart_s": 2.0, "replacement_s": 3.0, "readiness_every_s": 1.0, "readiness_fall": 2.0, "name_ttl_s": ttl_s, "stop_s": stop_s}
    found = [Parameter(name, value, "s", "said") for name, value in (known | more).items()]
    found += [Parameter("name_lag_s", name_lag[0], "s", "said", high=name_lag[1])]
    return (*found, Parameter("ending_lag_s", ending_lag[0], "s", "said", high=ending_lag[1]))


AT_ONCE = Parameter("successor", 0.0, "", "said", word="at-once")
ONE_ADDRESS = Parameter("name_leads_to", 0.0, "", "said", word="one-address")


def given_up(
    parameters: tuple[Parameter, ...],
    *,
    kind: str = "delete",
    nodes: int = 3,
    victims: int = 1,
    client: ClientPolicy = ASKS,
    **fields: str | float,
) -> ClassPredicted:
    """One class of faults on nodes by themselves behind a name of those that are ready."""
    plan = a_plan(nodes=nodes, replication="none", client=client, dns=Dns(balancer="engine"), parameters=parameters)
    return of_class(predict(plan, facts(kind, "node", (120.0,), victims, **fields)))


Listed = Callable[[float], list[bool]]
"""At a moment, whether each address of the answer that clients have would serve."""


def played(drawn: Callable[[random.Random], tuple[float, Listed]]) -> tuple[float, float]:
    """(share that clients notice: two bad requests in a row; mean time of the last bad one, 0 of others) by asking one after the other."""
    generator, noticed, last = random.Random(5), 0, 0.0
    for _ in range(PLAYS):
        until_s, listed = drawn(generator)
        due_s, before, ends_s = generator.uniform(0.0, SLOT_S), False, 0.0
        while due_s < until_s:
            addresses = listed(due_s)
            bad = not addresses or not generator.choice(addresses)
            ends_s = due_s if bad and before else ends_s
            before, due_s = bad, due_s + SLOT_S
        noticed += ends_s > 0
        last += ends_s
    return noticed / PLAYS, last / PLAYS


def test_the_name_lets_go_of_a_pod_before_it_ends() -> None:
    """A roll of three by clients that ask each time: the name hears of the order in 0.1 s, the process ends 0.15 s after it or later."""
    found = given_up(said(0.05, name_lag=(0.0, 0.1), ending_lag=(0.1, 0.3)), kind="restart", victims=3, by="delete", order="rolling")
    assert found.share.value == 0.0


def test_a_race_that_the_name_may_lose() -> None:
    """The name lags 0 s to 1 s behind the order, the process ends 0.2 s to 0.4 s after it: between the two one of three is dead."""

    def drawn(generator: random.Random) -> tuple[float, Listed]:
        left_s, dead_s = generator.uniform(0.0, 1.0), generator.uniform(0.2, 0.4)
        return 1.0, lambda at_s: [True, True] + ([at_s < dead_s] if at_s < left_s else [])

    share, _ = played(drawn)
    found = given_up(said(0.0, name_lag=(0.0, 1.0), ending_lag=(0.2, 0.4)))
    assert 0.3 < share < 0.9
    assert found.share.value == pytest.approx(share, abs=0.03)


def test_the_next_pod_has_another_address() -> None:
    """An only pod, a TTL of 5 s: clients ask its old address until their answer is renewed, however soon the next one is ready.

    It dies 1 s after the order and the next one is ready at 6 s. The cache is renewed at p, p + 5 s, ... with p = U(0, 5 s), so the first
    renewal after that comes at U(6, 11) s: the outage is 7.5 s long, ending at 8.5 s. At one address it would have been 5 s.
    """
    found = given_up(said(1.0, ttl_s=5.0, readiness_every_s=1e-6), nodes=1, client=KEEPS)
    assert found.share.value == 1.0
    assert found.outage_s.value == pytest.approx(7.5, abs=0.1)
    assert found.recovery_s.value == pytest.approx(8.5, abs=0.1)


@pytest.mark.parametrize("client", [ASKS, KEEPS])
def test_who_keeps_answers_asks_pods_that_are_gone(client: ClientPolicy) -> None:
    """Of three: until U(0, 5 s) after the order, by the clients' own cache or by that of the name's server; the end comes at 1 s."""

    def drawn(generator: random.Random) -> tuple[float, Listed]:
        left_s = generator.uniform(0.0, 5.0)
        return left_s, lambda at_s: [True, True, at_s < 1.0]

    share, last_s = played(drawn)
    ttl_s = 5.0 if client is KEEPS else 30.0
    found = given_up(said(1.0, ttl_s=ttl_s, name_cache_s=5.0), client=client)
    assert found.share.value == pytest.approx(share, abs=0.02)
    assert found.recovery_s.value == pytest.approx(last_s, abs=0.1)
    assert given_up(said(1.0, ttl_s=30.0)).share.value == 0.0, "nobody keeps anything"


@pytest.mark.parametrize(
    ("fields", "more", "outage_s"),
    [
        ({}, {}, 5.0),  # dead at 30 s by its own grace; 3 s and 2 s until the next one is ready
        ({"grace_s": 4.0}, {}, 5.0),
        ({}, {"grace_s": 8.0}, 5.0),
    ],
)
def test_a_first_process_that_ignores_the_request_lives_until_its_grace_is_over(
    fields: dict[str, float], more: dict[str, float], outage_s: float
) -> None:  # fmt: skip
    """An only pod behind one address serves until then. The fault's own grace stands above the pod's."""
    dead_s = fields.get("grace_s", more.get("grace_s", 30.0))
    found = given_up((*said(1000.0, readiness_every_s=1e-6, **more), ONE_ADDRESS), nodes=1, **fields)
    assert found.outage_s.value == pytest.approx(outage_s, abs=0.05)
    assert found.recovery_s.value == pytest.approx(dead_s + outage_s, abs=0.05)
    listed = given_up(said(1000.0, readiness_every_s=1e-6, **more), nodes=1, **fields)
    assert listed.outage_s.value == pytest.approx(dead_s + outage_s, abs=0.05), "a name that lists pods lists none that is going"


def test_a_successor_that_is_made_at_once_spares_what_a_slow_end_costs() -> None:
    """A Deployment's: 3 s and 2 s after the order. One that serves on for 4 s is missed for 1 s, one for 6 s not at all."""
    for stop_s, outage_s in ((4.0, 1.0), (6.0, 0.0), (0.0, 5.0)):
        found = given_up((*said(stop_s, readiness_every_s=1e-6), AT_ONCE, ONE_ADDRESS), nodes=1)
        assert (found.outage_s.value or 0.0) == pytest.approx(outage_s, abs=0.05)


def test_a_pod_without_the_data_of_the_last_one_has_more_to_fetch() -> None:
    """An only pod: 3 s and 2 s, and 4 s more if it is empty; a system that says nothing of that is as fast as ever."""
    lost = Parameter("successor_data", 1.0, "", "said", word="lost")
    fetches = said(1.0, readiness_every_s=1e-6, resync_empty_s=4.0)
    for parameters, outage_s in (((*fetches, lost), 9.0), (fetches, 5.0), ((*said(1.0, readiness_every_s=1e-6), lost), 5.0)):
        found = given_up((*parameters, ONE_ADDRESS), nodes=1)
        assert found.outage_s.value == pytest.approx(outage_s, abs=0.05)


def test_a_majority_that_comes_back_empty_is_nobodys_to_predict() -> None:
    for word, known in (("lost", False), ("kept", True)):
        data = Parameter("successor_data", 1.0, "", "said", word=word)
        plan = a_plan(nodes=3, client=ASKS, dns=Dns(balancer="engine"), parameters=(*PARAMETERS, *said(1.0), data))
        found = of_class(predict(plan, facts("delete", "mixed", (120.0,), 2)))
        assert (found.share.value is not None) == known


def test_a_drained_pod_may_have_to_wait_for_its_machine() -> None:
    """It ends 1 s after the order, the machine is open after 60 s, and it takes 3 s and 2 s more. A deletion closes none."""
    bound = Parameter("successor_place", 1.0, "", "said", word="same-machine")
    fast = (*said(1.0, readiness_every_s=1e-6), ONE_ADDRESS)
    assert given_up((*fast, bound), kind="drain", nodes=1).outage_s.value == pytest.approx(64.0, abs=0.05)
    assert given_up(fast, kind="drain", nodes=1).outage_s.value == pytest.approx(5.0, abs=0.05)
    assert given_up((*fast, bound), nodes=1).outage_s.value == pytest.approx(5.0, abs=0.05)


def test_a_roll_waits_for_each_next_pod() -> None:
    """Each turn takes 1 s to end, 3 s and 2 s until the next one is ready, half a second until a probe has said so.

    The answer is kept for U(0, 5 s): the last of three turns begins at 13 s, and is felt until 13 s + (1 s to 5 s).
    """
    found = given_up(said(1.0, ttl_s=5.0), kind="restart", victims=3, client=KEEPS, by="delete", order="rolling")
    assert found.share.value == pytest.approx(1.0, abs=0.01)
    # Of the last turn nothing is felt where the answer is renewed before the end, in a fifth: then the turn before was the last.
    assert found.recovery_s.value == pytest.approx(0.8 * 16.0 + 0.2 * 9.5, abs=0.5)


@pytest.mark.parametrize("balancer", ["engine", "health-checked"])
def test_a_roll_costs_the_elections_of_all_its_turns(balancer: Literal["engine", "health-checked"]) -> None:
    """Wherever the leader is, 19/12 of them: also those before a node's own turn are felt at its address of then. What else a roll costs
    is hidden by a second attempt at another address."""
    twice = ClientPolicy(attempts=2, other_address=True, timeout_s=0.25, deadline_s=0.6)
    parameters = (*PARAMETERS, *(each for each in said(0.0) if each.name != "restart_s"))
    plan = a_plan(client=twice, dns=Dns(balancer=balancer), parameters=parameters)
    one = of_class(predict(plan, facts("delete", "leader", (60.0,))))
    roll = of_class(predict(plan, facts("restart", "mixed", (60.0,), 3, by="delete", order="rolling")))
    assert one.share.value == roll.share.value == pytest.approx(1.0, abs=0.001)
    assert roll.outage_s.value == pytest.approx(19 / 12 * (one.outage_s.value or 0.0), rel=0.06)


def test_a_deletion_by_force_is_counted_from_the_death() -> None:
    """The name heard of the order 0.2 s before that."""
    assert given_up(said(0.0, name_lag=(0.1, 0.1), ending_lag=(0.2, 0.2)), forced=True).share.value == 0.0
    assert given_up(said(0.0, name_lag=(0.7, 0.7), ending_lag=(0.2, 0.2)), forced=True).share.value > 0.9


def test_clients_that_ask_once_never_find_the_next_pod() -> None:
    """No model says how long that goes on."""
    once = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6, resolve="once")
    assert given_up(said(0.0), client=once).share.value is None
    assert given_up(said(0.0), kind="restart", victims=3, client=once, by="delete", order="rolling").share.value is None


HANDS_OVER = (("stopping", "handover"),)


def of_leaders(words: tuple[tuple[str, str], ...] = (), **fields: str | float | bool) -> float:
    """Mean seconds that writes to three replicas miss when the leader's pod is given up."""
    parameters = (*PARAMETERS, *said(0.1))
    plan = a_plan(client=ASKS, dns=Dns(balancer="engine"), parameters=parameters, words=words)
    found = draws(plan, facts("delete", "leader", (8.0,), 1, **fields), "write")
    return float(next(iter(found.values())).downtime_s.mean())


@pytest.mark.parametrize("fields", [{}, {"forced": True}])
def test_a_leader_that_hands_over_spares_the_election_of_its_pods_deletion_too(fields: dict[str, bool]) -> None:
    """Also by force, since kubelet asks first: what is left is the time of an election, detection and all."""
    ends, hands_over = of_leaders(**fields), of_leaders(HANDS_OVER, **fields)
    assert ends > 0.3
    assert hands_over < 0.05
