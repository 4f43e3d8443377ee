"""The beat of metronome: a pure function of seed and time."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from metronome.beat import BLOCK_NS, Outage, Tempo, outages
from metronome.main import Usage, parse

MS = 1_000_000
TEMPO = Tempo(100 * MS, 400 * MS, 20 * MS, 3000 * MS)


def take(count: int, seed: str = "1", epoch_ns: int = 0, from_ns: int = 0) -> list[Outage]:
    """The first outages from a time on."""
    return list(itertools.islice(outages(seed, TEMPO, epoch_ns, from_ns), count))


def test_replicas_started_at_different_times_agree() -> None:
    """Whoever starts later has the same outages from then on, as has another one with the same seed, and no other seed."""
    early = take(500)
    late = take(100, from_ns=early[200].down + 1)
    assert late == early[201:301]
    assert take(500) == early
    assert take(500, seed="2") != early


def test_the_epoch_shifts_the_whole_beat() -> None:
    """The same piece of the beat can be met again."""
    moved = take(50, epoch_ns=7 * MS, from_ns=7 * MS)
    assert [(outage.down - 7 * MS, outage.up - 7 * MS) for outage in moved] == [tuple(outage) for outage in take(50)]


def test_the_times_are_drawn_as_said() -> None:
    """Outages lie in their bounds and blocks, apart from each other, and their logarithms are uniform."""
    found = take(4000)
    lengths = [outage.up - outage.down for outage in found]
    assert all(TEMPO.down_min <= length <= TEMPO.down_max for length in lengths)
    assert all(later.down - earlier.up >= TEMPO.up_min for earlier, later in itertools.pairwise(found))
    assert all(outage.down // BLOCK_NS == (outage.up - 1) // BLOCK_NS for outage in found)
    middle = math.exp((math.log(TEMPO.down_min) + math.log(TEMPO.down_max)) / 2)
    assert statistics.median(lengths) == pytest.approx(middle, rel=0.15)


@pytest.mark.parametrize("arguments", [["--manner", "explode"], ["--down-min", "20"], ["--up-min", "5s"], ["--seed"], ["--what", "1"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    """With a message, not with a trace."""
    needed = ["--node", "n1", "--address", "127.0.0.1", "--port", "7000", "--data", "data"]
    parse(needed)
    with pytest.raises(Usage):
        parse([*needed, *arguments])
