"""Machines that are drained, cut off and without power, and pods that are rolled, as Kubernetes and a probe of our own tell of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kubernetes.test_kubernetes_attach import names, nines, running, settings
from tests.support.kubernetes import apply, get, namespace, until
from tools.kubernetes import hosts
from tools.kubernetes.cluster import Cluster

SPACE: Final = "nodes-shop"
BUSY_S: Final = 10.0
"""So much later a control plane may act on a machine that is busy with other things; the figures that are printed are for the docs."""
IMAGE: Final = "nines.test/chaos-nines:nodes"
EXPERIMENT: Final = """
experiment: store
question: What do clients see of a machine?
cluster:
  attach: {{kubernetes: {{namespace: {space}, service: store{more}}}}}
  nodes: 3
traffic:
  operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}
  client: {{timeout: 500ms, attempts: 1, deadline: 1s, resolve: per-request}}
baseline: 4s
faults:
{faults}
settle: {settle}
predict: {{parameters: {{restart: 300ms, stop: 10ms, readiness_every: 1s, readiness_fall: 2{parameters}}}}}
"""
ASKS: Final = """
import http.client, socket, time
while True:
    at = time.time()
    try:
        found = socket.getaddrinfo("store", 8080, socket.AF_INET, socket.SOCK_STREAM)
        address = found[int(at * 1000) % len(found)][4][0]
        asked = http.client.HTTPConnection(address, 8080, timeout=0.5)
        asked.request("GET", "/")
        said = asked.getresponse().read().decode()
    except OSError as error:
        said = "-" + type(error).__name__
    print(f"{at:.3f} {said}", flush=True)
    time.sleep(max(0.0, 0.05 - (time.time() - at)))
"""
"""A probe of the test's own: the name, one of its addresses, one question, twenty times a second."""


@pytest.fixture(scope="session")
def image(cluster: Cluster, docker_host: str) -> str:
    """Nines as an image, on every node."""
    name = os.environ.get("NINES_KUBERNETES_IMAGE", IMAGE)
    subprocess.run(
        [sys.executable, "-m", "chaos", "image", "--tag", name], check=True, timeout=900, env={**os.environ, "DOCKER_HOST": docker_host}
    )
    cluster.load(name)
    return name


@contextlib.contextmanager
def store(cluster: Cluster, base_image: str, replicas: int) -> Iterator[str]:
    """So many that may stand anywhere, and are ready."""
    words = (Path(__file__).parent / "store.yaml").read_text(encoding="utf-8").replace("replicas: 3", f"replicas: {replicas}")
    words = words.replace("nines-base:IMAGE", base_image).replace("shop", SPACE).replace("DoNotSchedule", "ScheduleAnyway")
    with namespace(cluster, SPACE):
        cluster.kubectl("apply", "-f", "-", text=words)
        until(lambda: get(cluster, SPACE, "statefulset", "store")["status"].get("readyReplicas") == replicas, 180, "ready pods")
        yield base_image


@pytest.fixture
def shop(cluster: Cluster, base_image: str) -> Iterator[str]:
    """Three replicas, and the probe."""
    with store(cluster, base_image, 3) as found:
        yield found


def pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Name -> pod, of the StatefulSet."""
    found = get(cluster, SPACE, "pods", "-l", "app=store")["items"]
    return {each["metadata"]["name"]: each for each in found}


def lives(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Name -> the pod's uid, and its container's id."""
    return {
        name: (each["metadata"]["uid"], (each["status"].get("containerStatuses") or [{}])[0].get("containerID", ""))
        for name, each in pods(cluster).items()
    }


def machine(cluster: Cluster, name: str) -> dict[str, Any]:
    """What an owner would see of it: what kubelet reports of itself is left out."""
    thing = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    return {"labels": thing["metadata"]["labels"], "annotations": sorted(thing["metadata"]["annotations"]), "spec": thing["spec"]}


def names_are_answered_on(cluster: Cluster) -> str:
    """The machine of CoreDNS: without it clients miss every name."""
    (found,) = get(cluster, "kube-system", "pods", "-l", "k8s-app=kube-dns")["items"]
    return str(found["spec"]["nodeName"])


def all_of(cluster: Cluster) -> tuple[Any, ...]:
    """What a run may not change: the namespace, the StatefulSet's own words, the machines."""
    store = get(cluster, SPACE, "statefulset", "store")
    machines = {name: machine(cluster, name) for name in cluster.record.nodes}
    return names(cluster, SPACE), store["spec"], store["metadata"]["generation"], store["status"]["updateRevision"], machines


