"""A name service that is not ours: what an experiment may say of one, and what is refused."""

from __future__ import annotations

import pytest

from chaos.core.errors import BadInput, CapabilityMissing
from chaos.experiment.document import parse_experiment
from chaos.experiment.target.load import load_target
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.predict.system import system
from tests.support.paths import ROOT

TARGET = load_target(str(ROOT / "targets" / "nginx_gdnsd"))
EXPERIMENT = """
experiment: named
question: Whom do clients ask?
cluster:
  target: nginx_gdnsd
  parts: {web: 3, names: 1}
  dns: {balancer: BALANCER, part: web, EXTERNAL}
traffic: {operations: {home: 10/s}}
faults: [{FAULT, at: 3s, for: 1s}]
"""
RIGHT = "external: {part: names, name: www.shop.test, health_checked: true, lag: 1s}, check: {what: /health, every: 2s, fall: 3}"


def planned(external: str = RIGHT, *, balancer: str = "external", fault: str = "kill: {}, target: web-1", runtime: str = "local") -> Plan:
    """The plan of that experiment."""
    text = EXPERIMENT
    for word, said in {"BALANCER": balancer, "EXTERNAL": external, "FAULT": fault}.items():
        text = text.replace(word, said)
    return make_plan(parse_experiment(text, "x.yaml"), TARGET, seed=None, runtime=runtime)


@pytest.mark.parametrize("runtime", ["local", "docker"])
def test_its_rule_is_the_predictions(runtime: str) -> None:
    """Two checks after the first failed one, at a random phase, and the lag."""
    front = system(planned(runtime=runtime)).front
    assert front.health_checked
    assert front.withdrawal(silent=False).mean_s == pytest.approx(2 * 2 + 1 + 1)


def test_without_checks_it_lists_everybody() -> None:
    """Whatever ``check`` says."""
    assert not system(planned("external: {part: names, name: www.shop.test}")).front.health_checked


@pytest.mark.parametrize(
    ("external", "balancer", "why"),
    [
        ("ttl: 1s", "external", "goes with its balancer"),
        (RIGHT, "round-robin", "goes with its balancer"),
        ("external: {name: www.shop.test}", "external", "one of 'part' and 'server'"),
        ('external: {name: www.shop.test, part: names, server: "192.0.2.1:53"}', "external", "one of 'part' and 'server'"),
        ("external: {name: www.shop.test, part: web}", "external", "no port 'dns'"),
        ("external: {name: www.shop.test, part: web, port: client}", "external", "the name stands for the nodes of 'web'"),
        ("external: {name: www.shop.test, part: nobody}", "external", "no part 'nobody'"),
        ('external: {name: www.shop.test, server: "dns.shop.test:53"}', "external", "no address with a port"),
        ('external: {name: www.shop.test, server: "192.0.2.1:99999"}', "external", "no address with a port"),
    ],
)
def test_refused(external: str, balancer: str, why: str) -> None:
    """Before anything starts, with its place."""
    with pytest.raises(BadInput, match=why) as refusal:
        planned(external, balancer=balancer)
    assert "x.yaml:" in str(refusal.value)


@pytest.mark.parametrize(
    ("fault", "runtime", "why"),
    [
        ("dns: {mode: down}", "local", "cannot be done with the balancer 'external'"),
        ('partition: {}, target: {link: "dns -> web-1"}', "docker", "the balancer 'external' has not"),
        ('partition: {}, target: {link: "clients -> web-1"}', "local", "harms links of clients with 'balancer: external'"),
        ("kill: {}, target: web-1", "fake", "ask no name service but ours"),
    ],
)
def test_cannot_be_done(fault: str, runtime: str, why: str) -> None:
    """Clients have the nodes' own addresses, from a server that takes no orders."""
    with pytest.raises((BadInput, CapabilityMissing), match=why):
        planned(fault=fault, runtime=runtime)


def test_clients_links_can_be_cut_by_packet_rules() -> None:
    """Where rules stand in the nodes' own namespaces, nobody goes past them."""
    assert planned(fault='partition: {}, target: {link: "clients -> web-1"}', runtime="docker").windows
