"""Where the time of an outage went, from moments that the history saw."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.traffic import ClientPolicy
from chaos.measure import phases as anatomy
from chaos.measure.timeline import build
from chaos.plan.plan import Parameter, Plan, Window
from chaos.results.observed import Outage
from tests.support import synthetic
from tests.support.synthetic import Down, Rows, fault_rows, frame, kills, make_plan, mark, name_set, role


def phases(plan: Plan, rows: Rows, down: Down, service: str = "write") -> tuple[dict[str, float | None], Outage]:
    """Observed seconds of each phase of the first outage, and the outage."""
    operation = list(plan.experiment.traffic.operations).index(service)
    timeline = anatomy.dissect(plan, build(plan, rows, synthetic.slots(plan, down, operation=operation)))
    outage = timeline.services[service].outages[0]
    return {name: phase.observed_s for name, phase in outage.phases.items()}, outage


def run_of(kind: str = "kill", for_s: float = 3.0, **options: Any) -> tuple[Plan, Window]:  # noqa: ANN401 - handed on
    """A plan with one fault at 5 s."""
    spec, windows = kills([5.0], for_s=for_s, kind=kind)
    return make_plan(faults=[spec], windows=windows, **options), windows[0]


def test_a_dead_leader_is_detection_then_election_then_client() -> None:
    """Marks of the nodes cut the outage; what is left is the clients' own."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), mark(5.405, "n2", "election_started"), mark(5.425, "n2", "leader_elected")]
    found, outage = phases(plan, rows, [(5.005, 5.505)])
    assert found == {"detection": pytest.approx(0.4), "election": pytest.approx(0.02), "client": pytest.approx(0.08)}
    assert sum(found.values()) == pytest.approx(outage.duration_s, abs=1e-12)


def test_a_split_vote_is_part_of_the_election() -> None:
    """From the first candidacy to the leader who stood at last."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), mark(5.405, "n2", "election_started"), mark(5.41, "n3", "election_started")]
    rows += [mark(5.905, "n3", "election_started"), mark(5.925, "n3", "leader_elected")]
    found, _ = phases(plan, rows, [(5.005, 5.935)])
    assert found == {"detection": pytest.approx(0.4), "election": pytest.approx(0.52), "client": pytest.approx(0.01)}


def test_candidacies_before_the_fault_do_not_count() -> None:
    """Marks of the election that made the dead leader lie before the fault."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), mark(-1.0, "n1", "election_started"), mark(-0.9, "n1", "leader_elected")]
    rows += [mark(5.405, "n2", "election_started"), mark(5.425, "n2", "leader_elected")]
    assert phases(plan, rows, [(5.005, 5.505)])[0]["detection"] == pytest.approx(0.4)


def test_without_marks_detection_and_election_are_one_phase() -> None:
    """Only role changes: the two cannot be told apart, and that is said."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), role(-1, "n1", "leader"), role(5.01, "n1", "leader", False), role(5.425, "n2", "leader")]
    found, _ = phases(plan, rows, [(5.005, 5.505)])
    assert found == {"detection+election": pytest.approx(0.42), "client": pytest.approx(0.08)}


def test_a_primary_that_acknowledges_alone_is_waited_for_as_well() -> None:
    """Until a replica takes over it is the election's, also when a single node is left of three."""
    spec, windows = kills([5.0], for_s=3.0)
    plan = make_plan(faults=[spec], windows=windows, replication="async")
    rows = [*frame(plan), *fault_rows(windows[0]), role(-1, "n1", "leader"), role(5.01, "n1", "leader", False)]
    rows += [row for row in fault_rows(windows[0], node="n2") if type(row).__name__ == "NodeChanged"]
    found, _ = phases(plan, [*rows, role(5.425, "n3", "leader")], [(5.005, 5.505)])
    assert found == {"detection+election": pytest.approx(0.42), "client": pytest.approx(0.08)}


def test_an_outage_may_end_before_its_election() -> None:
    """A write due just before the leader stood was answered in time: the cuts are clamped into the outage."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), mark(5.405, "n2", "election_started"), mark(5.655, "n2", "leader_elected")]
    found, _ = phases(plan, rows, [(5.005, 5.505)])
    assert found == {"detection": pytest.approx(0.4), "election": pytest.approx(0.1)}


def test_a_leader_known_but_not_yet_in_the_name_is_dns_then_client() -> None:
    """Where the set must change first, the time until it does is the name's, and the cache's after it the clients'."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window), mark(5.405, "n2", "election_started"), mark(5.425, "n2", "leader_elected")]
    rows.append(name_set(5.705, ["n2", "n3"]))
    found, _ = phases(plan, rows, [(5.005, 6.305)])
    assert found["dns"] == pytest.approx(0.28)
    assert found["client"] == pytest.approx(0.6)


