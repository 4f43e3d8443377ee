"""What the end of a partition does: an election that a returning node begins, a replaced primary that is told late, replicas needed."""

from __future__ import annotations

import math
import random
from statistics import fmean

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.losing import writes
from chaos.predict.run import predict
from chaos.predict.scenarios.failover import ReplicasHeard
from chaos.predict.system import system
from tests.support.predicting import PARAMETERS, a_plan, facts, of_class

ONCE = ClientPolicy(timeout_s=0.1, attempts=1, deadline_s=0.1)
TWICE = ClientPolicy(timeout_s=0.1, attempts=2, deadline_s=0.2)
"""A second attempt elsewhere hides the node that is cut off: what is left is the election."""
DRAWS, PLAYED = 100_000, 20_000
SENTINELS = (
    Parameter("restart_s", 0.15, "s", "target"), Parameter("heartbeat_s", 1.0, "s", "target"),
    Parameter("timeout_s", 2.0, "s", "target"),
    Parameter("watchers", 3.0, "1", "target"), Parameter("watchers_needed", 2.0, "1", "target"),
    Parameter("takeover_s", 1.0, "s", "target"),
    Parameter("replication_lag_s", 0.0, "s", "target"), Parameter("replaced_s", 8.0, "s", "target", 12.0),
)  # fmt: skip
NEEDS = (Parameter("replicas_needed", 1.0, "1", "target"), Parameter("replicas_lag_s", 1.0, "s", "target"))
TICK = Parameter("replicas_tick_s", 1.0, "s", "target")
FOUND = (("routing", "leader"),)


def stops_s(rng: random.Random, count: int, needed: int, lag: int) -> float:
    """One cut, played by clocks of whole seconds: when the primary's own look first finds too few replicas."""
    cut_s = 100 + rng.random()
    phases = [rng.random() for _ in range(count)]
    words = [max(second + phase for second in range(90, 103) if second + phase < cut_s) for phase in phases]
    look = rng.random()
    looks = [second + look for second in range(90, 130) if second + look >= cut_s]
    return next(at_s for at_s in looks if sum(math.floor(at_s) - math.floor(word) <= lag for word in words) < needed) - cut_s


@pytest.mark.parametrize(("count", "needed", "lag"), [(2, 1, 1), (2, 2, 1), (1, 1, 3), (4, 2, 2)])
def test_replicas_stop_counting(count: int, needed: int, lag: int) -> None:
    """Drawn and played agree: whole seconds, a word a second, a look a second."""
    drawn_s = ReplicasHeard(count, needed, float(lag), 1.0).sample(np.random.default_rng(3), DRAWS)
    rng = random.Random(4)
    played_s = [stops_s(rng, count, needed, lag) for _ in range(PLAYED)]
    assert drawn_s.mean() == pytest.approx(fmean(played_s), abs=0.02)
    assert drawn_s.std() == pytest.approx(float(np.std(played_s)), rel=0.05)
    assert drawn_s.min() >= lag - 1
    assert drawn_s.max() <= ReplicasHeard(count, needed, float(lag), 1.0).longest_s


def test_a_primary_that_needs_a_replica_refuses_until_it_is_told() -> None:
    """Alone it is served for the whole cut; with a replica needed its clients wait until it is told, 8 s to 12 s after the cut."""
    cut = facts("partition", "leader", (12.0,) * 4)
    alone = of_class(predict(a_plan(parameters=SENTINELS, replication="async", words=FOUND, client=ONCE), cut))
    bounded = of_class(predict(a_plan(parameters=(*SENTINELS, *NEEDS, TICK), replication="async", words=FOUND, client=ONCE), cut))
    assert alone.share.value == 0.0
    assert bounded.recovery_s.value == pytest.approx(12 + 10, abs=0.1)
    assert bounded.outage_s.value == pytest.approx(12 + 10 - 1.668, abs=0.1)


def test_a_primary_that_waits_for_a_replica_acknowledges_nothing_alone() -> None:
    """From the cut on, and nothing is lost but what the next primary may lack; one that refuses loses at most what it took in between."""
    cut = facts("partition", "leader", (12.0,))
    plan = a_plan(parameters=(*SENTINELS, *NEEDS), replication="async", words=(*FOUND, ("without_replicas", "hang")), client=ONCE)
    found = of_class(predict(plan, cut))
    assert found.outage_s.value == pytest.approx(12 + 10, abs=0.15)
    lost = writes(plan, system(plan), cut.classes[0], "write")
    assert lost is not None and lost.high == 0.0
    refuses = a_plan(parameters=(*SENTINELS, *NEEDS, TICK), replication="async", words=FOUND)
    lost = writes(refuses, system(refuses), cut.classes[0], "write")
    assert lost is not None and lost.high == pytest.approx(300.0)  # 3 s of 100 a second
    plain = a_plan(parameters=SENTINELS, replication="async", words=FOUND)
    lost = writes(plain, system(plain), cut.classes[0], "write")
    assert lost is not None and lost.high == pytest.approx(2400.0)  # the cut, and 12 s until it is told


