"""Whether packets can be dropped inside containers on this engine: asked once for each boot of the machine, then remembered.

Packet rules are nftables rules in a node's own network namespace; that takes NET_ADMIN there and a kernel with nf_tables.
"""

from __future__ import annotations

from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.images.build import cache_dir, digest
from chaos.engine.question import ask
from chaos.registry.processes import boot_id

RULES: Final = (
    "add table inet nines; add chain inet nines out { type filter hook output priority -150; };"
    " add chain inet nines in { type filter hook input priority -150; };"
    " add rule inet nines in ip saddr 198.18.0.1 drop;"
    " add chain inet nines leaving { type filter hook postrouting priority -150; };"
    " add rule inet nines leaving ip daddr 198.18.0.1 ip version set 0 accept;"
    " add rule inet nines out ip daddr 198.18.0.2 tcp dport 1 reject with tcp reset;"
    " add chain inet nines nat { type nat hook output priority -100; };"
    " add rule inet nines nat ip daddr 198.18.0.3 tcp dport 1 redirect to :2"
)
"""One of each kind that faults use."""


def require_packet_rules(engine: Engine, image: str) -> None:
    """``EnvironmentUnusable`` if a container of that image, with NET_ADMIN, cannot have such rules. Costs half a second, once."""
    known = cache_dir() / "packets" / digest(engine.facts.id, engine.facts.version, boot_id(), RULES)
    if known.exists():
        return
    said = _try(engine, image)
    if said:
        raise EnvironmentUnusable(
            f"packets cannot be dropped inside containers on the {engine.facts.product} engine at {engine.facts.host}: {said}",
            how="a kernel with nf_tables (modprobe nf_tables nft_chain_nat nft_redir nft_reject_inet); or: --runtime local",
        )
    known.parent.mkdir(parents=True, exist_ok=True)
    known.touch()


def _try(engine: Engine, image: str) -> str:
    said = ask(engine, image, ["nft", RULES], ["NET_ADMIN"], "trying packet rules in a container")
    return "; ".join(message(said.err)) or f"nft ended with {said.status}" if said.status else ""


def message(said: str) -> list[str]:
    """What ``nft`` has to say, without its repetition of the command and the carets below that."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return [line for line in lines if "Error" in line] or lines[:2]
