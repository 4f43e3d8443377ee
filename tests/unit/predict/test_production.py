"""Production beyond isolated crashes: zones, lost coverage, planned restarts, the parts around the cluster; from YAML to the figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.api import order_text
from chaos.core.errors import BadInput
from chaos.experiment.document import parse_experiment
from chaos.experiment.production import CLUSTER, PredictSpec
from chaos.plan.plan import Plan
from chaos.predict import production_draws
from chaos.predict.improving import changes
from chaos.predict.production import Judge, at_rates, judge_at, with_zones
from chaos.predict.run import facts_from_plan
from chaos.predict.surroundings import diagram, shown, unavailability
from chaos.predict.sweep import axis, sweep
from chaos.predict.system import System, system
from chaos.results.predicted import Production

EXPERIMENT = """
experiment: p
question: What do zones, plans and the parts around cost?
cluster: {{target: replicated_kv, nodes: 3, zones: {{a: [n1], b: [n2], c: [n3]}}}}
traffic: {{operations: {{write: 100/s, read: 100/s}}, judge: {judge}}}
faults: [{{name: kill-leader, kill: {{}}, target: leader, at: 5s, for: 1s}}]
predict:
  production: {{kill: 1 per 45d per node{rates}}}
  parameters: {{restart: 30s, resync: 1m{parameters}}}
  {around}
"""
YEAR_S = 365 * 86400.0


def text(rates: str = "", parameters: str = "", around: str = "", judge: str = "write") -> str:
    """The experiment, with more of everything."""
    return EXPERIMENT.format(rates=rates, parameters=parameters, around=around and f"around: {around}", judge=judge)


def the_plan(rates: str = "", parameters: str = "", around: str = "", judge: str = "write") -> Plan:
    """As ``nines predict`` plans it."""
    return order_text(text(rates, parameters, around, judge), Path("p.yaml"), runtime="local").plan


def production(plan: Plan) -> Production:
    """All that is said of production."""
    return at_rates(plan, system(plan), facts_from_plan(plan))


def judged(plan: Plan) -> Judge:
    """What works it out."""
    return judge_at(plan, system(plan), facts_from_plan(plan))


def causes(plan: Plan) -> dict[str, float]:
    """Cause -> seconds a year."""
    return {part.cause: part.downtime_s_per_year for part in judged(plan).parts(_known(plan), plan)}


def _known(plan: Plan) -> System:
    return with_zones(system(plan), facts_from_plan(plan))


def lost(plan: Plan) -> float:
    """The unavailability, with its digits."""
    return judged(plan).unavailability(_known(plan), plan, 1.0)


def test_zones_reach_the_chain() -> None:
    """A zone of one in three costs an election where it held the leader, and risks the quorum while it is dark."""
    found = production(the_plan(", zone: 1 per 30d per zone", ", zone_outage: 2h"))
    plain, zoned = causes(the_plan()), {part.cause: part.downtime_s_per_year for part in found.parts}
    assert set(zoned) == set(plain) | {"zone of 1"}
    # Twelve zone failures a year each, of three; one in three meets the leader: about 0.56 to 0.64 s.
    assert 36.5 / 3 * 0.5 < zoned["zone of 1"] < 36.5 / 3 * 0.75
    assert zoned["overlaps"] > 50 * plain["overlaps"]
    assert math.fsum(zoned.values()) == pytest.approx(found.downtime_s_per_year, rel=1e-9)
    assert "zone_outage_s" in {row.parameter for row in found.improve_first}


def test_a_long_outage_is_as_long_as_it_is() -> None:
    """Two of three nodes in one zone: its outage is the service's, however long."""
    wide = text(", zone: 1 per 365d per zone", ", zone_outage: 5h").replace("{a: [n1], b: [n2], c: [n3]}", "{a: [n1, n2], b: [n3]}")
    found = causes(order_text(wide, Path("p.yaml"), runtime="local").plan)
    assert found["zone of 2"] == pytest.approx(5 * 3600, rel=0.02)


