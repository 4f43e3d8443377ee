"""What the prediction knows of how clients wait, whom they ask and when they ask a name again; what it leaves out it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chaos.experiment.client import NO_TIMEOUT_S, Backoff, ClientPolicy, ConnectionPool, Endpoints, RetryBudget
from chaos.experiment.cluster import Dns, DnsCheck
from chaos.predict.run import draws, predict
from chaos.predict.scenarios.client import Fate, Group, Scenario, Spell, see
from chaos.predict.scenarios.outages import Rule
from tests.support.predicting import a_plan, facts

SAMPLES = 4_000
SLOT_S = 0.01
EVERY_SLOT = Rule(SLOT_S, 1, 1)


def refusing(until_s: float, nodes: int = 1, others: int = 0) -> Scenario:
    """So many nodes that refuse for so long, and others that are well."""
    groups = [Group(nodes, (Spell(Fate.REFUSE, np.full(SAMPLES, until_s)),))]
    return Scenario(SAMPLES, (*groups, Group(others, ())) if others else tuple(groups))


def policy(**told: object) -> ClientPolicy:
    return ClientPolicy(timeout_s=0.1, **{"attempts": 2, "deadline_s": 0.6, **told})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("jitter", "attempts", "hidden_s"),
    [
        ("none", 2, 0.2),  # the second attempt comes 200 ms later
        ("full", 2, 0.1),  # on average 100 ms later
        ("equal", 2, 0.15),
        ("none", 3, 0.4),  # 200 ms, and 200 ms again: the longest
        ("none", 9, 0.4),  # a fourth would begin at the deadline of 600 ms: not at all
    ],
)
def test_waits_carry_requests_over_a_refusal(jitter: str, attempts: int, hidden_s: float) -> None:
    """Without any wait all attempts are spent at once. On average lost is the refusal less the mean of the last attempt's wait."""
    backoff = Backoff(first_s=0.2, most_s=0.2, jitter=jitter)  # type: ignore[arg-type]
    seen = see(refusing(0.8), policy(attempts=attempts, backoff=backoff), EVERY_SLOT, np.random.default_rng(7))
    assert seen.lost_s.mean() == pytest.approx(0.8 - hidden_s, abs=3e-3)
    without = see(refusing(0.8), policy(attempts=attempts), EVERY_SLOT, np.random.default_rng(7))
    assert without.lost_s.mean() == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("order", ["listed", "sticky"])
def test_clients_with_a_list_meet_a_dead_node_always_or_never(order: str) -> None:
    """One dead of three, one attempt: a third of such faults costs every request; a client that draws loses a third of them each time."""
    seen = see(refusing(1.0, 1, 2), policy(attempts=1, endpoints=Endpoints(order=order)), EVERY_SLOT, np.random.default_rng(7))  # type: ignore[arg-type]
    assert (seen.lost_s > 0).mean() == pytest.approx(1 / 3, abs=0.03)
    assert seen.lost_s[seen.lost_s > 0].mean() == pytest.approx(1.0, abs=2e-3)
    second = see(refusing(1.0, 1, 2), policy(endpoints=Endpoints(order=order)), EVERY_SLOT, np.random.default_rng(7))  # type: ignore[arg-type]
    assert second.lost_s.max() == 0.0


@pytest.mark.parametrize("resolve", ["ttl", "once"])
def test_clients_that_ask_again_after_an_error_do_not_wait_for_the_ttl(resolve: str) -> None:
    """A dead node of three stays dead. Lost is a third of all requests until the name is without it and somebody meets it once more:
    (1 + 1/2) checks of 250 ms, then on average three requests of 200 a second. By the TTL it would be half of 10 s more; or for ever."""
    dns = Dns(ttl_s=10.0, check=DnsCheck(every_s=0.25, fall=2))
    client = ClientPolicy(attempts=1, resolve=resolve, resolve_on_error=True)  # type: ignore[arg-type]
    plan = a_plan(replication="none", client=client, dns=dns)
    drawn = draws(plan, facts("kill", "node", (math.inf,)), "write")
    (found,) = drawn.values()
    assert found.lost_s.mean() == pytest.approx((0.375 + 3 / 200) / 3, rel=0.1)


def test_what_is_left_out_is_said_by_its_name() -> None:
    """Each in a sentence of its own, and none where it is not asked for."""

    def left_out(client: ClientPolicy) -> str:
        said = predict(a_plan(client=client), facts("kill", "follower", (2.0,))).predicted.assumptions
        return " ".join(each for each in said if each.startswith("Left out: "))

    assert left_out(ClientPolicy(backoff=Backoff(), endpoints=Endpoints(), keep_alive=False, redirects=2)) == ""
    for told, word in [
        ({"retry_budget": RetryBudget()}, "budget"), ({"pool": ConnectionPool()}, "pool"), ({"timeout_s": NO_TIMEOUT_S}, "half-open"),
        ({"endpoints": Endpoints(order="sticky")}, "answered last"),
    ]:  # fmt: skip
        assert word in left_out(ClientPolicy(**told))  # type: ignore[arg-type]
