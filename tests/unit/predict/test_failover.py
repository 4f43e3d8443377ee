"""Leases and watchers: the blocks against renewals and questions played one by one, and as the outage of clients that find the leader."""

from __future__ import annotations

import math
import random
from statistics import fmean, pvariance

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.run import predict
from chaos.predict.scenarios.failover import LeaseExpiry, Watchers
from tests.support.predicting import a_plan, facts, of_class

DRAWS = 100_000
PLAYED = 20_000
RESTART = Parameter("restart_s", 0.15, "s", "target")
SENTINELS = (
    RESTART, Parameter("heartbeat_s", 1.0, "s", "target"), Parameter("timeout_s", 5.0, "s", "target"),
    Parameter("watchers", 3.0, "1", "target"), Parameter("watchers_needed", 2.0, "1", "target"),
    Parameter("takeover_s", 0.5, "s", "target"),
)  # fmt: skip
LEASE = (RESTART, Parameter("lease_s", 20.0, "s", "target"), Parameter("lease_renewal_s", 5.0, "s", "target"))


def given_up_s(rng: random.Random, count: int, needed: int, every_s: float, wait_s: float, silent: bool) -> float:
    """One death at a moment of its own, watched by clocks that tick at phases of their own."""
    death_s = 10 * every_s
    judged = []
    for _ in range(count):
        first_s = rng.uniform(0.0, every_s)
        asked_s = [first_s + every_s * number for number in range(20)]
        answered = max(at_s for at_s in asked_s if at_s < death_s)
        unanswered = min(at_s for at_s in asked_s if at_s >= death_s)
        judged.append((unanswered if silent else answered) + wait_s - death_s)
    return sorted(judged)[needed - 1]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("count", "needed"), [(3, 2), (3, 1), (5, 3), (1, 1)])
def test_watchers(count: int, needed: int, silent: bool) -> None:
    """Drawn and played agree, and both with the moments of order statistics."""
    block = Watchers(count, needed, 1.0, 5.0, silent=silent)
    drawn_s = block.sample(np.random.default_rng(4), DRAWS)
    rng = random.Random(5)
    played_s = [given_up_s(rng, count, needed, 1.0, 5.0, silent) for _ in range(PLAYED)]
    assert drawn_s.mean() == pytest.approx(block.mean_s, abs=5 * math.sqrt(block.variance_s2 / DRAWS))
    assert drawn_s.var() == pytest.approx(block.variance_s2, rel=0.03)
    assert fmean(played_s) == pytest.approx(block.mean_s, abs=5 * math.sqrt(block.variance_s2 / PLAYED))
    assert pvariance(played_s) == pytest.approx(block.variance_s2, rel=0.06)


def given_up_at_a_tick_s(rng: random.Random, count: int, needed: int, tick_s: float, wait_s: float) -> float:
    """One death, watched by those who act by timers at phases of their own: they ask anew, give up, and hear that others agree."""
    judged = []
    for _ in range(count):
        phase_s = rng.uniform(0.0, tick_s)  # when the first tick after the death comes
        asked_s = phase_s
        later_s = rng.uniform(0.0, tick_s)  # timers run at a pace that is drawn anew: no phase is kept over the wait
        judged.append(asked_s + wait_s + later_s)
    return sorted(judged)[needed - 1] + tick_s


@pytest.mark.parametrize(("count", "needed"), [(3, 2), (3, 1), (5, 3), (1, 1)])
def test_watchers_that_act_by_a_timer(count: int, needed: int) -> None:
    """A closed connection is opened anew at the next tick, and the question over it counts: nobody gives up before the wait."""
    block = Watchers(count, needed, 1.0, 2.0, tick_s=0.1)
    drawn_s = block.sample(np.random.default_rng(8), DRAWS)
    rng = random.Random(9)
    played_s = [given_up_at_a_tick_s(rng, count, needed, 0.1, 2.0) for _ in range(PLAYED)]
    assert drawn_s.min() >= 2.1
    assert drawn_s.max() <= 2.3
    assert drawn_s.mean() == pytest.approx(block.mean_s, abs=5 * math.sqrt(block.variance_s2 / DRAWS))
    assert drawn_s.var() == pytest.approx(block.variance_s2, rel=0.03)
    assert fmean(played_s) == pytest.approx(block.mean_s, abs=5 * math.sqrt(block.variance_s2 / PLAYED))
    assert pvariance(played_s) == pytest.approx(block.variance_s2, rel=0.06)


def test_silence_is_longer_than_a_closed_connection() -> None:
    """Only the next question shows it: U(0, every) later, and a tick."""
    silent, loud = Watchers(3, 2, 1.0, 2.0, silent=True, tick_s=0.1), Watchers(3, 2, 1.0, 2.0, tick_s=0.1)
    assert loud.mean_s == pytest.approx(2.2, abs=1e-4)  # symmetric: two of three is the median
    assert silent.mean_s == pytest.approx(2.0 + 0.1 + 0.55, abs=1e-4)


def test_lease() -> None:
    """It runs out a time to live after the last renewal before the death."""
    block = LeaseExpiry(20.0, 5.0)
    drawn_s = block.sample(np.random.default_rng(6), DRAWS)
    rng = random.Random(7)
    played_s = []
    for _ in range(PLAYED):
        death_s, first_s = 100.0, rng.uniform(0.0, 5.0)
        played_s.append(max(first_s + 5.0 * number for number in range(21) if first_s + 5.0 * number < death_s) + 20.0 - death_s)
    for seen_s in (drawn_s.mean(), fmean(played_s)):
        assert seen_s == pytest.approx(17.5, abs=0.06)
    assert drawn_s.min() >= 15.0
    assert drawn_s.max() <= 20.0


@pytest.mark.parametrize(("kind", "given_up"), [("kill", 4.5), ("power_off", 5.5)])
def test_clients_that_ask_the_sentinels(kind: str, given_up: float) -> None:
    """No name and no cache stands between: the outage is the sentinels' wait (loud or silent) and the takeover."""
    plan = a_plan(parameters=SENTINELS, replication="async", words=(("routing", "leader"),), client=ClientPolicy(attempts=1))
    found = of_class(predict(plan, facts(kind, "leader", (20.0,) * 4)))
    assert found.share.value == pytest.approx(1.0)
    assert found.recovery_s.value == pytest.approx(given_up + 0.5, abs=0.05)


def test_clients_that_ask_the_sentinels_never_ask_a_replica() -> None:
    """Its death is nobody's loss."""
    plan = a_plan(parameters=SENTINELS, replication="async", words=(("routing", "leader"),), client=ClientPolicy(attempts=1))
    assert of_class(predict(plan, facts("kill", "follower", (20.0,) * 4))).share.value == 0.0


def test_a_lease_is_waited_for() -> None:
    """Two round trips stand for the promotion where nobody says it."""
    plan = a_plan(parameters=LEASE, replication="async", words=(("routing", "leader"),), client=ClientPolicy(attempts=1))
    found = of_class(predict(plan, facts("kill", "leader", (30.0,) * 4)))
    assert found.recovery_s.value == pytest.approx(17.5, abs=0.15)


def test_more_must_agree_than_there_are() -> None:
    """Sentinels with a quorum above their number never fail over."""
    never = (*SENTINELS[:4], Parameter("watchers_needed", 4.0, "1", "target"))
    with pytest.raises(BadInput, match="4 of 3 watchers"):
        predict(a_plan(parameters=never, replication="async"), facts("kill", "leader", (20.0,)))
