"""To whom: at the moment of injection, and for planning."""

from __future__ import annotations

import math

import pytest

from chaos.core.values import Link, Victims
from chaos.experiment.selectors import LinkTo, Named, Role, Same, Side, Zone
from chaos.faults.partition import Partition
from chaos.faults.pause import Pause
from chaos.plan.plan import PlannedNode
from chaos.plan.selection import NothingMatched, possible, resolve

NODES = tuple(PlannedNode(f"n{i}", "data", zone) for i, zone in enumerate("aabbb", 1))
PAUSE = Pause()
NAMES = [node.name for node in NODES]
PARTS = (*(PlannedNode(f"data-{i}", "data") for i in (1, 2, 3)), *(PlannedNode(f"sentinel-{i}", "sentinel") for i in (1, 2, 3)))


def pick(selector, *, leader="n3", up=None, protect=(), draw=1, last=None, has_roles=True, fault=PAUSE, nodes=NODES) -> Victims:
    """Resolve in a cluster of five where n3 leads and all run, unless said otherwise."""
    names = frozenset(node.name for node in nodes)
    roles = {name: frozenset({"leader", "voting"} if name == leader else {"voting"}) for name in names}
    return resolve(
        selector, nodes=nodes, roles=roles, up=names if up is None else frozenset(up), protect=protect, draw=draw, last=last or {},
        part="data", has_roles=has_roles, fault=fault,
    )  # fmt: skip


def test_the_leader_is_who_leads_now():
    """Asked at injection."""
    assert pick(Role("leader")) == Victims(nodes=("n3",), role="leader")
    assert pick(Role("leader"), leader="n1").nodes == ("n1",)


def test_of_two_that_say_they_lead_one_is_picked():
    """A deposed leader that has not heard of it yet."""
    roles = {"n1": frozenset({"leader"}), "n2": frozenset({"leader"})}
    picked = {
        resolve(
            Role("leader"),
            nodes=NODES,
            roles=roles,
            up=frozenset(NAMES),
            protect=(),
            draw=draw,
            last={},
            part="data",
            has_roles=True,
            fault=PAUSE,
        ).nodes
        for draw in range(40)
    }
    assert picked == {("n1",), ("n2",)}


def test_followers_are_all_that_do_not_lead():
    """In the order of the plan."""
    assert pick(Role("followers")) == Victims(nodes=("n1", "n2", "n4", "n5"), role="follower")
    assert len(pick(Role("followers", count=2)).nodes) == 2


def test_any_draws_evenly_and_repeatably():
    """Every node about as often (chi-square on 4 degrees of freedom below its 99.99 % point), the same for the same draw."""
    counts = dict.fromkeys(NAMES, 0)
    for draw in range(1000):
        (node,) = pick(Role("any"), draw=draw).nodes
        counts[node] += 1
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 23.5
    assert pick(Role("any", count=3), draw=7) == pick(Role("any", count=3), draw=7)


def test_the_class_tells_leader_follower_mixed_and_roleless():
    """The role at injection makes the fault class."""
    assert pick(Named(("n3",))).role == "leader"
    assert pick(Named(("n1", "n2"))).role == "follower"
    assert pick(Named(("n1", "n3"))).role == "mixed"
    assert pick(Named(("n3",)), leader="", has_roles=False).role == "node"
    assert pick(Zone("a")) == Victims(nodes=("n1", "n2"), role="zone:a")


def test_a_node_of_another_part_has_its_part_for_a_role():
    """Only the part behind the name is led: others are a class of their own."""
    assert pick(Role("any", count=1, part="sentinel"), nodes=PARTS, leader="data-1").role == "part:sentinel"


@pytest.mark.parametrize(("side", "count"), [("majority", 3), ("minority", 2)])
def test_sides_are_counted_by_quorum(side, count):
    """Of five: three and two."""
    assert len(pick(Side(side)).nodes) == count


@pytest.mark.parametrize(("percent", "count"), [(0.4, 2), (0.41, 3), (1.0, 5), (0.01, 1), (0.2, 1)])
def test_a_share_is_rounded_up(percent, count):
    """But not by what binary fractions add."""
    assert len(pick(Role("any", percent=percent)).nodes) == count


def test_only_running_and_unprotected_nodes_are_picked():
    """At random, that is; the share still counts all nodes."""
    for draw in range(30):
        assert pick(Role("any"), up=("n1", "n2"), protect=("n1",), draw=draw).nodes == ("n2",)


@pytest.mark.parametrize(
    ("selector", "options", "says"),
    [
        (Role("leader"), {"leader": ""}, "there is no leader"),
        (Role("leader"), {"protect": ("n3",)}, "the leader, n3, is protected or down"),
        (Role("leader"), {"up": ("n1",)}, "the leader, n3, is protected or down"),
        (Named(("n2",)), {"up": ("n1", "n3")}, "n2 is down already"),
        (Named(("n2",)), {"protect": ("n2",)}, "n2 is protected"),
        (Role("any", count=3), {"up": ("n1", "n3")}, "3 are wanted, and only 2 may be picked (n1, n3)"),
        (Role("any"), {"up": ()}, "such nodes would be nobody"),
        (Same("kill"), {}, "'kill' has not picked anyone yet"),
        (LinkTo("leader", "any"), {"leader": ""}, "there is no leader"),
        (LinkTo("n1", "n2"), {"up": ("n1",)}, "n2 is down already"),
        (None, {"fault": Partition(shape="bridge"), "up": ("n1", "n2")}, "2 nodes make no 'bridge'"),
    ],
)
def test_nobody_to_pick_says_why(selector, options, says):
    """The reason that the skipped fault shows."""
    with pytest.raises(NothingMatched) as refused:
        pick(selector, **options)
    assert refused.value.message == says


