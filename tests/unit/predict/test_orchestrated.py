"""Nodes that an orchestrator starts again and takes out of the name: back-off, readiness, silent machines, by the rules of Kubernetes."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.cluster import Dns
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named
from chaos.experiment.traffic import ClientPolicy
from chaos.judge.power_agreement import agreement
from chaos.plan.back_off import BackOff
from chaos.plan.plan import Parameter, Window
from chaos.predict.run import draws, facts_from_plan, predict
from chaos.predict.scenarios.delays import Noticed, SilentMachine, Uniform
from chaos.predict.scenarios.restarted import Restarted
from chaos.predict.system import system
from chaos.results.predicted import ClassPredicted
from tests.reference import kubelet
from tests.support.predicting import a_plan, facts, of_class

ORIGIN = "kubelet's default"
BACK_OFF = (
    Parameter("back_off_s", 10.0, "s", ORIGIN),
    Parameter("back_off_most_s", 300.0, "s", ORIGIN),
    Parameter("back_off_forgets_s", 600.0, "s", ORIGIN),
    Parameter("back_off_look_s", 10.0, "s", ORIGIN, high=15.0),
    Parameter("back_off_tick_s", 1.0, "s", ORIGIN),
    Parameter("death_seen_s", 0.0, "s", ORIGIN, high=1.0),
)
READINESS = (
    Parameter("readiness_every_s", 1.0, "s", "target"),
    Parameter("readiness_timeout_s", 1.0, "s", "target"),
    Parameter("readiness_fall", 2.0, "1", "target"),
    Parameter("readiness_rise", 1.0, "1", "target"),
    Parameter("name_lag_s", 0.5, "s", ORIGIN),
    Parameter("name_ttl_s", 5.0, "s", ORIGIN),
    Parameter("machine_grace_s", 50.0, "s", ORIGIN),
    Parameter("machine_word_s", 10.0, "s", ORIGIN),
    Parameter("machine_look_s", 5.0, "s", ORIGIN),
)
RESTART = (Parameter("restart_s", 2.0, "s", "target"),)
ONE = ClientPolicy(attempts=1, timeout_s=0.25, deadline_s=0.6, resolve="per-request")


def killed(owed_s: tuple[float, ...], *, nodes: int = 1, said: tuple[Parameter, ...] = BACK_OFF) -> ClassPredicted:
    """Nodes by themselves whose runtime owes such waits."""
    plan = a_plan(nodes=nodes, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + said)
    return of_class(predict(plan, facts("kill", "node", owed_s, recovery="policy")))


def played(owed_s: float, probe_s: float = 0.0, draws: int = 20_000) -> tuple[float, float]:
    """Mean and spread of a start after its death, by kubelet's own loop."""
    generator = random.Random(7)
    found = [kubelet.starts_after(owed_s, probe_s, generator) for _ in range(draws)]
    return float(np.mean(found)), float(np.std(found))


@pytest.mark.parametrize("probe_s", [0.0, 1.0, 10.0, 30.0])
@pytest.mark.parametrize("owed_s", [0.0, 10.0, 20.0, 40.0, 300.0])
def test_a_start_comes_with_a_look(owed_s: float, probe_s: float) -> None:
    """Kubelet looks at its queue at ticks, and once more when a probe meets the dead container: then the next look is due later."""
    law = Restarted(BackOff(10.0, 300.0, 600.0, (0.0, 1.0), (10.0, 15.0), 1.0, probe_s))
    drawn_s = law.sample(np.random.default_rng(3), np.full(40_000, owed_s))
    assert (drawn_s.mean(), drawn_s.std()) == pytest.approx(played(owed_s, probe_s), abs=0.12)


@pytest.mark.parametrize(("owed_s", "about_s"), [(0.0, 0.5), (10.0, 13.5), (20.0, 26.5), (40.0, 47.0)])
def test_kill_one_to_four(owed_s: float, about_s: float) -> None:
    """An only node is missed from its death until its start and 2 s more; starts come with the looks, not with the end of the wait."""
    mean_s, _ = played(owed_s)
    assert mean_s == pytest.approx(about_s, abs=0.1)
    found = killed((owed_s,))
    assert found.share.value == pytest.approx(1.0)
    assert found.outage_s.value == pytest.approx(mean_s + 2.0, abs=0.15)


def test_four_kills_of_an_only_node_decide() -> None:
    """Their sum has a spread of 6 %: whether it is as predicted, or half as long again, is seen at once."""
    plan = a_plan(nodes=1, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + BACK_OFF)
    drawn = draws(plan, facts("kill", "node", (0.0, 10.0, 20.0, 40.0), recovery="policy"), "write")
    power = agreement(drawn, 1.5, 0.01, 0.0)
    assert power.consistent > 0.99
    assert power.detects["1.5"] > 0.9


