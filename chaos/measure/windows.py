"""Availability as the worst window of each length saw it: the least share of good slots in any 1 s, 10 s, 1 min... of the run.

The mean over a run hides how downtime was spread: an outage of a minute and sixty of a second have the same mean. The least share
over all windows of a length tells them apart (Hauer et al., *Meaningful Availability*, NSDI 2020, section 5: the windowed minimal
cumulative ratio). Windows begin at every slot; missing slots count neither as good nor as bad. Beside them stand the *lost seconds*:
bad slots times the slot width, so that a second in which half the requests fail counts half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chaos.results.observed import WindowWorst

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTHS_S: Final = (1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0)
"""The lengths that are looked at, as far as the run is so long."""


def worst_windows(good: NDArray[np.bool_], counted: NDArray[np.bool_], due_s: NDArray[np.float64], slot_s: float) -> list[WindowWorst]:
    """The worst window of each length that fits into the slots and holds at least one; ``due_s`` ascending, in s."""
    import numpy as np

    if not len(due_s):
        return []
    span_s = float(due_s[-1] - due_s[0]) + slot_s
    bad = _running(counted & ~good)
    missing = None if bool(counted.all()) else _running(~counted)
    found = []
    for length_s in LENGTHS_S:
        size = round(length_s / slot_s)
        if size < 1 or length_s > span_s * (1 + 1e-9) or size > len(due_s):
            continue
        worse = bad[size:] - bad[:-size]
        if missing is None:
            place = int(np.argmax(worse))
            ratio = 1.0 - int(worse[place]) / size
        else:
            asked = size - (missing[size:] - missing[:-size])
            # A window in which next to nothing was sent says nothing: at least half of its slots must count.
            shares = np.where(asked * 2 >= size, worse / np.maximum(asked, 1), -1.0)
            place = int(np.argmax(shares))
            if shares[place] < 0:
                continue
            ratio = 1.0 - float(shares[place])
        found.append(WindowWorst(window_s=length_s, ratio=ratio, start_s=float(due_s[place])))
    return found


def _running(flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How many were set before each place, and after the last."""
    import numpy as np

    found = np.zeros(len(flags) + 1, dtype=np.int32)
    np.cumsum(flags, out=found[1:])
    return found


def lost_seconds(good: NDArray[np.bool_], counted: NDArray[np.bool_], slot_s: float) -> float:
    """Seconds of full outage that the bad slots are worth."""
    import numpy as np

    return float(np.count_nonzero(counted & ~good)) * slot_s
