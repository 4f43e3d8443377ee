"""The cluster that tests of Kubernetes run on is one: names, pods on all nodes, the loss of a node; and nothing is left of it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubernetes import apply, get, namespace, until
from tests.support.paths import ROOT
from tools.kubernetes import cluster as clusters
from tools.kubernetes import hosts
from tools.kubernetes.cluster import Cluster
from tools.kubernetes.places import Layout

SERVES = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["HOSTNAME"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 7000), Answer).serve_forever()
"""
ASKS = """
import socket, urllib.request
found = sorted({each[4][0] for each in socket.getaddrinfo("web", 7000, socket.AF_INET, socket.SOCK_STREAM)})
print(*found)
print(*sorted(urllib.request.urlopen(f"http://{each}:7000", timeout=5).read().decode() for each in found))
"""


def container(image: str, code: str, **more: Any) -> dict[str, Any]:
    """One that runs a Python program."""
    return {"name": "app", "image": image, "imagePullPolicy": "Never", "command": ["python3", "-u", "-c", code], **more}


def web(image: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A headless Service and a StatefulSet of three, one on each node."""
    spread = {
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }  # fmt: skip
    probe = {"httpGet": {"path": "/", "port": 7000}, "periodSeconds": 1}
    pod = {
        "terminationGracePeriodSeconds": 1, "topologySpreadConstraints": [spread],
        "containers": [container(image, SERVES, readinessProbe=probe)],
    }  # fmt: skip
    spec = {
        "serviceName": "web", "replicas": 3, "podManagementPolicy": "Parallel", "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
    }  # fmt: skip
    service = {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 7000}]}
    return (
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec},
    )


def test_a_client_inside_finds_all_by_name(cluster: Cluster, base_image: str) -> None:
    """Three pods on three nodes, whose addresses a Job gets for one name, and which all answer it."""
    with namespace(cluster, "names") as space:
        apply(cluster, space, *web(base_image))
        until(lambda: get(cluster, space, "statefulset", "web")["status"].get("readyReplicas") == 3, 300, "three pods ready")
        pods = get(cluster, space, "pods", "-l", "app=web")["items"]
        assert {pod["spec"]["nodeName"] for pod in pods} == {"n1", "n2", "n3"}
        pod = {"restartPolicy": "Never", "containers": [container(base_image, ASKS)]}
        apply(cluster, space, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "ask"}, "spec": {"template": {"spec": pod}}})
        until(lambda: get(cluster, space, "job", "ask")["status"].get("succeeded") == 1, 180, "the client's answer")
        addresses, names = cluster.kubectl("logs", "-n", space, "job/ask").splitlines()
        assert addresses.split() == sorted(pod["status"]["podIP"] for pod in pods)
        assert names.split() == ["web-0", "web-1", "web-2"]
        # From this machine none of them is reached, as with any cluster that is elsewhere.
        with pytest.raises(OSError, match=r"unreachable|No route"):
            socket.create_connection((pods[0]["status"]["podIP"], 7000), timeout=2)


def test_no_node_is_reached_from_here(cluster: Cluster) -> None:
    """The API server alone."""
    addresses = cluster.record.addresses
    with socket.create_connection((str(addresses.control), 6443), timeout=5):
        pass
    with pytest.raises(OSError, match=r"unreachable|No route"):
        socket.create_connection((str(addresses.node(1)), 10250), timeout=2)


def test_clocks_of_nodes_are_their_own(cluster: Cluster) -> None:
    """As of machines that were started at different times. Asked without a program of this tree: nodes have a /tmp of their own."""
    asks = ["cat", "/proc/uptime"]
    said = [float(subprocess.check_output(hosts.inside(cluster.layout, name, asks)).split()[0]) for name in cluster.record.nodes]
    assert [round(each - time.monotonic(), -2) for each in said] == [10_000.0, 20_000.0, 30_000.0]


def test_a_node_loses_power_and_comes_back(cluster: Cluster) -> None:
    """It is missed when the grace of 50 s is over, less the ten seconds that its last word may be old; it boots by itself."""
    cluster.power_off("n3")
    try:
        waited_s = until(lambda: not cluster.nodes_ready()["n3"], 150, "n3 is missed")
        assert waited_s > 38.0
        assert cluster.nodes_ready()["n2"]
    finally:
        cluster.power_on("n3")
    until(lambda: cluster.nodes_ready()["n3"], 180, "n3 is Ready again")


def left(layout: Layout) -> list[str]:
    """What there is of a cluster: processes, interfaces, routes, control groups, mounts, files."""
    found = [f"process {who.pid} of {name}" for name, those in hosts.find(layout).items() for who in those]
    found += [f"interface {each.name}" for each in Path("/sys/class/net").iterdir() if each.name == layout.uplink]
    found += [f"cgroup {each}" for top in hosts.hierarchies() for each in top.glob(f"nines-kube-{layout.mark}-*")]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(layout.folder) in line]
    return found + [str(each) for each in layout.folder.glob("*")]


@pytest.mark.parametrize("after_s", [1.0, 4.0, 12.0])
def test_nothing_is_left_of_a_cluster_whose_start_was_killed(after_s: float, tmp_path: Path) -> None:
    """SIGKILL to ``up`` at several stages; then ``down``, twice."""
    layout = Layout(tmp_path / "cluster")
    routes = subprocess.check_output(["ip", "route", "show", "type", "unreachable"], text=True)
    command = [sys.executable, "-m", "tools.kubernetes", "--folder", str(layout.folder), "--nodes", "1", "up"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until(lambda: hosts.SWITCH in hosts.find(layout), 120, "the switch")
        time.sleep(after_s)  # somewhere in the middle: that is the point
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert left(layout)
    assert clusters.down(layout)
    assert left(layout) == []
    assert subprocess.check_output(["ip", "route", "show", "type", "unreachable"], text=True) == routes
    assert not clusters.down(layout)
