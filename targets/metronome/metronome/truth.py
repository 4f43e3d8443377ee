"""The truth log: one JSON object a line, ``{"node", "manner", "down_ns", "up_ns"}``, stamps of CLOCK_MONOTONIC taken at the act itself."""

from __future__ import annotations

import json
from pathlib import Path


class Truth:
    """Append-only. A line is written and flushed when an outage is over, or with ``up_ns`` null if the replica ends within one."""

    def __init__(self, folder: Path, node: str, manner: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "truth.jsonl").open("a", encoding="utf-8", buffering=1)
        self._node = node
        self._manner = manner
        self._down_ns: int | None = None

    def down(self, at_ns: int) -> None:
        """It went down."""
        self._down_ns = at_ns

    def up(self, at_ns: int | None) -> None:
        """It came back; None: it ends while down."""
        if self._down_ns is None:
            return
        row = {"node": self._node, "manner": self._manner, "down_ns": self._down_ns, "up_ns": at_ns}
        self._file.write(json.dumps(row) + "\n")
        self._down_ns = None
