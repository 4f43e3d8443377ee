"""What to improve first: each advice names its price, none is unsafe, and no prediction ends because a parameter was halved."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.production import ProductionRate
from chaos.predict.improving import changes, price, unsafe
from chaos.predict.production import at_rates
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.sweep import axis, sweep
from chaos.predict.system import Front, System, system
from chaos.results.predicted import Production
from tests.support.predicting import DAY_S, PARAMETERS, a_plan, facts

RATE = (ProductionRate("kill", 1 / (45 * DAY_S), "node", "1 per 45d per node"),)


def produced(**given: tuple[float, float]) -> Production:
    """A leader's kills in production, with some parameters changed."""
    parameters = tuple(
        msgspec.structs.replace(each, value=given[each.name][0], high=given[each.name][1]) if each.name in given else each
        for each in PARAMETERS
    )
    plan = a_plan(parameters=parameters, production=RATE)
    return at_rates(plan, system(plan), facts("kill", "leader", (3.0,)))


def a_system(beat_s: float = 0.1, low_s: float | None = 1.0, trip_s: float = 0.002, **more: float) -> System:
    """With such beats; ``low_s``: randomised time-outs from there on, None: beats are counted."""
    values = {"heartbeat_s": beat_s, "round_trip_s": trip_s, **more}
    given = {name: Uniform(value, value) for name, value in values.items()}
    return System(3, True, given if low_s is None else {**given, "election_timeout_s": Uniform(low_s, 2 * low_s)})


def verdict(known: System, name: str) -> str:
    """Why half of it is not advised."""
    return unsafe(known, changes(known)[name](0.5))


def test_a_time_out_of_ten_beats_may_be_halved_and_one_of_five_not() -> None:
    """The usual least is five beats; a system that has fewer is not made worse."""
    assert verdict(a_system(), "election_timeout_s") == ""
    assert "2.5 missed beats" in verdict(a_system(low_s=0.5), "election_timeout_s")
    assert verdict(a_system(low_s=0.5), "heartbeat_s and election_timeout_s together") == ""
    assert "2 missed beats" in verdict(a_system(0.5, 1.0), "heartbeat_s and election_timeout_s together")
    assert verdict(a_system(0.5, 1.0), "heartbeat_s") == ""


def test_round_trips_bound_beats_and_time_outs() -> None:
    """Over a wide area the network says how fast a failover may be."""
    far = a_system(0.1, 1.0, 0.08)
    assert "round trips" in verdict(far, "election_timeout_s")
    assert "closer together than a round trip" in verdict(far, "heartbeat_s")


def test_counted_beats_are_three_at_least() -> None:
    """A watcher that waits for three beats and 500 ms more may wait less of the latter; one beat alone is a false alarm waiting."""
    watched = a_system(low_s=None, misses=3.0, timeout_s=0.5)
    assert verdict(watched, "timeout_s") == ""
    assert "missed beats" in verdict(a_system(low_s=None, misses=1.0, timeout_s=0.25), "timeout_s")


def test_a_ttl_stays_a_whole_second() -> None:
    """Below one there is none on the wire."""
    one, four = (msgspec.structs.replace(a_system(), front=Front(ttl_s=ttl_s)) for ttl_s in (1.0, 4.0))
    assert "whole number of seconds" in verdict(one, "dns.ttl_s")
    assert verdict(four, "dns.ttl_s") == ""


def test_every_change_has_a_price() -> None:
    """None is free."""
    known = a_system(timeout_s=0.1, restart_s=1.0, resync_s=1.0, zone_outage_s=60.0, reset_s=60.0, common_cause=0.1, coverage=0.9)
    assert len(changes(known)) >= 13
    for name, change in changes(known).items():
        assert price(name, known, change(0.5)), name


def test_advice_in_production_is_safe_and_priced() -> None:
    """With time-outs of five beats both are halved together; with ten the time-outs alone. What the owner cannot choose comes last."""
    five, ten = produced(), produced(election_timeout_s=(1.0, 2.0))
    assert five.improve_first[0].parameter == "heartbeat_s and election_timeout_s together"
    assert five.improve_first[-1].parameter == "fault rates (half as many)"
    assert any("election_timeout_s" in text and "2.5 missed beats" in text for text in five.not_advised)
    assert "election_timeout_s" in [each.parameter for each in ten.improve_first]
    for found in (five, ten):
        assert all(each.price for each in found.improve_first)
        assert all(each.halving_saves_s_per_year > 0 for each in found.improve_first)


def test_beats_that_are_half_of_the_time_out_do_not_end_the_prediction() -> None:
    """Half of the time-out would be a beat: nobody is advised to, and everything else is told."""
    found = produced(heartbeat_s=(0.5, 0.5), election_timeout_s=(1.0, 2.0))
    assert found.availability is not None and found.improve_first
    assert not any("election_timeout" in each.parameter for each in found.improve_first)


@pytest.mark.parametrize("name", ["election_timeout", "heartbeat"])
def test_the_next_nine_is_not_bought_with_false_alarms(name: str) -> None:
    """The ways of a sweep obey the same limits, and name their price."""
    plan = a_plan(production=RATE)
    ways = sweep(plan, facts("kill", "leader", (3.0,)), [axis("restart=1s,2s")]).ways
    assert not any(way.what.startswith(f"{name} at") for way in ways)
    assert all("price" in way.what or "nodes instead" in way.what for way in ways)
