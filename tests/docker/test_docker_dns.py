"""What the ``engine`` balancer is: Docker's own alias records, when a replica dies, is paused, returns, or was the last one.

A client container asks the resolver of its network every 5 ms and prints each answer with its CLOCK_MONOTONIC, which all
containers share with this process. The figures in docs/docker.md are those that ``pytest -rP`` shows.
"""

from __future__ import annotations

import json
import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from docker.models.containers import Container

from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.values import CLIENTS, Link, RoundTrip, Victims
from chaos.engine.connection import Engine
from chaos.engine.networks import make_network
from chaos.experiment.cluster import Dns
from chaos.experiment.faults import FaultSpec
from chaos.experiment.schedules import At
from chaos.experiment.selectors import Named
from chaos.faults.power_off import PowerOff
from chaos.history.undo import UndoLog
from chaos.plugin import Cluster, Removable, Scene
from chaos.runtimes.docker.runtime import DockerRuntime
from tests.support.echo_deployment import NODES, echo_deployment, echo_plan

ALIAS = "svc"
WITHIN_S = 30.0
SILENT_S = 0.3
LABELS = {"nines.test": "engine-dns"}

CLIENT = """
import json, socket, time
from dnslib import DNSRecord, RCODE
number = 0
while True:
    number = (number + 1) % 65536
    question = DNSRecord.question("svc")
    question.header.id = number
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(5)  # as long as libc waits for one server
    began = time.monotonic_ns()
    try:
        asker.sendto(question.pack(), ("127.0.0.11", 53))
        answer = DNSRecord.parse(asker.recv(4096))
        code, found, ttl = RCODE[answer.header.rcode], [str(r.rdata) for r in answer.rr], max((r.ttl for r in answer.rr), default=-1)
    except socket.timeout:
        code, found, ttl = "TIMEOUT", [], -1
    asker.close()
    took = (time.monotonic_ns() - began) / 1e6
    print(json.dumps({"at_ns": began, "took_ms": took, "code": code, "addresses": found, "ttl": ttl}), flush=True)
    time.sleep(0.005)
"""


class Answer(msgspec.Struct, frozen=True):
    """One answer of the engine's resolver."""

    at_ns: int
    took_ms: float
    code: str
    addresses: tuple[str, ...]
    ttl: int


class Answers:
    """Reads what the client prints, in a thread of its own."""

    def __init__(self, client: Container) -> None:
        self._rows: queue.Queue[Answer] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(client.attach(stream=True),), daemon=True)
        self._thread.start()

    def _read(self, stream: Iterator[bytes]) -> None:
        buffer = b""
        for piece in stream:
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines:
                self._rows.put(msgspec.json.decode(line, type=Answer))

    def until(self, what: Callable[[Answer], bool], *, after_ns: int = 0) -> Answer:
        """The first answer to a question asked after that time for which it holds."""
        deadline_s = time.monotonic() + WITHIN_S
        seen = None
        while time.monotonic() < deadline_s:
            try:
                row = self._rows.get(timeout=0.5)
            except queue.Empty:
                continue
            if row.at_ns >= after_ns:
                seen = row
                if what(row):
                    return row
        raise AssertionError(f"not within {WITHIN_S} s; the last answer was {seen}")

    def take(self, count: int) -> list[Answer]:
        """So many answers from now on."""
        now_ns = time.monotonic_ns()
        return [self.until(lambda _: True, after_ns=now_ns) for _ in range(count)]


class Pair(msgspec.Struct, frozen=True):
    """Two replicas under one alias, and a client that keeps asking."""

    replicas: dict[str, Container]
    """by address"""
    answers: Answers


@contextmanager
def scene(engine: Engine, image: str, *, internal: bool = False, policy: str = "no", random_seed: int) -> Iterator[Pair]:
    """Everything of it is removed afterwards."""
    name = f"nines-test-dns-{random_seed}-{time.monotonic_ns()}"
    network, subnet = make_network(engine, name, LABELS, random.Random(random_seed), internal=internal)
    made: list[Container] = []
    try:
        replicas = {}
        for number in (11, 12):
            address = str(subnet[number])
            made.append(_container(engine, image, name, address, ["python3", "-m", "http.server", "80"], policy))
            replicas[address] = made[-1]
        made.append(_container(engine, image, name, str(subnet[3]), ["python3", "-c", CLIENT], "no", alias=False))
        answers = Answers(made[-1])
        for container in made:
            container.start()
        answers.until(lambda row: len(row.addresses) == 2)
        for address in replicas:
            _until_listening(address)
        yield Pair(replicas=replicas, answers=answers)
    finally:
        for container in reversed(made):
            container.remove(force=True, v=True)
        network.remove()


