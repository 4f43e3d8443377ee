"""What the name server is told: ``python -m chaos.dns.server SPEC.json`` reads this, and whoever starts it writes it.

All templates are filled by then: addresses and questions are concrete.
"""

from __future__ import annotations

import msgspec

from chaos.core.errors import BadInput
from chaos.core.values import NameHarm
from chaos.experiment.target.spec import Ask

ROUND_ROBIN = "round-robin"
HEALTH_CHECKED = "health-checked"
MAX_TTL_S = 2**31 - 1


class Replica(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node behind a name: the IPv4 address that clients are given, and the question that decides whether they are."""

    node: str
    address: str
    zone: str | None = None
    check: Ask | None = None
    """Needed for a health-checked name only."""


class CheckSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How replicas are checked: out of the set after ``fall`` failures in a row, in again after ``rise`` successes."""

    every_s: float = 0.25
    timeout_s: float = 0.2
    fall: int = 2
    rise: int = 2


class NameSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One name, its replicas, and which of them it answers with.

    ``order`` (zones): all live replicas of the first zone that has any. ``weights`` (by zone): each answer holds the live
    replicas of one zone, drawn by weight. Without both: all live replicas, the first one rotating.
    """

    name: str
    replicas: tuple[Replica, ...]
    aliases: tuple[str, ...] = ()
    balancer: str = ROUND_ROBIN
    ttl_s: int = 1
    order: tuple[str, ...] = ()
    weights: dict[str, float] = {}
    check: CheckSpec = CheckSpec()
    fail_open: bool = False
    """With none healthy, once each has been checked: answer with all of them."""

    def with_moved(self, moved: Replica) -> NameSpec:
        """The same with this one at its new address, if it is one of its own."""
        replicas = tuple(moved if each.node == moved.node else each for each in self.replicas)
        return msgspec.structs.replace(self, replicas=replicas)


class DnsSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One server: where it listens (UDP and TCP), its zone, its names."""

    host: str
    port: int
    names: tuple[NameSpec, ...]
    zone: str = "nines.test"
    seed: int = 1
    """Draws the zone of weighted answers."""
    nowhere: str = "127.255.255.1"
    """Where nobody answers: what wrong answers hold."""
    silent_ports: tuple[int, ...] = ()
    """Where the address above is this machine's own, which would refuse: what comes to these ports of it gets no answer instead."""


class NameOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line on the server's standard input: do this wrong from now on, or (``on`` false) no longer."""

    number: int
    on: bool
    harm: NameHarm


class MoveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another line there: a node is at another address from now on, and is checked there."""

    moved: Replica


def order_of(line: bytes) -> NameOrder | MoveOrder:
    """A line of that input."""
    if line.startswith(b'{"moved"'):
        return msgspec.json.decode(line, type=MoveOrder)
    return msgspec.json.decode(line, type=NameOrder)


def checked(spec: DnsSpec) -> DnsSpec:
    """The same, or ``BadInput`` where it contradicts itself."""
    seen: set[str] = set()
    for name in spec.names:
        for label in (name.name, *name.aliases):
            if label.lower() in seen:
                raise BadInput(f"dns: the name {label} is given twice")
            seen.add(label.lower())
        _check_name(name)
    return spec


def _check_name(name: NameSpec) -> None:
    def refuse(message: str, right: str = "") -> None:
        raise BadInput(f"dns, {name.name}: {message}", right=right)

    if name.balancer not in {ROUND_ROBIN, HEALTH_CHECKED}:
        refuse(f"unknown balancer '{name.balancer}'", f"{ROUND_ROBIN} or {HEALTH_CHECKED}")
    if not name.replicas:
        refuse("no replicas")
    if not 0 <= name.ttl_s <= MAX_TTL_S:
        refuse(f"a TTL of {name.ttl_s} s", "whole seconds from 0")
    if name.order and name.weights:
        refuse("order and weights exclude each other")
    if any(weight < 0 for weight in name.weights.values()) or (name.weights and not any(name.weights.values())):
        refuse("weights must not be negative, and one must be above 0")
    zones = {replica.zone for replica in name.replicas}
    for zone in (*name.order, *name.weights):
        if zone not in zones:
            refuse(f"no replica is in zone '{zone}'")
    if name.balancer == HEALTH_CHECKED:
        check = name.check
        if check.every_s <= 0 or check.timeout_s <= 0 or check.fall < 1 or check.rise < 1:
            refuse("a check needs every, timeout above 0 and fall, rise of at least 1")
        for replica in name.replicas:
            if replica.check is None:
                refuse(f"{replica.node} has no check")
