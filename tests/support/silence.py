"""What a sender sees of a silent cut."""

from __future__ import annotations

from typing import Any


def lost_on_the_way(said: dict[str, Any]) -> bool:
    """No call failed; TCP has its data under way, sends it again, and waits for no window."""
    in_flight = said["unacked"] and said["retransmitted"]
    return not said["errors"] and bool(in_flight) and not said["unsent_bytes"] and not said["probes"]
