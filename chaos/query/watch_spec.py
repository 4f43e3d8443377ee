"""What the role watch is told: ``python -m chaos.query.watcher SPEC.json`` reads it; who starts the watch writes it, templates filled."""

from __future__ import annotations

import msgspec

from chaos.experiment.target.spec import Ask


class WatchedNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node: the question behind each role, and where its status shows the moments that it stamps itself."""

    node: str
    roles: dict[str, Ask] = {}
    marks: dict[str, str] = {}
    """Mark -> dotted path in the JSON answer of ``marks_ask``; the value there is CLOCK_MONOTONIC ns, 0 or absent for never."""
    marks_ask: Ask | None = None
    views: dict[str, dict[str, str]] = {}
    """Failure detector -> other node -> expression over the JSON answer of ``views_ask``; it holds while that node is suspected."""
    views_ask: Ask | None = None


class WatchSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All nodes, each asked every ``interval_s``."""

    nodes: tuple[WatchedNode, ...]
    interval_s: float = 0.02
    timeout_s: float = 0.15
