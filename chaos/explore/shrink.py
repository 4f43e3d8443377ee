"""The least schedule that still fails: faults are left out (delta debugging, Zeller 2002), then the rest is made shorter and earlier.

``fails(schedule)`` is asked of every candidate, and is sure of its answer (``sure``). What it refused once is not asked again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from chaos.explore.schedule import Schedule, on_grid_s

SHORTEST_S: Final = 0.3
"""No fault is made shorter than this: less proves nothing of a fault's effect."""
HALVINGS: Final = 2
BEGIN_S: Final = 0.5
"""The first fault begins about then, if that makes no difference."""

Fails = Callable[[Schedule], bool]


def shrink(schedule: Schedule, fails: Fails) -> Schedule:
    """A schedule of which no single fault can be left out. ``schedule`` itself is known to fail."""
    refused: set[Schedule] = set()

    def asked(candidate: Schedule) -> bool:
        if candidate in refused:
            return False
        if fails(candidate):
            return True
        refused.add(candidate)
        return False

    least = _fewest(schedule, asked)
    for simpler in (_begins_early, _shorter):
        least = simpler(least, asked)
    return least


def _fewest(schedule: Schedule, fails: Fails) -> Schedule:
    """Halves first, then quarters, until no single fault can go."""
    parts = 2
    while len(schedule) > 1:
        smaller = next((rest for rest in _without_a_part(schedule, parts) if fails(rest)), None)
        if smaller is not None:
            schedule, parts = smaller, 2
        elif parts >= len(schedule):
            break
        else:
            parts = min(len(schedule), parts * 2)
    return schedule


def _without_a_part(schedule: Schedule, parts: int) -> Iterator[Schedule]:
    """Each part alone if there are two, then all but each part."""
    parts = min(parts, len(schedule))
    bounds = [round(index * len(schedule) / parts) for index in range(parts + 1)]
    cuts = list(itertools.pairwise(bounds))
    candidates = [schedule[:begin] + schedule[end:] for begin, end in cuts]
    yield from (candidate for candidate in dict.fromkeys(candidates) if candidate)


def _begins_early(schedule: Schedule, fails: Fails) -> Schedule:
    """All of it earlier by the time in which nothing happens."""
    early_s = schedule[0].at_s - BEGIN_S
    if early_s <= 0:
        return schedule
    moved = tuple(msgspec.structs.replace(move, at_s=on_grid_s(move.at_s - early_s)) for move in schedule)
    return moved if fails(moved) else schedule


def _shorter(schedule: Schedule, fails: Fails) -> Schedule:
    """Each fault half as long, up to twice, as long as that fails too."""
    for index in range(len(schedule)):
        for _ in range(HALVINGS):
            move = schedule[index]
            half_s = on_grid_s(move.for_s / 2)
            if half_s < SHORTEST_S:
                break
            candidate = (*schedule[:index], msgspec.structs.replace(move, for_s=half_s), *schedule[index + 1 :])
            if not fails(candidate):
                break
            schedule = candidate
    return schedule
