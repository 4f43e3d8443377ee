"""A plan like that of the embedded target, and what was done in a run of it, for tests of predictions."""

from __future__ import annotations

from chaos.experiment.cluster import ClusterSpec, Dns
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FaultSpec
from chaos.experiment.production import PredictSpec, ProductionRate
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.traffic import ClientPolicy, OperationSpec, TrafficSpec
from chaos.plan.plan import Parameter, Plan, PlannedNode, Window
from chaos.predict.facts import ClassFacts, RunFacts
from chaos.predict.run import Prediction
from chaos.results.predicted import ClassPredicted

DAY_S = 86400.0

PARAMETERS = (
    Parameter("heartbeat_s", 0.1, "s", "target"),
    Parameter("election_timeout_s", 0.5, "s", "target", high=1.0),
    Parameter("round_trip_s", 0.005, "s", "target"),
    Parameter("restart_s", 0.15, "s", "target"),
    Parameter("resync_s", 0.15, "s", "target"),
)


OPERATIONS = {"write": "write", "read": "read"}


def a_plan(
    *,
    nodes: int = 3,
    dns: Dns | None = None,
    client: ClientPolicy | None = None,
    parameters: tuple[Parameter, ...] = PARAMETERS,
    words: tuple[tuple[str, str], ...] = (),
    replication: str = "quorum",
    faults: tuple[FaultSpec, ...] = (),
    windows: tuple[Window, ...] = (),
    production: tuple[ProductionRate, ...] = (),
) -> Plan:
    """Writes and reads at 100/s on a cluster like the embedded target."""
    traffic = TrafficSpec({name: OperationSpec(100.0) for name in OPERATIONS}, client or ClientPolicy(), judge="write")
    cluster = ClusterSpec("replicated_kv", nodes=nodes, dns=dns or Dns())
    experiment = Experiment("x", "?", cluster, traffic, faults=faults, predict=PredictSpec(production=production))
    told = tuple(Parameter(name, 0.0, "", "target", word=word) for name, word in words)
    return Plan(
        schema=1,
        experiment=experiment,
        seed=1,
        runtime="local",
        nodes=tuple(PlannedNode(f"n{number}", "data") for number in range(1, nodes + 1)),
        settings={},
        operations={name: OperationKind("http", does) for name, does in OPERATIONS.items()},
        judge="write",
        windows=windows,
        duration_s=70.0,
        links=(),
        replication=replication,
        parameters=parameters + told,
        has_roles=replication == "quorum",
    )


Field = float | str | tuple[tuple[str, ...], ...]


def facts(kind: str, role: str, for_s: tuple[float, ...], victims: int = 1, **fields: Field) -> RunFacts:
    """One class of faults in a minute."""
    return RunFacts(60.0, (ClassFacts(f"{kind}/{role}", kind, role, for_s, dict(fields), victims),))


def of_class(prediction: Prediction, service: str = "write") -> ClassPredicted:
    """The only class."""
    (found,) = prediction.predicted.services[service].by_fault.values()
    return found
