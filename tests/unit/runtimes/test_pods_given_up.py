"""A pod that the cluster itself gives up: whose doing its end is."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chaos.core.clock import ManualClock
from chaos.experiment.pods import PodsSpec
from chaos.kube.find import BY_CLUSTER, pod_of
from chaos.runtimes.kubernetes.guests import GIVEN_UP, POWER_OFF, PodGuests
from tests.unit.kube.test_find import thing

SPEC = PodsSpec("shop", selector="app=store")


class Node:
    """It notes what it is doomed to."""

    def __init__(self) -> None:
        self.doomed: list[str] = []
        self.guest = None

    def doom(self, how: str) -> None:
        self.doomed.append(how)


def ending(*, by_cluster: bool) -> dict[str, Any]:
    """The pod, marked for deletion, as the taint manager or a user leaves it."""
    found = thing("store-0", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    reason = {"type": "DisruptionTarget", "status": "True", "reason": BY_CLUSTER}
    found["status"]["conditions"] += [reason] if by_cluster else []
    return found


@pytest.mark.parametrize(
    ("struck", "by_cluster", "said"),
    [(True, True, [POWER_OFF, GIVEN_UP]), (True, False, [POWER_OFF]), (False, True, []), (False, False, [])],
)
def test_the_end_of_a_pod_belongs_to_a_fault_that_silenced_its_machine(struck: bool, by_cluster: bool, said: list[str]) -> None:
    """A machine that nobody struck, or a deletion by somebody else, is no doing of a fault's."""
    nobody, node = cast("Any", None), Node()
    guests = PodGuests(nobody, "r", SPEC, "app=store", {"n1": pod_of(thing("store-0"), SPEC)}, nobody, nobody, ManualClock())
    guests.nodes = cast("Any", {"n1": node})
    if struck:
        guests.expect("m1")
    guests._take("MODIFIED", ending(by_cluster=by_cluster))
    assert node.doomed == said
