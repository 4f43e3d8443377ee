"""A machine goes away on which the name's servers stand: clients that ask, and clients that keep what they were told."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.cluster import AttachSpec, Dns
from chaos.experiment.pods import PodsSpec
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter
from chaos.predict.run import predict
from chaos.results.predicted import ClassPredicted
from tests.support.predicting import a_plan, facts, of_class

ASKS = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6, resolve="per-request")
KEEPS = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6)
ONCE = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6, resolve="once")
KNOWN = {
    "restart_s": 1.0, "readiness_every_s": 1.0, "readiness_fall": 2.0, "name_ttl_s": 5.0, "boot_s": 3.0, "name_restart_s": 2.0,
    "machine_grace_s": 50.0, "machine_word_s": 0.0, "machine_look_s": 0.0, "eviction_s": 5.0, "replacement_s": 1.0,
}  # fmt: skip


def gone(
    servers: dict[str, int],
    for_s: float,
    client: ClientPolicy = ASKS,
    kind: str = "power_off",
    nodes: int = 3,
    more: tuple[Parameter, ...] = (),
    **fields: str,
) -> ClassPredicted:
    """The machine m1 of one of three nodes, where so many of the name's servers stand."""
    parameters = (*more, *(Parameter(name, value, "s", "said") for name, value in KNOWN.items()))
    plan = a_plan(nodes=nodes, replication="none", client=client, dns=Dns(balancer="engine"), parameters=parameters)
    attach = AttachSpec(pods=PodsSpec("shop", service="store", answers=servers))
    cluster = msgspec.structs.replace(plan.experiment.cluster, attach=attach)
    plan = msgspec.structs.replace(plan, duration_s=2000.0, experiment=msgspec.structs.replace(plan.experiment, cluster=cluster))
    done = msgspec.structs.replace(facts(kind, "zone:m1", (for_s,), 1, **fields), span_s=2000.0)
    return of_class(predict(plan, done))


def test_clients_that_ask_each_time_lose_everything_until_the_only_server_is_back() -> None:
    """20 s without power, 3 s of boot, 2 s until it answers: 25 s, of all requests, though two of three nodes were well."""
    found = gone({"m1": 2}, 20.0)
    assert found.share.value == 1.0
    assert found.outage_s.value == pytest.approx(25.0, abs=0.1)
    assert found.recovery_s.value == pytest.approx(25.0, abs=0.2)


def test_servers_elsewhere_are_not_missed() -> None:
    """A third of the requests is lost then, as without any word of the servers."""
    elsewhere, untold = gone({"m2": 2}, 20.0), gone({}, 20.0)
    assert elsewhere.outage_s.value == pytest.approx(untold.outage_s.value, rel=0.05)
    assert untold.outage_s.value < 20.0


def test_a_share_of_the_servers_is_lost_with_that_chance_until_the_machine_is_missed() -> None:
    """One of two, for 60 s: half of the clients' sockets lead there, for 50 s; the other half loses what the dead node costs alone."""
    alone, half = gone({}, 60.0), gone({"m1": 1, "m3": 1}, 60.0)
    assert half.outage_s.value == pytest.approx((50.0 + alone.outage_s.value) / 2, rel=0.03)


def test_a_server_of_a_machine_that_is_cut_off_needs_no_boot() -> None:
    assert gone({"m1": 1}, 20.0, kind="partition", by="host").outage_s.value == pytest.approx(20.0, abs=0.1)


def test_a_cut_of_a_pod_alone_takes_no_server_with_it() -> None:
    """The same place, by name; the machine stays."""
    with_it, without = gone({"m1": 1}, 20.0, kind="partition"), gone({}, 20.0, kind="partition")
    assert (with_it.share, with_it.outage_s) == (without.share, without.outage_s)


def test_who_keeps_answers_is_spared_until_they_end() -> None:
    """The answer ends at U(0, 5 s), the server is back at 25 s and is asked again within a time-out: 25 s - 2.5 s + 0.125 s of nothing.

    Before that end a third of the requests meets the dead node, in a fifth of all slots two in a row: some of it is felt.
    """
    found = gone({"m1": 1}, 20.0, KEEPS)
    assert found.recovery_s.value == pytest.approx(25.125, abs=0.2)
    assert 22.625 < found.outage_s.value < 25.0


def test_who_asked_once_asks_nobody() -> None:
    assert gone({"m1": 1}, 20.0, ONCE).outage_s.value == pytest.approx(gone({}, 20.0, ONCE).outage_s.value, rel=0.05)


@pytest.mark.parametrize(("at_once", "ends_s"), [(False, 85.5), (True, 57.5)])
def test_an_only_node_of_a_machine_that_stays_away(at_once: bool, ends_s: float) -> None:
    """A StatefulSet's: 80 s and 3 s of boot, then 1 s for the next pod, 1 s for its start, half a second until a probe has seen it.

    A Deployment's is made elsewhere at 50 s and 5 s, and takes as long.
    """
    more = (Parameter("successor", 0.0, "", "said", word="at-once"),) if at_once else ()
    found = gone({"m9": 1}, 80.0, nodes=1, more=more, by="command")
    assert found.recovery_s.value == pytest.approx(ends_s, abs=0.2)


def test_a_machine_that_stays_away_has_its_servers_made_elsewhere() -> None:
    """50 s until it is missed, 5 s until its pods are given up, 1 s and 2 s until others answer: 58 s of 80 s."""
    assert gone({"m1": 1}, 80.0).outage_s.value == pytest.approx(58.0, abs=0.5)
