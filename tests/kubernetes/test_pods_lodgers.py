"""Where privileged pods are not allowed: the API server's no before anything is made, and guests in ephemeral containers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kubernetes.test_kubernetes_attach import names, nines, settings, store  # noqa: F401 - a fixture
from tests.support.kubernetes import get
from tools.kubernetes.cluster import Cluster
from tools.soak.pods_look import look

EXPERIMENT = """
experiment: lodged
question: Do clients notice a pod that is cut off?
cluster: {{attach: {{kubernetes: {{namespace: {space}, service: store{more}}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}, client: {{timeout: 300ms, attempts: 2}}}}
baseline: 2s
faults:
  - {{name: cut, partition: {{}}, target: n2, at: [1s], for: 4s}}
  - {{name: gone, delete: {{forced: true}}, target: n3, at: [12s], for: 25s}}
settle: 15s
"""
Stranger = tuple[Cluster, str, Mapping[str, str], Path]


@pytest.fixture
def stranger(cluster: Cluster, nines_image: str, store: str, tmp_path: Path) -> Stranger:  # noqa: F811
    return cluster, store, settings(cluster, nines_image, tmp_path), tmp_path


def written(folder: Path, space: str, more: str = "") -> None:
    (folder / "store.yaml").write_text(EXPERIMENT.format(space=space, more=more), encoding="utf-8")


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_a_namespace_that_admits_no_privileged_pods(stranger: Stranger, level: str) -> None:
    """Exit 5 with the words of the API server, for either kind of guests; and nothing was made."""
    cluster, space, env, folder = stranger
    cluster.kubectl("label", "namespace", space, "--overwrite", f"pod-security.kubernetes.io/enforce={level}")
    before = names(cluster, space)
    for more in ("", ", guests: ephemeral"):
        written(folder, space, more)
        done = nines("run", "store.yaml", "--folder", f"run{len(more)}", folder=folder, env=env)
        assert done.returncode == 5, done.stdout + done.stderr
        assert f'violates PodSecurity "{level}' in done.stderr
    assert names(cluster, space) == before
    assert not nines("leftovers", folder=folder, env=env).stdout.strip()


def test_guests_in_ephemeral_containers(stranger: Stranger) -> None:
    """A pod is cut off, another one deleted; of each pod's lodger the name is left, as was said before the run."""
    cluster, space, env, folder = stranger
    written(folder, space, ", guests: ephemeral")
    before, rules = names(cluster, space), look(cluster, space).networks
    done = nines("run", "store.yaml", "--folder", "run", folder=folder, env=env)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    assert "nobody can take it out" in done.stderr
    faults = {
        each["name"].partition(".")[0]: each for each in json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))["faults"]
    }
    assert {name: each["status"] for name, each in faults.items()} == {"cut": "healed", "gone": "healed"}, faults
    assert faults["cut"]["effective_at_s"] is not None
    assert names(cluster, space) == before
    assert look(cluster, space).networks == rules
    for pod in get(cluster, space, "pods", "-l", "app=store")["items"]:
        states = pod["status"]["ephemeralContainerStatuses"]
        assert ["terminated" in each["state"] for each in states] == [True], pod["metadata"]["name"]
        assert all(each.get("securityContext", {}).get("privileged") is None for each in pod["spec"]["ephemeralContainers"])
    assert not nines("leftovers", folder=folder, env=env).stdout.strip()
