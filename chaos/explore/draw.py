"""A schedule from a seed: how many faults, which, on whom, when, for how long. What contradicts itself or goes too far is drawn anew."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

import msgspec

from chaos.core import rng
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.explore.menu import Choice, Menu
from chaos.explore.schedule import Move, Schedule, on_grid_s, ordered

MOST_TRIES: Final = 200
"""Draws in a row that are refused, before the search says why."""
LEADER_SHARE: Final = 0.5
"""Of the faults on nodes: a leader is the most interesting victim."""


class Bounds(msgspec.Struct, frozen=True):
    """How large a schedule may be."""

    most_faults: int
    length_s: float
    """The last fault begins before this."""


def draw(seed: int, number: int, menu: Menu, bounds: Bounds, accept: Callable[[Schedule], object]) -> Schedule:
    """The ``number``-th schedule of the seed. ``accept`` raises ``BadInput`` for a schedule that cannot be planned."""
    random_ = rng.stream(seed, "explore", number)
    refused: BadInput | CapabilityMissing | None = None
    for _ in range(MOST_TRIES):
        schedule = _drawn(random_, menu, bounds)
        try:
            accept(schedule)
        except (BadInput, CapabilityMissing) as error:
            refused = error
            continue
        return schedule
    why = refused.message if isinstance(refused, BadInput) else str(refused)
    raise BadInput(f"none of {MOST_TRIES} schedules in a row could be planned; the last: {why}", right="fewer faults, or wider limits")


def _drawn(random_: random.Random, menu: Menu, bounds: Bounds) -> Schedule:
    count = random_.randint(1, bounds.most_faults)
    return ordered(tuple(_move(random_, random_.choice(menu.choices), menu, bounds) for _ in range(count)))


def _move(random_: random.Random, choice: Choice, menu: Menu, bounds: Bounds) -> Move:
    leading = [target for target in choice.targets if "leader" in target]
    targets = leading if leading and random_.random() < LEADER_SHARE else choice.targets
    for_s = math.exp(random_.uniform(math.log(menu.shortest_s), math.log(max(menu.longest_s, menu.shortest_s))))
    at_s = random_.uniform(0.0, bounds.length_s)
    return Move(choice.kind, choice.fields, random_.choice(targets), on_grid_s(at_s), on_grid_s(for_s))
