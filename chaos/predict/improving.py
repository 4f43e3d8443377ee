"""What people can change of a system, at what price, and how far: each parameter as a function from a factor to the changed system.

A shorter wait is paid for with false alarms, a faster beat with load, a shorter TTL with questions. Advice stops where practice does:

    a follower stands only after it has missed five beats        etcd refuses less
    a watcher gives a node up only after three
    either waits for ten round trips at least                    the paper on Raft: an order of magnitude above the broadcast time
    beats are no closer together than a round trip
    a TTL on the wire is a whole number of seconds

What would be below is named as not advised, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from chaos.core.units import show_s
from chaos.predict import false_alarms
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.system import System

STANDS_AFTER: Final = 5.0
"""Beats that a follower misses, at least, before it stands for election."""
GIVEN_UP_AFTER: Final = 3.0
"""Beats that a watcher misses, at least, before it gives a node up."""
TRIPS: Final = 10.0
"""Round trips that fit, at least, into the wait for a leader."""
LEAST_TTL_S: Final = 1.0
YEAR_S: Final = 365 * 86400.0
LONGEST_YEARS: Final = 1000
TOGETHER: Final = "heartbeat_s and election_timeout_s together"

PRICES: Final = {
    "round_trip_s": "nodes nearer to each other, or faster disks",
    "restart_s": "a faster start",
    "resync_s": "more load on the others while a node catches up",
    "zone_outage_s": "people or automation that bring a zone back sooner",
    "reset_s": "somebody on call who is twice as fast",
    "common_cause": "fewer things that all nodes share",
    "crashes not covered": "tests of the cases that the cluster does not recover from",
    "dns.ttl_s": "twice as many questions to the name server",
    "dns.check_every_s": "twice as many health checks",
    "dns.check_timeout_s": "slow nodes that are well are taken out sooner",
}


class Change(msgspec.Struct, frozen=True):
    """One parameter (or two together): the system with it times a factor."""

    make: Callable[[float], System]

    def __call__(self, factor: float) -> System:
        """The changed system."""
        return self.make(factor)


def changes(known: System) -> dict[str, Change]:
    """Parameter -> the system with that parameter times a factor."""

    def scaled(*names: str) -> Callable[[float], System]:
        def change(factor: float) -> System:
            new: Mapping[str, Uniform] = {
                **known.given,
                **{name: Uniform(known.given[name].low_s * factor, known.given[name].high_s * factor) for name in names},
            }
            return msgspec.structs.replace(known, given=new)

        return change

    def front(field: str) -> Callable[[float], System]:
        return lambda factor: msgspec.structs.replace(
            known, front=msgspec.structs.replace(known.front, **{field: getattr(known.front, field) * factor})
        )

    of_system = (
        "heartbeat_s", "timeout_s", "election_timeout_s", "round_trip_s", "restart_s", "resync_s", "zone_outage_s", "reset_s",
        "common_cause",
    )  # fmt: skip
    there = [name for name in of_system if name in known.given and known.given[name].high_s > 0]
    found = {name: Change(scaled(name)) for name in there}
    if {"heartbeat_s", "election_timeout_s"} <= set(there):
        found[TOGETHER] = Change(scaled("heartbeat_s", "election_timeout_s"))
    if "coverage" in known.given and known.given["coverage"].mean_s < 1:
        lost = 1.0 - known.given["coverage"].mean_s

        def covered(factor: float) -> System:
            share = max(0.0, 1.0 - lost * factor)  # a coverage of nothing cannot get worse
            return msgspec.structs.replace(known, given={**known.given, "coverage": Uniform(share, share)})

        found["crashes not covered"] = Change(covered)
    if known.front.health_checked:
        of_front = ("ttl_s", "check_every_s", "check_timeout_s")
        found |= {f"dns.{name}": Change(front(name)) for name in of_front if getattr(known.front, name) > 0}
    return found


def price(name: str, now: System, then: System) -> str:
    """What the change costs, in words."""
    if name in ("election_timeout_s", "timeout_s"):
        beats = f"false alarms: the leader is given up after {_missed(then):.2g} missed beats instead of {_missed(now):.2g}"
        return f"{beats}, {_alarms(now, then)}"
    if name == TOGETHER:
        deposed = f"a leader that pauses for {show_s(_patience_s(then) or 0.0)} is deposed"
        return f"{_messages(now, then)}, and {deposed}; {_alarms(now, then)}"
    if name == "heartbeat_s":
        return _messages(now, then)
    return PRICES.get(name, "")


def _messages(now: System, then: System) -> str:
    """Each beat goes to all followers, and each of them answers."""
    often, before = ((known.nodes - 1) / known.heartbeat_s for known in (then, now))
    return f"{often:.3g} beats a second instead of {before:.3g}, each with its answer"


def _alarms(now: System, then: System) -> str:
    often, before = false_alarms.per_s(then), false_alarms.per_s(now)
    if often is None or before is None:
        return "how often that happens needs 'beat_lateness' or 'beat_loss'"
    return f"{_each(often)} instead of {_each(before)}, for {show_s(YEAR_S * false_alarms.share(then))} a year"


def _each(rate_per_s: float) -> str:
    if rate_per_s * YEAR_S * LONGEST_YEARS < 1:
        return f"less than one in {LONGEST_YEARS:,} years"
    return f"one each {show_s(1 / rate_per_s)}"


def unsafe(now: System, then: System) -> str:
    """Why nobody should be advised to make that of it; empty where it is within what is usual, or waits no less than before."""
    wait_s, waited_s, trip_s = _patience_s(then), _patience_s(now), then.round_trip_s
    if wait_s is not None and waited_s is not None and wait_s < waited_s * (1 - 1e-9):
        beats, least = _missed(then), STANDS_AFTER if then.randomised else GIVEN_UP_AFTER
        if beats < least - 1e-9:
            return f"the leader would be given up after {beats:.2g} missed beat{'s' * (beats > 1)}; {least:g} at least are usual"
        if wait_s < TRIPS * trip_s:
            return f"the wait for the leader would be {wait_s / trip_s:.2g} round trips; {TRIPS:g} at least are usual"
    if then.heartbeat_s < min(trip_s, now.heartbeat_s):
        return "beats would be closer together than a round trip"
    if then.front.ttl_s < LEAST_TTL_S and then.front.ttl_s < now.front.ttl_s:
        return "a TTL is a whole number of seconds, 1 at least"
    return ""


def _patience_s(known: System) -> float | None:
    """The shortest time without a beat after which the leader is given up; None where nobody beats."""
    waits = known.wait_for_leader
    return None if waits is None else waits.low_s


def _missed(known: System) -> float:
    return (_patience_s(known) or 0.0) / known.heartbeat_s if known.heartbeat_s > 0 else 0.0
