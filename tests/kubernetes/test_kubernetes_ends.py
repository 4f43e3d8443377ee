"""Commands whose run on pods of ours ends before it began: what they say, and that nothing stays."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.kubernetes.test_kubernetes_attach import nines
from tests.kubernetes.test_kubernetes_own import LONG, environment, standing, started, target_image  # noqa: F401 - fixtures
from tests.support.kubernetes import pods, until
from tools.kubernetes.cluster import Cluster

STARTS_WITHIN_S: Final = 120.0
ENDS_WITHIN_S: Final = 150.0
DRIVEN: Final = """
experiment: driven
question: What does a run say whose image lacks the library of its clients?
cluster: {target: redis_sentinel, parts: {data: 3, sentinel: 3}, dns: {part: data, balancer: round-robin}}
traffic: {operations: {write: 10/s}}
faults: [{kill: {recovery: restart}, target: leader, at: [3s], for: 3s}]
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_while_its_pods_start_removes_all(
    cluster: Cluster, started: Start, environment: Mapping[str, str], tmp_path: Path, number: signal.Signals  # noqa: F811
) -> None:  # fmt: skip
    """Nodes are made, and not all of them run yet."""
    before = standing(cluster)
    command = started(LONG)
    said = tmp_path / "said"

    def half_made() -> bool:
        assert command.poll() is None, said.read_text(encoding="utf-8")
        return bool(pods(cluster, "nines.role=nodes"))

    until(half_made, STARTS_WITHIN_S, "pods of the nodes")
    command.send_signal(number)
    assert command.wait(ENDS_WITHIN_S) == 128 + number, said.read_text(encoding="utf-8")
    assert not (tmp_path / "run" / "observations.bin").exists()
    assert standing(cluster) == before
    assert not nines("leftovers", folder=tmp_path, env=environment).stdout.strip()


def test_a_library_that_the_image_lacks_is_named(cluster: Cluster, environment: Mapping[str, str], tmp_path: Path) -> None:  # noqa: F811
    """With the command that builds an image with it; exit 5. The nodes' image does not matter: no node is ever started."""
    before = standing(cluster)
    (tmp_path / "driven.yaml").write_text(DRIVEN, encoding="utf-8")
    done = nines("run", "driven.yaml", "--runtime", "kubernetes", "--folder", "run", folder=tmp_path, env=environment)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "the image of Nines in the cluster lacks packages" in done.stderr
    assert "redis, async-timeout" in done.stderr
    assert "nines image --for redis_sentinel" in done.stderr
    assert standing(cluster) == before
