"""A deployment of the echo target, for the tests of runtimes: pure data, without a file to load an experiment from."""

from __future__ import annotations

from pathlib import Path

from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import Link
from chaos.experiment.cluster import ClusterSpec, Dns, DnsCheck
from chaos.experiment.document import Experiment
from chaos.experiment.target.load import load_target
from chaos.experiment.traffic import ClientPolicy, OperationSpec, TrafficSpec
from chaos.net.toxiproxy import program as toxiproxy_server
from chaos.plan.plan import SCHEMA, Parameter, Plan, PlannedNode
from chaos.plugin import Deployment
from tests.support.needs import need

ECHO = Path(__file__).parent / "targets" / "echo"
NODES = ("n1", "n2", "n3")
PEERS = tuple(Link(one, other) for one in NODES for other in NODES if one != other)


def echo_plan(runtime: str, links: tuple[Link, ...] = (), settings: dict[str, str] | None = None, duration_s: float = 1.0) -> Plan:
    """Three nodes, two operations, a name that drops a node within a quarter of a second of its death.

    One that is silent it drops later: on a machine that is busy an answer is late, and the node not gone.
    """
    target = load_target(str(ECHO))
    dns = Dns(check=DnsCheck(every_s=0.1, timeout_s=1.0, fall=2, rise=2))
    traffic = TrafficSpec(
        operations={"write": OperationSpec(rate_per_s=50.0), "read": OperationSpec(rate_per_s=100.0)},
        client=ClientPolicy(timeout_s=0.25, attempts=2, deadline_s=0.5),
        judge="write",
    )
    experiment = Experiment(
        name="echo", question="Does the runtime do what it is told?", cluster=ClusterSpec(target="echo", dns=dns), traffic=traffic
    )
    return Plan(
        schema=SCHEMA,
        experiment=experiment,
        seed=7,
        runtime=runtime,
        nodes=tuple(PlannedNode(name, "data") for name in NODES),
        settings=settings or {},
        operations=target.operations,
        judge="write",
        windows=(),
        duration_s=duration_s,
        links=links,
        replication="none",
        parameters=(
            Parameter("heartbeat_s", 0.05, "s", "target"),
            Parameter("timeout_s", 0.05, "s", "target"),
            Parameter("restart_s", 0.2, "s", "target"),
        ),
    )


def echo_deployment(folder: Path, plan: Plan) -> Deployment:
    """Named by its folder, as real runs are."""
    folder.mkdir(parents=True, exist_ok=True)
    return Deployment(run=folder.name, folder=folder, plan=plan, target=load_target(str(ECHO)))


def need_toxiproxy() -> None:
    """Go on if the server program is there, else skip with the ways to get it."""
    try:
        toxiproxy_server.find(build=False)
    except EnvironmentUnusable as error:
        need("toxiproxy-server", present=False, how=error.how)
