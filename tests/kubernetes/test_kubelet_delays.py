"""The delays of a real kubelet are those that the models take for granted (docs/models.md, "Orchestrators")."""

from __future__ import annotations

import subprocess
import time
from datetime import datetime
from typing import Any

from chaos.plan.back_off import BackOff
from tests.kubernetes.test_kubernetes_cluster import container
from tests.support.kubernetes import apply, get, namespace, until
from tools.kubernetes import hosts
from tools.kubernetes.cluster import Cluster

KUBELET = BackOff(10.0, 300.0, 600.0, seen_s=(0.0, 1.0), look_s=(10.0, 15.0))
KILLS = 4
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
    late_s = wait_s + rule.look_s[1]
    return min(late_s, at + rule.look_s[1] * -(-(wait_s) // rule.look_s[0]))


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
