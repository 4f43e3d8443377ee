"""Is another node alive? Every node says so at each heartbeat, and two kinds of detector judge the silence in between.

``fixed`` suspects a node after a time-out. ``phi`` (Hayashibara and others 2004) learns how evenly the heartbeats of that node arrive. It
gives for a silence the suspicion phi = -log10 P(a heartbeat comes even later): 1 is wrong once in 10, 8 once in 10^8 heartbeats.
Neither decides anything in the consensus: they are what operators see in ``/status``.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple, Protocol

WINDOW = 100
FEW = 5
LARGEST_PHI = 99.0
SLOW_DISK_MS = 50.0


class Detector(Protocol):
    """One node's judgement of one other."""

    def heard(self, now_ns: int) -> None:
        """A heartbeat arrived."""

    def suspicion(self, now_ns: int) -> float:
        """From 0; ``limit`` and more means: not alive."""

    limit: float


class Fixed:
    """Suspicion is silence, in time-outs."""

    limit = 1.0

    def __init__(self, timeout_ns: int, now_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._heard_ns = now_ns

    def heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns

    def suspicion(self, now_ns: int) -> float:
        return (now_ns - self._heard_ns) / self._timeout_ns


class PhiAccrual:
    """Suspicion is phi, of a normal distribution with the mean and deviation of the last intervals.

    The deviation is at least a quarter of the mean, so that a very even sender is not suspected for one late heartbeat.
    Until some intervals are known they are taken for ``every_ns``.
    """

    def __init__(self, every_ns: int, limit: float, now_ns: int) -> None:
        self.limit = limit
        self._heard_ns = now_ns
        self._intervals: deque[int] = deque([every_ns] * FEW, WINDOW)

    def heard(self, now_ns: int) -> None:
        self._intervals.append(now_ns - self._heard_ns)
        self._heard_ns = now_ns

    def suspicion(self, now_ns: int) -> float:
        mean = sum(self._intervals) / len(self._intervals)
        deviation = math.sqrt(sum((each - mean) ** 2 for each in self._intervals) / len(self._intervals))
        later = 0.5 * math.erfc((now_ns - self._heard_ns - mean) / (max(deviation, mean / 4) * math.sqrt(2)))
        return min(LARGEST_PHI, max(0.0, -math.log10(later))) if later > 0 else LARGEST_PHI


class View(NamedTuple):
    """What this node thinks of another: ``silent_ms`` since its last heartbeat, which told how long its disk takes to save."""

    alive: bool
    suspicion: float
    silent_ms: float
    disk_ms: float
    suspects_fixed: bool
    """By silence, whichever detector was chosen."""
    suspects_phi: bool
    slow_disk: bool
    """It lives, and takes ``SLOW_DISK_MS`` or more to save."""


class Monitor:
    """One node's view of all others."""

    def __init__(self, kind: str, every_ns: int, timeout_ns: int, phi: float) -> None:
        self.kind = kind
        self.every_ns = every_ns
        self._timeout_ns = timeout_ns
        self._phi = phi
        self._detectors: dict[str, tuple[Fixed, PhiAccrual]] = {}
        self._heard: dict[str, tuple[int, float]] = {}
        self._looked_ns = 0

    def watch(self, names: list[str], now_ns: int) -> None:
        """From now on these are the others. All count as just heard: a node that starts knows nothing against anybody."""
        self._detectors = {name: self._detectors.get(name) or self._new(now_ns) for name in names}
        self._heard = {name: self._heard.get(name, (now_ns, 0.0)) for name in names}

    def _new(self, now_ns: int) -> tuple[Fixed, PhiAccrual]:
        return Fixed(self._timeout_ns, now_ns), PhiAccrual(self.every_ns, self._phi, now_ns)

    def heard(self, name: str, disk_ms: float, now_ns: int) -> None:
        """A heartbeat of that node arrived."""
        if name in self._detectors:
            for detector in self._detectors[name]:
                detector.heard(now_ns)
            self._heard[name] = (now_ns, disk_ms)

    def awake(self, now_ns: int) -> None:
        """Called at each own heartbeat: who slept itself heard nobody, and must not hold that against the others."""
        if self._looked_ns and now_ns - self._looked_ns > self._timeout_ns:
            self._detectors.clear()
            self._heard = {name: (now_ns, disk_ms) for name, (_, disk_ms) in self._heard.items()}
            self.watch(list(self._heard), now_ns)
        self._looked_ns = now_ns

    def view(self, now_ns: int) -> dict[str, View]:
        """Every other node as it is seen now."""
        found = {}
        for name, (fixed, phi) in self._detectors.items():
            at_ns, disk_ms = self._heard[name]
            by_fixed, by_phi = fixed.suspicion(now_ns), phi.suspicion(now_ns)
            suspects = by_fixed >= fixed.limit, by_phi >= phi.limit
            chosen, suspicion = (suspects[1], by_phi) if self.kind == "phi" else (suspects[0], by_fixed)
            silent_ms = round((now_ns - at_ns) / 1e6, 1)
            found[name] = View(not chosen, round(suspicion, 2), silent_ms, disk_ms, *suspects, disk_ms >= SLOW_DISK_MS)
        return found
