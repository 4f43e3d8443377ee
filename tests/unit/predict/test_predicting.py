"""Predictions of whole runs: classes, aggregates, production; what is refused and what is left open, with its reason."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from chaos.api import order
from chaos.core.errors import BadInput
from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.faults import FaultSpec
from chaos.experiment.production import ProductionRate
from chaos.experiment.schedules import At
from chaos.experiment.selectors import LinkTo, Role
from chaos.experiment.target.load import load_target
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.faults import planned_faults
from chaos.plan.plan import Parameter, Window
from chaos.predict.facts import RunFacts
from chaos.predict.run import facts_from_plan, predict
from tests.support.paths import ROOT
from tests.support.predicting import DAY_S, PARAMETERS, a_plan, facts, of_class


def test_leader_kills() -> None:
    """Eight kills of a leader: the outage is detection and election, since retries at once do not help and nothing waits for ``for``."""
    prediction = predict(a_plan(), facts("kill", "leader", (3.0,) * 8))
    found, predicted = of_class(prediction), prediction.predicted
    # Mean of the least of two U(0.5, 1) less U(0, 0.1), two round trips, and 2 % split votes that cost another such time-out.
    assert found.outage_s.value == pytest.approx(0.6167 + 0.01 + 0.0199 * 0.68, abs=0.01)
    assert found.share.value == pytest.approx(1.0)
    assert found.cv == pytest.approx(0.25, abs=0.04)
    assert sum(found.phases.values()) == pytest.approx(found.outage_s.value)
    assert found.phases["detection"] == pytest.approx(0.6167, abs=0.01)
    assert predicted.mttr_s.value == pytest.approx(found.outage_s.value, rel=0.01)
    assert predicted.mtbf_s.value == pytest.approx(60 / 8, rel=0.01)
    assert predicted.mttf_s.value is not None and predicted.mttr_s.value is not None
    assert predicted.mttf_s.value + predicted.mttr_s.value == pytest.approx(predicted.mtbf_s.value)
    assert found.outage_s.value is not None and predicted.availability.value is not None
    assert predicted.availability.value == pytest.approx(1 - 8 * found.outage_s.value / 60, abs=1e-6)
    assert predicted.availability.low is not None and predicted.availability.high is not None
    assert predicted.availability.low < predicted.availability.value < predicted.availability.high
    assert predicted.own_share == pytest.approx(0.0, abs=0.01)


def test_the_same_facts_give_the_same_prediction() -> None:
    """No hidden randomness: twice the same, and another seed of the plan changes nothing."""
    first = predict(a_plan(), facts("kill", "leader", (3.0,) * 3))
    again = predict(msgspec.structs.replace(a_plan(), seed=99), facts("kill", "leader", (3.0,) * 3))
    assert msgspec.json.encode(first.predicted) == msgspec.json.encode(again.predicted)
    np.testing.assert_array_equal(first.downtime["write"]["kill/leader"].downtime_s, again.downtime["write"]["kill/leader"].downtime_s)


def test_holding_nodes_hide_a_time_out() -> None:
    """Where nodes without a leader hold writes, the last time-out before the election is hidden."""
    refuse = of_class(predict(a_plan(), facts("kill", "leader", (3.0,))))
    hang = of_class(predict(a_plan(words=(("leaderless", "hang"),)), facts("kill", "leader", (3.0,))))
    assert refuse.outage_s.value is not None and hang.outage_s.value is not None
    # Not more than half of it: every other slot spends its second attempt on the dead node.
    assert 0.09 <= refuse.outage_s.value - hang.outage_s.value <= 0.16


@pytest.mark.parametrize("kind", ["kill", "pause", "partition"])
def test_followers_are_not_missed(kind: str) -> None:
    """With a second attempt elsewhere nobody notices a follower, loud or silent, whatever is done to it."""
    found = of_class(predict(a_plan(), facts(kind, "follower", (2.0,) * 2)))
    assert found.share.value == 0.0
    assert found.outage_s.value is None and found.outage_s.reason
    assert found.recovery_s.value == 0.0


def test_a_single_attempt_notices_a_follower() -> None:
    """With one attempt a third of the picks fail until the record is withdrawn, or for as long as it is down without a check."""
    client = ClientPolicy(attempts=1)
    checked = of_class(predict(a_plan(client=client), facts("kill", "follower", (5.0,))))
    blind = of_class(predict(a_plan(client=client, dns=Dns(balancer="round-robin")), facts("kill", "follower", (5.0,))))
    assert checked.recovery_s.value is not None and blind.recovery_s.value is not None
    assert checked.recovery_s.value < 1.7  # two checks and one TTL at most
    assert blind.recovery_s.value > 4.5


def test_paused_leader_and_a_short_pause() -> None:
    """A pause shorter than the followers' patience is over when it is over; a longer one costs an election, not the pause."""
    short = predict(a_plan(client=ClientPolicy(attempts=1)), facts("pause", "leader", (0.35,)))
    long = predict(a_plan(), facts("pause", "leader", (4.0,)))
    assert of_class(short).recovery_s.value == pytest.approx(0.35 - 0.25, abs=0.02)  # a single time-out of 250 ms is waited out
    assert of_class(long).outage_s.value == pytest.approx(0.58, abs=0.05)
    assert short.predicted.own_share is not None and short.predicted.own_share > 0.9
    assert long.predicted.own_share == pytest.approx(0.0, abs=0.02)