def test_zones_need_to_be_said() -> None:
    """How long one stays away, and which node stands where."""
    with pytest.raises(BadInput, match="zone_outage"):
        lost(the_plan(", zone: 1 per 365d per zone"))
    bare = text(", zone: 1 per 365d per zone", ", zone_outage: 1h").replace(", zones: {a: [n1], b: [n2], c: [n3]}", "")
    with pytest.raises(BadInput, match="every node in a zone"):
        lost(order_text(bare, Path("p.yaml"), runtime="local").plan)


def test_coverage_needs_a_reset_and_costs_it() -> None:
    """One leader crash in a hundred that needs five minutes of somebody's time."""
    with pytest.raises(BadInput, match="reset"):
        lost(the_plan(parameters=", coverage: 99%"))
    without, covered = (causes(the_plan(parameters=given))["overlaps"] for given in ("", ", coverage: 99%, reset: 5m"))
    assert covered - without == pytest.approx(365 / 45 * 0.01 * 300, rel=0.02)


def test_planned_restarts_stand_beside_the_availability() -> None:
    """Twelve turns a year for each of three nodes: an election each time it is the leader's, unless it hands over."""
    plans = [the_plan(), *(the_plan(", planned: 1 per 30d per node", word) for word in ("", ", stopping: handover"))]
    plain, crash, handover = (judged(plan).planned(_known(plan), plan, plan.experiment.predict.production) for plan in plans)
    assert plain is None and crash is not None and handover is not None
    assert lost(plans[1]) == lost(plans[0])
    assert crash.every_s == pytest.approx(10 * 86400)
    assert crash.each_s == pytest.approx(0.64 / 3, rel=0.1)
    assert crash.downtime_s_per_year == pytest.approx(36.5 * crash.each_s, rel=1e-9)
    assert handover.each_s < 0.01


def test_reads_of_any_replica_fail_while_no_node_runs() -> None:
    """Three nodes that are down 30 s each time: only common causes reach them all."""
    alone = causes(the_plan(parameters=", reads: local", judge="read"))["overlaps"]
    shared = causes(the_plan(parameters=", reads: local, common_cause: 1%", judge="read"))["overlaps"]
    assert alone < 1e-6
    # Three nodes are restarted at once: the first is back after a third of the mean.
    assert shared == pytest.approx(365 / 45 * 0.01 * 10, rel=0.02)


AROUND = "{parts: {dns: 99.99%, lb1: {fails: 1 per 90d, for: 60s}, lb2: 99.9%}, needs: [dns, {any: [lb1, lb2]}, cluster]}"


def test_the_parts_around_the_cluster() -> None:
    """A name server in series with two balancers beside each other and the cluster, worked out by hand."""
    plan = the_plan(around=AROUND)
    alone = lost(the_plan())
    odds = 60 / (90 * 86400)
    by_hand = 1 - (1 - 1e-4) * (1 - odds / (1 + odds) * 1e-3) * (1 - alone)
    assert lost(plan) == pytest.approx(by_hand, rel=1e-9)
    found = shown(plan.experiment.predict.around, alone)
    assert {part.name for part in found} == {"dns", "lb1", "lb2", CLUSTER}
    first = found[0]
    assert first.name == "dns"
    assert first.saves_s_per_year == pytest.approx(1e-4 * YEAR_S, rel=1e-3)
    assert next(part for part in found if part.name == "lb1").birnbaum == pytest.approx(1e-3, rel=1e-3)


def test_all_parts_are_needed_where_nothing_else_is_said() -> None:
    """And a vote and a bridge are understood."""
    plain = parse_experiment(text(around="{parts: {dns: 99%, lan: 99.9%}}"), "p.yaml").predict.around
    assert unavailability(plain, 0.0) == pytest.approx(1 - 0.99 * 0.999, rel=1e-12)
    for needs, lost_share in (("{of: 2, among: [a, b, c]}", 3 * 0.01 - 2 * 0.001), ("{bridge: [a, b, c, a, b]}", None)):
        given = "{parts: {a: 90%, b: 90%, c: 90%}, needs: [" + needs + ", {any: [cluster, a, b, c]}]}"
        around = parse_experiment(text(around=given), "p.yaml").predict.around
        assert around is not None
        assert len(shown(around, 0.0)) == 4
        assert diagram(around.needs)
        if lost_share is not None:
            assert unavailability(around, 0.0) == pytest.approx(lost_share, rel=1e-9)


