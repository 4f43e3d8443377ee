"""Predicted and observed outages, drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SLOT_S = 0.01


@dataclass
class Drawn:
    """Predicted draws of one class."""

    downtime_s: NDArray[np.float64]
    faults: tuple[int, ...]
    stratum: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if not len(self.stratum):
            self.stratum = np.zeros(len(self.downtime_s), dtype=np.int64)

    @property
    def noticed(self) -> NDArray[np.bool_]:
        return self.downtime_s > 0


def heartbeat_outages(rng: np.random.Generator, size: int, factor: float = 1.0) -> NDArray[np.float64]:
    """Heartbeat detection less a retry window: cv 0.25, measured in whole slots."""
    outages_s = factor * (rng.uniform(0.0, 1.0, size) + 0.6547)
    measured: NDArray[np.float64] = np.floor(outages_s / SLOT_S + rng.uniform(0.0, 1.0, size)) * SLOT_S
    return measured