def test_without_a_quorum_our_own_for_is_the_outage() -> None:
    """Two nodes of two are needed: a kill lasts until we start the node again, so nearly all of the MTTR is our ``for``."""
    prediction = predict(a_plan(nodes=2), facts("kill", "leader", (5.0,) * 3))
    found = of_class(prediction)
    assert found.outage_s.value is not None and found.outage_s.value > 5.15
    assert found.phases["restart"] == pytest.approx(5.0, abs=0.02)
    assert prediction.predicted.own_share == pytest.approx(5.0 / found.outage_s.value, abs=0.08)


def test_a_node_that_is_alone_waits_for_nobody() -> None:
    """Killed for 3 s and started: 3 s and 150 ms until it is ready. No time-out, no ballot and nothing to catch up with comes on top."""
    found = of_class(predict(a_plan(nodes=1, dns=Dns(balancer="round-robin")), facts("kill", "leader", (3.0,) * 3)))
    assert found.outage_s.value == pytest.approx(3.0 + 0.15, abs=0.02)
    assert found.phases["restart"] == pytest.approx(3.0, abs=0.02)
    assert found.phases["detection"] == pytest.approx(0.15, abs=0.01)
    assert found.phases.get("election", 0.0) == pytest.approx(0.0, abs=0.01)
    # Of two, which are both needed, the one that stayed waits: some part of U(0.5 s, 1 s), and the ballot of the other one.
    pair = of_class(predict(a_plan(nodes=2, dns=Dns(balancer="round-robin")), facts("kill", "leader", (3.0,) * 3)))
    assert pair.outage_s.value is not None and pair.outage_s.value > 3.15 + 0.2


@pytest.mark.parametrize(("groups", "share"), [((("n1", "n2"), ("n3",)), 1 / 3), ((("n1",), ("n2",), ("n3",)), 1.0)])
def test_groups(groups: tuple[tuple[str, ...], ...], share: float) -> None:
    """A split is noticed if the leader is on the small side, one time in three; without any quorum always."""
    found = of_class(predict(a_plan(), facts("partition", "groups", (3.0,), groups=groups)))
    assert found.share.value == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("latency_s", "share"), [(0.08, 0.0), (0.2, 0.0), (0.28, 1.0)])
def test_latency_against_the_time_out(latency_s: float, share: float) -> None:
    """Both ways of the leader's links: 80 ms is not noticed; 200 ms is by writes through followers, which a retry at the leader may
    save only sometimes; beyond the time-out every write fails."""
    link = LinkTo("leader", "any", both=True)
    spell = FaultSpec("slow", "latency", {}, At((1.0,)), 4.0, 1, link)
    found = of_class(predict(a_plan(faults=(spell,)), facts("latency", "leader", (4.0,), latency_s=latency_s, jitter_s=0.005)))
    if latency_s == 0.2:
        assert found.share.value is not None and found.share.value > 0.9
    else:
        assert found.share.value == pytest.approx(share, abs=1e-9)


def test_latency_of_one_direction() -> None:
    """Only what followers hand on is slow, or only appends: one latency a write, not two."""
    for source, destination in (("leader", "any"), ("any", "leader")):
        spell = FaultSpec("slow", "latency", {}, At((1.0,)), 4.0, 1, LinkTo(source, destination))
        found = of_class(predict(a_plan(faults=(spell,)), facts("latency", "leader", (4.0,), latency_s=0.2)))
        assert found.share.value == 0.0


def test_reads_of_any_replica_survive() -> None:
    """Local reads do not need the leader; reads by quorum do."""
    local = predict(a_plan(words=(("reads", "local"),)), facts("kill", "leader", (3.0,)))
    quorum = predict(a_plan(), facts("kill", "leader", (3.0,)))
    assert of_class(local, "read").share.value == 0.0
    assert of_class(quorum, "read").share.value == pytest.approx(1.0)
    assert of_class(local, "write").share.value == pytest.approx(1.0)