@pytest.mark.parametrize(
    ("around", "word"),
    [
        ("{parts: {dns: 0%}}", "out of range"),
        ("{parts: {dns: 99.9}}", "%"),
        ("{parts: {cluster: 99%}}", "another name"),
        ("{parts: {dns: 99%}, needs: [dns]}", "nothing needs 'cluster'"),
        ("{parts: {dns: 99%}, needs: [cluster]}", "nothing needs 'dns'"),
        ("{parts: {dns: 99%}, needs: [dms, cluster]}", "unknown part"),
        ("{parts: {dns: 99%}, needs: [{of: 3, among: [dns, cluster]}]}", "1 to 2"),
        ("{parts: {dns: 99%}, needs: [{bridge: [dns, cluster]}]}", "tie"),
        ("{parts: {dns: 99%}, needs: [{any: []}, cluster]}", "no parts"),
        ("{parts: {dns: {fails: 1, for: 3s}}}", "1 per 90d"),
        ("{parts: {dns: {fails: 0 per 90d, for: 3s}}}", "out of range"),
        ("{needs: [cluster]}", "parts"),
    ],
)
def test_diagrams_that_are_none_are_refused(around: str, word: str) -> None:
    """Each with what would be right."""
    with pytest.raises(BadInput) as refused:
        parse_experiment(text(around=around), "p.yaml")
    assert word in str(refused.value)


@pytest.mark.parametrize(
    ("rates", "word"),
    [
        (", zone: 1 per 30d per node", "per zone"),
        (", pause: 1 per 30d per zone", "per node"),
        (", planned: 0 per 30d per node", "more than 0"),
    ],
)
def test_rates_of_the_wrong_thing_are_refused(rates: str, word: str) -> None:
    """Zones fail per zone, and nothing else does."""
    with pytest.raises(BadInput, match=word):
        parse_experiment(text(rates), "p.yaml")


def test_a_sweep_knows_the_parts_around() -> None:
    """Where the name server is the limit no replica buys the next nine, and a second name server does."""
    plan = the_plan(around="{parts: {dns: 99.95%}, needs: [dns, cluster]}")
    found = sweep(plan, facts_from_plan(plan), [axis("nodes=3,5")])
    shares = [level.unavailability for level in found.levels]
    assert all(share is not None and share == pytest.approx(5e-4, rel=0.02) for share in shares)
    best = found.ways[0]
    assert (best.what, best.reaches) == ("a second dns beside the first", True)


def test_plans_without_any_of_it_say_nothing_of_it() -> None:
    """No rows out of nothing."""
    found = production(the_plan())
    assert (found.around, found.planned) == ([], None)
    empty = msgspec.structs.replace(the_plan().experiment, predict=PredictSpec())
    nothing = production(msgspec.structs.replace(the_plan(), experiment=empty))
    assert nothing.parts == [] and nothing.availability is None


def test_what_clients_cannot_tell_apart_is_played_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that were taken over from the first system are, to the bit, those that playing the changed system finds."""
    slow = '{name: slow, latency: {latency: 400ms}, target: {link: "leader <-> any"}, at: 20s, for: 4s}'
    written = text(", latency: 2 per 30d per cluster, zone: 1 per 30d per zone", ", zone_outage: 2h").replace(
        "for: 1s}]", f"for: 1s}}, {slow}]"
    )
    plan = order_text(written, Path("p.yaml"), runtime="local").plan
    known, facts = system(plan), facts_from_plan(plan)
    played = 0
    see = production_draws.client.see

    def counted(*words: Any) -> Any:
        nonlocal played
        played += 1
        return see(*words)

    def of_all() -> list[float]:
        judge = judge_at(plan, known, facts)
        return [judge.unavailability(system_, plan, 1.0) for system_ in (known, *(change(0.5) for change in changes(known).values()))]

    monkeypatch.setattr(production_draws, "SLOTS", 4_000)
    monkeypatch.setattr(production_draws, "LEAST_SAMPLES", 10)
    monkeypatch.setattr(production_draws.client, "see", counted)
    found, few = of_all(), played
    monkeypatch.setattr(production_draws, "alike", lambda *_: False)
    assert of_all() == found
    assert few < (played - few) / 2
