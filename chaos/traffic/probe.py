"""What the author of a probe kind reads: a slot, and the protocol of the thing that sends one attempt of it.

    engine: slot is due -> address picked -> probe.send(slot) -> ... -> slot.end(outcome, why)     the attempt is over
                                                      \\-> time is up -> slot.carrier.cut()        no ``end`` may follow

A probe never waits, never retries and keeps no time: attempts, other addresses, time-outs and deadlines are the engine's.
One thing alone it may repeat by itself: a request that was provably never given to the network, because the kept-alive
connection turned out closed *before* the write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from chaos.experiment.client import ClientPolicy
from chaos.experiment.probe_options import Template, Written, reads
from chaos.history.observations import Outcome, Why

if TYPE_CHECKING:
    from chaos.traffic.grids import Grid

__all__ = [
    "Build", "Carrier", "Leaves", "Probe", "Reuses", "SaysValue", "Setup", "Slot", "StartsSomething", "Template", "Written", "reads",
]  # fmt: skip


class Carrier(Protocol):
    """What an attempt is under way on."""

    def cut(self) -> bool:
        """Drop the attempt at once, by reset where there is a connection; true if any of the request may have reached the service."""
        ...


@runtime_checkable
class Leaves(Protocol):
    """A carrier whose attempt may end while it goes on waiting for the answer, as with a client that has no time-out of its own."""

    def leave(self) -> bool:
        """End the attempt alone; true as for ``cut``."""
        ...


@runtime_checkable
class Reuses(Protocol):
    """A probe whose connections are few: it is asked before any name is looked up."""

    def reuse(self, slot: Slot, fresh: Callable[[Slot], None]) -> bool:
        """True if the attempt is on its way, or waits for a connection; ``fresh`` is called when it may open one after all."""
        ...


class Slot:
    """One due time of one operation, on its way to becoming one record. Fields without a comment are the engine's own."""

    __slots__ = (
        "address", "answer", "attempts", "carrier", "deadline_ns", "due_ns", "ended", "expiry_ns",
        "grid", "index", "key", "sent_ns", "status", "sure", "tried", "value",
    )  # fmt: skip

    grid: Grid
    index: int
    """Its number on its grid, from 0: the word ``{slot}``."""
    key: str
    """The word ``{key}``."""
    value: str
    """The word ``{value}``: no other slot of any run has the same. Attempts of one slot do."""
    address: str
    """Where this attempt goes."""
    carrier: Carrier | None
    """Set by the probe while an attempt is under way."""
    due_ns: int
    sent_ns: int
    deadline_ns: int
    expiry_ns: int
    """When this attempt will be cut."""
    answer: bytes
    """The body of a good answer, set by a probe that was built with ``keeps`` (``SaysValue``); else nobody looks at it."""
    status: int
    """What this attempt was answered with, up to 65535, set by the probe if its protocol has such numbers; 0 before."""
    attempts: int
    sure: bool
    tried: tuple[str, ...]
    ended: Callable[[Slot, Outcome, Why], None]

    def end(self, outcome: Outcome, why: Why) -> None:
        """The attempt is over. ``FAIL`` only if the operation was definitely not done; ``UNSENT`` if *we* could not send it."""
        self.carrier = None
        self.ended(self, outcome, why)


class Probe(Protocol):
    """One operation's sender; see the module's picture."""

    @property
    def host(self) -> str | None:
        """The name or IPv4 address to ask instead of the cluster's name; None for the cluster's."""
        ...

    def send(self, slot: Slot) -> None:
        """Begin one attempt at ``slot.address``; may end it before returning."""
        ...

    def close(self) -> None:
        """Let go of all connections and processes."""
        ...


@runtime_checkable
class StartsSomething(Protocol):
    """A probe that has started something which must live before traffic may begin."""

    async def started(self) -> None:
        """Returns once that lives; ``EnvironmentUnusable`` with its last line if it ended."""
        ...


@runtime_checkable
class SaysValue(Protocol):
    """A probe that can say what a read was answered with: what experiments with ``data:`` ask it for."""

    def value(self, slot: Slot) -> str | None:
        """What the read of this slot found; None: nothing under that key. ``ValueError``: the answer is none that could be read."""
        ...


class Setup(Written):
    """What ``build`` gets: the operation as written, and the loop to work on. ``keeps``: ``SaysValue`` will be asked."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        operation: str,
        does: str,
        options: Mapping[str, str],
        words: Mapping[str, str],
        folder: str = "",
        keeps: bool = False,
        client: ClientPolicy | None = None,
        ways: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(operation=operation, does=does, options=options, words=words, folder=folder, here=True)
        self.loop = loop
        self.keeps = keeps
        self.client: Final = client or ClientPolicy()
        """How clients ask: what of it is a probe's business."""
        self.ways: Final = ways or {}
        """What a node may call itself or another one, in a redirect -> the address by which clients reach it."""


Build = Callable[[Setup], Probe]
"""What the table of probes points at."""
