"""``dns``: the name service does wrong. Clients that hold an answer notice when its time to live is over, others at once.

    down       silence: the name server's machine is gone, and every question is lost
    refused    an immediate no: its machine lives, its process is gone
    slow       every answer is late by ``delay``
    servfail   SERVFAIL: the server could not find out; resolvers ask again or elsewhere
    nxdomain   NXDOMAIN: there is no such name; resolvers keep that as long as an address, since the SOA's minimum is the name's TTL
    stale      the set stays as it is: dead nodes stay in it, healed ones out of it
    wrong      one address, where nobody answers
    missing    the record of one node (``record``) is left out
    ttl        answers carry another time to live (``ttl``)

It is the name server of the cluster that does so, on every question, while its health checks go on; of ``refused`` only its sockets
are gone, so that it is right at once when it is back. ``stale`` shows only when the set would have changed: the server's own word is
its proof, all others are proven by a look-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

from chaos.core.capabilities import Capability
from chaos.core.errors import FaultNotEffective
from chaos.core.units import Seconds
from chaos.core.values import Evidence, LookUp, NameHarm, NamesHarmed, Victims
from chaos.faults.base import evidence as proof
from chaos.plugin import Effect, Fault, HasNames, Names, Reference, Scene
from chaos.traffic.lookup import REFUSED, TIMED_OUT

TIMEOUT_S = 0.5
OF_THE_SET = frozenset({"stale", "missing"})
"""Modes that every client may get an answer in."""


class Dns(Fault, frozen=True, forbid_unknown_fields=True):
    """What it does wrong, and the figure or the name that belongs to it."""

    mode: Literal["down", "refused", "slow", "servfail", "nxdomain", "stale", "wrong", "missing", "ttl"] = "down"
    delay_s: Seconds | None = None
    record: str = ""
    ttl_s: Seconds | None = None

    takes: ClassVar[tuple[str, ...]] = ()
    untargeted: ClassVar[bool] = True
    of_name: ClassVar[bool] = True
    whom: ClassVar[str] = "the name server"
    by_hand: ClassVar[str] = (
        "Start the name server anew: it does wrong only as long as it is told to. It is healed when the name has its addresses again."
    )

    def __post_init__(self) -> None:
        """Each mode needs its own field and no other one."""
        for name, value, mode in (("delay", self.delay_s, "slow"), ("record", self.record or None, "missing"), ("ttl", self.ttl_s, "ttl")):
            if value is None and self.mode == mode:
                raise ValueError(f"'mode: {mode}' needs '{name}'")
            if value is not None and self.mode != mode:
                raise ValueError(f"'{name}' belongs to 'mode: {mode}'")
        if self.delay_s == 0:
            raise ValueError("a 'delay' of 0s is no fault")
        if self.ttl_s is not None and self.ttl_s != int(self.ttl_s):
            raise ValueError("the DNS knows whole seconds only: 'ttl' must be one")

    @property
    def needs(self) -> frozenset[Capability]:
        """A name server that takes orders; most of them harm its answers."""
        return frozenset({Capability.NAME_SET, *([] if self.mode in OF_THE_SET else [Capability.NAME_ANSWERS])})

    @property
    def role(self) -> str:
        """The mode."""
        return self.mode

    @property
    def names(self) -> tuple[Reference, ...]:
        """The node whose record is left out."""
        return (Reference("record", "node", self.record),) if self.record else ()

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:  # noqa: ARG002 - there is one name server
        """Give the order; a look-up must show it."""
        if not isinstance(scene.cluster, HasNames):
            raise FaultNotEffective("the name server of this cluster takes no orders")
        names = scene.cluster.names
        before = names.look_up(self._timeout_s)
        order = NameHarm(self.mode, self.delay_s or 0.0, self.record, int(self.ttl_s or 0))
        with scene.undo.intent("restore", f"name service ({self.mode})"):
            with names.harm(order) as harmed:
                during = names.look_up(self._timeout_s)
                if not self._shows(during, before, harmed):
                    raise FaultNotEffective(f"the name server still answered as before: {_said(during)}")
                effect = Effect(
                    harmed.effective_at_ns,
                    f"name server: {self.mode}",
                    _figures(before),
                    _figures(during),
                    lambda: self._gone(names, before, harmed),
                )
                yield effect
            effect.healed_at_ns = scene.clock.now_ns()

    @property
    def _timeout_s(self) -> float:
        return TIMEOUT_S + 2 * (self.delay_s or 0.0)

    def _shows(self, seen: LookUp, before: LookUp, harmed: NamesHarmed) -> bool:
        match self.mode:
            case "down":
                return seen.answer is None and seen.error == TIMED_OUT
            case "refused":
                return seen.answer is None and seen.error == REFUSED
            case "slow":
                return seen.rtt_s is not None and seen.rtt_s >= 0.8 * (self.delay_s or 0.0)
            case "servfail" | "nxdomain":
                return seen.answer == self.mode.upper()
            case "wrong":
                return bool(seen.addresses) and not set(seen.addresses) & set(before.addresses)
            case "missing":
                return seen.answer is not None and harmed.address not in seen.addresses
            case "ttl":
                return seen.ttl_s == self.ttl_s
            case _:
                return seen.answer is not None

    def _gone(self, names: Names, before: LookUp, harmed: NamesHarmed) -> Evidence:
        after = names.look_up(self._timeout_s)
        well = after.answer == "NOERROR" and (self.mode in {"stale", "missing"} or not self._shows(after, before, harmed))
        return Evidence(well, _figures(after), "" if well else f"the name server answers: {_said(after)}")


def _figures(seen: LookUp) -> proof.Figures:
    figures: proof.Figures = {"name.answer": seen.answer, "name.rtt_s": seen.rtt_s, "name.addresses": ", ".join(seen.addresses)}
    if seen.ttl_s is not None:
        figures["name.ttl_s"] = float(seen.ttl_s)
    if seen.error:
        figures["name.error"] = seen.error
    return figures


def _said(seen: LookUp) -> str:
    return seen.error or f"{seen.answer} {', '.join(seen.addresses)}"
