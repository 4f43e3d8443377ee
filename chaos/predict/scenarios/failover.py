"""How systems that do not elect by Raft give up a leader: by a lease that runs out, or by the word of several watchers. Times in s.

    lease       the leader renews a key each ``renewal`` and dies at a random moment between: the key lives on for ttl - U(0, renewal)
                (Patroni: ttl and loop_wait)
    watchers    each asks the leader every ``every``, and gives it up when no answer came for ``wait``; the leader is lost when
                enough say so (Redis Sentinel: down-after-milliseconds, quorum; a ping each second, or each down-after if that is less)

A watcher whose connection is closed counts from the last answer, U(0, every) before the death; one that meets silence counts from the
question that is not answered, U(0, every) after it. Watchers ask each at a phase of its own; of v watchers the k-th smallest wait counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


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

    @property
    def mean_s(self) -> float:
        """The k-th smallest of v uniform draws lies at k / (v + 1) on average; counted from above where waits are shortened."""
        place = self.needed / (self.count + 1)
        return self.wait_s + self.every_s * place if self.silent else self.wait_s - self.every_s * (1.0 - place)

    @property
    def variance_s2(self) -> float:
        """Of an order statistic of uniform draws: a Beta(k, v - k + 1) law."""
        k, v = self.needed, self.count
        return self.every_s**2 * k * (v - k + 1) / ((v + 1) ** 2 * (v + 2))

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """``size`` draws."""
        phases = np.sort(rng.uniform(0.0, 1.0, (size, self.count)), axis=1)[:, self.needed - 1] * self.every_s
        return self.wait_s + phases if self.silent else self.wait_s - self.every_s + phases