@contextlib.contextmanager
def probe(cluster: Cluster, base_image: str, on: str) -> Iterator[Callable[[], list[tuple[float, str]]]]:
    """(when, whose answer or which error) of each question, asked from that machine. The log is read when all is over."""
    container = {"name": "probe", "image": base_image, "imagePullPolicy": "Never", "command": ["python3", "-u", "-c", ASKS]}
    spec = {"nodeName": on, "containers": [container], "terminationGracePeriodSeconds": 0}
    apply(cluster, SPACE, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec})

    def read() -> list[tuple[float, str]]:
        lines = cluster.kubectl("logs", "-n", SPACE, "probe").splitlines()
        return [(float(at), said) for at, _, said in (line.partition(" ") for line in lines)]

    until(lambda: get(cluster, SPACE, "pod", "probe")["status"].get("phase") == "Running", 60, "the probe")
    try:
        yield read
    finally:
        cluster.kubectl("delete", "pod", "-n", SPACE, "probe", "--now")


def outage(seen: Sequence[tuple[float, str]]) -> tuple[float, float, float]:
    """When the first and the last error came, and their share in between."""
    errors = [at for at, said in seen if said.startswith("-")]
    assert errors, "the probe saw no error"
    between = [said for at, said in seen if errors[0] <= at <= errors[-1]]
    return errors[0], errors[-1], sum(said.startswith("-") for said in between) / len(between)


