"""What people can change of a system: each parameter as a function from a factor to the changed system."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from chaos.models.blocks import Uniform
from chaos.models.system import System


def changes(known: System) -> dict[str, Callable[[float], System]]:
    """Parameter -> the system with that parameter times a factor."""

    def scaled(name: str) -> Callable[[float], System]:
        def change(factor: float) -> System:
            old = known.given[name]
            new: Mapping[str, Uniform] = {**known.given, name: Uniform(old.low_s * factor, old.high_s * factor)}
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
    found = {name: scaled(name) for name in of_system if name in known.given and known.given[name].high_s > 0}
    if "coverage" in known.given and known.given["coverage"].mean_s < 1:
        lost = 1.0 - known.given["coverage"].mean_s

        def covered(factor: float) -> System:
            share = max(0.0, 1.0 - lost * factor)  # a coverage of nothing cannot get worse
            return msgspec.structs.replace(known, given={**known.given, "coverage": Uniform(share, share)})

        found["crashes not covered"] = covered
    if known.front.health_checked:
        of_front = ("ttl_s", "check_every_s", "check_timeout_s")
        found |= {f"dns.{name}": front(name) for name in of_front if getattr(known.front, name) > 0}
    return found
