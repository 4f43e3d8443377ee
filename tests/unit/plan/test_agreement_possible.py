"""Before a run: an agreement that nothing can decide is refused, and a target is asked what its nodes do when they are asked to end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos import api
from chaos.core.errors import BadInput
from chaos.plan.objectives import cautions

EXPERIMENT = """\
experiment: asked
question: Is it as predicted?
cluster: {{target: replicated_kv, nodes: 3, runtime: fake}}
traffic: {{operations: {{write: 50/s}}}}
faults:
{faults}
settle: 10s
objectives: {{agreement: consistent}}
"""
LOAD = "  - {name: surge, load: {rate: 50/s}, at: 5s, for: 2s}"
BRIDGE = "  - {name: bridge, partition: {shape: bridge}, at: 25s, for: 2s}"
KILL = "  - {name: dead, kill: {}, target: leader, at: 45s, for: 2s}"
STOP = "  - {name: ended, stop: {}, target: leader, at: 5s, for: 2s}"


def ordered(folder: Path, *faults: str) -> api.Ordered:
    """The file with these faults, loaded and planned."""
    file = folder / "x.yaml"
    file.write_text(EXPERIMENT.format(faults="\n".join(faults)), encoding="utf-8")
    return api.order(file, runtime="local")


def test_agreement_without_any_predicted_fault_is_refused_with_the_reasons(tmp_path: Path) -> None:
    """Of each kind that is planned; the line is that of the objective."""
    with pytest.raises(BadInput, match="no fault of this plan is predicted") as refused:
        ordered(tmp_path, LOAD, BRIDGE)
    said = str(refused.value)
    assert "x.yaml:9: objectives.agreement" in said
    assert "kind 'load'" in said
    assert "class 'partition/bridge'" in said


def test_one_predicted_fault_is_enough(tmp_path: Path) -> None:
    """The others have no prediction, and the report says so."""
    assert len(ordered(tmp_path, LOAD, KILL).plan.windows) == 2


def test_a_target_that_does_not_say_how_its_nodes_end_is_asked(tmp_path: Path) -> None:
    """A drain cannot be seen from outside; the word is the target's, and only plans that stop nodes need it."""
    told = ordered(tmp_path, STOP).plan
    untold = msgspec.structs.replace(told, parameters=tuple(each for each in told.parameters if each.name != "stopping"))
    assert cautions(told) == ()
    (asks,) = cautions(untold)
    assert "'stop' asks nodes to end" in asks
    assert "stopping: drain" in asks
    kill = ordered(tmp_path, KILL).plan
    assert cautions(msgspec.structs.replace(kill, parameters=untold.parameters)) == ()