@contextlib.contextmanager
def watched(look: Callable[[], Any]) -> Iterator[list[tuple[float, Any]]]:
    """What it says, whenever that changes."""
    seen: list[tuple[float, Any]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            with contextlib.suppress(subprocess.SubprocessError):
                now = look()
                if not seen or seen[-1][1] != now:
                    seen.append((time.time(), now))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def write(folder: Path, faults: str, *, more: str = "", settle: str = "30s", parameters: str = "") -> None:
    """The experiment."""
    text = EXPERIMENT.format(space=SPACE, faults=faults, more=more, settle=settle, parameters=parameters)
    (folder / "store.yaml").write_text(text, encoding="utf-8")


def ran(folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """The report of a run to its end."""
    done = nines("run", "store.yaml", "--folder", "run", folder=folder, env=env)
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    report: dict[str, Any] = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    print(done.stdout)
    return report


def faults_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name; each took effect and is gone."""
    found = {fault["name"].partition(".")[0]: fault for fault in report["faults"]}
    for each in found.values():
        assert each["effective_at_s"] is not None, each
        assert each["status"] == "healed", each
    return found


def test_a_drained_machine_and_a_rolled_store(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """A zone sleeps; the pod of a machine stands on another one; every pod is replaced, the last name first; and all is as it was."""
    env = settings(cluster, image, tmp_path)
    host = pods(cluster)["store-1"]["spec"]["nodeName"]
    before, first = all_of(cluster), lives(cluster)
    zone = machine(cluster, pods(cluster)["store-0"]["spec"]["nodeName"])["labels"]["topology.kubernetes.io/zone"]
    sleep = f"  - {{name: slept, pause: {{}}, target: {{zone: {zone}}}, at: [1s], for: 2s}}\n"
    drain = f"  - {{name: drained, drain: {{}}, target: {{host: {host}}}, at: [12s], for: 15s}}\n"
    roll = "  - {name: rolled, restart: {by: delete}, target: [n1, n2, n3], at: [40s], for: 60s}"
    write(tmp_path, sleep + drain + roll)

    def look() -> Any:
        closed = bool(machine(cluster, host)["spec"].get("unschedulable"))
        return closed, {name: (each["metadata"]["uid"], each["spec"].get("nodeName")) for name, each in pods(cluster).items()}

    with watched(look) as seen:
        report = ran(tmp_path, env)
    assert faults_of(report)["slept"]["target"] == ["n1"]
    closed = [one for _, (closed, one) in seen if closed]
    assert closed, "nobody saw the machine cordoned"
    moved = [one["store-1"] for one in closed if "store-1" in one and one["store-1"][0] != first["store-1"][0] and one["store-1"][1]]
    assert moved
    assert all(where != host for _, where in moved)
    after = lives(cluster)
    assert all(after[name][0] != first[name][0] for name in first)
    began = {name: pods(cluster)[name]["metadata"]["creationTimestamp"] for name in first}
    assert began["store-2"] <= began["store-1"] <= began["store-0"], began
    assert all_of(cluster) == before
    assert not nines("leftovers", folder=tmp_path, env=env).stdout.strip()


def test_a_command_that_is_killed_leaves_no_machine_closed(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """SIGKILL while a machine is cordoned: it is opened by itself; ``heal`` finds the rest."""
    env = settings(cluster, image, tmp_path)
    host = pods(cluster)["store-2"]["spec"]["nodeName"]
    before = all_of(cluster)
    write(tmp_path, f"  - {{name: drained, drain: {{}}, target: {{host: {host}}}, at: [3s], for: 120s}}")
    with running(tmp_path, env) as command:
        until(lambda: machine(cluster, host)["spec"].get("unschedulable") or command.poll() is not None, 240, "a cordoned machine")
        assert command.poll() is None, (tmp_path / "said").read_text(encoding="utf-8")
        command.kill()
    waited_s = until(lambda: not machine(cluster, host)["spec"].get("unschedulable"), 30, "the machine is open again")
    print(f"open again {waited_s:.1f} s after the command was killed")
    until(lambda: get(cluster, SPACE, "statefulset", "store")["status"].get("readyReplicas") == 3, 60, "three ready pods")
    healed = nines("heal", folder=tmp_path, env=env)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    until(lambda: all_of(cluster) == before, 60, "all is as it was")


def test_a_machine_that_is_cut_off(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """Kubernetes misses it within its grace, a probe of ours until the name forgets it; no pod dies of it, and no rule is left."""
    env = settings(cluster, image, tmp_path)
    there = {each["spec"]["nodeName"] for each in pods(cluster).values()}
    host, elsewhere = sorted(there, key=lambda machine: machine == names_are_answered_on(cluster))[:2]
    before, first = all_of(cluster), lives(cluster)
    write(tmp_path, f"  - {{name: cut, partition: {{by: host}}, target: {{host: {host}}}, at: [3s], for: 75s}}", settle="60s")
    with probe(cluster, shop, elsewhere) as read, watched(lambda: cluster.nodes_ready()[host]) as ready:
        report = ran(tmp_path, env)
        began_s, ended_s, share = outage(read())
    cut = faults_of(report)["cut"]
    missed_s = next(at for at, is_ready in ready if not is_ready) - began_s
    print(f"missed by the cluster after {missed_s:.1f} s, by the probe for {ended_s - began_s:.1f} s ({share:.0%}); {cut}")
    assert 35.0 < missed_s < 62.0 + BUSY_S
    assert 35.0 < ended_s - began_s < 70.0 + BUSY_S
    assert ready[-1][1], "the machine is Ready again"
    assert lives(cluster) == first
    assert "nines_host" not in subprocess.check_output(hosts.inside(cluster.layout, host, ["nft", "list", "tables"]), text=True)
    assert all_of(cluster) == before


def test_a_cut_that_nobody_renews_ends_by_itself(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """SIGKILL to the agent in the machine's network: the kernel there opens it within 15 s, and the run ends, since a part of it died."""
    env = settings(cluster, image, tmp_path)
    there = {name: each["spec"]["nodeName"] for name, each in pods(cluster).items()}
    host, elsewhere = there["store-1"], there["store-0"]
    write(tmp_path, f"  - {{name: cut, partition: {{by: host}}, target: {{host: {host}}}, at: [3s], for: 40s}}")

    network = Path(f"/proc/{hosts.first_process(cluster.layout, host)}/ns/net").readlink()

    def agents() -> list[int]:
        """In the machine's own network."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b"agent_machine.py" in (each / "cmdline").read_bytes() and (each / "ns" / "net").readlink() == network:
                    found.append(int(each.name))
        return found

    with probe(cluster, shop, elsewhere) as read, running(tmp_path, env) as command:
        until(lambda: agents() or command.poll() is not None, 240, "the agent of the machine")
        until(lambda: any(said.startswith("-") for _, said in read()[-20:]), 60, "an error of the probe")
        killed_s = time.time()
        for pid in agents():
            os.kill(pid, signal.SIGKILL)
        command.wait(240)
        errors = [at for at, said in read() if said.startswith("-") and at > killed_s]
    print(f"the last error came {errors[-1] - killed_s:.1f} s after the agent was killed")
    assert errors[-1] - killed_s < 30.0, "it lasted as long as was asked for"
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "unknown", report["reasons"]
    assert "part of the harness died" in (tmp_path / "said").read_text(encoding="utf-8")
    nines("heal", folder=tmp_path, env=env)
    tables = subprocess.check_output(hosts.inside(cluster.layout, host, ["nft", "list", "tables"]), text=True)
    assert "nines_host" not in tables


def test_a_machine_loses_its_power(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """By commands where the command is; the cluster misses it within its grace, and its pod comes back by kubelet alone."""
    env = settings(cluster, image, tmp_path)
    there = {name: each["spec"]["nodeName"] for name, each in pods(cluster).items()}
    name, host = next((name, host) for name, host in there.items() if host != names_are_answered_on(cluster))
    other, elsewhere = next((other, where) for other, where in there.items() if where != host)
    before, first = all_of(cluster), lives(cluster)
    switch = f"{sys.executable} -m tools.kubernetes --folder {cluster.layout.folder}"
    power = f'{{power_off: "{switch} power-off {host}", power_on: "{switch} power-on {host}"}}'
    write(
        tmp_path, f"  - {{name: dark, power_off: {{by: command}}, target: {{host: {host}}}, at: [3s], for: 70s}}",
        more=f", hosts: {{{host}: {power}}}", settle="90s", parameters=", boot: 20s",
    )  # fmt: skip
    with probe(cluster, shop, elsewhere) as read, watched(lambda: cluster.nodes_ready()[host]) as ready:
        report = ran(tmp_path, env)
        began_s, ended_s, share = outage(read())
    dark = faults_of(report)["dark"]
    missed_s = next(at for at, is_ready in ready if not is_ready) - began_s
    print(f"missed by the cluster after {missed_s:.1f} s, by the probe for {ended_s - began_s:.1f} s ({share:.0%}); {dark}")
    assert 35.0 < missed_s < 62.0 + BUSY_S
    after = lives(cluster)
    assert after[name][0] == first[name][0], "the same pod"
    assert after[name][1] != first[name][1], "another life of its container"
    assert after[other] == first[other]
    until(lambda: cluster.nodes_ready()[host], 120, "the machine is Ready again")
    until(lambda: all_of(cluster) == before, 60, "all is as it was")


def test_a_machine_that_answers_names_loses_its_power(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """The only CoreDNS goes with it: every name is missed until it is back, and the prediction knew where it stands."""
    env = settings(cluster, image, tmp_path)
    host = names_are_answered_on(cluster)
    there = {name: each["spec"]["nodeName"] for name, each in pods(cluster).items()}
    assert host in there.values(), "a pod of the store stands there as well"
    elsewhere = next(where for where in there.values() if where != host)
    before = all_of(cluster)
    switch = f"{sys.executable} -m tools.kubernetes --folder {cluster.layout.folder}"
    power = f'{{power_off: "{switch} power-off {host}", power_on: "{switch} power-on {host}"}}'
    write(
        tmp_path, f"  - {{name: dark, power_off: {{by: command}}, target: {{host: {host}}}, at: [3s], for: 30s}}",
        more=f", hosts: {{{host}: {power}}}", settle="60s", parameters=", boot: [2s, 10s]",
    )  # fmt: skip
    with probe(cluster, shop, elsewhere) as read:
        report = ran(tmp_path, env)
        began_s, ended_s, share = outage(read())
    print(f"missed by the probe for {ended_s - began_s:.1f} s ({share:.0%}); {faults_of(report)['dark']}")
    for one in report["predicted"]["services"]["home"]["by_fault"].values():
        print(f"predicted: {one}")
    print("observed:", report["observed"]["outages"])
    assert report["agreement_overall"] != "inconsistent", report["agreement"]
    assert share > 0.9, "all names, and not a third of the pods"
    until(lambda: cluster.nodes_ready()[host], 120, "the machine is Ready again")
    until(lambda: all_of(cluster) == before, 60, "all is as it was")


def test_a_command_that_is_killed_leaves_no_machine_off(cluster: Cluster, image: str, shop: str, tmp_path: Path) -> None:
    """SIGKILL to the command while a machine is off: it boots without anybody."""
    env = settings(cluster, image, tmp_path)
    host = pods(cluster)["store-2"]["spec"]["nodeName"]
    switch = f"{sys.executable} -m tools.kubernetes --folder {cluster.layout.folder}"
    power = f'{{power_off: "{switch} power-off {host}", power_on: "{switch} power-on {host}"}}'
    write(
        tmp_path, f"  - {{name: dark, power_off: {{by: command}}, target: {{host: {host}}}, at: [3s], for: 100s}}",
        more=f", hosts: {{{host}: {power}}}", parameters=", boot: 20s",
    )  # fmt: skip
    with running(tmp_path, env) as command:
        until(lambda: host not in hosts.find(cluster.layout) or command.poll() is not None, 240, "a machine without power")
        assert command.poll() is None, (tmp_path / "said").read_text(encoding="utf-8")
        command.send_signal(signal.SIGKILL)
        waited_s = until(lambda: host in hosts.find(cluster.layout), 60, "the machine has power again")
    print(f"on again {waited_s:.1f} s after the command was killed")
    until(lambda: cluster.nodes_ready()[host], 180, "the machine is Ready again")
    healed = nines("heal", folder=tmp_path, env=env)
    assert healed.returncode == 0, healed.stdout + healed.stderr