def test_same_picks_again_whom_the_other_picked_with_todays_role():
    """The leader that was killed follows when it is back."""
    assert pick(Same("kill"), last={"kill": Victims(nodes=("n2",), role="leader")}) == Victims(nodes=("n2",), role="follower")


def test_groups_come_from_the_fault_itself():
    """Without a target."""
    groups = (("n1", "n2"), ("n3", "n4", "n5"))
    assert pick(None, fault=Partition(groups=groups)) == Victims(groups=groups, role="groups")


def links(*pairs: str) -> set[Link]:
    """``n1>n2`` as links."""
    return {Link(*pair.split(">")) for pair in pairs}


def test_any_in_a_link_means_all_other_peers():
    """One way, and both ways."""
    assert set(pick(LinkTo("leader", "any")).links) == links("n3>n1", "n3>n2", "n3>n4", "n3>n5")
    both = pick(LinkTo("leader", "any", both=True))
    assert both.role == "leader"
    assert set(both.links) == links("n3>n1", "n3>n2", "n3>n4", "n3>n5", "n1>n3", "n2>n3", "n4>n3", "n5>n3")
    assert len(pick(LinkTo("any", "any")).links) == 20


def test_clients_and_dns_are_ends_of_their_own():
    """Never peers; they name the class."""
    assert pick(LinkTo("clients", "n2")) == Victims(links=(Link("clients", "n2"),), role="clients")
    assert pick(LinkTo("dns", "leader")) == Victims(links=(Link("dns", "n3"),), role="dns")
    assert set(pick(LinkTo("clients", "any")).links) == {Link("clients", name) for name in NAMES}


def test_links_stay_within_the_part_of_their_named_end():
    """Peers are nodes of one part."""
    found = pick(LinkTo("sentinel-1", "any"), nodes=PARTS, leader="data-1")
    assert set(found.links) == links("sentinel-1>sentinel-2", "sentinel-1>sentinel-3")


def test_a_protected_node_is_left_out_of_any_links():
    """Its links are not touched."""
    assert set(pick(LinkTo("leader", "any"), protect=("n1", "n2")).links) == links("n3>n4", "n3>n5")


def all_of(selector, *, nodes=NODES, protect=(), has_roles=True, fault=PAUSE, others=None) -> list[Victims]:
    """All that may be picked."""
    return list(possible(selector, nodes=nodes, protect=protect, part="data", has_roles=has_roles, fault=fault, others=others))


def test_planning_sees_every_leader_there_may_be():
    """And no other victims."""
    assert {victims.nodes for victims in all_of(Role("leader"))} == {(name,) for name in NAMES}
    assert {victims.role for victims in all_of(Role("leader"))} == {"leader"}
    assert {victims.role for victims in all_of(Named(("n1",)))} == {"leader", "follower"}
    assert {victims.role for victims in all_of(Named(("n1",)), has_roles=False)} == {"node"}


def test_planning_sees_every_combination():
    """Each set of two once per role that it may have."""
    assert {victims.nodes for victims in all_of(Role("any", count=2))} == {
        (one, other) for i, one in enumerate(NAMES) for other in NAMES[i + 1 :]
    }


def test_with_very_many_combinations_every_pair_is_still_touched():
    """Neighbours only: for any two nodes there is a choice with the one and without the other."""
    nodes = tuple(PlannedNode(f"n{i}", "data") for i in range(1, 31))
    found = all_of(Role("any", count=15), nodes=nodes, has_roles=False)
    assert math.comb(30, 15) > len(found) == 30
    for one in nodes:
        for other in nodes:
            if one is not other:
                assert any(one.name in victims.nodes and other.name not in victims.nodes for victims in found)


def test_whatever_is_resolved_was_seen_by_planning():
    """For every kind of selector, leader and draw."""
    selectors = [
        Role("leader"), Role("followers"), Role("any"), Role("any", count=2), Role("any", percent=0.5), Role("followers", count=2),
        Role("any", count=1, zone="b"), Side("majority"), Side("minority"), Zone("a"), Named(("n2", "n4")),
        LinkTo("leader", "any", both=True),
        LinkTo("followers", "leader"), LinkTo("clients", "n2"), LinkTo("any", "n1"), LinkTo("clients", "followers"),
    ]  # fmt: skip
    for selector in selectors:
        seen = set(all_of(selector, protect=("n5",)))
        for leader in NAMES[:4]:
            for draw in range(10):
                assert pick(selector, leader=leader, draw=draw, protect=("n5",)) in seen, selector


def test_planning_follows_same_to_the_other_fault():
    """Its victims are whoever that fault may pick."""
    others = {"kill": (Named(("n4",)), PAUSE)}
    assert {victims.nodes for victims in all_of(Same("kill"), others=others)} == {("n4",)}


def test_what_can_never_match_is_refused_in_planning():
    """Whoever leads."""
    with pytest.raises(NothingMatched, match="6 are wanted, and only 5"):
        all_of(Role("any", count=6))
    with pytest.raises(NothingMatched):
        all_of(Role("leader"), protect=NAMES)
