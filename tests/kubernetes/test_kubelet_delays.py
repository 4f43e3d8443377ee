"""The delays of a real kubelet are those that the models take for granted (docs/models.md, "Orchestrators")."""

from __future__ import annotations

import itertools
import subprocess
import time
from datetime import datetime
from typing import Any, Final

from chaos.kube.access import read
from chaos.kube.api import Api
from chaos.plan.back_off import BackOff
from tests.kubernetes.test_kubernetes_cluster import container
from tests.kubernetes.test_kubernetes_machines import SPACE, pods, shop
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


def status(cluster: Cluster, space: str) -> dict[str, Any]:
    """Of the only container."""
    (found,) = get(cluster, space, "pod", "victim")["status"].get("containerStatuses") or [{}]
    return found


def started_again(now: dict[str, Any], times: int) -> bool:
    """So often, and it runs; ``lastState`` may be empty even then, once kubelet has removed what died."""
    return now.get("restartCount") == times and "running" in now["state"]


def at_s(text: str) -> float:
    """A time of the API's."""
    return datetime.fromisoformat(text).timestamp()


def latest_s(rule: BackOff, wait_s: float) -> float:
    """The last moment of a start: every look as late as it may be, the one before the last just too early."""
    at, late_s = rule.seen_s[1], 0.0
    if wait_s <= at:
        return at
    # The look before the start is not yet at the end of the wait; the next is the longest step away.
    late_s = wait_s + rule.look_s[1] + rule.tick_s
    return min(late_s, at + (rule.look_s[1] + rule.tick_s) * -(-(wait_s) // rule.look_s[0]))


def test_kills_of_one_container_are_not_alike(cluster: Cluster, base_image: str) -> None:
    """The waits of kill 1 to 4, from the signal to the container's next start, as kubelet reports it in whole seconds."""
    owed_s = KUBELET.owed_s([0.0] * KILLS)
    assert owed_s == (0, 10, 20, 40)
    with namespace(cluster, "delays") as space:
        sleeps = container(base_image, "import time\nwhile True: time.sleep(1)")
        spec = {"containers": [sleeps], "terminationGracePeriodSeconds": 0, "nodeSelector": {"kubernetes.io/hostname": "n2"}}
        apply(cluster, space, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "victim"}, "spec": spec})
        for number, wait_s in enumerate(owed_s):
            until(lambda: "running" in status(cluster, space).get("state", {}), 200, "the container runs")
            now = status(cluster, space)
            assert now["restartCount"] == number
            ident = now["containerID"].partition("://")[2]
            kill = ["ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", ident]
            killed_s = time.time()
            subprocess.run(hosts.inside(cluster.layout, "n2", kill), check=True, timeout=60)
            until(lambda n=number: started_again(status(cluster, space), n + 1), 200, f"start after kill {number + 1}")
            # All hosts have this machine's wall clock.
            waited_s = at_s(status(cluster, space)["state"]["running"]["startedAt"]) - killed_s
            print(f"kill {number + 1}: owed {wait_s:g} s, started after {waited_s:g} s")
            assert wait_s - 1.0 <= waited_s <= latest_s(KUBELET, wait_s) + START_S


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
