"""What the models make of the shapes of a partition: the ones they know are old acquaintances, of the others they say nothing."""

from __future__ import annotations

import pytest

from chaos.predict.run import facts_from_plan, predict
from chaos.results.predicted import ClassPredicted
from tests.support.samples import sample_plan

SPLIT = "  - partition: {{{fields}}}\n{target}    at: 1s\n    for: 4s\n"
LEADER = "    target: leader\n"


def predicted(fields: str, target: str = "") -> tuple[str, ClassPredicted]:
    """The class, and what is predicted of it."""
    plan = sample_plan(SPLIT.format(fields=fields, target=target))
    ((name, found),) = predict(plan, facts_from_plan(plan)).predicted.by_fault.items()
    return name, found


def test_with_its_minority_a_leader_is_cut_off_like_one_that_is_isolated() -> None:
    """Of three nodes the minority is one."""
    name, found = predicted("shape: minority", LEADER)
    _, isolated = predicted("shape: isolate", LEADER)
    assert name == "partition/minority:leader"
    assert found.outage_s.value == pytest.approx(isolated.outage_s.value, rel=0.02)
    assert found.share.value == pytest.approx(isolated.share.value, abs=0.02)


def test_random_halves_are_groups_with_anybody_in_them() -> None:
    """Of three nodes the leader is in the smaller half once in three."""
    name, found = predicted("shape: halves")
    _, groups = predicted("groups: [[n1, n2], [n3]]")
    assert name == "partition/halves"
    assert found.share.value == pytest.approx(groups.share.value, abs=0.03)
    assert found.recovery_s.value == pytest.approx(groups.recovery_s.value, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "target", "name"),
    [
        ("shape: bridge", "", "partition/bridge"),
        ("shape: ring", "", "partition/ring"),
        ("shape: majority", LEADER, "partition/majority:leader"),
    ],
)
def test_of_the_others_nothing_is_said(fields: str, target: str, name: str) -> None:
    """Null with the reason, never a guess."""
    shown, found = predicted(fields, target)
    assert shown == name
    assert found.share.value is None
    assert name in found.share.reason
