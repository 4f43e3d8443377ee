"""The echo cluster with a plan that has faults of clocks, load, connections and files, so that a runtime provides what they want."""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named
from chaos.experiment.target.spec import Ask
from chaos.plugin import Deployment
from tests.support.echo_deployment import echo_deployment, echo_plan

CLOCK = Ask(http="http://{address}:{client}/status", json="clock_s")


def loaded_deployment(folder: Path, runtime: str, mode: str, *, declared: bool = True, nodes: int = 3) -> Deployment:
    """``mode``: of the clock fault, empty for none of it.

    ``declared``: whether the target has a question for the time, or only the ``Date`` of its answers.
    """
    clock = {"mode": mode, "rate": 3.0} if mode == "skew" else {"mode": mode, "offset_s": 5.0}
    params: dict[str, dict[str, object]] = {"clock": {**clock}, "load": {"rate_per_s": 1.0}, "connections": {"count": 1}, "files": {}}
    if not mode:
        del params["clock"]
    faults = tuple(
        FaultSpec(
            name=kind, kind=kind, params=fields, target=None if kind == "load" else Named(("n1",)), schedule=At((1.0,)), for_s=1.0, times=1
        )
        for kind, fields in params.items()
    )
    deployment = echo_deployment(folder, echo_plan(runtime, duration_s=60.0))
    plan = deployment.plan
    return msgspec.structs.replace(
        deployment,
        plan=msgspec.structs.replace(plan, nodes=plan.nodes[:nodes], experiment=msgspec.structs.replace(plan.experiment, faults=faults)),
        target=msgspec.structs.replace(deployment.target, clock=CLOCK if declared else None),
    )
