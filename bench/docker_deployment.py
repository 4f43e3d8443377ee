"""What the benches of the docker runtime share: an echo cluster of any size, and percentiles."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaos.experiment.cluster import Dns
from chaos.experiment.traffic import ClientPolicy, OperationSpec, TrafficSpec
from chaos.plan.plan import PlannedNode
from chaos.plugin import Deployment
from tests.support.echo_deployment import echo_deployment, echo_plan


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def echoes(folder: Path, nodes: int, rate_per_s: float = 100.0) -> Deployment:
    """So many echo nodes behind round-robin DNS, written to at that rate; each attempt is the whole slot."""
    os.environ["NINES_STATE"] = str(folder / "state")
    plan = echo_plan("docker")
    experiment = plan.experiment
    cluster = msgspec.structs.replace(experiment.cluster, dns=Dns(balancer="round-robin"))
    traffic = TrafficSpec(
        operations={"write": OperationSpec(rate_per_s=rate_per_s)},
        client=ClientPolicy(timeout_s=0.1, attempts=1, other_address=False, deadline_s=0.1),
        judge="write",
    )
    experiment = msgspec.structs.replace(experiment, cluster=cluster, traffic=traffic)
    names = tuple(PlannedNode(f"n{number}", "data") for number in range(1, nodes + 1))
    return echo_deployment(folder / f"bench-{os.getpid()}", msgspec.structs.replace(plan, experiment=experiment, nodes=names))
