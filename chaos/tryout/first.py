"""The first experiment on a Compose project, as a commented file: what ``nines try`` runs, and ``nines init --compose`` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chaos.core.units import PERCENT, written
from chaos.experiment.cluster import PROCESS
from chaos.tryout.probe import Asked

KINDS: Final = ("kill", "pause", "isolate")
LASTS_S: Final = 3
EVERY_S: Final = 12
FIRST_S: Final = 2
RATE: Final = "20/s"
BASELINE_S: Final = 5
SETTLE_S: Final = 20
READY_S: Final = 120


class Facts(msgspec.Struct, frozen=True):
    """What is known of the system, from its files, its containers and the command line."""

    project: str
    services: tuple[str, ...]
    nodes: int
    asked: Asked
    network: str = ""
    behind: bool = False
    """Clients ask another service of the project, a load balancer or a gateway: where these containers listen is their own affair."""
    restarts: bool = False
    """All its containers have a restart policy, which then brings a killed one back."""
    availability: float = 0.99
    times: int = 2
    attach: dict[str, Any] = {}
    """How they are named, where they are of no compose project."""
    settle_s: int = SETTLE_S
    thing: str = "container"
    """What each of them is, for people."""
    one_address: bool = False
    """Clients know one address, behind which somebody else chooses."""


def first_experiment(facts: Facts, name: str, command: str) -> str:
    """The text of the file. ``command``: who wrote it, for its first line."""
    services = ", ".join(facts.services)
    attach = facts.attach or {"compose": facts.project, "services": list(facts.services)}
    attach |= {"network": facts.network} if facts.network else {}
    attach |= {"ready": PROCESS} if facts.behind else {}
    lines = [
        f"# Written by: {command}",
        f"# nines run {name}.yaml runs it again, while they run. docs/experiments.md explains every key.",
        f"experiment: {name}",
        f"question: What do clients of {services} see when one of {facts.nodes} {facts.thing}s is killed, frozen or cut off?",
        "cluster:",
        f"  attach: {_flow(attach | {'within': f'{READY_S}s'})}",
        f"  nodes: {facts.nodes}    # as many as run: another number is refused",
        "traffic:",
        f"  operations: {{probe: {_flow(facts.asked.operation | {'rate': RATE})}}}",
        f"  # Each request of a client: 2 attempts of at most 250 ms, the second one {_elsewhere(facts)}. Write your clients' own values.",
        "  client: {timeout: 250ms, attempts: 2, deadline: 600ms}",
        f"baseline: {BASELINE_S}s",
    ]
    lines += _faults(facts)
    lines += [
        f"settle: {facts.settle_s}s    # the longest wait, after a fault, for all {facts.thing}s and clients to be well again",
        "limits: {nodes_down: 1}    # never more than one of them at a time",
        "objectives:",
        f'  availability: {{is: ">= {written(facts.availability, PERCENT)}", basis: run}}    # of this run; write your own',
    ]
    return "\n".join(lines) + "\n"


def _elsewhere(facts: Facts) -> str:
    return "on a new connection, which may lead to another pod" if facts.one_address else "at another address"


def _faults(facts: Facts) -> list[str]:
    if facts.nodes < 2:
        return [f"# One {facts.thing} is all there is: whatever ends it is an outage. Scale the service, then add faults.", "faults: []"]
    recovery = "policy" if facts.restarts else "restart"
    about = {
        "kill": "its restart policy brings it back" if facts.restarts else f"no restart policy: Nines starts it again after {LASTS_S} s",
        "pause": "frozen: it accepts connections, and never answers",
        "isolate": "no packet reaches it, from clients or from the others",
    }
    fields = {
        "kill": f"kill: {{recovery: {recovery}}}",
        "pause": "pause: {}",
        "isolate": "partition: {include: [peers, clients]}",
    }
    lines = ["faults:"]
    for index, kind in enumerate(KINDS):
        times = ", ".join(f"{FIRST_S + (index + turn * len(KINDS)) * EVERY_S}s" for turn in range(facts.times))
        lines.append(f"  - {{name: {kind}, {fields[kind]}, target: any, at: [{times}], for: {LASTS_S}s}}    # {about[kind]}")
    return lines


def _flow(value: object) -> str:
    """As YAML on one line; JSON is YAML, and quotes what must be quoted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    text = str(value)
    return text if text.replace("-", "").replace("_", "").isalnum() and not text.isdecimal() else json.dumps(text, ensure_ascii=False)


def named(project: str, services: Sequence[str]) -> str:
    """What the experiment is called."""
    return f"try-{project}-{'-'.join(services)}"[:90].rstrip("-")
