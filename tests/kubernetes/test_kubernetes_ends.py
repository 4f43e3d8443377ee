"""Commands whose run on pods of ours ends before it began, or whose way to the cluster is lost: what they say, and that nothing stays."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.kubernetes.test_kubernetes_attach import nines
from tests.kubernetes.test_kubernetes_own import LONG, environment, standing, started, target_image  # noqa: F401 - fixtures
from tests.support.kubernetes import pods, silenced, until
from tools.kubernetes.cluster import Cluster

STARTS_WITHIN_S: Final = 120.0
ENDS_WITHIN_S: Final = 150.0
SILENT_S: Final = 20.0
"""Longer than harness and command wait for each other, and than an agent waits for its harness."""
DRIVEN: Final = """
experiment: driven
question: What does a run say whose image lacks the library of its clients?
cluster: {target: redis_sentinel, parts: {data: 3, sentinel: 3}, dns: {part: data, balancer: round-robin}}
traffic: {operations: {write: 10/s}}
faults: [{kill: {recovery: restart}, target: leader, at: [3s], for: 3s}]
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is done after the test."""
    with ExitStack() as found:
        yield found


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


def test_a_way_to_the_cluster_that_is_lost_for_a_while(
    cluster: Cluster, started: Start, environment: Mapping[str, str], stack: ExitStack, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    """The API server stands still while a node is frozen: it is said, the run there ends, ``fetch`` and ``heal`` do all."""
    before = standing(cluster)
    command = started(LONG, "--set", "baseline=1s")
    stack.callback(nines, "heal", folder=tmp_path, env=environment)  # whatever fails below, other tests find nothing of it
    said = tmp_path / "said"

    def frozen() -> bool:
        assert command.poll() is None, said.read_text(encoding="utf-8")
        return "freeze" in said.read_text(encoding="utf-8")

    until(frozen, 240, "a frozen node")
    with silenced(cluster, "kube-apiserver", SILENT_S):
        assert command.poll() is None
    assert command.wait(ENDS_WITHIN_S) == 5, said.read_text(encoding="utf-8")
    words = said.read_text(encoding="utf-8")
    assert "is gone: " in words, words
    kept = list((tmp_path / "run").glob("history.jsonl"))
    if not kept:
        (run,) = nines("fetch", folder=tmp_path, env=environment).stdout.split()[:1]
        answers: list[str] = []

        def ended() -> bool:
            answers.append(nines("fetch", run, folder=tmp_path, env=environment).stderr)
            return "goes on" not in answers[-1]

        until(ended, 90, "the harness has ended the run by itself")
        kept = list((tmp_path / "runs" / run).glob("history.jsonl"))
        assert kept, answers[-1]
    rows = [json.loads(line) for line in kept[0].read_text(encoding="utf-8").splitlines()]
    assert "fault_effective" in {row["row"] for row in rows}
    healed = nines("heal", folder=tmp_path, env=environment)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert standing(cluster) == before
