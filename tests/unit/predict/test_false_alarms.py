"""A healthy leader that is given up: its rate held against a play of beats, one by one, and against what is known by heart."""

from __future__ import annotations

import itertools
import random

import pytest

from chaos.experiment.production import ProductionRate
from chaos.plan.plan import Parameter
from chaos.predict.false_alarms import mistake_chance, per_s
from chaos.predict.improving import changes, price
from chaos.predict.production import at_rates
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.system import System, system
from chaos.results.predicted import Production
from tests.support.predicting import DAY_S, PARAMETERS, a_plan, facts

RATE = (ProductionRate("kill", 1 / (45 * DAY_S), "node", "1 per 45d per node"),)


def a_system(wait_s: tuple[float, float], **more: float) -> System:
    """Three nodes that beat each 100 ms."""
    given = {name: Uniform(value, value) for name, value in {"heartbeat_s": 0.1, "round_trip_s": 0.002, **more}.items()}
    return System(3, True, {**given, "election_timeout_s": Uniform(*wait_s)})


def played(wait_s: tuple[float, float], beat_s: float, late_s: float, loss: float, beats: int) -> float:
    """False alarms a beat of one watcher, which sets its clock anew at each beat that comes; an alarm ends with the next beat."""
    generator = random.Random(5)
    came_s = sorted(
        number * beat_s + (generator.expovariate(1 / late_s) if late_s else 0.0) for number in range(beats) if generator.random() >= loss
    )
    alarms = sum(later_s - at_s > generator.uniform(*wait_s) for at_s, later_s in itertools.pairwise(came_s))
    return alarms / beats


@pytest.mark.parametrize(
    ("wait_s", "late_s", "loss"),
    [((0.25, 0.25), 0.0, 0.1), ((0.25, 0.25), 0.01, 0.1), ((0.25, 0.45), 0.02, 0.2), ((0.15, 0.15), 0.02, 0.0), ((0.31, 0.31), 0.005, 0.3)],
)
def test_the_rate_is_that_of_a_play_of_beats(wait_s: tuple[float, float], late_s: float, loss: float) -> None:
    """Beats that hardly ever overtake each other; half a million of them."""
    beats = 500_000
    found = per_s(a_system(wait_s, beat_lateness_s=late_s, beat_loss=loss))
    assert found is not None
    seen = played(wait_s, 0.1, late_s, loss, beats)
    assert found * 0.1 / 2 == pytest.approx(seen, abs=4 * (seen / beats) ** 0.5, rel=0.02)


def test_lost_beats_alone_are_a_power() -> None:
    """A wait of two and a half beats is too short for two that are lost in a row."""
    assert mistake_chance(0.25, 0.1, 0.0, 0.1) == pytest.approx(0.01)
    assert mistake_chance(0.55, 0.1, 0.0, 0.1) == pytest.approx(1e-5)


def test_nobody_knows_a_rate_without_the_beats_ways() -> None:
    """Neither lateness nor loss is guessed."""
    known = a_system((1.0, 2.0))
    assert per_s(known) is None
    assert "needs 'beat_lateness'" in price("election_timeout_s", known, changes(known)["election_timeout_s"](0.5))


def produced(late_s: float) -> Production:
    """A leader's kills in production where beats are so late, and time-outs begin at ten beats."""
    parameters = (
        *(each for each in PARAMETERS if each.name != "election_timeout_s"), Parameter("election_timeout_s", 1.0, "s", "target", high=2.0),
        Parameter("beat_lateness_s", late_s, "s", "target"),
    )  # fmt: skip
    plan = a_plan(parameters=parameters, production=RATE)
    return at_rates(plan, system(plan), facts("kill", "leader", (3.0,)))


def test_advice_is_less_what_its_false_alarms_cost() -> None:
    """With beats that come in time the rate is told and costs nothing; with late ones the same advice is not given any more."""
    (good,) = [each for each in produced(0.002).improve_first if each.parameter == "election_timeout_s"]
    assert "less than one in 1,000 years" in good.price
    late = produced(0.2)
    assert "election_timeout_s" not in [each.parameter for each in late.improve_first]
    assert any("election_timeout_s" in said and "false alarms would cost more than it saves" in said for said in late.not_advised)
