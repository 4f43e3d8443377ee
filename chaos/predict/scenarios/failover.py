"""How systems that do not elect by Raft give up a leader: by a lease that runs out, or by the word of several watchers. Times in s.

    lease       the leader renews a key each ``renewal`` and dies at a random moment between: the key lives on for ttl - U(0, renewal)
                (Patroni: ttl and loop_wait)
    watchers    each asks the leader every ``every``, and gives it up when no answer came for ``wait``; the leader is lost when
                enough say so (Redis Sentinel: down-after-milliseconds, quorum; a ping each second, or each down-after if that is less)

A watcher that meets silence counts from the first question that is not answered, U(0, every) after the death. One whose connection is
closed counts from the last answer, U(0, every) before the death. But one that acts by a timer, each ``tick``, connects anew at its next
tick and asks at once: that question counts, U(0, tick) after the death. Such a watcher sees at its next tick that its time is up, and
a tick later that the others agree (Sentinel: sentinel.c, sentinelReconnectInstance, sentinelCheckSubjectivelyDown, sentinelTimer).
Watchers ask each at a phase of its own; of v watchers the k-th smallest wait counts.

The other side is what the old leader does meanwhile: how long one that is cut off goes on (``ReplicasHeard``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class ReplicasHeard(msgspec.Struct, frozen=True):
    """How long a primary that is cut off from all its replicas goes on taking writes: until too few of them count.

    Each of ``count`` replicas says a word every ``tick``, at a phase of its own. The primary counts time in whole ticks, and once in
    each tick looks at how old the last words are; a replica counts while its word is no older than ``lag`` (Redis:
    min-replicas-max-lag; refreshGoodSlavesCount in replication.c, which compares whole seconds once a second).

        lag - U(0, tick) since the last word + U(0, tick) to the next whole tick + U(0, tick) to the next look
    """

    count: int
    needed: int
    lag_s: float
    tick_s: float = 0.0

    @property
    def longest_s(self) -> float:
        """No primary goes on for longer."""
        return self.lag_s + 2 * self.tick_s

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws, from the cut on."""
        if not self.tick_s:
            return np.full(size, self.lag_s)
        since_s = rng.uniform(0.0, 1.0, (size, self.count)) * self.tick_s
        clock_s = rng.uniform(0.0, 1.0, size) * self.tick_s  # when the first whole tick after the cut comes
        look_s = rng.uniform(0.0, 1.0, size) * self.tick_s
        # Of a word at -since the clock shows the whole tick before it; it is too old lag and a tick after that one.
        behind = np.ceil((since_s + clock_s[:, None]) / self.tick_s)
        stale_s = clock_s[:, None] + self.lag_s + self.tick_s - behind * self.tick_s
        few_s = np.sort(stale_s, axis=1)[:, self.count - self.needed]
        return np.asarray(look_s + np.maximum(np.ceil((few_s - look_s) / self.tick_s), 0.0) * self.tick_s)


_STEPS: Final = 20_001
"""Of the law's grid: an error of a hundred thousandth of its width."""


class LeaseExpiry(msgspec.Struct, frozen=True):
    """The others learn at once that the key is gone: they watch it."""

    ttl_s: float
    renewal_s: float

    @property
    def mean_s(self) -> float:
        return self.ttl_s - self.renewal_s / 2

    @property
    def variance_s2(self) -> float:
        return self.renewal_s**2 / 12

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws: ttl - U(0, renewal)."""
        return self.ttl_s - rng.uniform(0.0, 1.0, size) * self.renewal_s


class Watchers(msgspec.Struct, frozen=True):
    """``needed`` of ``count`` watchers must have given the leader up."""

    count: int
    needed: int
    every_s: float
    wait_s: float
    silent: bool = False
    tick_s: float = 0.0

    @property
    def mean_s(self) -> float:
        """The least wait, and on average the k-th smallest of what v watchers wait beyond it: the area above its distribution."""
        at_s, reached = self._law()
        return self._least_s + _area(at_s, 1.0 - reached)

    @property
    def variance_s2(self) -> float:
        """Of the same: E[x^2] is the integral of 2 x P(more than x)."""
        at_s, reached = self._law()
        return _area(at_s, 2.0 * at_s * (1.0 - reached)) - _area(at_s, 1.0 - reached) ** 2

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        beyond_s = sum(rng.uniform(0.0, 1.0, (size, self.count)) * span_s for span_s in self._spans_s)
        return self._least_s + np.sort(beyond_s, axis=1)[:, self.needed - 1]

    @property
    def _spans_s(self) -> tuple[float, float]:
        """Each watcher waits U(0, first) + U(0, second) beyond the least."""
        return (self.every_s, self.tick_s) if self.silent or not self.tick_s else (self.tick_s, self.tick_s)

    @property
    def _least_s(self) -> float:
        """Nobody gives up sooner."""
        counted_from_answer = not self.silent and not self.tick_s
        return self.wait_s - self.every_s if counted_from_answer else self.wait_s + self.tick_s

    def _law(self) -> tuple[Floats, Floats]:
        """Times beyond the least, and the chance that k of v watchers have waited no longer than that."""
        first_s, second_s = self._spans_s
        at_s = np.linspace(0.0, first_s + second_s, _STEPS)
        if second_s:  # of a sum of two uniform draws: the area of a corner of their rectangle, less what lies outside
            ramps = [np.maximum(at_s - off_s, 0.0) ** 2 for off_s in (0.0, first_s, second_s)]
            one = np.clip((ramps[0] - ramps[1] - ramps[2]) / (2 * first_s * second_s), 0.0, 1.0)
        else:
            one = at_s / first_s
        some = range(self.needed, self.count + 1)
        return at_s, np.asarray(sum(math.comb(self.count, k) * one**k * (1.0 - one) ** (self.count - k) for k in some))


def _area(at: Floats, height: Floats) -> float:
    """Below a curve, by trapezes."""
    return float(((height[1:] + height[:-1]) / 2 * np.diff(at)).sum())
