"""Nodes that are asked to end, one or all in turn, nodes that come back empty, and names that lie: what clients are expected to see."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.selectors import Zone
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter, Plan
from chaos.predict.facts import RunFacts
from chaos.predict.figures import ClassSamples
from chaos.predict.run import draws, facts_from_plan, predict
from tests.support.predicting import PARAMETERS, Field, a_plan, facts, of_class
from tests.support.synthetic import kills

HANDOVER = (("stopping", "handover"),)


def drawn(plan: Plan, done: RunFacts) -> ClassSamples | None:
    """Faults of the only class, as writes see them; None where nothing is predicted."""
    return next(iter(draws(plan, done, "write").values()), None)


def mean_s(plan: Plan, done: RunFacts) -> float:
    """Mean downtime of one fault, unnoticed ones included."""
    found = drawn(plan, done)
    assert found is not None
    return float(found.downtime_s.mean())


def leaders(
    kind: str, victims: int = 1, words: tuple[tuple[str, str], ...] = (), more: tuple[Parameter, ...] = (), **fields: Field
) -> float:
    """The same of a fault that meets the leader."""
    role = "leader" if victims == 1 else "mixed"
    return mean_s(a_plan(parameters=PARAMETERS + more, words=words), facts(kind, role, (8.0,), victims, **fields))


def test_a_stop_is_a_kill_that_comes_later() -> None:
    """However long a node takes to end, since it serves meanwhile; only a grace that is over kills it sooner."""
    kill = leaders("kill")
    for took_s, grace_s in ((0.0, 10.0), (2.0, 10.0), (9.0, 1.0)):
        more = (Parameter("stop_s", took_s, "s", "target"),)
        assert leaders("stop", more=more, grace_s=grace_s) == pytest.approx(kill, rel=0.02)


def test_a_handover_spares_the_election() -> None:
    """Two round trips instead of a detection: with a second attempt hardly anybody notices, whatever a node without a leader does."""
    assert leaders("stop", words=HANDOVER) < 0.02
    assert leaders("stop", words=(*HANDOVER, ("leaderless", "hang"))) < 0.02
    assert leaders("restart", victims=3, words=HANDOVER) < 0.05


def test_a_rolling_restart_stops_more_than_one_leader() -> None:
    """Of three nodes in turn: leadership lands on one whose turn is still to come often enough to make 19/12 elections."""
    assert leaders("restart", victims=3) == pytest.approx(leaders("kill") * 19 / 12, rel=0.03)
    # All at once: one election among nodes that come back together.
    assert leaders("restart", victims=3, order="together") < leaders("kill") * 1.5


def test_followers_that_are_restarted_in_turn_are_not_missed() -> None:
    """With a second attempt elsewhere; with one attempt each of them is, until it serves again."""
    done = facts("restart", "follower", (8.0,), 2)
    assert mean_s(a_plan(), done) == 0.0
    assert mean_s(a_plan(client=ClientPolicy(attempts=1)), done) > 0.0


def test_a_removed_node_is_a_killed_one_that_has_more_to_fetch() -> None:
    """Where writes need nobody but the leader, what it fetches is nobody's outage; where a node answers by itself it is."""
    assert leaders("remove") == pytest.approx(leaders("kill"), rel=0.02)
    parameters = (*PARAMETERS, Parameter("resync_empty_s", 3.0, "s", "target"))
    plan = a_plan(nodes=1, parameters=parameters, replication="none", dns=Dns(balancer="round-robin"))
    kill, remove = (mean_s(plan, facts(kind, "node", (1.0,))) for kind in ("kill", "remove"))
    assert remove - kill == pytest.approx(2.85, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "nodes", "victims", "fields"),
    [("remove", 3, 2, {}), ("restart", 2, 2, {})],
)
def test_what_is_not_modelled_is_said(kind: str, nodes: int, victims: int, fields: dict[str, Field]) -> None:
    """A majority without its data, a rolling restart that costs the quorum, a name server that is slow."""
    role = "slow" if kind == "dns" else "mixed"
    plan, done = a_plan(nodes=nodes), facts(kind, role, (3.0,), victims, **fields)
    assert drawn(plan, done) is None
    shown = of_class(predict(plan, done))
    assert shown.share.value is None and "do not know" in shown.share.reason


def test_names_that_lie() -> None:
    """A wrong address is kept for whole TTLs, and the last attempts outlast it. The others harm nobody alone."""
    wrong = drawn(a_plan(), facts("dns", "wrong", (5.0,), mode="wrong"))
    assert wrong is not None
    assert float(wrong.downtime_s.mean()) == pytest.approx(4.75, abs=0.02)
    assert float(wrong.recovery_s.mean()) == pytest.approx(5.25, abs=0.05)
    for mode in ("stale", "missing", "ttl"):
        assert mean_s(a_plan(), facts("dns", mode, (5.0,), mode=mode)) == 0.0


def test_a_zone_is_a_class_of_its_own() -> None:
    """Planned as it will be called when it strikes, with as many victims as the zone has nodes."""
    spec, windows = kills([10.0], for_s=2.0)
    spec = msgspec.structs.replace(spec, kind="power_off", target=Zone("a"), params={})
    windows = tuple(msgspec.structs.replace(window, kind="power_off") for window in windows)
    plan = a_plan(faults=(spec,), windows=windows)
    nodes = tuple(msgspec.structs.replace(node, zone="a" if place < 2 else "b") for place, node in enumerate(plan.nodes))
    (found,) = facts_from_plan(msgspec.structs.replace(plan, nodes=nodes)).classes
    assert (found.fault_class, found.victims) == ("power_off/zone:a", 2)
