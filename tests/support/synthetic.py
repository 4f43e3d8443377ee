"""Runs made by hand: a plan, the rows of its history and its slots, from a list of what was down when. For tests and benches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from chaos.core.clock import to_ns
from chaos.experiment.cluster import ClusterSpec, Dns
from chaos.experiment.document import Experiment, Slo
from chaos.experiment.faults import FaultSpec
from chaos.experiment.objectives import ObjectiveSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Role
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.traffic import ClientPolicy, OperationSpec, OutageRule, TrafficSpec
from chaos.history import observations
from chaos.history.events import (
    SCHEMA,
    DnsChanged,
    FaultAsked,
    FaultEffective,
    FaultGone,
    FaultHealed,
    Marked,
    NodeChanged,
    NodeUp,
    RoleChanged,
    Row,
    RunEnded,
    RunStarted,
    Settled,
    TrafficEnded,
    TrafficStarted,
)
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.observations import Outcome, Why
from chaos.plan.plan import Parameter, Plan, PlannedNode, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

Down = Sequence[tuple[float, float]]
"""Half-open intervals in s, in which every slot that is due is bad."""
Rows = Sequence[Row]
Records: TypeAlias = "NDArray[np.void]"

START_NS = 5_000 * 10**9 + 7
"""t = 0 of every run made here."""

PARAMETERS = (
    Parameter("heartbeat_s", 0.05, "s", "target"),
    Parameter("misses", 1, "1", "target"),
    Parameter("timeout_s", 0.0, "s", "target"),
    Parameter("election_timeout_s", 0.3, "s", "target", 0.6),
    Parameter("round_trip_s", 0.002, "s", "target"),
    Parameter("restart_s", 0.3, "s", "target"),
    Parameter("resync_s", 0.1, "s", "target"),
    Parameter("leaderless", 0, "", "target"),
    Parameter("reads", 0, "", "target"),
)


def at_ns(at_s: float) -> int:
    """A stamp from a time of the run."""
    return START_NS + to_ns(at_s)


def make_plan(
    *,
    duration_s: float = 30.0,
    rate_per_s: float = 100.0,
    baseline_s: float = 2.0,
    rule: OutageRule = OutageRule(),  # noqa: B008 - frozen
    operations: Sequence[str] = ("write",),
    faults: Sequence[FaultSpec] = (),
    windows: Sequence[Window] = (),
    objectives: Sequence[ObjectiveSpec] = (),
    client: ClientPolicy = ClientPolicy(),  # noqa: B008 - frozen
    dns: Dns = Dns(),  # noqa: B008 - frozen
    slo: Slo = Slo(),  # noqa: B008 - frozen
    nodes: int = 3,
    replication: str = "quorum",
    has_roles: bool = True,
    parameters: Sequence[Parameter] = PARAMETERS,
) -> Plan:
    """A plan for a cluster n1.. of ``nodes``."""
    experiment = Experiment(
        name="by-hand",
        question="Does the measuring side give back what was put in?",
        cluster=ClusterSpec(target="by-hand", nodes=nodes, dns=dns),
        traffic=TrafficSpec(
            operations={name: OperationSpec(rate_per_s) for name in operations}, client=client, outage=rule, judge=operations[0]
        ),
        baseline_s=baseline_s,
        faults=tuple(faults),
        objectives=tuple(objectives),
        slo=slo,
        seed=7,
    )
    return Plan(
        schema=1,
        experiment=experiment,
        seed=7,
        runtime="fake",
        nodes=tuple(PlannedNode(f"n{number + 1}", "data") for number in range(nodes)),
        settings={},
        operations={name: OperationKind(probe="http", does="read" if name == "read" else "write") for name in operations},
        judge=operations[0],
        windows=tuple(windows),
        duration_s=duration_s,
        links=(),
        replication=replication,
        parameters=tuple(parameters),
        has_roles=has_roles,
    )


def kills(
    times_s: Sequence[float], for_s: float = 1.0, *, kind: str = "kill", overlap: bool = False
) -> tuple[FaultSpec, tuple[Window, ...]]:
    """One entry of ``faults`` with a window at each of these times (since t = 0)."""
    spec = FaultSpec(f"{kind}-leader", kind, {}, At(tuple(times_s)), for_s, None, Role("leader"), overlap)
    windows = tuple(Window(f"{kind}-{number + 1}", spec.name, kind, at_s, at_s + for_s, number) for number, at_s in enumerate(times_s))
    return spec, windows


def fault_rows(
    window: Window,
    *,
    node: str = "n1",
    role: str = "leader",
    effective_s: float | None = None,
    settled_s: float | None = None,
    kill: bool = True,
) -> list[Row]:
    """A fault that went as planned: asked, effective, healed, gone, settled; with the death and return of a killed node."""
    began_s = window.start_s if effective_s is None else effective_s
    assert window.end_s is not None
    ends_s = began_s + window.end_s - window.start_s
    rows: list[Row] = [
        FaultAsked(
            at_ns=at_ns(began_s - 0.005),
            id=window.id,
            fault=window.fault,
            kind=window.kind,
            fault_class=f"{window.kind}/{role}",
            target=[node],
        ),
        FaultEffective(at_ns=at_ns(began_s), id=window.id, mechanism="by hand", before={}, during={}),
        FaultHealed(at_ns=at_ns(ends_s), id=window.id),
        FaultGone(at_ns=at_ns(ends_s + 0.3), id=window.id, after={}),
        Settled(at_ns=at_ns(ends_s + 2.0 if settled_s is None else settled_s), waited_s=0.0),
    ]
    if kill:
        rows.append(NodeChanged(at_ns=at_ns(began_s), node=node, status="down", cause=window.id))
        rows.append(NodeChanged(at_ns=at_ns(ends_s), node=node, status="up", cause=window.id))
    return rows


def mark(at_s: float, node: str, what: str) -> Row:
    """A moment that a node stamped."""
    return Marked(at_ns=at_ns(at_s), node=node, mark=what)


def role(at_s: float, node: str, name: str, holds: bool = True, resolution_s: float = 0.01) -> Row:
    """A role gained or lost."""
    return RoleChanged(at_ns=at_ns(at_s), node=node, role=name, holds=holds, resolution_s=resolution_s)


def name_set(at_s: float, nodes: Sequence[str]) -> Row:
    """The name's set from now on."""
    return DnsChanged(at_ns=at_ns(at_s), name="data.nines.test", nodes=list(nodes))


