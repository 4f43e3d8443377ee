"""The docker runtime: what every runtime must do, and what only this one does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.api import chosen_runtime
from chaos.core.clock import to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.values import CLIENTS, Link, NameHarm, Status, TrafficOrder, Victims
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.experiment.cluster import Dns, Resources
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named
from chaos.faults.power_off import PowerOff
from chaos.history import observations
from chaos.history.events import Aborting, DnsChanged, NodeChanged, TrafficEnded
from chaos.history.undo import UndoLog
from chaos.plan.plan import Plan
from chaos.plugin import Deployment, HasNames, Removable, Scene
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.testing import runtimes as contract
from chaos.testing.runtime_stage import WITHIN_S
from chaos.testing.runtimes import ALL_LINKS, NODES
from tests.support.echo_deployment import echo_deployment, echo_plan

Change = Callable[[Deployment], Deployment]


class DockerStage(contract.RuntimeStage):
    """The contract's stage, in containers; ``change`` alters what is deployed."""

    def __init__(self, folder: Path, change: Change = lambda deployment: deployment) -> None:
        super().__init__(DockerRuntime(), folder, lambda folder, links: self.change(echo_deployment(folder, echo_plan("docker", links))))
        self.change = change


@pytest.fixture
def stage(docker_host: str, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerStage:
    """The docker runtime, with a registry of its own."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    return DockerStage(tmp_path / f"contract-docker-{os.getpid()}-{tmp_path.name}")


def with_plan(change: Callable[[Plan], Plan]) -> Change:
    """A deployment whose plan is another."""
    return lambda deployment: msgspec.structs.replace(deployment, plan=change(deployment.plan))


def with_cluster(**fields: object) -> Change:
    """A deployment whose experiment says something else about its cluster."""

    def change(plan: Plan) -> Plan:
        cluster = msgspec.structs.replace(plan.experiment.cluster, **fields)
        return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, cluster=cluster))

    return with_plan(change)


def with_kills(*recoveries: str) -> Change:
    """A deployment whose experiment kills nodes, with these ways back."""

    def change(plan: Plan) -> Plan:
        faults = tuple(
            FaultSpec(
                name=f"kill-{way}", kind="kill", params={"recovery": way}, target=Named(("n1",)), schedule=At((1.0,)), for_s=1.0, times=1
            )
            for way in recoveries
        )
        return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, faults=faults))

    return with_plan(change)


def of_pid1(deployment: Deployment) -> Deployment:
    """A deployment of a target that insists on being PID 1."""
    return msgspec.structs.replace(deployment, target=msgspec.structs.replace(deployment.target, pid1=True))


class TestDocker(contract.RuntimeContract):
    """The contract."""


class TestPid1:
    """A target that insists on being PID 1: the same verbs, by the engine."""

    @pytest.fixture
    def stage(self, stage: DockerStage) -> DockerStage:
        """Echo nodes, each PID 1 of its container."""
        stage.change = of_pid1
        return stage

    test_killed_node_is_down_until_started = contract.RuntimeContract.test_killed_node_is_down_until_started
    test_paused_node_is_silent_until_resumed = contract.RuntimeContract.test_paused_node_is_silent_until_resumed
    test_paused_node_can_be_killed = contract.RuntimeContract.test_paused_node_can_be_killed
    test_what_makes_no_sense_is_refused = contract.RuntimeContract.test_what_makes_no_sense_is_refused
    test_harmless_signal_changes_nothing = contract.RuntimeContract.test_harmless_signal_changes_nothing
    test_stamps_of_a_node_are_in_order = contract.RuntimeContract.test_stamps_of_a_node_are_in_order
    test_logs_are_kept = contract.RuntimeContract.test_logs_are_kept
    test_cut_stands_in_its_network = contract.RuntimeContract.test_reject_refuses_and_two_of_them_count

    def test_is_pid_1_and_its_own_death_is_seen(self, stage: DockerStage, engine: Engine) -> None:
        """A death that nobody ordered is told as the node's own."""
        with stage.cluster() as cluster:
            name = f"nines-{stage.folder.name}-n2"
            started = engine.client.api.exec_create(
                name, ["python3", "-c", "import os; os.kill(1, 15); print(open('/proc/1/cmdline').read())"]
            )
            assert b"echo.py" in engine.client.api.exec_start(started["Id"])
            engine.client.api.kill(name, signal.SIGKILL)  # behind our back
            stage.wait(cluster, lambda: contract.down_and_up(stage, "n2") != [], "the death is told")
        (death,) = contract.down_and_up(stage, "n2")
        assert (death.status, death.cause, death.detail) == (Status.DOWN, "by-itself", "exit status 137")


class TestRecovery:
    """What brings a killed node back."""

    def test_restart_policy_acts_after_a_kill(self, stage: DockerStage) -> None:
        """Killed from inside, the container is started again by the engine, and that is told as its own doing."""
        stage.change = with_kills("policy")
        with stage.cluster() as cluster:
            for _ in range(2):
                before = len(contract.down_and_up(stage, "n2"))
                cluster.nodes["n2"].kill(signal.SIGKILL)
                stage.wait(cluster, lambda before=before: len(contract.down_and_up(stage, "n2")) == before + 2, "it comes back")
                stage.wait(cluster, lambda: cluster.ping("n2", contract.PING_S).rtt_s is not None, "it answers")
        told = [(row.status, row.cause) for row in contract.down_and_up(stage, "n2")]
        assert told == [(Status.DOWN, ""), (Status.UP, "by-itself")] * 2

    def test_policy_and_another_way_do_not_go_together(self, stage: DockerStage) -> None:
        """A restart policy would bring a node back that the experiment wants down."""
        stage.change = with_kills("policy", "restart")
        with pytest.raises(BadInput, match="one experiment"), stage.cluster():
            pytest.fail("it came up")

    def test_power_off_is_silent_where_a_kill_refuses(self, stage: DockerStage, tmp_path: Path) -> None:
        """Nobody hears a refusal or a reset; afterwards everyone gets an answer, and the node lives."""
        way, victims = Link(CLIENTS, "n2"), Victims(nodes=("n2",), role="node")
        with stage.cluster(ALL_LINKS) as cluster:
            log = UndoLog(tmp_path / "undo.jsonl")
            asked_ns = stage.clock.now_ns()
            with PowerOff().inject(Scene(cluster=cluster, clock=stage.clock, undo=log), victims) as effect:
                assert asked_ns <= effect.effective_at_ns <= stage.clock.now_ns()
                assert cluster.nodes["n2"].status() is Status.DOWN
                assert cluster.net.measure(way, 0.2).error == "timed out"
                assert cluster.net.measure(Link("n1", "n2"), 0.2).error == "timed out"
                assert [str(entry.action) for entry in log.pending()] == ["restore", "start"]
            stage.wait(cluster, lambda: effect.gone().ok, "it is gone")
            assert effect.healed_at_ns is not None
            assert log.pending() == []
            log.close()
        assert [row.status for row in contract.down_and_up(stage, "n2")] == [Status.DOWN, Status.UP]


class TestBroken:
    """What is ours may break; it is never a node's fault."""

    def test_death_of_an_agent_breaks_the_run(self, stage: DockerStage, engine: Engine) -> None:
        """It is told once, as the end of the run, with no change of the node."""
        with stage.cluster() as cluster:
            engine.client.api.kill(f"nines-{stage.folder.name}-n2-agent", signal.SIGKILL)
            limit_ns = stage.clock.now_ns() + to_ns(WITHIN_S)
            while cluster.broken() is None and stage.clock.now_ns() < limit_ns:
                stage.clock.wait_until_ns(stage.clock.now_ns() + to_ns(0.01))
            assert "the agent of n2" in (cluster.broken() or "")
        assert len(stage.of(Aborting)) == 1
        assert contract.down_and_up(stage, "n2") == []
        assert leftovers_docker.things(engine.client.api, stage.folder.name) == []

    def test_death_of_the_name_server_breaks_the_run(self, stage: DockerStage, engine: Engine) -> None:
        """The same for a helper in a container."""
        with stage.cluster() as cluster:
            engine.client.api.kill(f"nines-{stage.folder.name}-dns", signal.SIGKILL)
            limit_ns = stage.clock.now_ns() + to_ns(WITHIN_S)
            while cluster.broken() is None and stage.clock.now_ns() < limit_ns:
                stage.clock.wait_until_ns(stage.clock.now_ns() + to_ns(0.01))
            assert (cluster.broken() or "").startswith("dns: exit status 137")

    @pytest.mark.parametrize(
        ("command", "says"),
        [
            (("no-such-program",), "no-such-program"),
            (("python3", "-c", "print('I give up', flush=True); raise SystemExit(3)"), "I give up"),
        ],
    )
    def test_a_start_that_fails_leaves_nothing(self, stage: DockerStage, engine: Engine, command: tuple[str, ...], says: str) -> None:
        """A program that is not there, one that ends at once: exit 5, its own words, and not a container."""

        def change(deployment: Deployment) -> Deployment:
            part = deployment.target.parts["data"]
            assert part.docker is not None
            docker = msgspec.structs.replace(part.docker, command=command)
            parts = {"data": msgspec.structs.replace(part, docker=docker)}
            return msgspec.structs.replace(deployment, target=msgspec.structs.replace(deployment.target, parts=parts))

        stage.change = change
        with pytest.raises(EnvironmentUnusable, match=says), stage.cluster():
            pytest.fail("it came up")
        assert leftovers_docker.things(engine.client.api, stage.folder.name) == []


class TestContainers:
    """How nodes are made."""

    @pytest.mark.usefixtures("limits")
    def test_limits_labels_and_names(self, stage: DockerStage, engine: Engine) -> None:
        """Processor and memory limits stand on the system's container only; everything carries run, node and role."""
        stage.change = with_cluster(resources=Resources(cpus=0.5, memory_bytes=128_000_000))
        with stage.cluster():
            run = stage.folder.name
            system = engine.client.api.inspect_container(f"nines-{run}-n1")
            agent = engine.client.api.inspect_container(f"nines-{run}-n1-agent")
            roles = {thing.role for thing in leftovers_docker.things(engine.client.api, run)}
        assert (system["HostConfig"]["NanoCpus"], system["HostConfig"]["Memory"]) == (500_000_000, 128_000_000)
        assert (agent["HostConfig"]["NanoCpus"], agent["HostConfig"]["Memory"]) == (0, 0)
        assert {key: value for key, value in system["Config"]["Labels"].items() if key in ("nines.run", "nines.node", "nines.role")} == {
            "nines.run": run, "nines.node": "n1", "nines.role": "system",
        }  # fmt: skip
        assert roles == {"agent", "system", "dns", "prober", "network", "volume"}
        assert system["HostConfig"]["RestartPolicy"]["Name"] == "no"

    def test_nodes_resolve_the_name_as_clients_do(self, stage: DockerStage, engine: Engine) -> None:
        """The system's own resolver leads to our name server."""
        with stage.cluster() as cluster:
            code = "import socket; print(sorted({a[4][0] for a in socket.getaddrinfo('data.nines.test', 1)}))"
            asked = engine.client.api.exec_create(f"nines-{stage.folder.name}-n1", ["python3", "-c", code])
            said = engine.client.api.exec_start(asked["Id"]).decode()
            assert said.strip() == str(sorted(node.info.address for node in cluster.nodes.values()))

    def test_balancer_engine(self, stage: DockerStage, engine: Engine) -> None:
        """Docker's own alias records: clients reach every node by them, and no name server of ours runs."""
        stage.change = with_cluster(dns=Dns(balancer="engine"))
        with stage.cluster() as cluster:
            start_ns = stage.clock.now_ns() + to_ns(0.4)
            with cluster.traffic(TrafficOrder(start_ns, 1.0)):
                roles = {thing.role for thing in leftovers_docker.things(engine.client.api, stage.folder.name)}
            addresses = {node.info.address for node in cluster.nodes.values()}
        assert "dns" not in roles
        assert [row.nodes for row in stage.of(DnsChanged)] == [list(NODES)]
        records = observations.read(stage.folder / "observations.bin")
        asked = {".".join(str(int(number) >> shift & 255) for shift in (24, 16, 8, 0)) for number in records["address"]}
        assert asked == addresses
        assert stage.of(TrafficEnded)[-1].slots == {"write": 50, "read": 100}


def test_auto_is_docker_where_an_engine_answers(docker_host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And local where none does, or where the target has no form for containers."""
    target = echo_deployment(tmp_path / "run", echo_plan("docker")).target
    assert chosen_runtime("auto", target) == "docker"
    bare = {name: msgspec.structs.replace(part, docker=None) for name, part in target.parts.items()}
    assert chosen_runtime("auto", msgspec.structs.replace(target, parts=bare)) == "local"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert chosen_runtime("auto", target) == "local"


def test_no_change_is_told_after_the_end(stage: DockerStage) -> None:
    """That the runtime removes its nodes is not told as something that happened to them."""
    with stage.cluster():
        seen = len(stage.rows)
    assert [row for row in stage.rows[seen:] if isinstance(row, NodeChanged | Aborting)] == []


class TestRemoval:
    """A machine that is replaced."""

    def test_removed_with_its_data_it_begins_anew_at_the_same_address(self, stage: DockerStage, engine: Engine) -> None:
        """Its volume is empty and its container another; without data, what it wrote is there again."""

        def run(code: str) -> str:
            asked = engine.client.api.exec_create(f"nines-{stage.folder.name}-n2", ["sh", "-c", code])
            return str(engine.client.api.exec_start(asked["Id"]).decode())

        with stage.cluster() as cluster:
            node = cluster.nodes["n2"]
            assert isinstance(node, Removable)
            run("echo kept > /var/lib/nines/file")
            node.remove(data=False)
            node.start()
            assert run("cat /var/lib/nines/file") == "kept\n"
            first_life = (stage.folder / "logs" / "n2.log").read_text(encoding="utf-8")
            node.remove(data=True)
            assert node.status() is Status.DOWN
            node.start()
            assert run("ls /var/lib/nines") == ""
            stage.wait(cluster, lambda: cluster.ping("n2", contract.PING_S).rtt_s is not None, "it answers at its address")
        assert (stage.folder / "logs" / "n2.log").read_text(encoding="utf-8").startswith(first_life)
        assert [row.status for row in contract.down_and_up(stage, "n2")] == [Status.DOWN, Status.UP] * 2


class TestNames:
    """Orders to the name server in its container."""

    def test_name_server_does_what_it_is_told_and_stops(self, stage: DockerStage) -> None:
        """Asked over the wire: an error while the order stands, all nodes afterwards."""
        with stage.cluster() as cluster:
            assert isinstance(cluster, HasNames)
            with cluster.names.harm(NameHarm("servfail")):
                assert cluster.names.look_up(contract.PING_S).answer == "SERVFAIL"
            answer = cluster.names.look_up(contract.PING_S)
            assert set(answer.addresses) == {node.info.address for node in cluster.nodes.values()}

    def test_refused_is_loud_and_down_is_silent(self, stage: DockerStage) -> None:
        """As on plain processes: each of many questions is refused at once, where the kernel by default does so about once a second."""
        with stage.cluster() as cluster:
            assert isinstance(cluster, HasNames)
            with cluster.names.harm(NameHarm("refused")):
                assert [cluster.names.look_up(contract.PING_S).error for _ in range(20)] == ["refused"] * 20
            with cluster.names.harm(NameHarm("down")):
                assert cluster.names.look_up(0.3).error == "timed out"
            assert cluster.names.look_up(contract.PING_S).answer == "NOERROR"
