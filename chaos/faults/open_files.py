"""``files``: the node runs out of file descriptors. It may open ``left`` more, and then gets EMFILE.

What it has open stays, and what it closes it may open again. Models a leak, or a limit that was set too low: established connections go
on, new ones are completed by the kernel and never taken up by the process, files cannot be opened, and nothing says so but its log. The
soft limit of its running processes is what is lowered; one that is killed meanwhile comes back with its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, ClassVar

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Evidence, OpenFiles, Status, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, LimitsFiles, Scene

MOST: int = 1_000_000


class Files(Fault, frozen=True, forbid_unknown_fields=True):
    """How many descriptors each of its processes may still open."""

    left: Annotated[int, msgspec.Meta(ge=0, le=MOST)] = 0

    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.OPEN_FILES})
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "`prlimit --pid <pid> --nofile=<soft>` with the limit that the report gives as before. "
        "It is healed when a new connection is answered."
    )

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Lower the limits; the kernel must say that no more than that is left."""
        nodes = {name: _limited(scene, name) for name in victims.nodes}
        had = {name: node.open_files() for name, node in nodes.items()}
        held = [name for name, files in had.items() if files.lowered]
        if held:
            raise FaultNotEffective(f"{', '.join(held)} is short of descriptors by another fault already: two of them do not add up")
        before = _figures(had) | proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
        with ExitStack() as undo:
            for name, node in nodes.items():
                undo.enter_context(scene.undo.intent("restore", f"the file limit of {name}"))
                undo.callback(_restore, scene, name, node)
                node.limit_files(self.left)
            effective_ns = scene.clock.now_ns()
            now = {name: node.open_files() for name, node in nodes.items()}
            # What it opened or closed since then changes how many are left, never the limit.
            loose = [name for name, files in now.items() if files.limit >= had[name].limit or files.left > self.left + _slack(files)]
            if loose:
                raise FaultNotEffective(f"{', '.join(loose)} may still open more: it had no more to begin with, or its limit did not take")
            during = _figures(now) | proof.node_figures(scene, proof.ask_nodes(scene, victims.nodes))
            effect = Effect(effective_ns, "RLIMIT_NOFILE", before, during, lambda: self._gone(scene, victims, now))
            yield effect
        effect.healed_at_ns = scene.clock.now_ns()

    def _gone(self, scene: Scene, victims: Victims, lowered: dict[str, OpenFiles]) -> Evidence:
        """A dead process has no limit; the next one has its own."""
        alive = [name for name in victims.nodes if scene.cluster.nodes[name].status() is not Status.DOWN]
        found = {name: _limited(scene, name).open_files() for name in alive}
        low = [name for name, files in found.items() if files.limit <= lowered[name].limit]
        answers = proof.nodes_answer(scene, alive)
        why = "; ".join(part for part in (f"still limited: {', '.join(low)}" if low else "", answers.why) if part)
        return Evidence(ok=not why, figures=_figures(found) | answers.figures, why=why)


def _slack(files: OpenFiles) -> int:
    """Descriptors that the node itself closed since the limit was worked out can be opened again."""
    return max(8, files.open // 2)


def _limited(scene: Scene, name: str) -> LimitsFiles:
    node = scene.cluster.nodes[name]
    if not isinstance(node, LimitsFiles):
        raise FaultNotEffective(f"the file descriptors of {name} cannot be limited on this runtime")
    return node


def _restore(scene: Scene, name: str, node: LimitsFiles) -> None:
    if scene.cluster.nodes[name].status() is not Status.DOWN:
        node.unlimit_files()


def _figures(found: dict[str, OpenFiles]) -> proof.Figures:
    figures: proof.Figures = {}
    for name, files in found.items():
        figures |= {
            f"{name}.files_open": float(files.open),
            f"{name}.files_limit": float(files.limit),
            f"{name}.files_left": float(files.left),
        }
    return figures
