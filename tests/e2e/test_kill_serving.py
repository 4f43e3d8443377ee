"""``kill: {process: serving}`` on plain processes: the node's supervisor lives on and starts another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import api
from chaos.core.errors import BadInput, FaultNotEffective
from chaos.core.values import Status, Victims
from chaos.faults.kill import Kill
from chaos.plugin import Deployment
from chaos.runtimes.local.runtime import LocalRuntime
from chaos.testing.stage import staged

pytestmark = pytest.mark.e2e

EXPERIMENT = """\
experiment: serving
question: Is it back?
cluster: {{target: replicated_kv, nodes: 1, settings: {{supervisor: "{supervisor}"}}, runtime: local}}
traffic: {{operations: {{write: 20/s}}, judge: write}}
baseline: 1s
faults:
  - {{kill: {{process: serving{more}}}, target: any, at: 2s, for: 1s}}
limits: {{nodes_down: 1}}
predict: {{parameters: {{respawn: 100ms}}}}
"""


def deployment(folder: Path, supervisor: str, more: str = "") -> Deployment:
    """One node of replicated_kv, with a parent or without."""
    file = folder / "serving.yaml"
    file.write_text(EXPERIMENT.format(supervisor=supervisor, more=more))
    ordered = api.order(file)
    return Deployment(run="serving", folder=folder / "run", plan=ordered.plan, target=ordered.target)


def test_the_supervisor_lives_on_and_another_process_serves(tmp_path: Path) -> None:
    """Who died is told by number, and so is who serves afterwards; for the history the node never went down."""
    with staged(LocalRuntime(), deployment(tmp_path, "on")) as stage:
        with stage.harmed(Kill(process="serving"), Victims(nodes=("n1",))) as effect:
            assert stage.scene.cluster.nodes["n1"].status() is Status.UP
            killed = effect.during["n1.killed"]
            stage.wait(lambda: effect.gone().ok)
        serves = effect.gone().figures["n1.serves"]
        assert str(killed).startswith("process ") and str(serves).startswith("process ") and killed != serves
        assert {row.status for row in stage.changes_of("n1")} == {Status.UP}


def test_a_main_process_that_serves_itself_is_not_touched(tmp_path: Path) -> None:
    """Nobody would start it again."""
    with (
        staged(LocalRuntime(), deployment(tmp_path, "off")) as stage,
        pytest.raises(FaultNotEffective, match="serves by itself"),
        Kill(process="serving").inject(stage.scene, Victims(nodes=("n1",))),
    ):
        pytest.fail("it was killed")


def test_nobody_else_can_be_asked_to_bring_it_back(tmp_path: Path) -> None:
    """Refused when the file is read."""
    with pytest.raises(BadInput, match="recovery: none"):
        deployment(tmp_path, "on", ", recovery: none")
