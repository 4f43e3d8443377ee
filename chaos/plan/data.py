"""What of a plan comes from ``data``: the operations that clients mix, what they come to, and the checks; each checked."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from chaos.core import plugins
from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing
from chaos.core.values import LEADER
from chaos.experiment import probe_options
from chaos.experiment.data import DataSpec
from chaos.experiment.document import Experiment
from chaos.experiment.overrides import located
from chaos.experiment.source import locate
from chaos.experiment.target.check import check_operation, operation_words, sample
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import elsewhere
from chaos.plan.cluster import known_or_refuse, refuse
from chaos.plan.plan import DataPlan
from chaos.plugin import Runtime

READ: Final = "read"
REGISTER: Final = "register"
WORKLOADS: Final = {"write": REGISTER, "incr": "counter", "add": "set", "append": "list"}
"""What an operation that changes data makes of a key."""
_WRITES: Final = ", ".join(WORKLOADS)


def planned_data(experiment: Experiment, target: Target, part: str, settings: dict[str, str], *, here: bool) -> DataPlan | None:
    """None where the experiment checks no data. ``BadInput`` for what cannot be checked."""
    spec = experiment.data
    if spec is None:
        return None
    mix = spec.mix or _usual(experiment, target)
    total = sum(mix.values())
    if abs(total - 1) > 1e-6:
        raise refuse(experiment, "data.mix", f"the shares come to {total * 100:g}%", "100% together")
    operations = {name: _operation(experiment, target, name) for name in mix}
    writes = {name: WORKLOADS[kind.does] for name, kind in operations.items() if kind.does in WORKLOADS}
    if len(set(writes.values())) != 1:
        what = "nothing is written" if not writes else f"{' and '.join(sorted(set(writes.values())))} cannot be one workload"
        raise refuse(experiment, "data.mix", what, f"operations that do one of {_WRITES}, and reads")
    if len(writes) == len(operations):
        raise refuse(experiment, "data.mix", "nothing is read, so nothing could be found", "a share for an operation that does read")
    read_node = target.read_node
    words = operation_words(target, target.parts[part].ports, settings)
    for name, kind in {**operations, **({"read_node": read_node} if read_node is not None else {})}.items():
        if kind.does == READ and not probe_options.says_value(kind.probe):
            message = f"the probe '{kind.probe}' of '{name}' cannot tell what a read was answered with"
            raise refuse(experiment, "data", message, "an operation of http, etcd or driver")
        ours = name in experiment.traffic.operations and experiment.traffic.operations[name].probe is not None
        file = f"{target.folder}/target.yaml"
        place = partial(located, experiment.file, experiment.overrides) if ours else partial(locate, file)
        path = f"traffic.operations.{name}" if ours else name if kind is read_node else f"operations.{name}"
        check_operation(kind, path, words, sample(target, part, settings), target.folder, place, here=here)
    workload = next(iter(writes.values()))
    shares = {name: share / total for name, share in mix.items()}
    checks = _checks(experiment, spec, target, workload)
    return DataPlan(workload, operations, shares, checks, read_node, spec.once if workload == REGISTER else 0.0)


def _usual(experiment: Experiment, target: Target) -> dict[str, float]:
    """The target's first operation that does write, and its first one that does read."""
    found = {}
    for does in ("write", READ):
        name = next((name for name, kind in target.operations.items() if kind.does == does), None)
        if name is None:
            message = f"the target '{target.name}' has no operation that does {does}"
            raise refuse(experiment, "data", message, "data: {mix: {...}} with operations of this experiment")
        found[name] = 0.5
    return found


def _operation(experiment: Experiment, target: Target, name: str) -> OperationKind:
    """Of the experiment, if it defines one of that name; else of the target."""
    spec = experiment.traffic.operations.get(name)
    if spec is not None and spec.probe is not None:
        return OperationKind(probe=spec.probe, does=spec.does or READ, options=spec.options)
    known_or_refuse(experiment, f"data.mix.{name}", "operation", name, target.operations)
    return target.operations[name]


# --- checks ------------------------------------------------------------------------------------------------------------


def _checks(experiment: Experiment, spec: DataSpec, target: Target, workload: str) -> tuple[str, ...]:
    """Those that are asked for; else all that suit, and those that objectives speak of, which must suit."""
    wanted = spec.checks or [each.measure for each in experiment.objectives if each.measure in plugins.names("checks")]
    for name in wanted:
        if why := _unsuited(name, target, workload):
            path = f"objectives.{name}" if not spec.checks else "data.checks"
            raise refuse(experiment, path, f"nothing could decide '{name}': {why[0]}", why[1])
    return spec.checks or tuple(name for name in plugins.loading("checks") if not _unsuited(name, target, workload))


def _unsuited(name: str, target: Target, workload: str) -> tuple[str, str] | None:
    """What is missing for a check, and what would be right."""
    check: Any = plugins.find("checks", name)
    if workload not in check.workloads:
        return f"it is about {' or '.join(sorted(check.workloads))}s, and this data is a {workload}", "another mix, or leave it out"
    if getattr(check, "needs_nodes", False) and target.read_node is None:
        return f"the target '{target.name}' does not say how one node is read", f"read_node: in {target.folder}/target.yaml"
    if getattr(check, "needs_roles", False) and LEADER not in target.roles:
        return f"the target '{target.name}' does not say who leads", f"roles: {{leader: ...}} in {target.folder}/target.yaml"
    return None


def check_data(experiment: Experiment, target: Target, runtime: type[Runtime]) -> None:
    """``CapabilityMissing`` where no data is written by anybody."""
    if experiment.data is None:
        return
    if why := runtime.lacks(Capability.SESSIONS, target, attached=experiment.cluster.attach is not None):
        how = f"leave 'data' out{elsewhere(frozenset({Capability.SESSIONS}), target, ', or use ')}"
        raise CapabilityMissing(f"the runtime '{runtime.name}' cannot check data: {why}", how=how)
