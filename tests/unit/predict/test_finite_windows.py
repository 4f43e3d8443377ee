"""Windows of production count what the long run counts: held against windows that are played one by one, from rates and lengths alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from chaos.experiment.cluster import Dns
from chaos.experiment.document import Slo
from chaos.experiment.production import Around, AroundPart, Needs, ProductionRate
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Parameter, Plan
from chaos.predict import surroundings as around
from chaos.predict.facts import RunFacts
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.measures import long_run
from chaos.predict.markov.transient import reliability
from chaos.predict.markov.window import FiniteRun
from chaos.predict.production import at_rates, judge_at, with_zones
from chaos.predict.system import system
from chaos.results.predicted import WindowPredicted
from tests.reference.distributions import Constant, Exponential, Lognormal
from tests.reference.windows import unreliability
from tests.support.predicting import DAY_S, PARAMETERS, a_plan, facts

MONTH_S = 30 * DAY_S
ONE_TRY = ClientPolicy(attempts=1)
SOLO = (Parameter("restart_s", 600.0, "s", "target"),)


class Produced(msgspec.Struct, frozen=True):
    """Of production: the long run, and windows."""

    availability: float
    window: WindowPredicted | None


def planned(plan: Plan, objective: float | None, around: Around | None = None) -> tuple[Plan, RunFacts]:
    """That plan with an objective over a month and parts around."""
    predict = msgspec.structs.replace(plan.experiment.predict, around=around)
    experiment = msgspec.structs.replace(plan.experiment, predict=predict, slo=Slo(objective, MONTH_S))
    return msgspec.structs.replace(plan, experiment=experiment), facts("kill", "leader" if plan.has_roles else "node", (3.0,))


def produced(plan: Plan, objective: float | None, parts: Around | None = None) -> Produced:
    """Production of it, without the search for what to improve."""
    plan, done = planned(plan, objective, parts)
    known = with_zones(system(plan), done)
    judge = judge_at(plan, known, done)
    cluster = judge.cluster(known, plan, 1.0)
    return Produced(1.0 - around.unavailability(parts, cluster), judge.window(known, plan, cluster))


def killed(per_s: float, nodes: int = 3, **more: object) -> Plan:
    """A cluster with crashes of each node at that rate."""
    return a_plan(nodes=nodes, production=(ProductionRate("kill", per_s, "node"),), **more)  # type: ignore[arg-type]


def solo(per_s: float) -> Plan:
    """One node without replicas, away for ten minutes after each crash: outages that everybody can work out."""
    return killed(per_s, 1, replication="none", client=ONE_TRY, dns=Dns(balancer="round-robin"), parameters=SOLO)


def series(*parts: AroundPart) -> Around:
    """All of them and the cluster are needed."""
    return Around(parts, Needs("all", parts=tuple(Needs("part", name) for name in [*(part.name for part in parts), "cluster"])))


Downs = Callable[[random.Random], Iterator[tuple[float, float]]]


def renewal(per_s: float, length: Callable[[random.Random], float]) -> Downs:
    """(from, to) of the downs of one part, for ever; it fails while it is up."""

    def downs(generator: random.Random) -> Iterator[tuple[float, float]]:
        at_s = 0.0
        while True:
            at_s += generator.expovariate(per_s)
            end_s = at_s + length(generator)
            yield at_s, end_s
            at_s = end_s

    return downs


def played(parts: list[Downs], window_s: float = MONTH_S, windows: int = 4000, life: int = 200) -> np.ndarray:
    """The availability of windows cut one after the other out of long lives of parts in series, the first of each life left out."""
    generator = random.Random(5)
    found: list[float] = []
    while len(found) < windows:
        lost = [0.0] * (life + 1)
        reached_s = 0.0
        downs = []
        for part in parts:
            for begin_s, end_s in part(generator):
                if begin_s > (life + 1) * window_s:
                    break
                downs.append((begin_s, end_s))
        for begin_s, end_s in sorted(downs):
            first_s = max(begin_s, reached_s)
            while first_s < min(end_s, (life + 1) * window_s):
                place = int(first_s // window_s)
                last_s = min(end_s, (place + 1) * window_s)
                lost[place] += last_s - first_s
                first_s = last_s
            reached_s = max(reached_s, end_s)
        found += [1.0 - each / window_s for each in lost[1:]]
    return np.array(found)


def like(found: Produced, windows: np.ndarray, objective: float) -> None:
    """The shares of windows within 0.03, the mean within its own noise."""
    assert found.window is not None
    noise = 4 * float(windows.std()) / math.sqrt(len(windows)) + 1e-6
    assert found.window.mean_availability == pytest.approx(found.availability)
    assert found.window.mean_availability == pytest.approx(float(windows.mean()), abs=noise)
    assert found.window.met == pytest.approx(float((windows >= objective).mean()), abs=0.03)
    assert float((windows < found.window.worst_of_20).mean()) == pytest.approx(0.05, abs=0.03)
    assert found.window.no_outage == pytest.approx(float((windows >= 1.0 - 1e-12).mean()), abs=0.03)


@pytest.mark.parametrize(("days", "objective"), [(45, 0.999), (10, 0.9995), (3, 0.998)])
def test_one_node_that_crashes(days: float, objective: float) -> None:
    """Ten minutes, now and then."""
    rate = 1 / (days * DAY_S)
    like(produced(solo(rate), objective), played([renewal(rate, lambda _: 600.0)]), objective)


@pytest.mark.parametrize(("days", "for_s"), [(20, 7200.0), (2, 120.0), (400, 86400.0)])
def test_a_part_in_series_with_its_own_rate(days: float, for_s: float) -> None:
    """Its outages count like those of the cluster."""
    rate, other = 1 / (20 * DAY_S), 1 / (days * DAY_S)
    odds = other * for_s
    balancer = AroundPart("lb", odds / (1 + odds), "", for_s)
    found = produced(solo(rate), 0.999, series(balancer))
    like(found, played([renewal(rate, lambda _: 600.0), renewal(other, lambda _: for_s)]), 0.999)


def test_a_part_of_which_only_a_share_is_known() -> None:
    """99 % of the time and 99.9 % wanted: no window reaches that. Beside one of 98.85 % those in which the cluster is well do."""
    rate, part = 1 / (20 * DAY_S), AroundPart("dns", 0.01, "99%")
    alone = produced(solo(rate), 0.9985).window
    beside, strict = (produced(solo(rate), objective, series(part)) for objective in (0.9885, 0.999))
    assert alone is not None and beside.window is not None and strict.window is not None
    assert strict.window.met == 0.0
    assert beside.window.met == pytest.approx(alone.met or 0.0, abs=0.01)
    assert beside.window.mean_availability == pytest.approx(beside.availability)
    assert beside.window.evenly == pytest.approx(0.01)
    assert beside.window.no_outage == 0.0


def test_two_load_balancers_end_each_others_outages() -> None:
    """Parts in parallel: down together for half of the length, on average; their share is in the window's mean."""
    odds = 3600.0 / DAY_S
    pair = tuple(AroundPart(name, odds / (1 + odds), "", 3600.0) for name in ("lb1", "lb2"))
    needs = Needs("all", parts=(Needs("any", parts=tuple(Needs("part", each.name) for each in pair)), Needs("part", "cluster")))
    found = produced(solo(1 / (20 * DAY_S)), 0.999, Around(pair, needs))

    def together(generator: random.Random) -> Iterator[tuple[float, float]]:
        one, other = (renewal(1 / DAY_S, lambda _: 3600.0)(generator) for _ in range(2))
        first, second = next(one), next(other)
        while True:
            begin_s, end_s = max(first[0], second[0]), min(first[1], second[1])
            if begin_s < end_s:
                yield begin_s, end_s
            if first[1] < second[1]:
                first = next(one)
            else:
                second = next(other)

    like(found, played([renewal(1 / (20 * DAY_S), lambda _: 600.0), together], life=40), 0.999)


