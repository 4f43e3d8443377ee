"""What becomes of a node's data when the node is given up, and another one takes its place: refused, or said, before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing
from chaos.experiment.document import Experiment
from chaos.experiment.pods import CLAIMS
from chaos.experiment.target.spec import Target
from chaos.plan.faults import Planned
from chaos.plan.plan import Plan, PlannedNode
from chaos.plan.traits import made

IN_PLACE = "same-machine"


def check_volumes(experiment: Experiment, target: Target, faults: Sequence[Planned], nodes: Sequence[PlannedNode]) -> None:
    """``CapabilityMissing`` for a fault that takes a node's data along, where the system takes nobody back without it."""
    cluster = experiment.cluster
    if cluster.attach is not None or cluster.kubernetes.outlives:
        return
    parts = {node.name: node.part for node in nodes}
    for planned in faults:
        if Capability.DELETES not in planned.fault.needs:
            continue
        struck = dict.fromkeys(parts[node] for victims in planned.possible for node in victims.nodes)
        lost = next((part for part in struck if not target.parts[part].rejoins_empty), None)
        if lost is not None:
            raise CapabilityMissing(
                f"line {planned.spec.line}: the fault '{planned.spec.name}' takes a pod with its data, and a node of '{target.name}'"
                f" ({lost}) that has lost its data is not taken back by the others",
                how=f"kubernetes: {{volumes: {CLAIMS}}}: the next pod has the data of the last one",
            )


def cautions(plan: Plan) -> tuple[str, ...]:
    """A pod can only go where its volumes can."""
    ours = plan.experiment.cluster.kubernetes
    if plan.experiment.cluster.attach is not None or not ours.outlives:
        return ()
    return tuple(_of_drains(plan, ours.keeper))


def _of_drains(plan: Plan, keeper: str) -> Iterator[str]:
    stays = any(each.name == "successor_place" and each.word == IN_PLACE for each in plan.parameters)
    for spec in plan.experiment.faults:
        if Capability.DRAINS not in made(spec).needs:
            continue
        if stays:
            yield (
                f"'{spec.name}': volumes{f' of {keeper}' if keeper else ''} stay on their machine. So the next pod waits until that is"
                " open again, and the prediction has that"
            )
        else:
            yield (
                f"'{spec.name}': whether volumes{f' of {keeper}' if keeper else ''} can follow a pod to another machine is written on"
                " each, once there is one. One that cannot keeps its pod waiting until the machine is open again; one that can is"
                " detached and attached first. The prediction takes them to follow at once;"
                f" 'predict: {{parameters: {{successor_place: {IN_PLACE}}}}}' takes them to stay"
            )
