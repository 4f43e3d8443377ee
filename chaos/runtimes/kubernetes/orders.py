"""What the API server is told about the pod that a node is: to delete it, or to evict it; and what is known of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.core.errors import FaultNotEffective
from chaos.kube.api import Api, Refused
from chaos.kube.evict import evict

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
        try:
            held = evict(self._api, self._namespace, pod.name, pod.uid, grace_s)
        except Refused as refused:
            if refused.missing or refused.there_already:
                raise FaultNotEffective(f"the pod {pod.name} ({self._node}) is gone already") from refused
            raise
        return pod.uid, held

    def present(self) -> tuple[str, bool]:
        """Nothing is known of a pod before a guest stands in it."""
        pod = self._pod()
        return (pod.uid, pod.ready) if self._looked_after() == pod.uid else ("", False)


def _whole(grace_s: float | None) -> int | None:
    return None if grace_s is None else math.ceil(grace_s)
