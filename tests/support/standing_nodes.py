"""A cluster of which nothing is known but who its nodes are: enough to pick victims in."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.core.values import NodeInfo


class StandingNode:
    """One of them."""

    def __init__(self, info: NodeInfo) -> None:
        self.info = info


class StandingNodes:
    """All of them; nobody leads."""

    def __init__(self, infos: Mapping[str, NodeInfo]) -> None:
        self.nodes = {name: StandingNode(info) for name, info in infos.items()}

    def roles(self) -> dict[str, frozenset[str]]:
        return {}