def test_the_leader_alone_in_the_name() -> None:
    """A name that answers with the leader only adds its check and the clients' caches to the outage."""
    dns = Dns(check=DnsCheck(what="role:leader"))
    plain, alone = (of_class(predict(a_plan(dns=each), facts("kill", "leader", (5.0,)))) for each in (Dns(), dns))
    assert plain.outage_s.value is not None and alone.outage_s.value is not None
    # Two checks of 250 ms from a random phase, and half a TTL of a second.
    assert alone.outage_s.value - plain.outage_s.value == pytest.approx(0.375 + 0.5, abs=0.05)
    assert alone.phases["dns"] == pytest.approx(0.875, abs=0.05)


def test_without_replication() -> None:
    """Independent replicas: one of three dead is a third of the picks; all of them dead is everything."""
    client = ClientPolicy(attempts=1)
    plan = a_plan(replication="none", client=client, dns=Dns(balancer="round-robin"))
    third, every = (predict(plan, facts("kill", "node", (4.0,), victims=victims)) for victims in (1, 3))
    assert of_class(every).outage_s.value == pytest.approx(4.0 + 0.15 + 0.15, abs=0.02)
    # A pair of bad picks opens an outage, every (1 + p) / p^2 = 12 slots; a pair of good ones closes it, (1 + q) / q^2 = 3.75 later.
    assert of_class(third).outage_s.value == pytest.approx(4.3 * 3.75 / 15.75, abs=0.03)


def test_durations_are_kept_apart() -> None:
    """Faults of 1 s and of 9 s that last as long as we let them: the sum of one each is 10 s, with no spread of which is which."""
    prediction = predict(a_plan(nodes=1, dns=Dns(balancer="round-robin")), facts("pause", "leader", (1.0, 9.0)))
    samples = prediction.downtime["write"]["pause/leader"]
    assert samples.faults == (1, 1)
    low, high = prediction.predicted.availability.low, prediction.predicted.availability.high
    assert low is not None and high is not None and high - low < 0.01


def test_a_name_without_any_node() -> None:
    """The only node is withdrawn while it sleeps: clients wait for its checks and their caches as well."""
    names = Dns(balancer="round-robin"), Dns()
    blind, checked = (of_class(predict(a_plan(nodes=1, dns=each), facts("pause", "leader", (4.0,)))) for each in names)
    assert blind.outage_s.value is not None and checked.outage_s.value is not None
    # Two successes at 250 ms and half a TTL of a second; and no time-out is waited out any more.
    assert checked.outage_s.value - blind.outage_s.value == pytest.approx(0.375 + 0.5 + 0.5, abs=0.05)
    assert checked.phases["dns"] == pytest.approx(0.875, abs=0.05)


@pytest.mark.parametrize(("missing", "kind"), [("restart_s", "kill"), ("heartbeat_s", "kill"), ("election_timeout_s", "pause")])
def test_missing_parameters_are_named(missing: str, kind: str) -> None:
    """What the target must declare is said by its key in YAML."""
    known = tuple(each for each in PARAMETERS if each.name != missing)
    with pytest.raises(BadInput, match=f"'{missing.removesuffix('_s')}'"):
        predict(a_plan(parameters=known), facts(kind, "leader", (3.0,)))


def test_heartbeats_that_depose_are_refused() -> None:
    """A heartbeat above the election time-out describes no working system."""
    wrong = (Parameter("heartbeat_s", 0.6, "s", "experiment"), *PARAMETERS[1:])
    with pytest.raises(BadInput, match="heartbeat"):
        predict(a_plan(parameters=wrong), facts("kill", "leader", (3.0,)))


def test_a_kind_nobody_knows() -> None:
    """An unknown kind of fault has no figures, with the reason, and leaves none for the run as a whole."""
    prediction = predict(a_plan(), facts("solar_flare", "node", (3.0,)))
    found = of_class(prediction)
    assert found.share.value is None and "solar_flare" in found.share.reason
    assert prediction.predicted.availability.value is None and prediction.predicted.availability.reason
    assert prediction.downtime["write"] == {}


def test_no_fault_at_all() -> None:
    """Without a fault nothing is predicted to be noticed; availability is 1 and the times have a reason instead of a value."""
    predicted = predict(a_plan(), RunFacts(60.0, ())).predicted
    assert predicted.availability.value == 1.0
    assert predicted.mttr_s.value is None and predicted.mttr_s.reason
    assert predicted.own_share is None


def test_a_node_that_stays_dead() -> None:
    """``recovery: none`` lasts to the end of the run: finite figures, and the withdrawn node is asked no more."""
    prediction = predict(a_plan(client=ClientPolicy(attempts=1)), facts("kill", "follower", (math.inf,)))
    found = of_class(prediction)
    assert found.recovery_s.value is not None and found.recovery_s.value < 2.0


