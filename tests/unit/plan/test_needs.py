"""What the links of a run must be prepared for is what its faults may come to ask, and no more."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.core.errors import CapabilityMissing
from chaos.core.values import CLIENTS, Link
from chaos.experiment.document import parse_experiment
from chaos.judge.model_inputs import facts_of
from chaos.measure import timeline
from chaos.net.needs import Needs, needs
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.plugin import Deployment
from tests.support import synthetic
from tests.support.needs import closing_line
from tests.support.samples import EXPERIMENT, TARGET, sample_plan, sample_target

CUT = "  - name: cut\n    partition: {PARAMS}\n    target: leader\n    at: 6s\n    for: 2s\n"
SLOW = '  - name: slow\n    latency: {latency: 50ms}\n    target: {link: "n1 -> n2"}\n    at: 20s\n    for: 2s\n'
DOCKER = sample_target(TARGET.replace("    local: {command", "    docker: {image: x, command: [y]}\n    local: {command"))


def on_docker(faults: str, more: str = "") -> Plan:
    """The plan, where packets can be cut."""
    return sample_plan(faults, more, target=DOCKER, runtime="docker")


def needed(faults: str, more_links: tuple[Link, ...] = ()) -> Needs:
    plan = on_docker(faults)
    plan = msgspec.structs.replace(plan, links=(*plan.links, *more_links))
    return needs(Deployment(run="r", folder=Path("r"), plan=plan, target=DOCKER))


def test_a_partition_needs_nothing():
    """Packet rules take hold of what is open already."""
    assert needed(CUT.replace("PARAMS", "")) == Needs()


def test_latency_needs_a_proxy_in_its_own_link_only():
    """The links of a partition beside it are left alone."""
    assert needed(CUT.replace("PARAMS", "") + SLOW) == Needs(frozenset({Link("n1", "n2")}))


def test_whoever_may_be_hit():
    """A leader is known only when it is slowed: every link that it may have is prepared."""
    found = needed(SLOW.replace("n1 -> n2", "clients -> leader"))
    assert found.toxics == {Link(CLIENTS, node) for node in ("n1", "n2", "n3")}


def test_new_connections_only_needs_their_ages():
    """These must be watched from their first packet on."""
    assert needed(CUT.replace("PARAMS", "existing: keep")) == Needs(ages=True)


@pytest.mark.parametrize(
    ("fault", "queues"),
    [
        ("loss: {percent: 5%}", set()),
        ("loss: {percent: 5%, correlation: 25%}", {"netem"}),
        ("duplicate: {percent: 5%}", {"netem"}),
        ("latency: {latency: 5ms, jitter: 1ms, distribution: normal}", {"netem"}),
        ("bandwidth: {rate: 1MB/s, level: packets}", {"tbf"}),
    ],
)
def test_what_the_kernel_is_asked_for(fault: str, queues: set[str]):
    """Before anything starts; and no proxy stands where packets are harmed."""
    plan = on_docker(f'  - {fault}\n    target: {{link: "n1 -> n2"}}\n    at: 6s\n    for: 2s\n')
    assert needs(Deployment(run="r", folder=Path("r"), plan=plan, target=DOCKER)) == Needs(queues=frozenset(queues))


def test_a_link_that_no_fault_explains_is_prepared_for_everything():
    """Who names links by hand may harm them by hand."""
    assert needed(CUT.replace("PARAMS", ""), (Link(CLIENTS, "n3"),)) == Needs(frozenset({Link(CLIENTS, "n3")}))


# --- what the prediction is told of it ---------------------------------------------------------------------------------


def test_a_plan_says_where_proxies_stand():
    """On docker in the links whose bytes are harmed, on local in all that are named."""
    both = CUT.replace("PARAMS", "") + SLOW
    assert on_docker(CUT.replace("PARAMS", "")).proxied == ()
    assert on_docker(both).proxied == (Link("n1", "n2"),)
    assert on_docker('  - down: {}\n    target: {link: "clients -> n2"}\n    at: 6s\n    for: 2s\n').proxied == ()
    local = sample_plan(both)
    assert local.proxied == local.links


@pytest.mark.parametrize(("proxied", "told"), [((), False), ((Link("n2", "n1"),), True), ((Link("n1", "n2"),), False), (None, True)])
def test_only_a_victim_behind_a_proxy_is_instrumented(proxied: tuple[Link, ...] | None, told: bool):
    """That a link of it is cut by packet rules does not make it so; a plan of before this was recorded had proxies in all of them."""
    spec, windows = synthetic.kills([5.0], kind="partition")
    plan = synthetic.make_plan(faults=[spec], windows=windows)
    plan = msgspec.structs.replace(plan, links=(Link("n1", "n2"), Link("n2", "n1")), proxied=proxied)
    rows = [*synthetic.frame(plan), *synthetic.fault_rows(windows[0], kill=False)]
    facts = facts_of(plan, timeline.build(plan, rows, synthetic.slots(plan)))
    assert [each.through_proxy for each in facts.classes] == [told]


# --- what there is not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["latency: {latency: 50ms}", "down: {}"])
def test_nobody_opens_connections_to_the_clients(fault: str):
    """Packets to them can be cut, connections to them are none that could be harmed."""
    entry = f'  - {fault}\n    target: {{link: "n1 <-> clients"}}\n    at: 6s\n    for: 2s\n'
    with pytest.raises(CapabilityMissing, match="write 'clients -> n1'"):
        on_docker(entry)
    cut = entry.replace(fault, "partition: {}")
    assert on_docker(cut).links == (Link(CLIENTS, "n1"), Link("n1", CLIENTS))


@pytest.mark.parametrize(
    "fault", ["partition: {include: [clients, dns]}\n    target: n1", 'partition: {}\n    target: {link: "dns -> n1"}']
)
def test_the_engines_name_server_checks_nobody(fault: str):
    """So there is no link of it to cut; a machine that goes dark is dark for all all the same."""

    def planned(faults: str) -> Plan:
        engine = EXPERIMENT.replace("nodes: 3}", "nodes: 3, dns: {balancer: engine}}")
        return make_plan(parse_experiment(engine.replace("FAULTS", faults), "x.yaml"), DOCKER, seed=None, runtime="docker")

    with pytest.raises(CapabilityMissing, match="checks no node"):
        planned(f"  - {fault}\n    at: 6s\n    for: 2s\n")
    assert planned("  - power_off: {}\n    target: n1\n    at: 6s\n    for: 2s\n").windows


# --- what the tests themselves need --------------------------------------------------------------------------------------


def test_what_a_machine_lacks_is_told_in_one_line():
    """With the one command that brings it; other reasons to skip are not its business."""
    reasons = [
        "needs etcd: sudo apt-get install etcd-server",
        "needs libfaketime: sudo apt-get install libfaketime",
        "needs libfaketime: sudo apt-get install libfaketime",
        "needs root, to ask in another user's name",
        "too slow here",
    ]
    told = closing_line(reasons)
    assert told.startswith("not tested, since this machine lacks etcd (1 test), libfaketime (2 tests), root, to ask in another user's")
    assert told.endswith("; to get it: sudo apt-get install etcd-server libfaketime")
    assert closing_line(["too slow here"]) == ""
