"""``down`` and ``timeout`` of a link: to those who come this way its end is refused, or silent, as behind a partition of that link.

What of them is not modelled has no scenario: a share of the connections (``toxicity``), a link between nodes on which one way still
passes, and a connection that is closed sooner than the client gives up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from chaos.predict.scenarios import partition as partitions
from chaos.predict.scenarios.case import Case, ways
from chaos.predict.scenarios.client import Scenario

WHY_NOT: Final = {
    **dict.fromkeys(("loss", "duplicate", "corrupt", "reorder"), "what a lost or late packet costs is up to TCP's own timers"),
    **dict.fromkeys(
        ("bandwidth", "slicer", "limit_data", "slow_close", "reset_peer"), "it depends on how much the system sends over a connection"
    ),
    **dict.fromkeys(
        ("cpu", "memory", "io", "disk_full", "read_only", "files", "connections", "load", "clock"), "what a system does then is its own"
    ),
    "timeout": "only a part of the connections, or one way of a link between nodes, or less time than a client waits",
}
"""Kind -> why there is no prediction."""


def down(case: Case) -> Scenario | None:
    """Refused at once."""
    return partitions.partition(_behaving(case, "reject"))


def timeout(case: Case) -> Scenario | None:
    """Accepted and silent."""
    of, held_s = ways(case), case.number("timeout_s")
    between_nodes = of.opens or of.opened
    if case.number("toxicity", 1.0) < 1 or (between_nodes and case.text("stream", "downstream") != "both"):
        return None
    if 0 < held_s < case.system.client.timeout_s:
        return None
    return partitions.partition(_behaving(case, "drop"))


def _behaving(case: Case, word: str) -> Case:
    return replace(case, facts=msgspec.structs.replace(case.facts, params={**case.facts.params, "behavior": word}))
