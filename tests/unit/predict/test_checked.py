"""A check that needs a leader and its quorum, and reads that wait for a leader: by worked figures. The virtual cluster is held against them
in test_simulated."""

from __future__ import annotations

import pytest

from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.run import predict
from tests.support.predicting import a_plan, facts, of_class

COUNTED = (
    Parameter("heartbeat_s", 0.1, "s", "target"),
    Parameter("misses", 1.0, "1", "target"),
    Parameter("timeout_s", 0.9, "s", "target"),
    Parameter("round_trip_s", 0.005, "s", "target"),
    Parameter("restart_s", 0.15, "s", "target"),
)
LED_S = 0.05 + 0.9 + 0.0025 + 0.01
"""Half a beat, the time-out, half a round trip; then two round trips until another one leads."""
ONCE = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.25, resolve="per-request")


def killed(words: tuple[tuple[str, str], ...], service: str = "write", what: str = "ready") -> float:
    """Seconds that clients miss a service whose leader is killed for 5 s."""
    dns = Dns(balancer="health-checked", check=DnsCheck(what, every_s=0.25, timeout_s=0.2, fall=2, rise=2))
    plan = a_plan(dns=dns, client=ONCE, parameters=COUNTED, words=words)
    return of_class(predict(plan, facts("kill", "leader", (5.0,))), service).outage_s.value or 0.0


def test_the_name_is_empty_until_a_check_after_the_election() -> None:
    """Two checks in a row: the first of two nodes that are checked 83 ms and 167 ms apart comes 69 ms after the election on average."""
    first_s = ((0.25 / 3) ** 2 + (0.5 / 3) ** 2) / 2 / 0.25
    assert first_s == pytest.approx(0.0694, abs=1e-4)
    assert killed((("ready_needs", "quorum"),)) == pytest.approx(LED_S + first_s + 0.25, abs=0.02)
    assert killed((("ready_needs", "quorum"),), "read") == pytest.approx(LED_S + first_s + 0.25, abs=0.02)
    assert killed((("ready_needs", "node"),)) == pytest.approx(LED_S, abs=0.02)


def test_another_check_does_not_empty_it() -> None:
    """As ``/version`` of etcd, which each member answers by itself."""
    assert killed((("ready_needs", "quorum"),), what="/version") == pytest.approx(LED_S, abs=0.02)


def test_an_election_that_is_over_before_the_second_check_empties_nothing() -> None:
    """Checks 2 s apart, and clients who ask another node where the dead one refuses."""
    dns = Dns(balancer="health-checked", check=DnsCheck(every_s=2.0))
    twice = ClientPolicy(attempts=2, other_address=True, timeout_s=0.25, deadline_s=0.6, resolve="per-request")
    plan = a_plan(dns=dns, client=twice, parameters=COUNTED, words=(("ready_needs", "quorum"),))
    assert of_class(predict(plan, facts("kill", "leader", (5.0,)))).outage_s.value == pytest.approx(LED_S, abs=0.02)


def test_reads_may_wait_where_writes_are_lost() -> None:
    """Held for a quarter of a second, a read is answered by the next leader; a put that went to the lost one is not."""
    words = (("leaderless", "hang"), ("leaderless_reads", "resend"))
    assert killed(words, "read", "/version") == pytest.approx(LED_S - 0.25, abs=0.02)
    assert killed(words, "write", "/version") == pytest.approx(LED_S - 0.01, abs=0.02)
    assert killed(words[:1], "read", "/version") == pytest.approx(LED_S - 0.01, abs=0.02)
