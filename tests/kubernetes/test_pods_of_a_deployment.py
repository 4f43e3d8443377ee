"""Pods of a Deployment, whose successors have other names: their nodes live on in them, as the API server, the kernel and the prober's own
file of requests tell it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from chaos.history.folder import RunFolder
from chaos.kube import find
from chaos.kube.find import Pod
from chaos.measure.timeline import dotted
from tests.kubernetes.test_kubernetes_attach import RUN_TIMEOUT_S, names, nines, running, settings
from tests.kubernetes.test_kubernetes_own_moves import rows_of
from tests.support.kubernetes import get, namespace, until
from tools.kubernetes.cluster import Cluster
from tools.soak.pods_look import differences, look, network_of

SPACE: Final = "deployed"
LOOK_EVERY_S: Final = 0.5
EXPERIMENT: Final = """
experiment: deployed
question: What do clients see of pods that a Deployment makes again?
cluster:
  attach:
    kubernetes: {namespace: deployed, service: store}
    roles: {serving: {http: "http://{address}:8080/", json: "state=serving"}}
  nodes: 3
traffic:
  operations: {home: {http: "http://store:8080/", rate: 20/s}}
  client: {timeout: 500ms, attempts: 2, deadline: 1s, resolve: per-request}
baseline: 3s
faults:
  - {name: asked, delete: {}, target: {label: tier=first}, at: [2s], for: 20s}
  - {name: forced, delete: {forced: true}, target: n2, at: [28s], for: 20s}
  - {name: killed, kill: {recovery: policy}, target: n2, at: [54s], for: 12s}
  - {name: cut, partition: {}, target: {same: asked}, at: [72s], for: 5s}
  - {name: missing, dns: {mode: missing, record: n2}, at: [84s], for: 6s}
settle: 15s
"""


@pytest.fixture
def deployed(cluster: Cluster, base_image: str) -> Iterator[str]:
    """The store of ``store.yaml`` as a Deployment, which tells its role too. One of its pods has a label of its own."""
    words = (Path(__file__).parent / "store.yaml").read_text(encoding="utf-8").replace("nines-base:IMAGE", base_image)
    things = list(yaml.safe_load_all(words.replace("shop", SPACE).replace("DoNotSchedule", "ScheduleAnyway")))
    store = next(each for each in things if each["kind"] == "StatefulSet")
    store["kind"] = "Deployment"
    for key in ("serviceName", "podManagementPolicy"):
        del store["spec"][key]
    (container,) = store["spec"]["template"]["spec"]["containers"]
    container["command"][-1] = container["command"][-1].replace(
        "body = socket.gethostname().encode()", """body = ('{"state": "serving", "pod": "%s"}' % socket.gethostname()).encode()"""
    )
    with namespace(cluster, SPACE):
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(things))
        until(lambda: get(cluster, SPACE, "deployment", "store")["status"].get("readyReplicas") == 3, 180, "three ready pods")
        cluster.kubectl("label", "pod", "-n", SPACE, in_order(cluster)[0], "tier=first")
        yield SPACE


def pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Those of the Deployment, by name."""
    return {each["metadata"]["name"]: each for each in get(cluster, SPACE, "pods", "-l", "app=store")["items"]}


def in_order(cluster: Cluster) -> list[str]:
    """n1 to n3: by name."""
    return [pod.name for pod in find.in_order([Pod(name, "", "", "", "", "", "", True, False, 0) for name in pods(cluster)])]


def watched(cluster: Cluster, command: subprocess.Popen[bytes]) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Until the command ends, of all pods that there were: each one's address; and the packet rules there that dropped something."""
    addresses: dict[str, str] = {}
    dropping: dict[str, set[str]] = {}
    over = threading.Event()

    def see() -> None:
        while not over.wait(LOOK_EVERY_S):
            with contextlib.suppress(subprocess.SubprocessError):  # a busy API server
                for name, pod in pods(cluster).items():
                    if pod["status"].get("podIP"):
                        addresses[name] = pod["status"]["podIP"]
                    if " drop" in (rules := network_of(pod["metadata"]["uid"])):
                        dropping.setdefault(name, set()).add(rules)

    thread = threading.Thread(target=see)
    thread.start()
    try:
        command.wait(RUN_TIMEOUT_S)
    finally:
        over.set()
        thread.join()
    return addresses, dropping


