"""``local``: nodes are plain processes on loopback addresses. Linux, no root, no Docker: the embedded default.

A run is in the registry before anything starts, and leaves it after nothing of it is left. Between the two it holds a block of
loopback addresses of its own, so that runs do not disturb each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.values import CLIENTS, DNS, Link
from chaos.experiment.target.spec import Target
from chaos.plugin import Deployment, Runtime, Sink

if TYPE_CHECKING:
    from chaos.runtimes.base.cluster import RunningCluster

BLOCKS_TRIED = 8


C = Capability


class LocalRuntime(Runtime):
    """``Runtime`` on this machine. ``rng`` draws the address block; it has no effect on what is measured."""

    name: ClassVar[str] = "local"
    preference: ClassVar[int] = 10
    offers: ClassVar[frozenset[Capability]] = frozenset({
        C.SIGNALS, C.STARTS, C.SERVING, C.DATA, C.LINKS, C.STREAMS, C.NAME_SET, C.NAME_ANSWERS, C.OWN_CLOCK, C.CLOCK_RATE, C.OPEN_FILES,
        C.CONNECTIONS, C.SURGES, C.PORTS, C.PORT_CUTS, C.MEMBERS, C.EXTERNAL_NAMES, C.SESSIONS, C.HERE,
    })  # fmt: skip
    words: ClassVar[Mapping[Capability, str]] = {
        C.RESTART_POLICY: "plain processes have no restart policy",
        C.PACKET_RULES: "plain processes are harmed through Toxiproxy, which carries a stream of bytes and sees no packets",
        C.NETWORKS: "plain processes share the loopback interface",
        C.NEW_CONNECTIONS: "'existing: keep' (cut new connections only) needs packet rules, which plain processes do not have",
        C.CGROUP: "plain processes have no limits of their own: it would take from the whole machine",
        C.DISKS: "the folders of plain processes lie on this machine's own disk, which would be harmed",
    }

    def __init__(self, rng: random.Random | None = None, state: Path | None = None) -> None:
        self._rng = rng or random.SystemRandom()
        self._state = state

    @classmethod
    def target_lacks(cls, target: Target, part: str) -> tuple[str, str] | None:
        """A command to start it with."""
        if target.parts[part].local is not None:
            return None
        how = f"add 'parts.{part}.local: {{command: [...]}}' to {target.folder}/target.yaml"
        return f"'{target.name}' does not say how its part '{part}' runs as a plain process", how

    @classmethod
    def link_lacks(cls, link: Link, target: Target) -> str:
        """A proxy stands before a node, and of peers before each one if they can be told of it."""
        if link.destination in (CLIENTS, DNS):
            return f"'{link}' would need packet rules: on plain processes, write '{CLIENTS} -> {link.source}'"
        if link.source not in (CLIENTS, DNS) and target.local.peers != "per-node":
            return f"'{target.name}' cannot be given an address of its own for each peer; links from clients can be broken"
        return ""

    @classmethod
    def suits(cls, target: Target) -> str:
        """Where no engine does."""
        del target
        return "no Docker engine that would do for this target"

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Start everything, wait until every node is ready and the name resolves; leaving removes all of it, always.

        The caller has asked for leftovers of earlier runs. ``EnvironmentUnusable`` for a taken port, a program that is missing or a
        node that does not become ready; ``NotHealed`` if something that was started could not be removed.
        """
        from chaos.registry import runs as registry
        from chaos.runtimes.local.layout import BLOCKS, LocalLayout
        from chaos.runtimes.local.ports import Hold
        from chaos.runtimes.local.session import LocalSession

        blocks = self._rng.sample(BLOCKS, BLOCKS_TRIED)
        hold = Hold()

        def unusable(block: int) -> str:
            return hold.unusable(LocalLayout(deployment, block))

        with (
            hold,
            registry.claim(deployment.run, deployment.folder, self.name, blocks, unusable, self._state) as claim,
            LocalSession(deployment, claim, sink, clock, self._state).up() as cluster,
        ):
            yield cluster
