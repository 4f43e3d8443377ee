"""The delays of a real kubelet are those that the models take for granted (docs/models.md, "Orchestrators")."""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from chaos.kube.access import read
from chaos.kube.api import Api
from chaos.plan.back_off import BackOff
from tests.kubernetes.test_kubernetes_cluster import container
from tests.kubernetes.test_kubernetes_machines import SPACE, pods, shop
from tests.reference import kubelet
from tests.support.kubernetes import apply, get, namespace, until
from tools.kubernetes import hosts
from tools.kubernetes.cluster import Cluster

KUBELET = BackOff(10.0, 300.0, 600.0, seen_s=(0.0, 1.0), look_s=(10.0, 15.0), tick_s=1.0)
KILLS = 4
__all__ = ["shop"]
LOOKS: Final = """
import socket, struct, threading, time

def server():
    return next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))

def told(*words):
    print(f"{time.time():.4f}", *words, flush=True)

def asks(address):
    while True:
        began = time.time()
        try:
            with socket.create_connection((address, 8080), timeout=1.0) as asked:
                asked.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                if not asked.recv(64):
                    raise OSError("closed")
        except OSError as error:
            print(f"{began:.4f} dead {address} {type(error).__name__}", flush=True)
            return
        time.sleep(0.01)

name = b"".join(bytes([len(part)]) + part for part in b"store.SPACE.svc.cluster.local".split(b".")) + b"\\0"
question = b"\\x12\\x34\\x01\\x00\\x00\\x01" + b"\\0" * 6 + name + b"\\0\\1\\0\\1"
asked, known = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), None
asked.settimeout(0.5)
asked.connect((server(), 53))
seen = set()
while True:
    asked.send(question)
    try:
        data = asked.recv(4096)
    except OSError:
        continue
    count, at, found = struct.unpack(">H", data[6:8])[0], len(question), set()
    for _ in range(count):
        at += 2 if data[at] & 0xC0 == 0xC0 else data.index(b"\\0", at) - at + 1
        kind, _, _, size = struct.unpack(">HHIH", data[at:at + 10])
        at += 10
        if kind == 1:
            found.add(socket.inet_ntoa(data[at:at + 4]))
        at += size
    if found != known:
        told("dns", ",".join(sorted(found)))
        known = found
    for address in found - seen:
        seen.add(address)
        threading.Thread(target=asks, args=(address,), daemon=True).start()
    time.sleep(0.005)
""".replace("SPACE", SPACE)
"""Says when the addresses of a name change, and when each of them serves no more."""
START_S = 60.0
"""The start of a container, and the API's whole seconds, on a machine that is busy with other things: an end, and no judgement."""


SAYS: Final = """
import socket, time
door = socket.create_server(("", 8080), backlog=64)
with open("/data/starts", "a") as said:
    print(time.time(), file=said)
while True:
    door.accept()[0].close()
"""
"""A program that writes down when it began, where its next life does so too, and listens for probes."""
PROBES_S: Final = {"bare": 0, "often": 1, "usual": 10}
"""Time between two readiness probes; 0: none."""
ALIKE: Final = 4
"""Pods of each kind, which are killed at the same time."""
QUIET_S: Final = 12.0
"""From a start to the next kill: a probe has found it well by then."""


def latest_s(rule: BackOff, wait_s: float) -> float:
    """The last moment of a start: every look as late as it may be, the one before the last just too early."""
    at = rule.seen_s[1]
    return at if wait_s <= at else wait_s + rule.look_s[1] + rule.tick_s


