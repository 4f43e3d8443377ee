"""Several Docker hosts in a plan: who stands where, what is refused, and why."""

from __future__ import annotations

import pytest

from chaos.core.errors import BadInput, CapabilityMissing
from chaos.experiment.document import parse_experiment
from chaos.experiment.selectors import Zone
from chaos.plan.build import make_plan
from chaos.plan.capabilities import chosen
from chaos.plan.plan import Plan
from tests.support.samples import EXPERIMENT, TARGET, sample_target

HOSTS = "hosts: {a: unix:///var/run/docker.sock, b: {engine: ssh://b, power_off: 'off b', power_on: 'on b'}, c: tcp://10.0.0.3:2376}"
OFF = "  - {name: dark, power_off: {by: command}, target: {host: b}, at: 10s, for: 3s}"
IN_CONTAINERS = TARGET.replace("    ready:", "    docker: {image: sample, command: [serve]}\n    ready:")


def planned(faults: str = OFF, more: str = HOSTS, nodes: int = 5, target: str = IN_CONTAINERS, runtime: str = "docker") -> Plan:
    """The sample on those hosts."""
    text = EXPERIMENT.replace("nodes: 3}", f"nodes: {nodes}, {more}}}").replace("FAULTS", faults)
    return make_plan(parse_experiment(text, "sample.yaml"), sample_target(target), seed=1, runtime=runtime)


def test_nodes_are_placed_in_turn() -> None:
    """Each host is a zone."""
    assert [node.zone for node in planned().nodes] == ["a", "b", "c", "a", "b"]


def test_or_by_the_zones_that_the_file_names() -> None:
    """All of them must be hosts, and hold every node."""
    found = planned(more=f"{HOSTS}, zones: {{c: [n1, n2], b: [n3]}}", nodes=3)
    assert [node.zone for node in found.nodes] == ["c", "c", "b"]


def test_a_host_is_a_selector() -> None:
    """It means all nodes that stand there."""
    spec = planned().experiment.faults[0]
    assert spec.target == Zone("b")


def test_rules_need_no_command() -> None:
    """A host without one goes dark by packet rules and a kill at each of its nodes."""
    assert planned(OFF.replace("{by: command}", "{}").replace("host: b", "host: c")).windows


@pytest.mark.parametrize(
    ("faults", "more", "says"),
    [
        (OFF.replace("host: b", "host: c"), HOSTS, r"faults\[0\].target: nothing says how 'c' is switched off"),
        (OFF.replace("{host: b}", "n2"), HOSTS, r"faults\[0\].target: the fault 'dark' switches one host off"),
        (OFF.replace("host: b", "host: x"), HOSTS, r"faults\[0\].target: there is no host 'x'"),
        (OFF, "networks: [one]", r"faults\[0\].target: there is no zone 'b'"),
    ],
)  # fmt: skip
def test_what_nobody_could_switch_off_is_refused(faults: str, more: str, says: str) -> None:
    """With its place in the file."""
    with pytest.raises(BadInput, match=says):
        planned(faults, more)


def test_other_runtimes_have_no_hosts() -> None:
    """And say so; ``auto`` means the one that has."""
    with pytest.raises(CapabilityMissing, match="the runtime 'fake' has no hosts"):
        planned(runtime="fake")
    assert chosen("auto", sample_target(IN_CONTAINERS), hosts=True) == "docker"


def test_a_system_that_must_be_pid_1_has_no_hosts() -> None:
    """Its deaths are told by clocks of several engines."""
    with pytest.raises(CapabilityMissing, match="insists on being PID 1"):
        planned(OFF.replace("{by: command}", "{}"), target=IN_CONTAINERS + "pid1: true\n")
