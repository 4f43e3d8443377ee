"""What to fix, from what was seen: each with what it would change. Nothing is said that was neither measured nor read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from chaos.core.units import show_s
from chaos.results.observed import ClassObserved
from chaos.results.report import Report
from chaos.tryout.first import KINDS

_AT_ONCE_S: Final = 0.2


class Seen(msgspec.Struct, frozen=True):
    """Of the containers that were tried, as they were before, and of the rest of the project."""

    services: tuple[str, ...]
    containers: int
    policies: tuple[str, ...]
    """Their restart policies, empty for none."""
    checked: bool
    """All have a health check."""
    alone: tuple[str, ...] = ()
    """Further services with one container each, on which nothing was tried."""
    members: str = ""
    """How the same is tried on all of them, where the service looks like one of several members of a cluster."""
    fixed: tuple[str, ...] = ()
    """What keeps the services from being scaled: published ports, container names."""


def by_kind(report: Report) -> dict[str, ClassObserved]:
    """What clients noticed of each fault of the first experiment."""
    seen = report.observed
    classes = {fault.fault_class: fault.name for fault in report.faults}
    return {classes[name]: each for name, each in (seen.by_fault if seen is not None else {}).items() if classes.get(name) in KINDS}


def fixes(report: Report | None, seen: Seen) -> list[str]:
    """A sentence or two each, the heaviest first."""
    found: list[tuple[float, str]] = []
    services = ", ".join(seen.services)
    if seen.containers < 2:
        found.append((1e9, _alone(services, seen)))
    noticed = {} if report is None else {kind: each for kind, each in by_kind(report).items() if each.noticed}
    if (killed := noticed.get("kill")) is not None:
        found.append((_cost_s(killed), _killed(killed, seen)))
    for kind in ("pause", "isolate"):
        if (each := noticed.get(kind)) is not None:
            found.append((_cost_s(each), _silent(kind, each, seen)))
    if not all(seen.policies):
        without = sum(not policy for policy in seen.policies)
        whom = f"{without} of {seen.containers} containers" if seen.containers > 1 else "The container"
        have = "have" if without > 1 else "has"
        found.append((0.5, f"{whom} of {services} {have} no restart policy, so nothing brings back one that dies: restart: unless-stopped"))
    if not seen.checked:
        found.append((0.1, f"{services} has no healthcheck: Compose and load balancers cannot tell a frozen container from a good one."))
    if seen.alone:
        found.append((0.05, f"Not tried, and one container each: {', '.join(seen.alone)}. What ends one of them ends what needs it."))
    return [text for _, text in sorted(found, key=lambda each: -each[0])]


def _alone(services: str, seen: Seen) -> str:
    if seen.members:
        return (
            f"{services} has one container, and looks like one of several members of a cluster. Try all, by their addresses: {seen.members}"
        )
    how = f"docker compose up --detach --scale {seen.services[0]}=2"
    kept = f" Before that: {'; '.join(seen.fixed)}." if seen.fixed else ""
    return (
        f"{services} has one container. Whatever ends, freezes or cuts it off is an outage until it is back, so nothing was done to it."
        f" Run two: {how}.{kept}"
    )


def _killed(each: ClassObserved, seen: Seen) -> str:
    lost = _lost(each)
    if all(seen.policies):
        return f"A killed container costs clients {lost}, until its policy has brought it back or its address has left the name. {_RETRY}"
    return f"A killed container costs clients {lost}. {_RETRY}"


def _silent(kind: str, each: ClassObserved, seen: Seen) -> str:
    what = {"pause": "A frozen container", "isolate": "A container that is cut off"}[kind]
    del seen
    return (
        f"{what} costs clients {_lost(each)}: Docker's own DNS goes on answering with its address. Put a load balancer with health checks "
        f"in front, or let clients try another address soon."
    )


_RETRY: Final = "A client that tries another address at once would not notice."


def _lost(each: ClassObserved) -> str:
    outage = each.outage_s.value
    share = f"in {each.noticed} of {each.effective} cases"
    return f"{show_s(outage)} {share}" if outage is not None else f"an outage {share}"


def _cost_s(each: ClassObserved) -> float:
    return 1.0 + (each.recovery_s.value or 0.0)


def seen_of(
    services: Sequence[str], inspected: Sequence[Mapping[str, Any]], alone: Sequence[str], fixed: Sequence[str], members: str = ""
) -> Seen:
    """From what the engine says of the containers."""
    policies = tuple(
        "" if policy in ("", "no") else policy for policy in (each["HostConfig"]["RestartPolicy"]["Name"] for each in inspected)
    )
    checked = all((each["Config"].get("Healthcheck") or {}).get("Test", ["NONE"])[0] != "NONE" for each in inspected)
    return Seen(tuple(services), len(inspected), policies, checked, tuple(alone), members, tuple(fixed))
