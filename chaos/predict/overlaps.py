"""What the cluster's chain adds at production rates to faults that strike one by one, and what planned restarts cost. Times in s.

Isolated faults are worked out as clients see them (``classes``); this is the rest: a crash inside the recovery of another, a crash while
a zone is dark, common causes, and crashes of a leader that the cluster does not recover from by itself (coverage). Clients' retries
hide none of it, since it lasts. The chain is that of ``chain``, or of ``wide`` where zones fail.
"""

from __future__ import annotations

import msgspec

from chaos.predict.markov import outage_flow
from chaos.predict.markov.chain import ClusterChain, Solvable, solvable
from chaos.predict.markov.maintenance import planned_restarts
from chaos.predict.markov.measures import TINY, long_run
from chaos.predict.markov.wide import WideChain
from chaos.predict.system import System

INSTANT_S = 1e-3
"""A chain has no delay of no time at all."""


class Rates(msgspec.Struct, frozen=True):
    """Of production, in 1/s: crashes of each node, failures of each zone."""

    crash_per_s: float = 0.0
    zone_per_s: float = 0.0

    def times(self, factor: float) -> Rates:
        """All of them so many times as high."""
        return Rates(self.crash_per_s * factor, self.zone_per_s * factor)


def cluster_chain(known: System, crash_per_s: float, does: str) -> ClusterChain:
    """The chain of this system; ``BadInput`` for a parameter that it needs and nobody says."""
    given = known.given
    coverage = given["coverage"].mean_s if "coverage" in given else 1.0
    return ClusterChain(
        nodes=known.nodes,
        quorum=known.quorum,
        crash_per_s=crash_per_s,
        restart_per_s=_rate(known.need("restart_s", "overlapping crashes").mean_s),
        resync_per_s=_rate(given["resync_s"].mean_s if "resync_s" in given and not known.alone else 0.0),
        failover_per_s=_rate(failover_s(known, does)),
        crews=round(given["crews"].mean_s) if "crews" in given else None,
        coverage=coverage,
        reset_per_s=_rate(known.need("reset_s", "a coverage below 1").mean_s) if coverage < 1 else None,
        common_cause=given["common_cause"].mean_s if "common_cause" in given else 0.0,
    )


def failover_s(known: System, does: str) -> float:
    """From the loss of a leader to the next one, on average; nothing where nobody leads, or nobody says how long it takes."""
    if not known.needs_leader(does) or not {"heartbeat_s", "close_detection_s"} & set(known.given):
        return 0.0
    if "close_detection_s" in known.given:  # what crashes in production is loud
        return known.given["close_detection_s"].mean_s + 2.5 * known.round_trip_s
    if known.alone:
        return 0.0
    if known.randomised:
        return known.election(max(known.nodes - 1, known.quorum), loud=True).mean_s
    return known.watcher(loud=True).mean_s + known.takeover.mean_s


def beyond_isolated(known: System, rates: Rates, does: str) -> float:
    """The part of the unavailability that isolated faults do not explain.

    For an operation that any node answers it is the time in which no node runs.
    """
    pair = _with_and_without(known, rates, does)
    if pair is None:
        return 0.0
    whole, alone = (long_run(each).unavailability for each in pair)
    return max(0.0, whole - alone / TINY)


def outages(known: System, rates: Rates, does: str, lost: float) -> tuple[tuple[float, float], ...]:
    """As outages: (rate in 1/s, mean length in s) of each octave of lengths, ``lost`` of all time together."""
    pair = _with_and_without(known, rates, does)
    if pair is None or lost <= 0:
        return ()
    whole, alone = (outage_flow.of(each) for each in pair)
    return outage_flow.more_than(whole, alone, alone_share(known) / TINY, lost)


def alone_share(known: System, leads: bool = True) -> float:
    """The share of crashes (of the leader, or of others) that strike one node alone and that the cluster itself recovers from."""
    single = 1.0 - known.given["common_cause"].mean_s if "common_cause" in known.given else 1.0
    return single * known.given["coverage"].mean_s if leads and "coverage" in known.given else single


def _with_and_without(known: System, rates: Rates, does: str) -> tuple[Solvable, Solvable] | None:
    """The cluster's chain at these rates, and at rates so low that faults are isolated, without shared causes.

    None where it says nothing.
    """
    if not (rates.crash_per_s > 0 or rates.zone_per_s > 0) or "restart_s" not in known.given:
        return None
    reads = not known.needs_leader(does)
    plain = cluster_chain(known, rates.crash_per_s or rates.zone_per_s * TINY, does)
    if rates.zone_per_s <= 0:
        isolated = msgspec.structs.replace(plain, crash_per_s=plain.crash_per_s * TINY, common_cause=0.0, coverage=1.0)
        return solvable(plain, reads), solvable(isolated, reads)
    wide = WideChain(
        zones=known.spread(),
        quorum=plain.quorum,
        crash_per_s=plain.crash_per_s,
        restart_per_s=plain.restart_per_s,
        resync_per_s=plain.resync_per_s,
        failover_per_s=plain.failover_per_s,
        zone_per_s=rates.zone_per_s,
        crews=plain.crews,
        zone_back_per_s=_rate(known.need("zone_outage_s", "zones that fail").mean_s),
        coverage=plain.coverage,
        reset_per_s=plain.reset_per_s,
    )
    lone = msgspec.structs.replace(wide, crash_per_s=wide.crash_per_s * TINY, zone_per_s=wide.zone_per_s * TINY, coverage=1.0)
    return wide.with_common_cause(plain.common_cause).solvable(reads), lone.solvable(reads)


def risk_s_per_restart(known: System, crash_per_s: float, every_s: float, does: str) -> float:
    """What one planned restart costs on average beyond itself: crashes that strike while its node is away."""
    if crash_per_s <= 0 or not known.needs_leader(does) or "restart_s" not in known.given:
        return 0.0
    chain = cluster_chain(known, crash_per_s, does)
    quiet = msgspec.structs.replace(chain, crash_per_s=crash_per_s * TINY, common_cause=0.0)
    whole, alone = (planned_restarts(each, every_s, known.hands_over).lost_s_per_restart for each in (chain, quiet))
    return max(0.0, whole - alone)


def _rate(mean_s: float) -> float:
    return 1.0 / max(mean_s, INSTANT_S)
