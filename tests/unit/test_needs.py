"""What the links of a run must be prepared for is what its faults may come to ask, and no more."""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaos.kinds import CLIENTS, Deployment, Link
from chaos.net.needs import Needs, needs
from tests.unit.samples import sample_plan, sample_target

CUT = "  - name: cut\n    partition: {PARAMS}\n    target: leader\n    at: 6s\n    for: 2s\n"
SLOW = '  - name: slow\n    latency: {latency: 50ms}\n    target: {link: "n1 -> n2"}\n    at: 20s\n    for: 2s\n'


def needed(faults: str, more_links: tuple[Link, ...] = ()) -> Needs:
    plan = sample_plan(faults, runtime="fake")
    plan = msgspec.structs.replace(plan, links=(*plan.links, *more_links))
    return needs(Deployment(run="r", folder=Path("r"), plan=plan, target=sample_target()))


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


def test_a_link_that_no_fault_explains_is_prepared_for_everything():
    """Who names links by hand may harm them by hand."""
    assert needed(CUT.replace("PARAMS", ""), (Link(CLIENTS, "n3"),)) == Needs(frozenset({Link(CLIENTS, "n3")}))
