"""A node, and what some of them can do beside: each is a protocol of its own, which a fault asks for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from chaos.core.values import Allowed, Held, Load, Loaded, NodeInfo, OpenFiles, Room, Status, Usage, Work


class Node(Protocol):
    """One running copy of the system under test. Each verb returns when it has happened, with the CLOCK_MONOTONIC ns of it."""

    @property
    def info(self) -> NodeInfo: ...

    def status(self) -> Status:
        """What its process does right now."""
        ...

    def kill(self, signal: int) -> int:
        """Send the signal to the whole node; for a fatal one, return the time of *death*."""
        ...

    def start(self) -> int:
        """Start it again with the same data and address; the time its process began. Not yet ready."""
        ...

    def pause(self) -> int:
        """Freeze it: its sockets stay, nothing answers."""
        ...

    def resume(self) -> int:
        """Let it go on."""
        ...


@runtime_checkable
class KillsServing(Protocol):
    """A node whose main process starts others that serve: those can be killed alone, and what the main one does then be seen."""

    def serving(self) -> tuple[int, ...]:
        """Processes that listen on a port of the node, its main one left out; their numbers as the node has them."""
        ...

    def kill_serving(self, signal: int) -> int:
        """Signal these; the time of the last death. ``FaultNotEffective`` if there is none, or one lives on."""
        ...


@runtime_checkable
class Removable(Protocol):
    """A node whose machine can be taken away altogether; ``start`` then begins it anew."""

    def remove(self, *, data: bool) -> int:
        """Kill it, and with ``data`` delete all that it had written; the time of its death."""
        ...


@runtime_checkable
class Deletable(Protocol):
    """A node that can be given up through whoever runs it, who then makes another in its place, at another address perhaps."""

    def delete(self, grace_s: float | None) -> int:
        """Have it deleted, with its own grace if none is said (0: at once); when that was ordered, or with no grace when it was dead."""
        ...

    def replaced(self) -> bool:
        """Whether another one stands in the place of the one that was given up last, ready by the word of who made it."""
        ...


@runtime_checkable
class Evictable(Deletable, Protocol):
    """A node that can be asked to go, which a budget for disruptions may forbid."""

    def evict(self, grace_s: float | None) -> str:
        """Ask for it, with its own grace if none is said; why it may not go now, empty if it goes."""
        ...


@runtime_checkable
class SetsClock(Protocol):
    """A node whose wall clock is its own, and no other's."""

    def set_clock(self, offset_s: float, rate: float) -> int:
        """From now on it is so far ahead of the true time and runs at that rate (1: as the true one); 0 and 1 make it true again."""
        ...


@runtime_checkable
class LimitsFiles(Protocol):
    """A node whose processes can be denied further file descriptors."""

    def open_files(self) -> OpenFiles:
        """As the kernel has it now."""
        ...

    def limit_files(self, left: int) -> OpenFiles:
        """Each of its processes may open so many more; what that came to."""
        ...

    def unlimit_files(self) -> OpenFiles:
        """The limits that they had before; a process that began since then keeps its own."""
        ...


class Loads(Protocol):
    """What can be put upon a node inside its own limits, and seen of it from outside."""

    @property
    def allowed(self) -> Allowed: ...

    def load(self, order: Load) -> AbstractContextManager[Loaded]:
        """Entering starts it and waits until its processes run; leaving ends it and reads back that none is left."""
        ...

    def usage(self) -> Usage:
        """By now; ``FaultNotEffective`` when the node is down."""
        ...

    def work(self) -> Work:
        """What the processes of all loads on the node have done so far."""
        ...

    def scratch(self) -> Room:
        """The disk that a load of kind io writes to, which all nodes share."""
        ...


class Disks(Protocol):
    """The data folders of a node, each a disk of limited size, held from outside its system."""

    def room(self) -> Room:
        """Of the one with the least left, by a write of ours."""
        ...

    def fill(self, share: float | None, size_bytes: int | None) -> AbstractContextManager[Held]:
        """Lay so much on each of them, or as much as makes that share of it taken (1: to the last page)."""
        ...

    def lock(self) -> AbstractContextManager[Held]:
        """Make all of them read-only; ``FaultNotEffective`` while the system has a file open for writing."""
        ...


@runtime_checkable
class HasLoads(Protocol):
    """A node that can be given load."""

    @property
    def loads(self) -> Loads: ...


@runtime_checkable
class HasDisks(Protocol):
    """A node with disks of limited size."""

    @property
    def disks(self) -> Disks: ...
