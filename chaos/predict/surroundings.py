"""The cluster among the parts around it (name server, load balancer, network): a block diagram with the cluster as one block.

Each part is down for its share of time, independently of the others and of the cluster. What the diagram makes of them is exact
(``rbd``); of each block Birnbaum's importance and what a year would gain if it never failed are told.
"""

from __future__ import annotations

import msgspec

from chaos.experiment.production import CLUSTER, Around, Needs
from chaos.predict import rbd
from chaos.results.predicted import AroundShown

YEAR_S = 365 * 86400.0


class AroundOutages(msgspec.Struct, frozen=True):
    """How the whole goes down: the share of the cluster's outages that matter, (rate in 1/s, length in s) of those of each part whose
    failures have both, and the share of all time that is lost to parts of which only a share of time is known."""

    cluster: float = 1.0
    parts: tuple[tuple[float, float], ...] = ()
    evenly: float = 0.0


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


def outages(around: Around | None, cluster: float) -> AroundOutages:
    """By what the whole goes down, and how often."""
    if around is None:
        return AroundOutages()
    drawn, down = diagram(around.needs), _down(around, cluster)
    matters = {name: each.birnbaum for name, each in rbd.importance(drawn, down).items()}
    timed = {part.name: part.for_s for part in around.parts if part.for_s > 0}
    evenly = rbd.unavailability(drawn, {name: 0.0 if name in timed or name == CLUSTER else share for name, share in down.items()})
    found = [(matters[name] * down[name] / for_s, for_s) for name, for_s in timed.items()]
    return AroundOutages(matters[CLUSTER], tuple(each for each in found if each[0] > 0), evenly)


def cluster_allowed(around: Around | None, whole: float) -> float | None:
    """How long (as a share) the cluster may be down if the whole is to be down for no more than ``whole``; None: the parts around
    use it up."""
    if unavailability(around, 0.0) > whole:
        return None
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if unavailability(around, middle) <= whole else (low, middle)
    return low


def doubled(around: Around, name: str) -> Around:
    """With a second one of that part beside it, which fails independently."""
    parts = tuple(
        msgspec.structs.replace(part, unavailability=part.unavailability**2, for_s=part.for_s / 2) if part.name == name else part
        for part in around.parts
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