def test_without_a_quorum_the_restart_comes_first() -> None:
    """Two of three dead: until one is back nothing can be elected, then detection and election follow."""
    spec, windows = kills([5.0], for_s=2.0)
    plan = make_plan(faults=[spec], windows=windows)
    rows = [
        *frame(plan),
        *fault_rows(windows[0]),
        *[row for row in fault_rows(windows[0], node="n2") if type(row).__name__ == "NodeChanged"],
    ]
    rows += [mark(5.5, "n3", "election_started"), mark(7.405, "n3", "election_started"), mark(7.505, "n3", "leader_elected")]
    rows.append(role(7.605, "n1", "voting"))
    found, _ = phases(plan, rows, [(5.005, 7.705)])
    assert found["restart"] == pytest.approx(7.0 - 5.005)
    assert found["detection"] == pytest.approx(0.405)
    assert found["election"] == pytest.approx(0.1)
    assert found["resync"] == pytest.approx(0.1)
    assert found["client"] == pytest.approx(0.1)


def test_a_pause_too_short_for_an_election_lasts_until_it_is_let_go() -> None:
    """No candidacy: the service waited for the victim itself."""
    plan, window = run_of(kind="pause", for_s=0.2)
    rows = [*frame(plan), *fault_rows(window)]
    found, _ = phases(plan, rows, [(5.005, 5.215)])
    assert found == {"resume": pytest.approx(0.195), "client": pytest.approx(0.015)}


def test_a_single_node_must_come_back_and_serve() -> None:
    """One copy and no leader: restart until its process runs, resync until it votes."""
    plan, window = run_of(for_s=2.0, nodes=1, replication="none", has_roles=False)
    rows = [*frame(plan), *fault_rows(window), role(7.305, "n1", "voting")]
    found, _ = phases(plan, rows, [(5.005, 7.405)])
    assert found == {"restart": pytest.approx(1.995), "resync": pytest.approx(0.305), "client": pytest.approx(0.1)}


@pytest.mark.parametrize(("balancer", "phase"), [("engine", "dns"), ("health-checked", "client")])
def test_a_name_that_is_not_ours_may_be_seen_late(balancer: Literal["engine", "health-checked"], phase: str) -> None:
    """The client that ends the outage knew of the only node 60 ms before the name was asked again; ours tells of itself at once."""
    plan, window = run_of(for_s=2.0, nodes=1, replication="none", has_roles=False, dns=Dns(balancer=balancer))
    rows = [*frame(plan), *fault_rows(window), name_set(5.205, []), name_set(7.865, ["n1"])]
    found, _ = phases(plan, rows, [(5.005, 7.805)])
    assert found == {"restart": pytest.approx(1.995), phase: pytest.approx(0.805)}


def test_a_follower_clients_still_ask_is_the_names_then_the_clients() -> None:
    """The cluster goes on; until the name leaves the dead node out it is dns, then cached answers."""
    plan, window = run_of(client=ClientPolicy(attempts=1), dns=Dns(ttl_s=1.0))
    rows = [*frame(plan), *fault_rows(window, node="n3", role="follower"), name_set(5.505, ["n1", "n2"])]
    found, _ = phases(plan, rows, [(5.005, 6.205)])
    assert found == {"dns": pytest.approx(0.5), "client": pytest.approx(0.7)}


def test_a_follower_back_before_the_name_noticed_is_a_restart() -> None:
    """Whichever relieves the clients first is the cause."""
    plan, window = run_of(for_s=0.4, client=ClientPolicy(attempts=1))
    found, _ = phases(plan, [*frame(plan), *fault_rows(window, node="n3", role="follower")], [(5.005, 5.455)])
    assert found == {"restart": pytest.approx(0.395), "client": pytest.approx(0.055)}


def test_a_partition_without_a_majority_lasts_until_it_is_healed() -> None:
    """Each of three nodes alone: no quorum until the links are back."""
    spec, windows = kills([5.0], for_s=2.0, kind="partition")
    plan = make_plan(faults=[spec], windows=windows)
    rows = [row for row in fault_rows(windows[0], role="groups", kill=False) if type(row).__name__ != "FaultAsked"]
    asked = next(row for row in fault_rows(windows[0], role="groups") if type(row).__name__ == "FaultAsked")
    rows.append(
        type(asked)(
            at_ns=asked.at_ns,
            id=asked.id,
            fault=asked.fault,
            kind="partition",
            fault_class="partition/groups",
            target=["n1", "n2", "n3,nobody"],
        )
    )
    rows += [mark(5.6, "n2", "election_started"), mark(7.2, "n2", "election_started"), mark(7.21, "n2", "leader_elected")]
    found, _ = phases(plan, [*frame(plan), *rows], [(5.005, 7.255)])
    assert found["heal"] == pytest.approx(1.995)
    assert "restart" not in found
    assert found["detection"] == pytest.approx(0.2)
    assert found["election"] == pytest.approx(0.01)


def test_a_name_server_that_is_wrong_is_dns_until_it_is_right() -> None:
    """Nothing died and nothing restarted: the name's time, then what clients still keep of it."""
    plan, window = run_of("dns", for_s=2.0, dns=Dns(ttl_s=1.0))
    rows = fault_rows(window, node="", role="nxdomain", kill=False)
    found, _ = phases(plan, [*frame(plan), *rows], [(5.605, 7.605)])
    assert found == {"dns": pytest.approx(1.395), "client": pytest.approx(0.605)}


