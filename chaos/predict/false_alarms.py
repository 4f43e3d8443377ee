"""How often a healthy leader is given up since its beats are late or lost, and what that costs.

A beat is sent each h. It is lost with probability p, else late by D, drawn for each beat from an exponential law. A follower waits T after
a beat that came; the next ones are sent h, 2h, ... after that one. It gives up if none of them has come by then:

    P(T) = E[ product over j >= 1 with jh < D + T of  p + (1 - p) P(D' > D + T - jh) ]         D: how late the last beat was itself
    rate = followers x (1 - p) P(T) / h

This is the mistake rate of Chen, Toueg & Aguilera, On the quality of service of failure detectors (IEEE Transactions on Computers 51(5),
2002), for a watcher that counts its wait from the last beat that came. Beats are late independently of each other: a leader that stands
still for longer than T is given up whatever this says. Followers are taken to be wrong one by one, and one alone to suffice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from chaos.predict.system import System

LATENESS: Final = "beat_lateness_s"
LOSS: Final = "beat_loss"
GRID: Final = 200
"""Points of the last beat's own lateness, at quantiles; and of a randomised wait."""


def mistake_chance(wait_s: float, beat_s: float, late_s: float, loss: float) -> float:
    """The chance that no further beat comes within ``wait_s`` after one that came."""
    own_s = -late_s * np.log1p(-(np.arange(GRID) + 0.5) / GRID)
    chance = np.ones(GRID)
    for number in range(1, int((wait_s + float(own_s[-1])) / beat_s) + 1):
        left_s = own_s + wait_s - number * beat_s
        later = np.exp(-np.maximum(left_s, 0.0) / late_s) if late_s > 0 else (left_s < 0).astype(float)
        chance *= np.where(left_s < 0, 1.0, loss + (1.0 - loss) * later)
    return float(chance.mean())


def per_s(known: System) -> float | None:
    """False alarms a second while all is well; None where nothing says how late beats are, or nobody waits for any."""
    waits = known.wait_for_leader
    if waits is None or not {LATENESS, LOSS} & known.given.keys():
        return None
    late_s, loss = (known.given[name].mean_s if name in known.given else 0.0 for name in (LATENESS, LOSS))
    waits_s = np.linspace(waits.low_s, waits.high_s, GRID // 10 if waits.high_s > waits.low_s else 1)
    chance = float(np.mean([mistake_chance(float(wait_s), known.heartbeat_s, late_s, loss) for wait_s in waits_s]))
    return (known.nodes - 1) * (1.0 - loss) * chance / known.heartbeat_s


def each_s(known: System) -> float:
    """What one costs writes: an election whose voters are all there, and the name if it holds the leader alone."""
    front = known.front
    named_s = front.admission().mean_s + front.stale.mean_s if front.leader_only else 0.0
    return 2 * known.round_trip_s + named_s


def share(known: System) -> float:
    """The share of time that false alarms cost; 0 where their rate is not known."""
    return (per_s(known) or 0.0) * each_s(known)
