"""Another machine's clock, mapped onto ours by exchanges: who asks notes when, and the answer says what time it was there.

An exchange proves that their clock less ours lay in [there - received, there - sent] at some instant between sending and receiving.
Clocks drift apart, so what it proves widens with its age: by ``DRIFT`` of it, which no working clock exceeds (NTP steers by 500 ppm at
most, RFC 5905). All exchanges of the last minute hold together: their intervals are intersected. Over a whole run and without widening
they contradict each other soon: at 10 ppm those of 0.3 ms width after 28 s. Pure: times are given, in ns.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

from chaos.core.clock import NS_PER_S

DRIFT: Final = 500e-6
LAST_NS: Final = 60 * NS_PER_S


class Exchange(NamedTuple):
    """When we asked, what time it was there, and when we had the answer."""

    sent_ns: int
    there_ns: int
    received_ns: int


class Offset(NamedTuple):
    """Their clock less ours lies within these ends, at one instant of ours."""

    low_ns: float
    high_ns: float

    @property
    def middle_ns(self) -> float:
        """What is taken for the offset."""
        return (self.low_ns + self.high_ns) / 2

    @property
    def bound_ns(self) -> float:
        """How far that may be off."""
        return (self.high_ns - self.low_ns) / 2


UNKNOWN: Final = Offset(-math.inf, math.inf)


class Exchanges:
    """Those of one other clock. Not safe from several threads."""

    def __init__(self) -> None:
        self._kept: deque[Exchange] = deque()
        self.worst_ns = 0.0
        """The largest bound of any time that was mapped; infinite if one could not be."""

    def note(self, sent_ns: int, there_ns: int, received_ns: int) -> None:
        """One more exchange; those that are older than a minute are forgotten."""
        self._kept.append(Exchange(sent_ns, there_ns, received_ns))
        while self._kept[0].received_ns < received_ns - LAST_NS:
            self._kept.popleft()

    def offset(self, now_ns: int) -> Offset:
        """At an instant of ours; ``UNKNOWN`` before the first exchange.

        Exchanges that contradict each other, although they are widened, say that a clock was set or stood still: then the newest one alone
        counts, and the bound is infinite.
        """
        low_ns, high_ns = UNKNOWN
        for each in self._kept:
            # From the end that is farther away: the answer was made at some instant between them.
            age_ns = max(abs(now_ns - each.sent_ns), abs(now_ns - each.received_ns))
            low_ns = max(low_ns, each.there_ns - each.received_ns - DRIFT * age_ns)
            high_ns = min(high_ns, each.there_ns - each.sent_ns + DRIFT * age_ns)
        return Offset(low_ns, high_ns) if low_ns <= high_ns else UNKNOWN

    def here_ns(self, there_ns: int) -> int:
        """A time of theirs as one of ours. Its bound is counted in ``worst_ns``."""
        if not self._kept:
            self.worst_ns = math.inf
            return there_ns
        newest = self._kept[-1]
        rough_ns = there_ns - (2 * newest.there_ns - newest.sent_ns - newest.received_ns) // 2
        found = self.offset(rough_ns)
        self.worst_ns = max(self.worst_ns, found.bound_ns)
        return rough_ns if math.isinf(found.bound_ns) else there_ns - round(found.middle_ns)

    def there_ns(self, here_ns: int) -> int:
        """A time of ours as one of theirs."""
        found = self.offset(here_ns)
        return here_ns if math.isinf(found.bound_ns) else here_ns + round(found.middle_ns)
