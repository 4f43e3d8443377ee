"""What is the same for a node of containers however it is signalled: who it is, and whose doing the end of its life is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from chaos.core.clock import Clock
from chaos.core.system import SIGKILL
from chaos.core.values import NodeInfo
from chaos.plugin import Disks, Sink


class Log(Protocol):
    """What a node's system says, followed over all of its lives."""

    def started(self) -> None:
        """A life begins."""
        ...


StartSystem = Callable[[], None]
"""Have the engine start the system's container; returns when it has, raises ``EnvironmentUnusable``."""
Anew = Callable[[], None]
"""Replace the dead system's container and its volumes by fresh ones."""


class ContainerNode(ABC):
    """A node whose system is a container."""

    disks: Disks
    """Set where the plan limits them."""

    def __init__(self, info: NodeInfo, start_system: StartSystem, anew: Anew, sink: Sink, clock: Clock) -> None:
        self._info = info
        self._start_system = start_system
        self._anew = anew
        self._sink = sink
        self._clock = clock
        self._log: Log | None = None
        self._killing = ""
        """The signal that we sent, whose death is no surprise."""
        self._doomed = ""
        """What a fault has done that it may well die of."""
        self._starting = False
        self._retired = False

    @property
    def info(self) -> NodeInfo:
        """Who it is."""
        return self._info

    @abstractmethod
    def kill(self, signal: int) -> int:
        """Signal it, and wait for the death if it must die of that; the time."""

    def remove(self, *, data: bool) -> int:
        """SIGKILL; with ``data`` its container and volumes are replaced by fresh ones, so that it begins anew."""
        died_ns = self.kill(SIGKILL)
        if data:
            self._anew()
        return died_ns

    def doom(self, how: str) -> None:
        """A death from now on is a fault's doing, in this way; empty: it is the node's own again."""
        self._doomed = how

    def retire(self) -> None:
        """From now on the end of this node is ours, and no event of the run."""
        self._retired = True