def victim(name: str, image: str, number: int, probe_s: int) -> dict[str, Any]:
    """A pod of one container, on one of three machines."""
    sleeps = container(image, SAYS, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    if probe_s:
        sleeps["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": probe_s}
    spec = {
        "containers": [sleeps], "volumes": [{"name": "data", "emptyDir": {}}], "terminationGracePeriodSeconds": 0,
        "nodeSelector": {"kubernetes.io/hostname": f"n{number % 3 + 1}"},
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class Victim:
    """One of them, killed again and again in a thread of its own."""

    def __init__(self, cluster: Cluster, thing: dict[str, Any]) -> None:
        self.name = str(thing["metadata"]["name"])
        self._cluster, self._host = cluster, str(thing["spec"]["nodeName"])
        disk = cluster.layout.host(self._host) / "lib" / "kubelet" / "pods" / thing["metadata"]["uid"]
        self._starts = disk / "volumes" / "kubernetes.io~empty-dir" / "data" / "starts"

    def starts_s(self) -> list[float]:
        """When each of its lives began; all hosts have this machine's wall clock."""
        return [float(line) for line in self._starts.read_text(encoding="utf-8").split()] if self._starts.exists() else []

    def waits_s(self, space: str) -> list[float]:
        """From each kill to the next start."""
        found = []
        for number in range(KILLS):
            until(lambda count=number: len(self.starts_s()) == count + 1, 200, f"start {number + 1} of {self.name}")
            time.sleep(max(0.0, self.starts_s()[-1] + QUIET_S - time.time()))
            state = get(self._cluster, space, "pod", self.name)["status"]["containerStatuses"][0]
            ident = state["containerID"].partition("://")[2]
            kill = ["ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", ident]
            killed_s = time.time()
            subprocess.run(hosts.inside(self._cluster.layout, self._host, kill), check=True, timeout=60)
            until(lambda count=number: len(self.starts_s()) == count + 2, 200, f"start after kill {number + 1} of {self.name}")
            found.append(self.starts_s()[-1] - killed_s)
        return found


def looks(cluster: Cluster) -> list[str]:
    """When each kubelet found that a container has to wait: what its log says."""
    found = []
    for host in cluster.record.nodes:
        for path in (cluster.layout.host(host) / "log").glob("kubelet*"):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{host} {line[:21]} {line[-120:]}" for line in lines if "Error syncing pod" in line and "CrashLoopBackOff" in line]
    return found


def test_kills_of_one_container_are_not_alike(cluster: Cluster, base_image: str) -> None:
    """The waits of kill 1 to 4 of twelve pods, from the signal to the next life's first word, beside kubelet's rule."""
    owed_s = KUBELET.owed_s([0.0] * KILLS)
    assert owed_s == (0, 10, 20, 40)
    names = [f"{kind}-{number}" for kind in PROBES_S for number in range(ALIKE)]
    with namespace(cluster, "delays") as space:
        apply(cluster, space, *(victim(name, base_image, at, PROBES_S[name.partition("-")[0]]) for at, name in enumerate(names)))
        until(
            lambda: all(each["status"].get("phase") == "Running" for each in get(cluster, space, "pods")["items"]), 200, "all of them run"
        )
        victims = [Victim(cluster, get(cluster, space, "pod", name)) for name in names]
        with ThreadPoolExecutor(len(victims)) as pool:
            seen = dict(zip(names, pool.map(lambda each: each.waits_s(space), victims), strict=True))
        print("\n".join(looks(cluster)))
    start_s = statistics.mean(waits_s[0] for waits_s in seen.values()) - 0.5
    print(f"a container's start takes {start_s:.2f} s")
    generator = random.Random(1)
    for kind, probe_s in PROBES_S.items():
        for number, wait_s in enumerate(owed_s):
            found = [waits_s[number] for name, waits_s in seen.items() if name.startswith(kind)]
            rule = [kubelet.starts_after(wait_s, probe_s, generator) for _ in range(4000)]
            print(
                f"{kind}, kill {number + 1}: {' '.join(f'{each:.1f}' for each in found)}, mean {statistics.mean(found) - start_s:.2f} s "
                f"without the start; by the rule {statistics.mean(rule):.2f} s, spread {statistics.stdev(rule):.2f} s"
            )
            assert all(wait_s <= each <= latest_s(KUBELET, wait_s) + START_S for each in found)


def replaced(cluster: Cluster, uid: str) -> bool:
    """All pods are ready, and that one is none of them."""
    ready = get(cluster, SPACE, "statefulset", "store")["status"].get("readyReplicas") == 3
    return ready and all(each["metadata"]["uid"] != uid for each in pods(cluster).values())


def test_the_name_lets_go_of_a_pod_before_it_ends(cluster: Cluster, shop: str) -> None:
    """Six pods deleted, one after the other: from the order until CoreDNS does not answer it any more, and until it serves no more."""
    container = {"name": "looks", "image": shop, "imagePullPolicy": "Never", "command": ["python3", "-u", "-c", LOOKS]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "nodeName": pods(cluster)["store-0"]["spec"]["nodeName"]}
    apply(cluster, SPACE, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "looks"}, "spec": spec})
    until(lambda: get(cluster, SPACE, "pod", "looks")["status"].get("phase") == "Running", 120, "it runs")
    until(lambda: "dns" in cluster.kubectl("logs", "-n", SPACE, "looks"), 60, "it looks")
    api, orders = Api(read(str(cluster.layout.kubeconfig))), []
    for name in [f"store-{number}" for number in (2, 1, 0)] * 2:
        before = pods(cluster)[name]
        began_s = time.time()
        assert api.remove("pods", SPACE, name, uid=before["metadata"]["uid"])
        orders.append((began_s, time.time(), before["status"]["podIP"]))
        until(lambda gone=before["metadata"]["uid"]: replaced(cluster, gone), 120, "three ready pods")
    lines = [line.split() for line in cluster.kubectl("logs", "-n", SPACE, "looks").splitlines()]
    for began_s, answered_s, address in orders:
        listed = [(float(at), set(words[0].split(",")) if words else set()) for at, kind, *words in lines if kind == "dns"]
        left_s = next(at for (_, was), (at, now) in itertools.pairwise(listed) if address in was and address not in now and at > began_s)
        dead_s, error = next((float(words[0]), words[3]) for words in lines if words[1] == "dead" and words[2] == address)
        print(f"{address}: the API server answered after {answered_s - began_s:.3f} s; the name let go after {left_s - began_s:.3f} s; "
              f"it served no more after {dead_s - began_s:.3f} s ({error})")  # fmt: skip
        assert 0.0 < left_s - began_s < START_S
        assert 0.0 < dead_s - began_s < START_S
    api.close()
