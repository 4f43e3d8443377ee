"""A cluster that runs, and what some of them can do beside: each is a protocol of its own, which a fault asks for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from chaos.core.values import ClockReading, RoundTrip, Sent, TrafficOrder
from chaos.plugin.links import Layer, Net
from chaos.plugin.nodes import Node


@runtime_checkable
class ReadsClocks(Protocol):
    """A cluster whose nodes can be asked what their wall clocks say."""

    def read_clock(self, node: str, timeout_s: float) -> ClockReading:
        """One question to the node itself."""
        ...


class Crowd(Protocol):
    """Idle connections of ours to a node."""

    def established(self) -> int:
        """How many of them stand, by the word of this side's kernel."""
        ...


@runtime_checkable
class HasHosts(Protocol):
    """A cluster on several hosts, whose power is switched by commands that the experiment names; some can be closed to new nodes."""

    def switch_off(self, host: str) -> None:
        """Run the command; it has ended. ``FaultNotEffective`` if it failed. Whether the host is silent is for others to see."""
        ...

    def went_dark(self, host: str, at_ns: int) -> None:
        """It was seen silent: its nodes are down since then."""
        ...

    def switch_on(self, host: str) -> None:
        """Run the other command, wait for the engine, tie the host to the others, and have its agents stand again; no system runs yet,
        unless somebody else starts it.

        ``NotHealed`` if one of it does not come about. A host that is on stays as it is.
        """
        ...

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        """Entering cuts its network, all of it; leaving, or the end of this process, heals it. It heals by itself if nobody renews it."""
        ...

    def cordon(self, host: str) -> int:
        """No new node comes to stand there; when that was seen. ``FaultNotEffective`` where it is so already, or nobody can."""
        ...

    def uncordon(self, host: str) -> None:
        """As it was; ``NotHealed`` if that does not come about. A host that was not closed by us stays as it is."""
        ...


@runtime_checkable
class GathersCrowds(Protocol):
    """A cluster to whose nodes connections can be held open from where its clients are."""

    def crowd(self, node: str, port: str, count: int) -> AbstractContextManager[Crowd]:
        """Entering opens so many (``FaultNotEffective`` if they cannot be had); leaving closes them all."""
        ...


@runtime_checkable
class HasMembers(Protocol):
    """A cluster whose nodes can be asked to let one of them join or leave, by what the target declares (``membership``)."""

    def change_members(self, change: str, node: str, timeout_s: float) -> str | None:
        """Ask the other nodes one by one, and at last itself, to let it ``join`` or ``leave``, until one says yes; else why none did."""
        ...

    def lists(self, node: str, timeout_s: float) -> Mapping[str, bool | None]:
        """Whether it is a member, as each other node of its part says; None for one that does not answer."""
        ...


class Surge(Protocol):
    """Traffic beside the measured one."""

    began_ns: int
    """When its first slot was due."""

    def sent(self) -> Sent:
        """Slots that have ended."""
        ...


@runtime_checkable
class SendsSurges(Protocol):
    """A cluster to whose name more traffic can be sent, which no figure of the run counts."""

    def surge(self, operation: str, rate_per_s: float) -> AbstractContextManager[Surge]:
        """Entering begins to send; leaving ends it and waits for the last answer."""
        ...


class Traffic(Protocol):
    """The prober at work, in its own process; leaving its context waits for the last slot's deadline and the last byte on disk."""

    def stop(self) -> None:
        """End early: no slot that is due after now is sent."""
        ...


class Cluster(Protocol):
    """What runs. Role, DNS-set and node changes reach the ``Sink`` given to ``Runtime.up`` by themselves."""

    @property
    def nodes(self) -> Mapping[str, Node]: ...

    @property
    def net(self) -> Net: ...

    def roles(self) -> dict[str, frozenset[str]]:
        """Ask every node now which roles it holds; a node that does not answer holds none."""
        ...

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Ask a node directly, past every rule of ours, whether it answers."""
        ...

    def broken(self) -> str | None:
        """Which part of the harness itself (name server, watch, prober, Toxiproxy) has died; such a run is unknown, never a node fault."""
        ...

    def traffic(self, order: TrafficOrder) -> AbstractContextManager[Traffic]:
        """Send the plan's traffic through the cluster's name and write ``observations.bin``."""
        ...