def test_a_node_that_is_paused_is_let_go_on() -> None:
    """It is not a restart."""
    plan, window = run_of("pause", for_s=0.4, client=ClientPolicy(attempts=1))
    found, _ = phases(plan, [*frame(plan), *fault_rows(window, node="n3", role="follower", kill=False)], [(5.005, 5.455)])
    assert found == {"resume": pytest.approx(0.395), "client": pytest.approx(0.055)}


def test_a_second_fault_into_an_outage_that_goes_on_explains_nothing_of_it() -> None:
    """After the first one's end and the clients' share the outage has no cause that the history knows."""
    spec, windows = kills([5.0, 20.0], for_s=3.0, kind="pause")
    plan = make_plan(faults=[spec], windows=windows, client=ClientPolicy(attempts=1))
    rows = [row for window in windows for row in fault_rows(window, node="n3", role="follower", kill=False)]
    found, outage = phases(plan, [*frame(plan), *rows], [(5.005, 24.005)])
    assert found["resume"] == pytest.approx(2.995)
    assert set(found) == {"resume", "client", "unnamed"}, outage.faults
    assert found["client"] < 4


def test_a_fault_that_ends_two_leaders_is_detected_twice() -> None:
    """A rolling restart: the second outage has a candidacy of its own, and none of the first one's."""
    plan, window = run_of("restart", for_s=8.0)
    rows = [mark(5.4, "n2", "election_started"), mark(5.42, "n2", "leader_elected"), mark(7.6, "n3", "election_started"),
            mark(7.65, "n3", "leader_elected")]  # fmt: skip
    down = [(5.005, 5.425), (7.105, 7.665)]
    operation = list(plan.experiment.traffic.operations).index("write")
    history = [*frame(plan), *fault_rows(window, role="mixed", kill=False), *rows]
    timeline = anatomy.dissect(plan, build(plan, history, synthetic.slots(plan, down, operation=operation)))
    second = timeline.services["write"].outages[1]
    assert second.phases["detection"].observed_s == pytest.approx(0.495, abs=0.006)
    assert second.phases["election"].observed_s == pytest.approx(0.05, abs=0.006)


def test_what_nothing_explains_is_unnamed() -> None:
    """An outage by itself, without any change in the cluster."""
    plan = make_plan()
    found, _ = phases(plan, frame(plan), [(10.005, 10.505)])
    assert found == {"unnamed": pytest.approx(0.5)}


def test_clients_are_not_blamed_for_more_than_their_caches() -> None:
    """An outage that goes on long after the leader stood and every cache ran out is not named."""
    plan, window = run_of()
    rows = [*frame(plan), *fault_rows(window, settled_s=20.0), mark(5.405, "n2", "election_started"), mark(5.425, "n2", "leader_elected")]
    found, outage = phases(plan, rows, [(5.005, 15.005)])
    assert found["client"] < 4
    assert found["unnamed"] > 5
    assert sum(found.values()) == pytest.approx(outage.duration_s, abs=1e-9)


def test_an_outage_cut_off_while_nobody_noticed_is_detection() -> None:
    """The run ended before any candidacy: what was going on went on to its end."""
    spec, windows = kills([29.5], for_s=0.4)
    plan = make_plan(faults=[spec], windows=windows)
    rows = [
        row
        for row in fault_rows(windows[0])
        if type(row).__name__ in ("FaultAsked", "FaultEffective") or getattr(row, "status", "") == "down"
    ]
    found, outage = phases(plan, [*frame(plan), *rows], [(29.505, 99.0)])
    assert outage.censored == "end"
    assert found == {"detection+election": pytest.approx(0.495)}  # no mark at all: nobody knows whether one stood


def test_local_reads_do_not_wait_for_a_leader() -> None:
    """The same kill: writes need an election, reads of any copy only another address."""
    parameters = [*synthetic.PARAMETERS[:-1], Parameter("reads", 1, "", "target")]
    plan, window = run_of(operations=("write", "read"), parameters=parameters, client=ClientPolicy(attempts=1))
    rows = [
        *frame(plan),
        *fault_rows(window),
        mark(5.405, "n2", "election_started"),
        mark(5.425, "n2", "leader_elected"),
        name_set(5.305, ["n2", "n3"]),
    ]
    found, _ = phases(plan, rows, [(5.005, 5.505)], service="read")
    assert found == {"dns": pytest.approx(0.3), "client": pytest.approx(0.2)}


def test_a_stall_long_after_the_relief_is_not_the_clients() -> None:
    """The kill was over and its election done 4 s before: nothing in the history explains an outage that begins then."""
    plan, window = run_of(for_s=1.0)
    rows = [*frame(plan), *fault_rows(window, settled_s=20.0), mark(5.405, "n2", "election_started"), mark(5.425, "n2", "leader_elected")]
    found, _ = phases(plan, rows, [(10.005, 10.705)])
    assert found == {"unnamed": pytest.approx(0.7)}