def test_kills_that_are_not_alike_are_not_one_number() -> None:
    """Four kills of one node: the mean of all four, and no draw of them near it."""
    found = killed((0.0, 10.0, 20.0, 40.0))
    assert found.recovery_s.value == pytest.approx(np.mean([played(owed_s)[0] for owed_s in (0.0, 10.0, 20.0, 40.0)]) + 2.0, abs=0.3)


def test_without_the_rule_a_start_comes_when_it_is_said() -> None:
    """As before there was any."""
    assert killed((10.0,), said=()).outage_s.value == pytest.approx(12.0, abs=0.1)


def test_the_plan_s_own_kills_are_counted() -> None:
    """Windows of 5 s each that say nothing of the start: what is owed stands in their place."""
    spec = FaultSpec("strike", "kill", {"recovery": "policy"}, At((0.0,)), 5.0, None, Named(("n1",)))
    windows = tuple(Window(f"strike.{number}", "strike", "kill", number * 15.0, number * 15.0 + 5.0, number) for number in range(4))
    plan = a_plan(nodes=3, replication="none", parameters=RESTART + BACK_OFF, faults=(spec,), windows=windows)
    (found,) = facts_from_plan(plan).classes
    assert found.for_s == (0.0, 10.0, 20.0, 40.0)


def test_a_name_of_ready_nodes() -> None:
    """Only with the runtime's own name server, and only where somebody says how it learns."""
    named = a_plan(dns=Dns(balancer="engine"), parameters=RESTART + READINESS)
    assert (system(named).front.health_checked, system(named).front.ttl_s, system(named).front.fall) == (True, 5.0, 2)
    assert not system(a_plan(dns=Dns(balancer="engine"), parameters=RESTART)).front.health_checked
    assert system(a_plan(parameters=RESTART + READINESS)).front.ttl_s == 1.0


def test_who_leaves_the_name_when() -> None:
    """A death is seen by the runtime, a silence by the probe's time-outs, a machine's end by those who wait for its word."""
    front = system(a_plan(dns=Dns(balancer="engine"), parameters=RESTART + BACK_OFF + READINESS)).front
    assert front.withdrawal(silent=False) == Noticed(Uniform(0.0, 1.0), 0.5)
    assert front.withdrawal(silent=True).mean_s == pytest.approx(1.5 * 1.0 + 1.0 + 0.5)
    assert front.withdrawal(silent=True, machine=True) == SilentMachine(50.0, 10.0, 5.0, 0.5)


def test_a_silent_machine() -> None:
    """Held against a play of leases and looks: 40 s to 55 s after its end."""
    generator, found = random.Random(11), []
    for _ in range(20_000):
        word_s = -generator.uniform(0.0, 10.0)
        look_s = word_s + generator.uniform(0.0, 5.0)
        found.append(look_s + 50.0)
    law = SilentMachine(50.0, 10.0, 5.0)
    drawn = law.sample(np.random.default_rng(1), 20_000)
    assert law.mean_s == pytest.approx(47.5)
    assert (drawn.mean(), drawn.std()) == pytest.approx((np.mean(found), np.std(found)), rel=0.02)
    assert drawn.std() == pytest.approx(law.variance_s2**0.5, rel=0.02)
    assert drawn.min() >= 40.0
    assert drawn.max() <= 55.0


def test_a_machine_without_power_costs_until_the_name_forgets_it() -> None:
    """One of three nodes, one attempt: a third of all requests is lost for about 48 s, though its power stays away for 200 s."""
    plan = a_plan(replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + READINESS)
    found = of_class(predict(plan, facts("power_off", "node", (55.0,))))
    long = of_class(predict(plan, facts("power_off", "node", (60.0,))))
    assert found.recovery_s.value == pytest.approx(48.0, abs=1.5)
    assert long.recovery_s.value == pytest.approx(48.0, abs=1.5)


def test_a_machine_boots_before_its_nodes_start() -> None:
    """Of an only node."""
    parameters = (*RESTART, Parameter("boot_s", 5.0, "s", "target"))
    plan = a_plan(nodes=1, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=parameters)
    assert of_class(predict(plan, facts("power_off", "node", (3.0,)))).outage_s.value == pytest.approx(10.0, abs=0.3)


def test_what_is_taken_for_granted_is_said() -> None:
    """The name that holds ready nodes, and the waits; and not that a name server lists the dead."""
    plan = a_plan(nodes=1, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + BACK_OFF + READINESS)
    said = " ".join(predict(plan, facts("kill", "node", (0.0,), recovery="policy")).predicted.assumptions)
    assert "holds the nodes that are ready" in said
    assert "after 0 s, 10 s, twice that, and so on to 5 min" in said
    assert "dead or alive" not in said


REPLACED = (Parameter("replacement_s", 3.0, "s", "measured"), Parameter("stop_s", 1.0, "s", "target"))
ROLL_S = 3.0 + 2.0 + 0.5
"""After its end, one pod of a roll is away for its replacement and its start; the next is asked once the probe has seen it."""