def test_replicas_that_are_dead_are_missed() -> None:
    """Both replicas dead: a primary that needs one waits for their return, one that needs none goes on."""
    dead = facts("kill", "follower", (5.0,), victims=2)
    needs, alone = (
        of_class(predict(a_plan(parameters=(*SENTINELS, *more), replication="async", words=FOUND), dead)) for more in (NEEDS, ())
    )
    assert alone.share.value == 0.0
    assert needs.recovery_s.value == pytest.approx(5.15, abs=0.1)


def test_how_old_a_word_may_be_must_be_said() -> None:
    """Without it nothing says how long such a primary goes on."""
    plan = a_plan(parameters=(*SENTINELS, NEEDS[0]), replication="async", words=FOUND)
    with pytest.raises(BadInput, match="replicas_lag"):
        predict(plan, facts("partition", "leader", (12.0,)))


LEASE = (
    Parameter("restart_s", 3.0, "s", "target"), Parameter("lease_s", 20.0, "s", "target"), Parameter("lease_renewal_s", 5.0, "s", "target"),
    Parameter("lease_retry_s", 5.0, "s", "target"), Parameter("takeover_s", 1.0, "s", "target"),
)  # fmt: skip


def test_a_leader_with_a_lease_gives_up_by_itself() -> None:
    """7.5 s after the cut on average: its next turn, and 5 s of trying. Others take over when its key has run out: 17.5 s, and 1 s."""
    found = of_class(
        predict(a_plan(parameters=LEASE, replication="async", words=FOUND, client=ONCE), facts("partition", "leader", (30.0,) * 4))
    )
    assert found.recovery_s.value == pytest.approx(18.5, abs=0.1)
    assert found.outage_s.value == pytest.approx(18.5 - 7.5, abs=0.1)


def test_a_lease_that_outlives_the_cut_is_renewed_in_time() -> None:
    """Cut off for 4 s: nobody is replaced, and no client notices."""
    found = of_class(
        predict(a_plan(parameters=LEASE, replication="async", words=FOUND, client=ONCE), facts("partition", "leader", (4.0,) * 4))
    )
    assert found.share.value == 0.0


def rejoins_s(rng: random.Random, nodes: int, stale: bool) -> float:
    """One election after the return of a node, played: each draws U(0.5, 1); who was away cannot win."""
    at_s = 0.0
    while True:
        draws = [rng.uniform(0.5, 1.0) for _ in range(nodes)]
        at_s += min(draws)
        if not stale or draws.index(min(draws)) != 0:
            return at_s


def test_a_follower_that_returns_begins_an_election() -> None:
    """Three followers' time-outs from the step down on; a ballot in three is begun by the one that lacks writes, and lost."""
    cut = facts("partition", "follower", (4.0,) * 4)
    asks_first = of_class(predict(a_plan(client=TWICE), cut))
    stands = of_class(predict(a_plan(client=TWICE, words=(("pre_vote", "false"),)), cut))
    assert asks_first.share.value == 0.0
    rng = random.Random(5)
    election_s = fmean(rejoins_s(rng, 3, stale=True) for _ in range(PLAYED)) + 0.01
    assert stands.recovery_s.value == pytest.approx(4.0 + 0.05 + election_s, abs=0.08)
    assert stands.phases["detection"] + stands.phases["election"] > 0.8 * election_s


def test_a_cut_that_is_shorter_than_its_patience_raises_no_term() -> None:
    """0.3 s, where followers wait 0.5 s at least: nothing is different."""
    cut = facts("partition", "follower", (0.3,) * 4)
    assert of_class(predict(a_plan(client=TWICE, words=(("pre_vote", "false"),)), cut)).share.value == 0.0


@pytest.mark.parametrize(("long_s", "again"), [(1.0, 0.0), (6.0, 1.0)])
def test_a_leader_that_returns_must_have_stood_twice(long_s: float, again: float) -> None:
    """It stepped down at 0.5 s, and stood first after a time-out more: that term is its successor's too."""
    cut = facts("partition", "leader", (long_s,) * 4)
    quiet, ahead = (of_class(predict(a_plan(client=ONCE, words=words), cut)) for words in ((), (("pre_vote", "false"),)))
    assert quiet.recovery_s.value is not None and ahead.recovery_s.value is not None
    later_s = ahead.recovery_s.value - max(quiet.recovery_s.value, long_s if again else 0.0)
    assert later_s == pytest.approx(again * 0.97, abs=0.15)


def test_the_assumption_says_which(words: tuple[tuple[str, str], ...] = (("pre_vote", "false"),)) -> None:
    """The report names what the prediction takes for granted of a node that comes back."""
    cut = facts("partition", "follower", (4.0,))
    assert any("there is an election" in said for said in predict(a_plan(words=words), cut).predicted.assumptions)
    assert any("deposes nobody" in said for said in predict(a_plan(parameters=PARAMETERS), cut).predicted.assumptions)
