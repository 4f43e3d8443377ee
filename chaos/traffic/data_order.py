"""What the clients are told whose data is checked: one JSON file, read by ``python -m chaos.traffic.data ORDER.json``."""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.experiment.target.operation import OperationKind

FIRST_ROUND_S: Final = 30.0
"""How much longer than ``settle_s`` the first reading of all keys may take: there may be thousands."""


class NodeMoved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of its standard input: the node is at another address from now on."""

    node: str
    address: str


class DataOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that they need."""

    run: str
    seed: int
    start_ns: int
    """CLOCK_MONOTONIC of this machine."""
    duration_s: float
    journal: str
    """Path of ``operations.jsonl``."""
    workload: str
    keys: int
    sessions: int
    rate_per_s: float
    """Of all sessions together, at most."""
    mix: dict[str, float]
    """Operation -> its share."""
    operations: dict[str, OperationKind]
    nodes: dict[str, str]
    """Node -> the address at which clients reach it."""
    ports: dict[str, int]
    timeout_s: float
    """An operation that is not answered within it is unknown; nothing is tried twice."""
    settle_s: float
    """How long the last reading may take until all agree."""
    read_node: OperationKind | None = None
    once: float = 0.0
    """Share of the writes that go to a key of their own."""
    resolve: str = "ttl"
    name: str = ""
    nameserver: str = "127.0.0.53"
    nameserver_port: int = 53
    domain: str = ""
    addresses: tuple[str, ...] = ()
    """If given, ``name`` is not resolved: these are its addresses for ever."""
    settings: dict[str, str] = {}
    target_folder: str = ""
    key_prefix: str = ""
    """Before each key: a system that was there before the run may have such keys already."""