def gone_through(kind: str, *, nodes: int = 1, said: tuple[Parameter, ...] = REPLACED, **params: object) -> ClassPredicted:
    """Nodes by themselves that are given up."""
    plan = a_plan(nodes=nodes, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + said)
    return of_class(predict(plan, facts(kind, "node", (60.0,), **params)))


@pytest.mark.parametrize("kind", ["delete", "drain"])
def test_an_only_pod_is_missed_until_the_next_one_is_ready(kind: str) -> None:
    """From its death, a second after it was asked: 3 s until the next one's process runs, and 2 s more."""
    assert gone_through(kind).outage_s.value == pytest.approx(5.0, abs=0.1)


def test_a_grace_and_force_end_it_sooner_but_no_replacement_comes_sooner() -> None:
    """What clients miss is the same."""
    assert gone_through("delete", grace_s=0.5).outage_s.value == pytest.approx(5.0, abs=0.1)
    assert gone_through("delete", forced=True).outage_s.value == pytest.approx(5.0, abs=0.1)


def test_without_a_word_of_the_replacement_nothing_is_predicted() -> None:
    with pytest.raises(BadInput, match="needs the parameter 'replacement'"):
        gone_through("delete", said=())


def test_a_deleted_pod_leaves_the_name_when_it_is_asked_to_end() -> None:
    """One that serves for long after that is not missed by clients who ask the name each time; one that ends at once is."""
    lingers = (Parameter("replacement_s", 3.0, "s", "measured"), Parameter("stop_s", 20.0, "s", "target"))
    said = (*BACK_OFF, *(each for each in READINESS if each.name != "name_ttl_s"), Parameter("name_ttl_s", 0.0, "s", "target"))
    assert gone_through("delete", nodes=3, said=lingers + said).share.value == pytest.approx(0.0, abs=0.02)
    assert gone_through("delete", nodes=3, said=REPLACED + said, forced=True).share.value > 0.5


def test_a_machine_that_is_cut_off_leaves_the_name_by_its_silence() -> None:
    """Its kubelet goes on calling its pods ready, to nobody; a pod that is cut off alone is probed where it is, and stays in the name."""
    plan = a_plan(replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=RESTART + READINESS)
    cut = of_class(predict(plan, facts("partition", "node", (90.0,), by="host")))
    assert cut.recovery_s.value == pytest.approx(48.0, abs=1.5)
    short = of_class(predict(plan, facts("partition", "node", (20.0,), by="host")))
    assert short.recovery_s.value == pytest.approx(20.0, abs=1.0)


def given_up(for_s: float, *, nodes: int = 1, at_once: bool = False, eviction_s: float = 20.0) -> ClassPredicted:
    """Nodes of a machine that is cut off, which the runtime gives up so long after it missed its word."""
    more = (Parameter("successor", 0.0, "", "the cluster's own word", word="at-once"),) if at_once else ()
    said = (*RESTART, *REPLACED, *READINESS, Parameter("eviction_s", eviction_s, "s", "the cluster's own word"), *more)
    plan = a_plan(nodes=nodes, replication="none", client=ONE, dns=Dns(balancer="engine"), parameters=said)
    plan = msgspec.structs.replace(plan, duration_s=1000.0)
    return of_class(predict(plan, msgspec.structs.replace(facts("partition", "node", (for_s,), by="host"), span_s=1000.0)))


def a_cut(for_s: float, *, at_once: bool, eviction_s: float = 20.0, draws: int = 20_000) -> float:
    """The mean absence of an only pod, by a play of leases, looks, the taint's timer, and of who makes the next pod."""
    generator, found = random.Random(3), []
    for _ in range(draws):
        word_s = -generator.uniform(0.0, 10.0)
        missed_s = word_s + generator.uniform(0.0, 5.0) + 50.0
        probe_s = 0.5 + generator.uniform(0.0, 1.0)  # the name's own lag, and when the first probe comes
        if missed_s + eviction_s > for_s:
            found.append(for_s + (probe_s if missed_s < for_s else 0.0))
            continue
        # Kubelet hears of it when it hears anything again, and asks the process to end.
        ended_s = missed_s + eviction_s if at_once else for_s + 1.0
        found.append(ended_s + 3.0 + 2.0 + probe_s)
    return float(np.mean(found))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("for_s", [35.0, 70.0, 120.0])
def test_a_machine_that_is_cut_off_for_long_has_its_pods_given_up(for_s: float, at_once: bool) -> None:
    """A Deployment's next pod is made elsewhere meanwhile, a StatefulSet's when the machine is back; at 70 s some are, some are not."""
    assert given_up(for_s, at_once=at_once).recovery_s.value == pytest.approx(a_cut(for_s, at_once=at_once), abs=0.4)


def test_pods_that_tolerate_silence_for_ever_are_there_when_the_cut_ends() -> None:
    """And are asked once the name has seen it: the play without that timer."""
    assert given_up(120.0, eviction_s=1e6).recovery_s.value == pytest.approx(a_cut(120.0, at_once=False, eviction_s=1e6), abs=0.4)
