"""What the prober is told: one JSON file, written by the runtime, read by ``python -m chaos.traffic.prober SPEC.json``.

Slot i of operation k is due at ``start_ns`` + ``phase_s`` of k + i / ``rate_per_s``; all slots that are due before
``start_ns`` + ``duration_s`` are sent, whatever happened to earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from chaos.core.clock import NS_PER_S
from chaos.experiment.demand import Piece
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.traffic import ClientPolicy, OperationSpec

PER_REQUEST = "per-request"
ONCE = "once"


class OperationOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One operation with its own grid; its place in ``ProberSpec.operations`` is the ``operation`` of its records."""

    name: str
    probe: str
    """A name in the table of probes: http, tcp, etcd, driver."""
    does: str
    rate_per_s: float
    options: dict[str, str]
    phase_s: float = 0.0
    pieces: tuple[Piece, ...] = ()
    """Where the rate changes, in place of an even grid; ``rate_per_s`` is then the highest."""

    @property
    def period_ns(self) -> float:
        """Width of a slot."""
        return NS_PER_S / self.rate_per_s

    def count(self, duration_s: float) -> int:
        """How many slots of an even grid are due before the end; one that would be due at the very end is not."""
        return max(0, math.ceil((duration_s - self.phase_s) * self.rate_per_s - 1e-6))


class ProberSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that one prober needs. ``name`` is what ``{address}`` is an address of, asked of the name server."""

    run: str
    seed: int
    start_ns: int
    """CLOCK_MONOTONIC of this machine."""
    duration_s: float
    observations: str
    """Path of ``observations.bin``; must not exist with content that matters."""
    operations: tuple[OperationOrder, ...]
    client: ClientPolicy
    ports: dict[str, int]
    """Port name -> number of the part behind ``name``, for templates."""
    name: str = ""
    nameserver: str = "127.0.0.53"
    nameserver_port: int = 53
    domain: str = ""
    """Added to names without a dot, as a search list of one; ``nines.test``."""
    addresses: tuple[str, ...] = ()
    """If given, ``name`` is not resolved: these are its addresses for ever; in the order of ``client.endpoints`` where that matters."""
    ways: dict[str, str] = {}
    """What a node may call itself or another one, in a redirect -> the address by which clients reach it."""
    settings: dict[str, str] = {}
    """Further fixed words for templates."""
    target_folder: str = ""
    """Where a driver's command runs; ``{target}`` in its words."""
    keys: int = 16
    """``{key}`` runs through ``k0`` to ``k<keys - 1>``."""
    key_prefix: str = "k"
    """In place of the ``k``: traffic beside the measured one leaves its keys alone."""


def orders(traffic: Mapping[str, OperationSpec], kinds: Mapping[str, OperationKind]) -> tuple[OperationOrder, ...]:
    """The plan's operations in the order of ``traffic.operations``, their grids staggered by k/n of their own slot.

    Staggered grids keep operations of one rate from being sent in pairs, which would make the second one late.
    """
    found = []
    for position, (name, spec) in enumerate(traffic.items()):
        kind = kinds[name]
        phase_s = position / len(traffic) / spec.rate_per_s
        found.append(OperationOrder(name, kind.probe, kind.does, spec.rate_per_s, dict(kind.options), phase_s))
    return tuple(found)


def orders_beyond(
    traffic: Mapping[str, OperationSpec], kinds: Mapping[str, OperationKind], baseline_s: float, end_s: float
) -> tuple[OperationOrder, ...]:
    """For each operation whose rate changes what is to be sent beside its even grid, in the order of ``traffic.operations``."""
    found = []
    for name, spec in traffic.items():
        if spec.demand is not None:
            kind, most_per_s = kinds[name], spec.demand.most_per_s - spec.rate_per_s
            pieces = spec.demand.beyond(baseline_s, end_s)
            found.append(OperationOrder(name, kind.probe, kind.does, most_per_s, dict(kind.options), pieces=pieces))
    return tuple(found)
