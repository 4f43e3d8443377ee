"""``kill: {process: serving}`` in containers: the agent finds who listens, and the node's supervisor starts another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos import api
from chaos.core.values import Status, Victims
from chaos.faults.kill import Kill
from chaos.plugin import Deployment
from chaos.runtimes.docker.runtime import DockerRuntime
from chaos.testing.stage import staged

EXPERIMENT = """\
experiment: serving
question: Is it back?
cluster: {target: replicated_kv, nodes: 1, settings: {supervisor: "on"}, runtime: docker}
traffic: {operations: {write: 20/s}, judge: write}
baseline: 1s
faults:
  - {kill: {process: serving}, target: any, at: 2s, for: 1s}
limits: {nodes_down: 1}
predict: {parameters: {respawn: 100ms}}
"""


@pytest.mark.usefixtures("docker_host")
def test_the_container_lives_on_and_another_process_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's main process, the supervisor, is not touched, so that for the engine nothing has happened."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    file = tmp_path / "serving.yaml"
    file.write_text(EXPERIMENT)
    ordered = api.order(file)
    made = Deployment(run=f"serving-{os.getpid()}", folder=tmp_path / "run", plan=ordered.plan, target=ordered.target)
    with staged(DockerRuntime(), made) as stage:
        with stage.harmed(Kill(process="serving"), Victims(nodes=("n1",))) as effect:
            assert stage.scene.cluster.nodes["n1"].status() is Status.UP
            killed = effect.during["n1.killed"]
            stage.wait(lambda: effect.gone().ok)
        serves = effect.gone().figures["n1.serves"]
        assert str(killed).startswith("process ") and str(serves).startswith("process ") and killed != serves
        assert {row.status for row in stage.changes_of("n1")} == {Status.UP}
