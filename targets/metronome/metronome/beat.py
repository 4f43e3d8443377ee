"""When a replica is down: a function of the seed and of the clock alone, so that replicas are in step without talking to each other.

Time since the epoch is cut into blocks of a minute. Each block draws its own outages: up for U(up_min, up_max), then down for a time
whose logarithm is uniform between down_min and down_max (so that short outages are as frequent as long ones), and so on; an outage
that would not end within its block is left out. Replicas that were started at different times, or again, agree from then on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

BLOCK_NS = 60_000_000_000


class Tempo(NamedTuple):
    """Bounds of the drawn times, ns."""

    up_min: int
    up_max: int
    down_min: int
    down_max: int


class Outage(NamedTuple):
    """Down from ``down`` to ``up``, CLOCK_MONOTONIC ns."""

    down: int
    up: int


def outages(seed: str, tempo: Tempo, epoch_ns: int, from_ns: int) -> Iterator[Outage]:
    """The outages that begin at or after ``from_ns``, for ever. ``epoch_ns`` is when block 0 begins."""
    block = max(0, (from_ns - epoch_ns) // BLOCK_NS)
    while True:
        for outage in _block(seed, tempo, epoch_ns + block * BLOCK_NS, block):
            if outage.down >= from_ns:
                yield outage
        block += 1


def _block(seed: str, tempo: Tempo, begin_ns: int, number: int) -> Iterator[Outage]:
    draw = random.Random(f"{seed}/{number}")
    low, high = math.log(tempo.down_min), math.log(tempo.down_max)
    at = begin_ns
    while True:
        down = at + round(draw.uniform(tempo.up_min, tempo.up_max))
        at = down + round(math.exp(draw.uniform(low, high)))
        if at > begin_ns + BLOCK_NS:
            return
        yield Outage(down, at)