def frame(plan: Plan, *, ended: bool = True, slots: int | None = None, signal: int | None = None) -> list[Row]:
    """The rows that every run has: placed, started, traffic, ended."""
    rows: list[Row] = [
        RunStarted(at_ns=at_ns(-3), schema=SCHEMA, run="by-hand", started_at="2026-11-22T00:00:00+00:00", runtime="fake", versions={})
    ]
    for number, node in enumerate(plan.nodes):
        address = f"127.64.1.{number + 1}"
        rows.append(
            NodeUp(
                at_ns=at_ns(-2),
                node=node.name,
                part=node.part,
                zone=node.zone,
                address=address,
                ports={},
                client_address=f"127.64.2.{number + 1}",
            )
        )
    rows.append(name_set(-1.5, [node.name for node in plan.nodes]))
    rows.append(TrafficStarted(at_ns=at_ns(-0.4), start_ns=START_NS, duration_s=plan.duration_s))
    if ended:
        due = {
            name: round(plan.duration_s * spec.rate_per_s) if slots is None else slots
            for name, spec in plan.experiment.traffic.operations.items()
        }
        rows.append(TrafficEnded(at_ns=at_ns(plan.duration_s + 0.7), end_ns=at_ns(plan.duration_s), slots=due))
        rows.append(RunEnded(at_ns=at_ns(plan.duration_s + 1), left=[], signal=signal))
    return rows


def slots(
    plan: Plan,
    down: Sequence[tuple[float, float]] = (),
    *,
    operation: int = 0,
    latency_s: float = 0.002,
    missing: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
    until_s: float | None = None,
) -> NDArray[np.void]:
    """A record for every slot: bad while one of the half-open intervals of ``down`` holds, good else; ``missing`` are sent late."""
    rate_per_s = list(plan.experiment.traffic.operations.values())[operation].rate_per_s
    count = round((plan.duration_s if until_s is None else until_s) * rate_per_s)
    records = np.zeros(count, dtype=observations.dtype())
    due_s = np.arange(count) / rate_per_s
    due = START_NS + np.rint(np.arange(count) * 1e9 / rate_per_s).astype(np.int64)
    bad = np.zeros(count, dtype=np.bool_)
    for from_s, to_s in down:
        bad |= (due_s >= from_s) & (due_s < to_s)
    late = missing(due_s) if missing is not None else np.zeros(count, dtype=np.bool_)
    records["due"] = due
    records["sent"] = due + np.where(late, round(1e9 / rate_per_s), 10_000)
    records["done"] = due + to_ns(latency_s)
    records["address"] = (127 << 24) + (64 << 16) + (2 << 8) + 1 + np.arange(count) % len(plan.nodes)
    records["operation"] = operation
    records["outcome"] = np.where(bad, Outcome.FAIL, Outcome.OK)
    records["why"] = np.where(bad, Why.REFUSED, Why.NONE)
    records["attempts"] = 1
    return records


def write_run(folder: Path, plan: Plan, rows: Sequence[Row], records: NDArray[np.void]) -> RunFolder:
    """The same as a run folder on disk."""
    run = RunFolder(folder)
    run.write_plan(plan, "experiment: by-hand\n")
    writer = HistoryWriter(run.history)
    for row in sorted(rows, key=lambda each: each.at_ns):
        writer.append(row)
    writer.close()
    run.observations.write_bytes(observations.HEADER_BYTES + records.tobytes())
    return run
