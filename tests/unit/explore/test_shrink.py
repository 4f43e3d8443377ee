"""A schedule shrinks to what a known cause needs, whatever stands around it."""

from __future__ import annotations

import itertools
import random

import pytest

from chaos.explore.schedule import Move, Schedule, ordered
from chaos.explore.shrink import SHORTEST_S, shrink


def _move(kind: str, target: str, at_s: float, for_s: float = 2.0) -> Move:
    return Move(kind, "{}", target, at_s, for_s)


def _needs(*wanted: tuple[str, str]):  # noqa: ANN202
    """Fails exactly where each of these stands in the schedule."""

    def fails(schedule: Schedule) -> bool:
        return set(wanted) <= {(move.kind, move.target) for move in schedule}

    return fails


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_not_needed_goes(count: int) -> None:
    """Random schedules of up to eight faults, of which some are the cause: just those are left."""
    random_ = random.Random(count)
    for _ in range(50):
        pool = [
            _move(kind, target, random_.uniform(0, 15)) for kind, target in itertools.product(("kill", "pause", "stop"), ("n1", "n2", "n3"))
        ]
        schedule = ordered(tuple(random_.sample(pool, 8)))
        cause = random_.sample(schedule, count)
        least = shrink(schedule, _needs(*((move.kind, move.target) for move in cause)))
        assert sorted((move.kind, move.target) for move in least) == sorted((move.kind, move.target) for move in cause)


def test_what_must_overlap_still_does() -> None:
    """Two faults that count only while both are in force keep their distance, and move to the beginning together."""
    schedule = (_move("kill", "n1", 6.0, 4.0), _move("pause", "n3", 7.0), _move("kill", "n2", 9.0, 4.0))

    def overlap(candidate: Schedule) -> bool:
        kills = [move for move in candidate if move.kind == "kill"]
        return len(kills) == 2 and kills[1].at_s < kills[0].at_s + kills[0].for_s

    least = shrink(schedule, overlap)
    assert [(move.target, move.at_s) for move in least] == [("n1", 0.5), ("n2", 3.5)]
    assert least[0].for_s == 4.0
    assert least[1].for_s == 1.0


def test_no_fault_becomes_too_short_to_be_proven() -> None:
    """Halving ends before nothing is left of a fault."""
    (least,) = shrink((_move("kill", "n1", 1.0, 0.7),), _needs(("kill", "n1")))
    assert least.for_s >= SHORTEST_S


def test_what_was_refused_is_not_asked_twice() -> None:
    """A run of a real cluster takes seconds."""
    asked: list[Schedule] = []
    needed = _needs(("kill", "n1"), ("kill", "n2"), ("kill", "n3"))

    def fails(schedule: Schedule) -> bool:
        asked.append(schedule)
        return needed(schedule)

    shrink(tuple(_move("kill", f"n{index}", index) for index in range(1, 6)), fails)
    held = [schedule for schedule in asked if not needed(schedule)]
    assert len(held) == len(set(held))
