"""When a runtime that waits (``plan.back_off``) starts a dead node again. Times in s after the death.

    noticed       U(seen): it looks at all its nodes once in each such period
    looks         at once, then each a ``look`` after the last one, at the next tick; and at the first probe that finds the node dead, for
                  which it looks at its nodes anew: not before the next of those periods
    start         at the first look at which the wait is over

(Kubernetes v1.34: ``Relist`` of pleg/generic.go, ``completeWork`` and ``GetNewerThan`` of pod_workers.go, ``syncLoopIteration`` of
kubelet.go, ``doProbe`` of prober/worker.go.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from chaos.plan.back_off import BackOff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Restarted(msgspec.Struct, frozen=True):
    """The law of that start."""

    rule: BackOff

    def sample(self, rng: np.random.Generator, owed_s: Floats) -> Floats:
        """One draw for each wait that is owed."""
        rule, size = self.rule, len(owed_s)
        at_s = rng.uniform(*rule.seen_s, size)
        if rule.look_s[1] <= 0:
            return np.maximum(at_s, owed_s)
        probe_s = np.full(size, np.inf)
        if rule.probed_s > 0:
            probe_s = at_s + np.maximum(rng.uniform(0.0, rule.probed_s, size), rule.seen_s[1])
        while (waits := at_s < owed_s).any():
            next_s = at_s + rng.uniform(*rule.look_s, size) + rng.uniform(0.0, rule.tick_s, size)
            next_s = np.minimum(next_s, np.where(probe_s > at_s, probe_s, np.inf))
            at_s = np.where(waits, next_s, at_s)
        return at_s
