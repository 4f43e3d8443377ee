"""Systems that people run, on pods of ours: clients with a library of their own, nodes that run as a user by name, a leader that dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kubernetes.test_kubernetes_attach import nines, settings
from tests.kubernetes.test_kubernetes_own import standing
from tools.kubernetes.cluster import Cluster

pytestmark = pytest.mark.systems
NINES: Final = "nines.test/chaos-nines:clients"
WITH_LIBRARIES: Final = ("redis_sentinel", "rabbitmq", "patroni")
COMMON: Final = """
baseline: 5s
faults:
  - {{name: death, kill: {{recovery: restart}}, target: leader, every: {every}, for: {lasts}, times: 2}}
settle: 25s
limits: {{nodes_down: 1}}
seed: 5
"""
EXPERIMENTS: Final = {
    "redis_sentinel": ("""
experiment: redis
question: How long do writes to Redis fail when its primary dies and clients ask the sentinels?
cluster:
  target: redis_sentinel
  parts: {data: 3, sentinel: 3}
  settings: {down_after: 2000, failover_timeout: 6000}
  dns: {part: data, balancer: round-robin}
traffic:
  operations: {write: 10/s, read: 10/s}
  client: {timeout: 250ms, attempts: 2, deadline: 600ms}
  judge: write
""", "20s", "8s"),
    "rabbitmq": ("""
experiment: rabbitmq
question: How long are messages to a quorum queue not confirmed when its leader dies?
cluster: {target: rabbitmq, nodes: 3, dns: {balancer: health-checked, ttl: 1s}}
traffic:
  operations: {publish: 10/s}
  client: {timeout: 500ms, attempts: 1, deadline: 800ms}
""", "40s", "3s"),
    "patroni": ("""
experiment: patroni
question: How long do writes to PostgreSQL fail when its primary dies and the name follows Patroni?
cluster:
  target: patroni
  parts: {etcd: 3, data: 3}
  dns: {part: data, balancer: health-checked, ttl: 1s, check: {what: "role:leader", every: 500ms, timeout: 500ms, fall: 2, rise: 2}}
traffic:
  operations: {write_by_name: 10/s}
  client: {timeout: 1s, attempts: 1, deadline: 1.5s}
predict: {parameters: {routing: name}}
""", "50s", "25s"),
    "etcd": ("""
experiment: etcd
question: How long do writes to etcd fail when its leader dies?
cluster: {target: etcd, nodes: 3, dns: {balancer: health-checked, ttl: 1s, check: {what: /version}}}
traffic:
  operations: {write: 10/s, read: 10/s}
  client: {timeout: 250ms, attempts: 2, other_address: true, deadline: 600ms, resolve: ttl}
  judge: write
""", "14s", "3s"),
}  # fmt: skip


@pytest.fixture(scope="session")
def clients_image(cluster: Cluster, docker_host: str) -> str:
    """Nines with the libraries of all drivers, on every machine."""
    words = [word for target in WITH_LIBRARIES for word in ("--for", target)]
    _made("--tag", NINES, *words, host=docker_host)
    cluster.load(NINES)
    return NINES


def _made(*words: str, host: str) -> None:
    subprocess.run([sys.executable, "-m", "chaos", "image", *words], check=True, timeout=900, env={**os.environ, "DOCKER_HOST": host})


@pytest.mark.parametrize("target", sorted(EXPERIMENTS))
def test_a_leader_dies_twice(cluster: Cluster, docker_host: str, clients_image: str, tmp_path: Path, target: str) -> None:
    """Both deaths took effect, clients were served before and after, the report says what was predicted, and nothing stays."""
    tag = f"nines.test/{target.replace('_', '-')}:1"
    _made("--target", target, "--tag", tag, host=docker_host)
    cluster.load(tag)
    before = standing(cluster)
    text, every, lasts = EXPERIMENTS[target]
    (tmp_path / "x.yaml").write_text(text + COMMON.format(every=every, lasts=lasts), encoding="utf-8")
    env: Mapping[str, str] = {**settings(cluster, clients_image, tmp_path), "NINES_KUBERNETES_TARGET_IMAGE": tag}
    done = nines("run", "x.yaml", "--runtime", "kubernetes", "--folder", "run", "-q", folder=tmp_path, env=env)
    print(done.stdout)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: a machine too busy to judge times
    report: dict[str, Any] = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    faults = report["faults"]
    assert len(faults) == 2
    assert all(each["effective_at_s"] is not None and each["status"] == "healed" for each in faults), faults
    seen, predicted = (report[each]["mttr_s"]["value"] for each in ("observed", "predicted"))
    print(f"{target}: {report['agreement_overall']}, MTTR seen {seen}, predicted {predicted}, verdict {report['state']}")
    assert standing(cluster) == before
