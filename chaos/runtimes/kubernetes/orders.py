"""What the API server is told about the pod that a node is: to delete it, or to evict it; and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.core.errors import FaultNotEffective
from chaos.kube.api import Api, Refused, Thing, place

if TYPE_CHECKING:
    from chaos.kube.find import Pod


class PodOrders:
    """Of one node. ``pod``: the one that it is now; ``looked_after``: the uid of the one that a guest stands in."""

    def __init__(self, api: Api, namespace: str, node: str, pod: Callable[[], Pod], looked_after: Callable[[], str]) -> None:
        self._api = api
        self._namespace = namespace
        self._node = node
        self._pod = pod
        self._looked_after = looked_after

    def delete(self, grace_s: float | None) -> str:
        """That very pod, and no other of its name."""
        pod = self._pod()
        if not self._api.remove("pods", self._namespace, pod.name, grace_s=_whole(grace_s), uid=pod.uid):
            raise FaultNotEffective(f"the pod {pod.name} ({self._node}) is gone already")
        return pod.uid

    def evict(self, grace_s: float | None) -> tuple[str, str]:
        """By the Eviction API (policy/v1), as ``kubectl drain`` does."""
        pod = self._pod()
        options: Thing = {"preconditions": {"uid": pod.uid}}
        if grace_s is not None:
            options["gracePeriodSeconds"] = _whole(grace_s)
        asked = {
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name, "namespace": self._namespace},
            "deleteOptions": options,
        }  # fmt: skip
        try:
            self._api.ask("POST", f"{place('pods', self._namespace, pod.name)}/eviction", asked)
        except Refused as refused:
            if refused.status == 429:
                return pod.uid, refused.what.rpartition(": ")[2] or refused.what
            if refused.missing or refused.there_already:
                raise FaultNotEffective(f"the pod {pod.name} ({self._node}) is gone already") from refused
            raise
        return pod.uid, ""

    def present(self) -> tuple[str, bool]:
        """Nothing is known of a pod before a guest stands in it."""
        pod = self._pod()
        return (pod.uid, pod.ready) if self._looked_after() == pod.uid else ("", False)


def _whole(grace_s: float | None) -> int | None:
    return None if grace_s is None else math.ceil(grace_s)