def test_nodes_live_on_in_pods_of_other_names(cluster: Cluster, nines_image: str, deployed: str, tmp_path: Path) -> None:
    """One goes with its grace, one at once; then one is killed, one cut off, and one's address left out of the name."""
    env = settings(cluster, nines_image, tmp_path)
    (tmp_path / "store.yaml").write_text(EXPERIMENT, encoding="utf-8")
    before, first = look(cluster, deployed), in_order(cluster)
    with running(tmp_path, env) as command:
        addresses, dropping = watched(cluster, command)
        status = command.returncode
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert status in (0, 3), said  # 3: a machine too busy to judge times
    print(said)
    faults = {each["name"].partition(".")[0]: each for each in json.loads((tmp_path / "run" / "report.json").read_text())["faults"]}
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults.values()), faults
    assert {name: each["target"] for name, each in faults.items() if name != "missing"} == {
        "asked": ["n1"], "forced": ["n2"], "killed": ["n2"], "cut": ["n1"],
    }  # fmt: skip

    # whose pods they were, by the API server
    rows = rows_of(tmp_path)
    lives: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        if "client_address" in row:
            lives.setdefault(row["node"], []).append((row["container"], row["address"]))
    assert [each[0][0] for _, each in sorted(lives.items())] == first
    assert [len(each) for _, each in sorted(lives.items())] == [2, 2, 1]
    assert {pod: address for each in lives.values() for pod, address in each} == addresses
    last = pods(cluster)
    assert set(last) == {each[-1][0] for each in lives.values()}
    restarts = {name: pod["status"]["containerStatuses"][0]["restartCount"] for name, pod in last.items()}
    assert restarts == {lives["n1"][-1][0]: 0, lives["n2"][-1][0]: 1, lives["n3"][-1][0]: 0}
    assert "tier" not in last[lives["n1"][-1][0]]["metadata"]["labels"]

    # the rules of the cut stood in the successor, and named addresses of today
    assert lives["n1"][-1][0] in dropping
    assert lives["n1"][0][0] not in dropping
    ruled = " ".join(words for each in dropping.values() for words in each)
    assert not [address for node in ("n1", "n2") for _, address in lives[node][:-1] if f"{address} " in ruled]

    # its role was seen to come back at the new address
    roles = [(row["node"], row["holds"]) for row in rows if row.get("role") == "serving"]
    assert [holds for node, holds in roles if node == "n1"][-1]
    assert [holds for node, holds in roles if node == "n2"][-1]
    assert {node for node, holds in roles if not holds} >= {"n1", "n2"}

    # no request went to the address that the name left out, which is the one of the next pod
    asked = requests(tmp_path / "run")
    start = next(row["start_ns"] for row in rows if "start_ns" in row)
    told = {row["on"]: (row["at_ns"] - start) / 1e9 for row in rows if "number" in row and row.get("mode") == "missing"}
    within = [address for due_s, address in asked if told[True] + 1.5 < due_s < told[False] - 0.1]
    present, gone = lives["n2"][-1][1], lives["n2"][0][1]
    assert len(within) > 40
    assert present not in within
    assert gone not in within
    assert present in [address for due_s, address in asked if told[True] - 5 < due_s < told[True]]
    assert present in [address for due_s, address in asked if told[False] + 1.5 < due_s]

    left = [each for each in differences(before, look(cluster, deployed)) if "Pod deployed/store-" not in each]
    left = [each for each in left if not each.startswith("the network of store-") or "nines" in each]
    assert left == []
    assert not nines("leftovers", folder=tmp_path, env=env).stdout.strip()
    assert not [each for each in names(cluster, deployed) if "nines" in each]


def requests(folder: Path) -> list[tuple[float, str]]:
    """(when it was due, in seconds after the first one; the address that was asked last) of each."""
    found = RunFolder(folder).read_observations()
    return [((int(each["due"]) - int(found["due"][0])) / 1e9, dotted(int(each["address"]))) for each in found]
