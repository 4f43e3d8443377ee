"""Whether a selector by labels can mean anybody: what is refused of it before anything starts, with the labels that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.experiment.document import Experiment
from chaos.experiment.labels import requirements
from chaos.experiment.selectors import Labelled, Role
from chaos.plan.cluster import refuse
from chaos.plan.plan import PlannedNode

_MOST: Final = 12
"""So many labels are named in a refusal; those that the selector speaks of come first."""


def labelled(experiment: Experiment, path: str, selector: Role | Labelled, nodes: Sequence[PlannedNode]) -> None:
    """``BadInput`` where no node has these labels, or none has any."""
    assert selector.label is not None
    if all(node.labels is None for node in nodes):
        ours = experiment.cluster.attach is None
        what = "nodes that Nines starts carry no labels of yours" if ours else "nobody says what these nodes are labelled with"
        raise refuse(experiment, f"{path}.label", what, "a node by name, {part: data, any: 1}, {zone: a} or {any: 1}")
    if not any(node.fits(None, None, selector.label) for node in nodes):
        what = experiment.cluster.attach.kind if experiment.cluster.attach is not None else "nodes"
        message = f"none of the {what} has the labels '{selector.label}'"
        raise refuse(experiment, f"{path}.label", message, f"labels that are there: {there(nodes, selector.label)}")
    if not any(node.fits(selector.part, selector.zone, selector.label) for node in nodes):
        within = " ".join(f"in the {what} '{name}'" for what, name in (("part", selector.part), ("zone", selector.zone)) if name)
        having = ", ".join(
            f"{node.name} ({node.zone or node.host or node.part})" for node in nodes if node.fits(None, None, selector.label)
        )
        raise refuse(experiment, path, f"no node {within} has the labels '{selector.label}'", f"those that have: {having}")


def there(nodes: Sequence[PlannedNode], label: str) -> str:
    """``tier=cache (n1, n2), tier=store (n3)``; of very many the first ones."""
    spoken = [each.key for each in requirements(label)]
    found: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        for pair in sorted((node.labels or {}).items()):
            found.setdefault(pair, []).append(node.name)
    pairs = sorted(found, key=lambda pair: (pair[0] not in spoken, pair))
    shown = [f"{key}={value} ({', '.join(found[key, value])})" for key, value in pairs[:_MOST]]
    return ", ".join(shown + ([f"and {len(pairs) - _MOST} more"] if len(pairs) > _MOST else [])) or "none"