def test_lost_coverage_counts_in_windows() -> None:
    """One in ten of the leader's crashes needs somebody, for an hour on average; the others are over in less than a second."""
    rate = 1 / (10 * DAY_S)
    more = (Parameter("coverage", 0.9, "1", "experiment"), Parameter("reset_s", 3600.0, "s", "experiment"))
    found = produced(killed(rate, parameters=PARAMETERS + more), 0.9995)

    def length(generator: random.Random) -> float:
        return generator.expovariate(1 / 3600.0) if generator.random() < 0.1 else 0.63

    like(found, played([renewal(rate, length)]), 0.9995)


def test_a_common_cause_counts_in_windows() -> None:
    """Half of the crashes take all three nodes, which are back after ten minutes each: two of three make a quorum."""
    rate = 1 / (20 * DAY_S)
    more = (Parameter("common_cause", 0.5, "1", "experiment"), Parameter("restart_s", 600.0, "s", "experiment"))
    parameters = tuple(each for each in PARAMETERS if each.name != "restart_s") + more
    found = produced(killed(rate, parameters=parameters), 0.9998)

    def shock(generator: random.Random) -> float:
        return sorted(generator.expovariate(1 / 600.0) for _ in range(3))[1] + 0.8

    like(found, played([renewal(0.5 * rate, shock), renewal(0.5 * rate, lambda _: 0.63)]), 0.9998)


