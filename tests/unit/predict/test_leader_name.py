"""A name that holds the leader alone: who is asked after a fault, held against a simulation of checks and caches, event by event."""

from __future__ import annotations

import random
from statistics import fmean, stdev

import pytest

from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.traffic import ClientPolicy
from chaos.predict.run import predict
from tests.support.predicting import a_plan, facts, of_class

ALONE = Dns(check=DnsCheck(what="role:leader"))
ONE_TRY = ClientPolicy(attempts=1)


@pytest.mark.parametrize("kind", ["kill", "pause", "power_off", "partition", "stop", "restart", "remove"])
@pytest.mark.parametrize("client", [ONE_TRY, ClientPolicy()], ids=["one-try", "two-tries"])
def test_followers_are_not_asked(kind: str, client: ClientPolicy) -> None:
    """Whatever is done to one: the name never held it."""
    found = of_class(predict(a_plan(dns=ALONE, client=client), facts(kind, "follower", (4.0,) * 4)))
    assert found.share.value == 0.0
    assert found.recovery_s.value == 0.0


def test_several_followers_are_not_asked_while_a_quorum_stays() -> None:
    """Two of five: unnoticed. Three of five: the leader cannot write, gives up, and a new one must get into the name."""
    two, three = (
        of_class(predict(a_plan(nodes=5, dns=ALONE, client=ONE_TRY), facts("kill", "follower", (4.0,), victims=victims)))
        for victims in (2, 3)
    )
    assert two.share.value == 0.0
    assert three.share.value == pytest.approx(1.0)
    assert three.recovery_s.value is not None and three.recovery_s.value > 4.15 + 0.375 + 0.5


def test_without_replication_nothing_says_who_follows() -> None:
    """Followers are not asked all the same; what becomes of the leader's clients is not made up."""
    plan = a_plan(dns=ALONE, client=ONE_TRY, replication="none")
    assert of_class(predict(plan, facts("kill", "follower", (4.0,)))).share.value == 0.0
    lost = of_class(predict(plan, facts("kill", "leader", (4.0,))))
    assert lost.share.value is None and "who follows it" in lost.share.reason


def test_slow_followers_are_not_asked() -> None:
    """Behind a plain name a client that waits 250 ms loses what it asks a follower that is 400 ms late; the leader alone has a quorum."""
    slow = facts("latency", "follower", (4.0,), latency_s=0.4)
    assert of_class(predict(a_plan(dns=ALONE, client=ONE_TRY), slow)).share.value == 0.0


def test_any_replica_answers_reads_but_only_the_leader_is_asked() -> None:
    """Local reads outlive a leader behind a plain name, and do not behind its own."""
    words = (("reads", "local"),)
    plain, alone = (
        of_class(predict(a_plan(dns=dns, words=words, client=ClientPolicy()), facts("kill", "leader", (5.0,))), "read")
        for dns in (Dns(), ALONE)
    )
    assert plain.share.value == 0.0
    assert alone.share.value == pytest.approx(1.0)
    assert alone.recovery_s.value is not None and alone.recovery_s.value > 1.0


@pytest.mark.parametrize("away_s", [0.1, 1.2, 5.0, 60.0])
@pytest.mark.parametrize(("fall", "rise", "every_s", "ttl_s"), [(2, 2, 0.25, 1.0), (1, 1, 0.1, 1.0), (8, 1, 0.25, 1.0), (3, 2, 0.5, 0.0)])
def test_leader_kills_by_simulation(away_s: float, fall: int, rise: int, every_s: float, ttl_s: float) -> None:
    """The outage is over when the new leader is in the caches (or, still asked, the old one hands on), whenever the old one is back."""
    dns = Dns(ttl_s=ttl_s, check=DnsCheck(what="role:leader", every_s=every_s, fall=fall, rise=rise))
    found = of_class(predict(a_plan(dns=dns, client=ONE_TRY), facts("kill", "leader", (away_s,) * 4)))
    generator = random.Random(17)
    recoveries = [_simulated(generator, away_s, fall, rise, every_s, ttl_s) for _ in range(400)]
    error_s = stdev(recoveries) / len(recoveries) ** 0.5
    # The model may be off by 3 %, and the simulation by twice its own standard error: nothing hangs on the one seed.
    assert found.recovery_s.value == pytest.approx(fmean(recoveries), rel=0.0, abs=0.03 * fmean(recoveries) + 2 * error_s)


def _simulated(generator: random.Random, away_s: float, fall: int, rise: int, every_s: float, ttl_s: float) -> float:
    """One kill at 0, slots of 10 ms: when its last outage ends. Written from the rules of the name server and the client's cache."""
    uniform = generator.uniform
    led_s = _elected(generator)
    back_s = away_s + 0.15 + uniform(0.0, 0.1)  # ready, and it has heard a beat
    # The old leader fails the check from 0 on, alive or not; the new one passes it from its election on.
    old_checks, new_checks = uniform(0.0, every_s), uniform(0.0, every_s)
    out_s = old_checks + (fall - 1) * every_s
    first = new_checks
    while first < led_s:
        first += every_s
    in_s = first + (rise - 1) * every_s
    phase_s = uniform(0.0, ttl_s)
    due_s, fates = uniform(0.0, 0.01), []
    while due_s < max(out_s, in_s) + ttl_s + 0.03:
        seen_s = due_s if ttl_s == 0 else phase_s + ttl_s * ((due_s - phase_s) // ttl_s)  # when the cache was last renewed
        listed = ["old"] * (seen_s < out_s) + ["new"] * (seen_s >= in_s)
        asked = generator.choice(listed) if listed else ""
        fates.append((due_s, due_s >= led_s and (asked == "new" or (asked == "old" and due_s >= back_s))))
        due_s += 0.01
    # Two bad slots in a row open an outage, two good ones end it; it ends midway after its last bad slot.
    end_s, is_open, last_bad_s = 0.0, False, 0.0
    for (_, before), (at_s, good) in zip([(0.0, True), *fates], fates, strict=False):
        is_open = (is_open or not (before or good)) and not (before and good)
        last_bad_s = last_bad_s if good else at_s
        end_s = last_bad_s + 0.005 if is_open else end_s
    return end_s


def _elected(generator: random.Random) -> float:
    """Two voters, time-outs U(0.5, 1) since a beat U(0, 0.1) ago, 5 ms there and back."""
    stands = [generator.uniform(0.5, 1.0) for _ in range(2)]
    beat_s = generator.uniform(0.0, 0.1)
    stands = [each - beat_s for each in stands]
    while abs(stands[0] - stands[1]) < 0.0025:
        stands = [each + generator.uniform(0.5, 1.0) for each in stands]
    return min(stands) + 0.01
