"""Whether the kernel of this engine has the queues that a fault needs: asked once for each boot of the machine, then remembered.

``bandwidth`` of packets takes htb, tbf and u32, which nearly every kernel has; ``duplicate``, ``corrupt``, ``reorder``, and ``latency``
of packets take netem, which small kernels (of virtual machines above all) are often built without.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from chaos.core.errors import CapabilityMissing
from chaos.engine.connection import Engine
from chaos.engine.images.build import cache_dir, digest
from chaos.engine.question import ask
from chaos.net.tc import KERNEL, Leaf, commands
from chaos.registry.processes import boot_id

_PEER: Final = ((16, "198.18.0.1"),)
_LEAVES: Final = {
    "tbf": Leaf(_PEER, rate_bytes_per_s=1e6),
    "netem": Leaf(_PEER, delay_s=0.01, jitter_s=0.001, shares=(("loss", 0.01, 0.0),)),
}
"""One of each kind, as faults order it."""


def require_queues(engine: Engine, image: str, kinds: Collection[str]) -> None:
    """``CapabilityMissing`` if a container of that image, with NET_ADMIN, cannot have such queues. Costs half a second, once each."""
    for kind in sorted(kinds):
        known = cache_dir() / "queues" / digest(engine.facts.id, engine.facts.version, boot_id(), kind)
        if known.exists():
            continue
        said = _try(engine, image, "\n".join(f"tc {line}" for line in _lines(kind)))
        if said:
            modules = ", ".join(f"{'cls' if each == 'u32' else 'sch'}_{each}" for each in KERNEL[kind])
            raise CapabilityMissing(
                f"the kernel of the {engine.facts.product} engine at {engine.facts.host} has no queue '{kind}': {said}",
                how=f"a kernel with it (modprobe {modules.replace(',', '')}); {INSTEAD[kind]}",
            )
        known.parent.mkdir(parents=True, exist_ok=True)
        known.touch()


INSTEAD: Final = {
    "tbf": "or 'bandwidth' of streams, without 'level: packets'",
    "netem": "or 'loss' without correlation and 'latency' of streams, which do without",
}


def _lines(kind: str) -> list[str]:
    return commands("lo", frozenset(), frozenset({_LEAVES[kind]}))


def _try(engine: Engine, image: str, script: str) -> str:
    said = ask(engine, image, ["sh", "-ec", script], ["NET_ADMIN"], "trying queues in a container")
    return said.err.split("\n")[0].strip() or f"it ended with {said.status}" if said.status else ""