def test_facts_from_a_plan() -> None:
    """Windows become faults: roles by selector, and where it leaves them open one in three meets the leader."""
    faults = (
        FaultSpec("kill-leader", "kill", {}, At((1.0,)), 3.0, None, Role("leader")),
        FaultSpec("pause-any", "pause", {}, At((1.0,)), 2.0, None, Role("any")),
        FaultSpec("split", "partition", {"groups": (("n1",), ("n2", "n3"))}, At((1.0,)), 2.0, None, None),
    )
    windows = tuple(
        Window(f"{name}-{turn}", name, kind, 10.0 * turn, 10.0 * turn + long, 0)
        for name, kind, long, times in (("kill-leader", "kill", 3.0, 2), ("pause-any", "pause", 2.0, 3), ("split", "partition", 2.0, 1))
        for turn in range(1, times + 1)
    )
    found = {each.fault_class: each.for_s for each in facts_from_plan(a_plan(faults=faults, windows=windows)).classes}
    assert found == {"kill/leader": (3.0, 3.0), "pause/follower": (2.0, 2.0), "pause/leader": (2.0,), "partition/groups": (2.0,)}


def test_production() -> None:
    """One crash per node in 45 days: U is the leader's rate times its outage, as nines and seconds a year, with what to improve first."""
    rate = ProductionRate("kill", 1 / (45 * DAY_S), "node", "1 per 45d per node")
    prediction = predict(a_plan(production=(rate,)), facts("kill", "leader", (3.0,) * 8))
    found = prediction.predicted.production
    outage_s = of_class(prediction).outage_s.value
    assert found.downtime_s_per_year is not None and outage_s is not None and found.nines is not None and found.availability is not None
    assert found.downtime_s_per_year == pytest.approx(365 / 45 * outage_s, rel=0.05)
    assert found.nines == pytest.approx(-math.log10(1 - found.availability), rel=1e-6)
    best = {each.parameter: each for each in found.improve_first}
    chosen = [each for each in found.improve_first if each.chosen]
    assert chosen[0].halving_saves_s_per_year >= chosen[-1].halving_saves_s_per_year
    assert best["heartbeat_s and election_timeout_s together"].elasticity == pytest.approx(0.95, abs=0.15)
    assert best["fault rates (half as many)"].elasticity == pytest.approx(1.0, abs=1e-3)
    assert "restart_s" not in best  # three nodes go on without the dead one


def test_production_where_restart_is_everything() -> None:
    """A single node: its restart is the outage, and first on the list."""
    rate = ProductionRate("kill", 1 / (45 * DAY_S), "cluster")
    slow = tuple(msgspec.structs.replace(each, value=30.0) if each.name == "restart_s" else each for each in PARAMETERS)
    found = predict(a_plan(nodes=1, parameters=slow, production=(rate,)), facts("kill", "leader", (3.0,))).predicted.production
    named = [each.parameter for each in found.improve_first if not each.parameter.startswith("fault rates")]
    assert named[0] == "restart_s"


def test_production_without_rates() -> None:
    """Nobody said how often things fail: nothing, with the reason."""
    found = predict(a_plan(), facts("kill", "leader", (3.0,))).predicted.production
    assert (found.availability, found.nines, found.downtime_s_per_year, found.improve_first) == (None, None, None, [])
    assert "production" in found.reason


def test_production_of_a_fault_never_seen() -> None:
    """A rate of partitions without any partition in the plan: how long one lasts is not known."""
    rate = ProductionRate("partition", 1e-7, "cluster")
    found = predict(a_plan(production=(rate,)), facts("kill", "leader", (3.0,))).predicted.production
    assert found.availability is None and "partition" in found.reason


@pytest.mark.parametrize("name", ["load", "cascade", "link-toxics", "rolling-restart", "quickstart", "partition-shapes"])
def test_plan_and_report_call_a_class_the_same(name: str) -> None:
    """The class that planning expects is one that the faults may come to have when they are done."""
    plan = order(ROOT / "experiments" / f"{name}.yaml", runtime="local", seed=None).plan
    part = plan.experiment.cluster.dns.part or plan.nodes[0].part
    target = load_target(plan.experiment.cluster.target)
    may_be = {
        spec.spec.name: {f"{spec.spec.kind}/{victims.role}" for victims in spec.possible}
        for spec in planned_faults(plan.experiment, target, plan.nodes, part)
    }
    for each in facts_from_plan(plan).classes:
        assert all(any(one in classes for classes in may_be.values()) for one in each.fault_class.split(" + ")), each.fault_class