def _container(engine: Engine, image: str, network: str, address: str, command: list[str], policy: str, *, alias: bool = True) -> Container:
    api = engine.client.api
    endpoint = api.create_endpoint_config(aliases=[ALIAS] if alias else [], ipv4_address=address)
    made = api.create_container(
        image,
        command,
        labels=LABELS,
        networking_config=api.create_networking_config({network: endpoint}),
        host_config=api.create_host_config(network_mode=network, restart_policy={"Name": policy}),
    )
    return engine.client.containers.get(made["Id"])


def _until_listening(address: str) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        try:
            socket.create_connection((address, 80), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline_s, f"{address} does not listen"
            time.sleep(0.02)
        else:
            return


def _figure(name: str, value: object) -> None:
    print(f"{name}: {value}")


def _ms(later_ns: int, earlier_ns: int) -> float:
    return round((later_ns - earlier_ns) / 1e6, 1)


def test_all_replicas_are_named_in_an_order_that_changes(engine: Engine, harness_image: str) -> None:
    """Both addresses in every answer, either one first about half of the time, with a time to live of ten minutes."""
    with scene(engine, harness_image, random_seed=1) as at:
        rows = at.answers.take(200)
    assert all(set(row.addresses) == set(at.replicas) for row in rows)
    first = sum(row.addresses[0] == min(at.replicas) for row in rows)
    assert 50 <= first <= 150
    assert {row.ttl for row in rows} == {600}
    _figure("first_share", first / len(rows))
    _figure("lookup_ms_median", sorted(row.took_ms for row in rows)[100])


def test_a_dead_replica_is_withdrawn_and_comes_back(engine: Engine, harness_image: str) -> None:
    """A killed container's record goes within a second or two, and returns with its start."""
    with scene(engine, harness_image, random_seed=2) as at:
        address, victim = next(iter(at.replicas.items()))
        before_ns = time.monotonic_ns()
        victim.kill()
        gone = at.answers.until(lambda row: address not in row.addresses, after_ns=before_ns)
        assert len(gone.addresses) == 1
        # What a client meets that kept the address: not a reset, since the whole namespace is gone, but nobody who knows it.
        connect_ns = time.monotonic_ns()
        with pytest.raises(OSError, match=r"No route to host|timed out") as refused:
            socket.create_connection((address, 80), timeout=3)
        refused_ns = time.monotonic_ns()
        again_ns = time.monotonic_ns()
        victim.start()
        back = at.answers.until(lambda row: address in row.addresses, after_ns=again_ns)
    _figure("withdrawn_ms_after_kill", _ms(gone.at_ns, before_ns))
    _figure("connect_to_the_dead", f"{refused.value} after {_ms(refused_ns, connect_ns)} ms")
    _figure("back_ms_after_start", _ms(back.at_ns, again_ns))


def test_a_paused_replica_stays_in_the_answer(engine: Engine, harness_image: str) -> None:
    """The engine's records know nothing of health: a frozen container is named as before, and its kernel still accepts connections."""
    with scene(engine, harness_image, random_seed=3) as at:
        address, victim = next(iter(at.replicas.items()))
        victim.pause()
        rows = at.answers.take(100)
        with socket.create_connection((address, 80), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            victim.unpause()
            connection.settimeout(5)
            assert connection.recv(1), "what was asked in vain is answered late"
    assert all(set(row.addresses) == set(at.replicas) for row in rows)


@pytest.mark.parametrize("internal", [False, True], ids=["bridge", "internal"])
def test_without_the_last_replica_the_name_is_unknown(engine: Engine, harness_image: str, internal: bool) -> None:
    """The alias is then any unknown name: asked outside, unless the network is internal, and answered by an error, or never."""
    with scene(engine, harness_image, internal=internal, random_seed=4 + internal) as at:
        for victim in at.replicas.values():
            victim.kill()
        killed_ns = time.monotonic_ns()
        rows = [at.answers.until(lambda row: not row.addresses, after_ns=killed_ns) for _ in range(2 if internal else 4)]
        again_ns = time.monotonic_ns()
        next(iter(at.replicas.values())).start()
        back = at.answers.until(lambda row: len(row.addresses) == 1, after_ns=again_ns)
    assert {row.code for row in rows} <= {"NXDOMAIN", "SERVFAIL", "TIMEOUT"}
    _figure("codes", json.dumps(sorted({row.code for row in rows})))
    _figure("unknown_took_ms_max", max(row.took_ms for row in rows))
    _figure("back_ms_after_start", _ms(back.at_ns, again_ns))


def test_a_replica_that_its_policy_restarts_is_missing_for_a_moment(engine: Engine, harness_image: str) -> None:
    """A process that dies from inside: withdrawn, then started by the engine, and named again."""
    with scene(engine, harness_image, policy="always", random_seed=6) as at:
        address, victim = next(iter(at.replicas.items()))
        begun = victim.attrs["State"].get("StartedAt")
        # Not the engine's kill, which would cancel the policy: a helper in the replica's process namespace sends the signal.
        before_ns = _kill_from_inside(engine, harness_image, victim)
        gone = at.answers.until(lambda row: address not in row.addresses, after_ns=before_ns)
        back = at.answers.until(lambda row: address in row.addresses, after_ns=gone.at_ns)
        victim.reload()
        assert victim.attrs["State"]["StartedAt"] != begun
    _figure("withdrawn_ms_after_signal", _ms(gone.at_ns, before_ns))
    _figure("absent_ms", _ms(back.at_ns, gone.at_ns))


def _kill_from_inside(engine: Engine, image: str, victim: Container) -> int:
    """When it was sent: the first process of a namespace takes no SIGKILL from its own, so it comes from the machine's."""
    said = engine.client.containers.run(
        image,
        ["python3", "-c", f"import os, time; print(time.monotonic_ns()); os.kill({_pid(victim)}, 9)"],
        pid_mode="host",
        network_mode="none",
        labels=LABELS,
        remove=True,
    )
    return int(said)


def _pid(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


LOOK_UP = "import socket; print(*sorted({found[4][0] for found in socket.getaddrinfo('data.nines.test', 1)}))"


def test_a_node_of_ours_keeps_its_record_whatever_is_done_to_it(
    docker_host: str, harness_image: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent's container holds address and alias: dead, frozen, dark or the last one, it is in every answer. The connect tells."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    victims = Victims(nodes=("n2",), role="node")
    plan = echo_plan("docker", tuple(rule.link for rule in PowerOff().rules(victims, NODES)))
    dark = FaultSpec(name="dark", kind="power_off", params={}, target=Named(("n2",)), schedule=At((1.0,)), for_s=1.0, times=1)
    cluster_spec = msgspec.structs.replace(plan.experiment.cluster, dns=Dns(balancer="engine"))
    experiment = msgspec.structs.replace(plan.experiment, cluster=cluster_spec, faults=(dark,))
    deployment = echo_deployment(tmp_path / f"engine-dns-{os.getpid()}", msgspec.structs.replace(plan, experiment=experiment))
    clock, undo = MonotonicClock(), UndoLog(tmp_path / "undo.jsonl")
    with DockerRuntime().up(deployment, lambda _: None, clock) as cluster:
        everyone = sorted(node.info.address for node in cluster.nodes.values())

        def resolved() -> list[str]:
            asked = engine.client.api.exec_create(f"nines-{deployment.run}-prober", ["python3", "-c", LOOK_UP])
            return str(engine.client.api.exec_start(asked["Id"]).decode()).split()

        def connected(node: str, within_s: float = WITHIN_S) -> RoundTrip:
            return cluster.net.measure(Link(CLIENTS, node), within_s)

        assert resolved() == everyone
        node = cluster.nodes["n2"]
        node.kill(9)
        assert (resolved(), connected("n2").error) == (everyone, "refused")
        node.start()
        _until_answers(cluster, "n2")
        node.pause()
        assert (resolved(), connected("n2", SILENT_S).error) == (everyone, "timed out")
        node.resume()
        with PowerOff().inject(Scene(cluster=cluster, clock=clock, undo=undo), victims):
            assert (resolved(), connected("n2", SILENT_S).error) == (everyone, "timed out")
        assert isinstance(node, Removable)
        node.remove(data=True)
        assert (resolved(), connected("n2").error) == (everyone, "refused")
        node.start()
        for each in cluster.nodes.values():
            each.kill(9)
        assert (resolved(), {connected(name).error for name in cluster.nodes}) == (everyone, {"refused"})
    undo.close()


def _until_answers(cluster: Cluster, node: str) -> None:
    clock = MonotonicClock()
    limit_ns = clock.now_ns() + to_ns(WITHIN_S)
    while cluster.ping(node, 0.3).rtt_s is None:
        assert clock.now_ns() < limit_ns
        clock.wait_until_ns(clock.now_ns() + to_ns(0.02))
