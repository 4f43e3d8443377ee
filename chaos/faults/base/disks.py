"""What the faults on a node's disk have in common: disk_full and read_only.

The data folders of a node are disks of limited size where ``cluster.resources.disk`` says so: in memory, and mounted by the node's agent
as well, so that they are the same disks when the system dies and returns. Harm to them is done and measured from the agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, Room, Status
from chaos.experiment.cluster import Resources
from chaos.faults.base import evidence as proof
from chaos.plugin import Disks, HasDisks, Scene


def lacks(resources: Resources) -> tuple[str, str] | None:
    """What is wrong with the cluster's resources, and what would be right."""
    if resources.disk_bytes is None:
        return "nothing limits the disk of a node, so this would harm the machine's own", "cluster.resources: {disk: 256MB}"
    return None


def disks_of(scene: Scene, node: str) -> Disks:
    """Of a node that has such; ``FaultNotEffective`` for one whose cluster was started without them."""
    found = scene.cluster.nodes[node]
    if not isinstance(found, HasDisks):
        raise FaultNotEffective(f"{node} has no disk of limited size: its cluster was started without 'cluster.resources.disk'")
    return found.disks


def rooms(scene: Scene, nodes: Sequence[str]) -> dict[str, Room]:
    """Of all at the same time."""
    return proof.at_once(nodes, lambda node: disks_of(scene, node).room())


def figures(scene: Scene, seen: dict[str, Room]) -> proof.Figures:
    """Of each node: what is free, what became of a write, and its round trip."""
    found = proof.node_figures(scene, proof.ask_nodes(scene, list(seen)))
    for node, room in seen.items():
        found[f"{node}.free_bytes"] = room.free_bytes
        found[f"{node}.write"] = room.write_error or "ok"
    return found


@contextmanager
def started_again(scene: Scene, nodes: Sequence[str], healed_ns: list[int]) -> Iterator[None]:
    """On leaving, nodes that died inside are started, and ``healed_ns`` has when; the intent is on disk before."""
    with ExitStack() as undo:
        for node in nodes:
            undo.enter_context(scene.undo.intent("start", node))
        try:
            yield
        finally:
            dead = [node for node in nodes if scene.cluster.nodes[node].status() is Status.DOWN]
            healed_ns += [scene.cluster.nodes[node].start() for node in dead]


def gone(scene: Scene, nodes: Sequence[str]) -> Evidence:
    """A write succeeds on every disk, and every node runs and answers."""
    seen = rooms(scene, nodes)
    answers = proof.nodes_answer(scene, nodes)
    failing = [f"a write to the disk of {node} fails with {room.write_error}" for node, room in seen.items() if room.write_error]
    whole = answers.figures | {f"{node}.free_bytes": room.free_bytes for node, room in seen.items()}
    return Evidence(ok=answers.ok and not failing, figures=whole, why="; ".join(filter(None, [*failing, answers.why])))
