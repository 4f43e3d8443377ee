"""``data``: what clients write and read in order to find out whether acknowledged data is kept, and what is checked of it."""

from __future__ import annotations

from typing import Annotated, Final

from chaos.core import plugins
from chaos.core.units import PERCENT, RATE, PerSecond, Seconds
from chaos.experiment.forms import choice, listed, mapping, quantity, whole
from chaos.experiment.tables import Key, Strict, Written

MOST_KEYS: Final = 100_000
MOST_SESSIONS: Final = 256
MOST_PER_S: Final = 5_000.0
"""All sessions together: more than one process can send and write down."""
_MIX: Final = mapping(quantity(PERCENT, gt=0, le=1), empty="there is no operation", right="mix: {write: 50%, read: 50%}")
_CHECKS: Final = listed(choice(lambda: plugins.names("checks")), example="[lost_writes, stale_reads]", distinct=True)


@Written(blank=True)
class DataSpec(Strict, frozen=True):
    """Clients that write and read unique values beside the measured traffic, and the checks of what they saw."""

    keys: Annotated[int, whole(ge=1, le=MOST_KEYS)] = 100
    """So many keys are written again and again"""
    sessions: Annotated[int, whole(ge=1, le=MOST_SESSIONS)] = 8
    """Clients at work at the same time; each waits for an answer before it asks again"""
    rate_per_s: Annotated[PerSecond, quantity(RATE, gt=0, le=MOST_PER_S)] = 200.0
    """Operations of all sessions together, at most"""
    mix: Annotated[dict[str, float], _MIX] = {}
    """Share of each operation; without it the target's first one that does write, and its first one that does read, half and half"""
    once: Annotated[float, quantity(PERCENT, ge=0, lt=1)] = 0.2
    """Share of the writes of registers that go to a key of their own, which is never written again: a loss there cannot be covered up"""
    checks: Annotated[tuple[str, ...], _CHECKS, Key(example="checks: [lost_writes, linearizable]")] = ()
    """What is checked; without it everything that suits the operations and the target"""
    settle_s: Seconds = 10.0
    """At the end every key is read again until all nodes agree, for so long at most"""
    check_within_s: Seconds = 60.0
    """A check that takes longer ends as unknown"""
