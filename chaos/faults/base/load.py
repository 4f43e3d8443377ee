"""What the faults that load a node have in common: cpu, memory and io.

A load runs inside the node's own limits, in the control group of its system, and never beside it; so there must be limits, else the
whole machine would be its victim. It is measured from outside: by the control group's own counters and by a question to the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, Load, Loaded, Usage, Work
from chaos.experiment.cluster import Resources
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, HasLoads, Loads, Scene

WINDOW_S: Final = 0.3
"""How long rates are measured: three periods of the kernel's processor limit."""


def loads_of(scene: Scene, node: str) -> Loads:
    """Of a node that can be loaded; ``FaultNotEffective`` for one whose cluster was started without it."""
    found = scene.cluster.nodes[node]
    if not isinstance(found, HasLoads):
        raise FaultNotEffective(f"{node} cannot be loaded: its cluster was started for a plan without such a fault")
    return found.loads


def require_limits(scene: Scene, nodes: Sequence[str], lacks: Callable[[Resources], tuple[str, str] | None]) -> None:
    """Seen to before a run by its plan; but a fault may also be done by hand, to nodes that were started for something else."""
    for node in nodes:
        has = loads_of(scene, node).allowed
        lack = lacks(Resources(cpus=has.cpus, memory_bytes=has.memory_bytes, disk_bytes=has.disk_bytes))
        if lack:
            raise FaultNotEffective(f"{node}: {lack[0]}")


@contextmanager
def loaded(scene: Scene, orders: Mapping[str, Load]) -> Iterator[dict[str, Loaded]]:
    """Every node with its load; the intent to end it is on disk before it begins."""
    found: dict[str, Loaded] = {}
    with ExitStack() as undo:
        for node, order in orders.items():
            undo.enter_context(scene.undo.intent("unload", node))
            found[node] = undo.enter_context(loads_of(scene, node).load(order))
        yield found


def usages(scene: Scene, nodes: Sequence[str]) -> dict[str, Usage]:
    """Of all at the same time."""
    return proof.at_once(nodes, lambda node: loads_of(scene, node).usage())


def wait_window(scene: Scene) -> None:
    """Long enough to tell a rate."""
    scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(WINDOW_S))


class Busy(msgspec.Struct, frozen=True):
    """Processors over the window: in use by the whole node, and wanted by the load (in use or waited for); and the share of the time in
    which the kernel held the node back at its limit."""

    used: float
    wanted: float
    throttled: float


def busy(scene: Scene, nodes: Sequence[str]) -> dict[str, Busy]:
    """Of all at the same time."""
    first, began = usages(scene, nodes), works(scene, nodes)
    wait_window(scene)
    last, ended = usages(scene, nodes), works(scene, nodes)
    found = {}
    for node in nodes:
        span_s = to_s(last[node].at_ns - first[node].at_ns)
        work_s = ended[node].run_s + ended[node].wait_s - began[node].run_s - began[node].wait_s
        found[node] = Busy(
            used=(last[node].cpu_s - first[node].cpu_s) / span_s,
            wanted=work_s / to_s(ended[node].at_ns - began[node].at_ns),
            throttled=(last[node].throttled_s - first[node].throttled_s) / span_s,
        )
    return found


def works(scene: Scene, nodes: Sequence[str]) -> dict[str, Work]:
    """Of all at the same time."""
    return proof.at_once(nodes, lambda node: loads_of(scene, node).work())


def effect(scene: Scene, loads: Mapping[str, Loaded], before: proof.Figures, during: proof.Figures) -> Effect:
    """In force on every node, since the first of them."""
    began_ns, mechanism = min(load.effective_at_ns for load in loads.values()), next(iter(loads.values())).mechanism
    return Effect(began_ns, mechanism, before, during, lambda: gone(scene, loads))


def gone(scene: Scene, loads: Mapping[str, Loaded]) -> Evidence:
    """Every node runs and answers; the load itself was read back as ended, or had died with its node before."""
    seen = proof.nodes_answer(scene, list(loads))
    figures = dict(seen.figures)
    for node, load in loads.items():
        figures[f"{node}.load"] = "ended" if load.ended else "had died with the node"
    return Evidence(ok=seen.ok, figures=figures, why=seen.why)
