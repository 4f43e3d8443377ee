"""Failure detectors in virtual time: what they say of a silence, how often they are wrong, and what they make of their own sleep."""

from __future__ import annotations

import random
from statistics import NormalDist

import pytest
from replicated_kv.monitor import Detector, Fixed, Monitor, PhiAccrual

from tests.support.raft_world import MS, World

EVERY = 100 * MS


def fed(detector: Detector, intervals: list[int]) -> int:
    """Heartbeats at these intervals from 0 on; when the last one came."""
    now = 0
    for interval in intervals:
        now += interval
        detector.heard(now)
    return now


def false_alarms(detector: Detector, seed: int, deviation_ms: float, beats: int = 3000) -> int:
    """How many heartbeats found their living sender suspected in the moment before they came."""
    rng, now, wrong = random.Random(seed), 0, 0
    for _ in range(beats):
        now += max(MS, round(rng.gauss(100, deviation_ms) * MS))
        wrong += detector.suspicion(now) >= detector.limit
        detector.heard(now)
    return wrong


@pytest.mark.parametrize("silence_ms", [50, 150, 200, 300, 400])
def test_phi_is_the_logarithm_of_the_chance_of_an_even_later_heartbeat(silence_ms: int) -> None:
    """Held against the normal distribution of the standard library."""
    rng = random.Random(1)
    intervals = [round(rng.gauss(100, 40) * MS) for _ in range(100)]
    detector = PhiAccrual(EVERY, 8.0, 0)
    last = fed(detector, intervals)
    expected = NormalDist.from_samples(intervals)
    chance = 1 - NormalDist(expected.mean, expected.stdev * (99 / 100) ** 0.5).cdf(silence_ms * MS)
    assert 10 ** -detector.suspicion(last + silence_ms * MS) == pytest.approx(chance, rel=1e-6, abs=1e-12)


def test_a_fixed_time_out_is_a_time_out() -> None:
    """Alive until the last nanosecond before it."""
    detector = Fixed(500 * MS, 0)
    last = fed(detector, [EVERY] * 10)
    assert detector.suspicion(last + 500 * MS - 1) < detector.limit <= detector.suspicion(last + 500 * MS)


@pytest.mark.parametrize("seed", range(5))
def test_phi_adapts_where_a_time_out_does_not(seed: int) -> None:
    """With even heartbeats phi finds a death sooner than 500 ms; with uneven ones it is not fooled as a time-out of 200 ms is."""
    even = PhiAccrual(EVERY, 8.0, 0)
    last = fed(even, [EVERY] * 100)
    assert even.suspicion(last + 300 * MS) >= even.limit
    assert false_alarms(PhiAccrual(EVERY, 8.0, 0), seed, 60) < 3
    assert false_alarms(Fixed(200 * MS, 0), seed, 60) > 30


@pytest.mark.parametrize("kind", ["fixed", "phi"])
def test_who_slept_itself_holds_it_against_nobody(kind: str) -> None:
    """A node that was paused heard nobody for long: that says nothing about the others."""
    monitor = Monitor(kind, EVERY, 500 * MS, 8.0)
    monitor.watch(["n2"], 0)
    for beat in range(1, 50):
        monitor.awake(beat * EVERY)
        monitor.heard("n2", 1.5, beat * EVERY)
    assert not monitor.view(49 * EVERY + 5000 * MS)["n2"].alive
    monitor.awake(49 * EVERY + 5000 * MS)
    assert monitor.view(49 * EVERY + 5000 * MS)["n2"].alive
    later = monitor.view(49 * EVERY + 5600 * MS)["n2"]
    assert later == (False, later.suspicion, 600.0, 1.5, True, True, False)


def test_both_detectors_judge_whichever_was_chosen_and_a_slow_disk_is_seen_beside_them() -> None:
    """After 100 beats at 100 ms, phi is 8 about 240 ms after the last one: 340 ms is suspect to phi alone, 540 ms to both."""
    monitor = Monitor("fixed", EVERY, 500 * MS, 8.0)
    monitor.watch(["n2"], 0)
    for beat in range(1, 101):
        monitor.heard("n2", 80.0, beat * EVERY)
    last = 100 * EVERY
    seen = [monitor.view(last + silence_ms * MS)["n2"] for silence_ms in (100, 340, 540)]
    assert [(each.suspects_fixed, each.suspects_phi) for each in seen] == [(False, False), (False, True), (True, True)]
    assert [each.alive for each in seen] == [True, True, False]
    assert all(each.slow_disk for each in seen)


@pytest.mark.parametrize("kind", ["fixed", "phi"])
@pytest.mark.parametrize("seed", range(4))
def test_the_views_of_a_simulated_cluster(kind: str, seed: int) -> None:
    """Heartbeats over the lossy network of the simulation: the dead one is seen by all, a one-way cut by one side alone."""
    world = World(seed, loss=0.02)
    monitors = {name: Monitor(kind, EVERY, 500 * MS, 8.0) for name in world.names}
    for name, monitor in monitors.items():
        monitor.watch([other for other in world.names if other != name], 0)

    def beat(sender: str, others: list[str]) -> None:
        member = world.members[sender]
        monitors[sender].awake(world.now)
        for other in others:
            if world._passes(sender, other):
                world.after(
                    world.rng.randint(0, 5) * MS, world.members[other], lambda other=other: monitors[other].heard(sender, 0.0, world.now)
                )
        world.after(EVERY, member, lambda: beat(sender, others))

    for name in world.names:
        beat(name, [other for other in world.names if other != name])

    def alive() -> dict[str, list[str]]:
        return {name: [other for other, view in monitors[name].view(world.now).items() if view.alive] for name in world.names}

    world.run(10_000 * MS)
    assert alive() == {"n1": ["n2", "n3"], "n2": ["n1", "n3"], "n3": ["n1", "n2"]}
    world.cut = {("n1", "n2")}
    world.run(world.now + 3000 * MS)
    assert alive() == {"n1": ["n2", "n3"], "n2": ["n3"], "n3": ["n1", "n2"]}
    world.cut.clear()
    world.members["n3"].crash()
    world.run(world.now + 3000 * MS)
    assert alive()["n1"] == ["n2"]
    assert alive()["n2"] == ["n1"]
