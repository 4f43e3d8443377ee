"""The cluster among the parts around it (name server, load balancer, network): a block diagram with the cluster as one block.

Each part is down for its share of time, independently of the others and of the cluster. What the diagram makes of them is exact
(``rbd``); of each block Birnbaum's importance and what a year would gain if it never failed are told.
"""

from __future__ import annotations

import msgspec

from chaos.experiment import CLUSTER, Around, Needs
from chaos.models import rbd
from chaos.results import AroundShown

YEAR_S = 365 * 86400.0


def unavailability(around: Around | None, cluster: float) -> float:
    """Of the whole, as clients meet it."""
    return cluster if around is None else rbd.unavailability(diagram(around.needs), _down(around, cluster))


def shown(around: Around | None, cluster: float) -> list[AroundShown]:
    """Every block, the one that costs most first."""
    if around is None:
        return []
    down = _down(around, cluster)
    found = rbd.importance(diagram(around.needs), down)
    texts = {part.name: part.text for part in around.parts} | {CLUSTER: "the models"}
    rows = [AroundShown(name, down[name], texts[name], each.birnbaum, each.reduction * YEAR_S) for name, each in found.items()]
    return sorted(rows, key=lambda row: -row.saves_s_per_year)


def doubled(around: Around, name: str) -> Around:
    """With a second one of that part beside it, which fails independently."""
    parts = tuple(
        msgspec.structs.replace(part, unavailability=part.unavailability**2) if part.name == name else part for part in around.parts
    )
    return msgspec.structs.replace(around, parts=parts)


def diagram(needs: Needs) -> rbd.Diagram:
    """As ``rbd`` has it."""
    if needs.how == "part":
        return rbd.Unit(needs.name)
    parts = tuple(diagram(part) for part in needs.parts)
    if needs.how == "all":
        return rbd.Series(parts)
    if needs.how == "any":
        return rbd.Parallel(parts)
    return rbd.Vote(needs.needed, parts) if needs.how == "of" else rbd.Bridge(*parts)


def _down(around: Around, cluster: float) -> dict[str, float]:
    return {part.name: part.unavailability for part in around.parts} | {CLUSTER: min(max(cluster, 0.0), 1.0)}