def test_short_outages_keep_their_mean_beside_long_ones() -> None:
    """A crash an hour of each node costs 450 s a month, a zone's day of darkness comes once in years: 99.99 % (259 s) is never reached."""
    zones = ("a", "b", "b")
    more = (Parameter("zone_outage_s", 8 * 3600.0, "s", "experiment"),)
    rates = (ProductionRate("kill", 1 / 3600, "node"), ProductionRate("zone", 1 / (365 * DAY_S), "zone"))
    plan = a_plan(production=rates, parameters=PARAMETERS + more)
    plan = msgspec.structs.replace(
        plan, nodes=tuple(msgspec.structs.replace(node, zone=zone) for node, zone in zip(plan.nodes, zones, strict=True))
    )
    found = produced(plan, 0.9999)
    assert found.window is not None
    assert found.window.met == 0.0
    assert found.window.mean_availability == pytest.approx(found.availability)
    generous = produced(plan, 0.9995).window  # 1,296 s: all windows but those that a zone is dark in (one zone of two nodes: a year)
    assert generous is not None and generous.met == pytest.approx(math.exp(-(30 + 8 / 24) / 365), abs=0.01)


def test_very_many_short_outages() -> None:
    """Each node every ten seconds: the windows lie around the mean, and none reaches 99.95 %."""
    found = produced(killed(0.1), 0.9995)
    assert found.window is not None
    assert 0.8 < found.availability < 0.96
    assert found.window.met == 0.0
    assert found.window.worst_of_20 == pytest.approx(found.availability, abs=2e-3)


@pytest.mark.parametrize("per_s", [10.0, 1000.0, 1e9])
def test_faults_beyond_the_models_have_no_figure(per_s: float) -> None:
    """Never an availability below 0: there is none, and the reason."""
    plan, done = planned(killed(per_s), 0.999)
    found = at_rates(plan, system(plan), done)
    assert (found.availability, found.nines, found.downtime_s_per_year, found.window) == (None, None, None, None)
    assert "faster than the cluster recovers" in found.reason


# --- the law of a window by itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_s", "mean_s", "window_s"), [(1 / 600, 30.0, 3600.0), (1 / 7200, 54.0, 86400.0), (0.1, 1.0, 86400.0)])
def test_exponential_outages_have_a_closed_form(per_s: float, mean_s: float, window_s: float) -> None:
    """The sum over Erlang laws, to within a millionth."""
    from scipy import special, stats

    run = FiniteRun(per_s, Exponential(mean_s), window_s)
    for share in (0.9, 0.95, 0.99, 0.999):
        up_s = share * window_s
        counts = np.arange(1, int(per_s * up_s + 12 * math.sqrt(per_s * up_s) + 40))
        exact = float((stats.poisson.pmf(counts, per_s * up_s) * special.gammaincc(counts, (window_s - up_s) / mean_s)).sum())
        assert run.up_at_most(up_s) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("law", [Exponential(30.0), Constant(30.0), Lognormal(30.0, 1.5), np.array([0.01, 0.5, 120.0])])
def test_a_stationary_window_has_the_long_runs_mean(law: Exponential | Constant | Lognormal | np.ndarray) -> None:
    """Started up it has more; cut out of a long life exactly l m / (1 + l m) of it is down, whatever its length."""
    mean_s = float(law.mean()) if isinstance(law, np.ndarray) else law.mean_s
    for window_s in (100.0, 20_000.0):
        run = FiniteRun(1 / 600, law, window_s, stationary=True)
        places = np.linspace(0.0, window_s, 201)
        below = np.array([run.up_at_most(float(up_s)) for up_s in places])
        up = window_s - float(np.trapezoid(below, places))
        assert up / window_s == pytest.approx(600 / (600 + mean_s), rel=4e-3)


def test_what_is_nearly_certain_keeps_its_digits() -> None:
    """One crash in ten million years and a second of it: 1 - R is 0 by subtraction."""
    model = solvable(ClusterChain(1, 1, 1e-18, 1.0, 1.0, 1.0))
    assert unreliability(model, 1.0) == pytest.approx(1e-18, rel=1e-9)
    assert 1.0 - reliability(model, 1.0) == 0.0
    ordinary = solvable(ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4))
    assert unreliability(ordinary, 3600.0) == pytest.approx(1.0 - reliability(ordinary, 3600.0), rel=1e-9)
    run = FiniteRun(1e-20, Constant(1.0), 1.0, stationary=True)
    assert run.some_outage == pytest.approx(2e-20)
    assert 0 < long_run(model).unavailability < 1
