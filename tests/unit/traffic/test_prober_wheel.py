"""The wheel of time-outs: fires what is under way, late by a tick at most, and wakes nobody for what has ended."""

from __future__ import annotations

from chaos.traffic.loop import Wheel
from chaos.traffic.probe import Slot

TICK_NS = 1_000


def under_way(wheel: Wheel, expiry_ns: int) -> Slot:
    """A slot in its first attempt."""
    slot = Slot()
    slot.attempts = 1
    slot.expiry_ns = expiry_ns
    wheel.add(slot)
    return slot


def test_it_fires_at_the_end_of_the_tick() -> None:
    """Never early."""
    wheel = Wheel(TICK_NS)
    cut: list[Slot] = []
    slot = under_way(wheel, 1_500)
    assert wheel.next_ns() == 2_000
    wheel.expire(1_999, cut.append)
    assert cut == []
    wheel.expire(2_000, cut.append)
    assert cut == [slot]
    assert wheel.next_ns() is None


def test_what_has_ended_wakes_nobody() -> None:
    """Nor hides what has not, in its own tick or in a later one."""
    wheel = Wheel(TICK_NS)
    cut: list[Slot] = []
    ended, alive, later = under_way(wheel, 1_100), under_way(wheel, 1_200), under_way(wheel, 7_300)
    ended.attempts = -1
    assert wheel.next_ns() == 2_000
    alive.attempts = -1
    assert wheel.next_ns() == 8_000
    again = under_way(wheel, 1_900)  # into a tick that was let go
    assert wheel.next_ns() == 2_000
    wheel.expire(9_000, cut.append)
    assert cut == [again, later]


def test_a_second_attempt_is_watched_by_its_own_entry() -> None:
    """The entry of the first one means nothing any more."""
    wheel = Wheel(TICK_NS)
    cut: list[Slot] = []
    slot = under_way(wheel, 1_100)
    slot.attempts, slot.expiry_ns = 2, 5_100
    wheel.add(slot)
    assert wheel.next_ns() == 6_000
    wheel.expire(5_999, cut.append)
    assert cut == []
    wheel.expire(6_000, cut.append)
    assert cut == [slot]
