"""Primaries that acknowledge alone, and deaths that are heard at once: what is predicted of both."""

from __future__ import annotations

import pytest

from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.losing import writes
from chaos.predict.run import predict
from chaos.predict.system import system
from tests.support.predicting import PARAMETERS, a_plan, facts, of_class

WATCHED = (
    Parameter("heartbeat_s", 0.1, "s", "target"),
    Parameter("misses", 5.0, "1", "target"),
    Parameter("round_trip_s", 0.004, "s", "target"),
    Parameter("restart_s", 0.15, "s", "target"),
    Parameter("replication_lag_s", 0.2, "s", "target", high=0.6),
)
ALONE = Dns(check=DnsCheck(what="role:leader"))


def test_a_primary_needs_nobody_to_acknowledge() -> None:
    """Two of three replicas dead: a quorum is lost, a primary that writes alone goes on."""
    gone = facts("kill", "follower", (4.0,), victims=2)
    quorum, alone = (of_class(predict(a_plan(replication=word, parameters=WATCHED, dns=ALONE), gone)) for word in ("quorum", "async"))
    assert alone.share.value == 0.0
    assert quorum.share.value == pytest.approx(1.0)


def test_a_primary_is_followed_even_by_the_last_one() -> None:
    """Primary and one replica die: with a quorum it waits for one of them, without it takes a failover."""
    gone = facts("kill", "mixed", (8.0,), victims=2)
    quorum, alone = (of_class(predict(a_plan(replication=word, parameters=WATCHED), gone)) for word in ("quorum", "async"))
    assert alone.recovery_s.value is not None and quorum.recovery_s.value is not None
    assert alone.recovery_s.value < 1.0
    assert quorum.recovery_s.value > 8.0


def test_what_dies_with_the_primary() -> None:
    """100 writes a second, replicas 0.2 s to 0.6 s behind: 40 acknowledged writes a crash; none where others have them first."""
    plan = a_plan(replication="async", parameters=WATCHED)
    found = of_class(predict(plan, facts("kill", "leader", (3.0,) * 4))).lost_writes
    assert found is not None
    assert (found.value, found.low, found.high) == (pytest.approx(40.0), pytest.approx(20.0), pytest.approx(60.0))
    assert of_class(predict(plan, facts("kill", "follower", (3.0,)))).lost_writes is None
    assert of_class(predict(plan, facts("kill", "leader", (3.0,))), "read").lost_writes is None
    assert of_class(predict(a_plan(parameters=PARAMETERS), facts("kill", "leader", (3.0,)))).lost_writes is None
    (cut,) = facts("partition", "leader", (3.0,)).classes
    split = writes(plan, system(plan), cut, "write")
    assert split is not None and split.value is None and split.reason
    assert (split.low, split.high) == (pytest.approx(20.0), pytest.approx(360.0))


def test_a_primary_that_is_cut_off_goes_on_for_those_who_reach_it() -> None:
    """Its clients notice nothing while it is alone, where a leader with a quorum behind it gives up."""
    cut = facts("partition", "leader", (4.0,))
    client = ClientPolicy(attempts=1)
    alone = of_class(predict(a_plan(replication="async", parameters=WATCHED, dns=ALONE, client=client), cut))
    quorum = of_class(predict(a_plan(dns=ALONE, client=client), cut))
    assert (alone.outage_s.value or 0.0) < 0.3
    assert quorum.outage_s.value is not None and quorum.outage_s.value > 0.6


@pytest.mark.parametrize(("kind", "loud"), [("kill", True), ("stop", True), ("remove", True), ("pause", False), ("power_off", False)])
def test_the_dead_are_heard_sooner_than_the_silent(kind: str, loud: bool) -> None:
    """A closed connection is noticed after 20 ms, silence only after the time-outs; the anatomy says which."""
    heard = (*PARAMETERS, Parameter("close_detection_s", 0.02, "s", "target"))
    plain, closed = (of_class(predict(a_plan(parameters=each), facts(kind, "leader", (5.0,) * 3))) for each in (PARAMETERS, heard))
    assert plain.phases["detection"] > 0.5
    if loud:
        assert closed.phases["detection"] == pytest.approx(0.0225, abs=0.005)
        assert closed.recovery_s.value is not None and closed.recovery_s.value < 0.06
    else:
        assert closed.phases["detection"] == plain.phases["detection"]


def test_what_is_heard_at_once_takes_over_as_declared() -> None:
    """Noticed after 50 ms; the takeover of 500 ms comes on top of it, as it does after silence."""
    heard = (*WATCHED, Parameter("close_detection_s", 0.05, "s", "target"), Parameter("takeover_s", 0.5, "s", "target"))
    found = of_class(
        predict(a_plan(replication="async", parameters=heard, words=(("routing", "leader"),)), facts("kill", "leader", (5.0,) * 3))
    )
    assert found.recovery_s.value == pytest.approx(0.55, abs=0.02)


@pytest.mark.parametrize(("kind", "loud"), [("kill", True), ("pause", False)])
def test_a_closed_connection_starts_an_election_of_its_own(kind: str, loud: bool) -> None:
    """The least of two draws U(100 ms, 600 ms) from the death on, whenever the last beat was; silence waits for the beats."""
    heard = (*PARAMETERS, Parameter("close_election_s", 0.1, "s", "target", 0.6))
    plain, closed = (of_class(predict(a_plan(parameters=each), facts(kind, "leader", (5.0,) * 3))) for each in (PARAMETERS, heard))
    if loud:
        assert closed.phases["detection"] == pytest.approx(0.1 + 0.5 / 3, abs=0.02)
    else:
        assert closed.phases["detection"] == plain.phases["detection"]


def test_what_is_sent_anew_to_the_next_leader_is_not_lost() -> None:
    """What a follower had handed to the dead leader is lost where it only holds writes; sent anew, it is not."""
    heard = (*PARAMETERS, Parameter("close_election_s", 0.1, "s", "target", 0.2))
    client = ClientPolicy(timeout_s=2.0, deadline_s=2.0, attempts=1)
    kept, gone = (
        of_class(predict(a_plan(parameters=heard, words=(("leaderless", word),), client=client), facts("kill", "leader", (5.0,) * 3)))
        for word in ("resend", "hang")
    )
    assert gone.outage_s.value is not None
    assert gone.outage_s.value > (kept.outage_s.value or 0.0) + 0.1
