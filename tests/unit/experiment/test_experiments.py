"""The shipped experiments: each loads, plans, and asks one question; together they show every kind of fault."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from chaos import api as perform
from chaos.core import plugins as tables
from chaos.plugin import Spot
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.support.paths import ROOT

FILES = sorted((ROOT / "experiments").glob("*.yaml"))
WEAKNESSES = sorted((ROOT / "experiments" / "weaknesses").glob("*.yaml"))
ON_PODS = sorted((ROOT / "experiments" / "kubernetes").glob("*.yaml"))
order = functools.cache(perform.order)


@pytest.fixture(autouse=True)
def a_cluster_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods stand on three machines."""
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: [Spot(f"worker-{number}", "a") for number in (1, 2, 3)])


@pytest.mark.parametrize("file", [*FILES, *ON_PODS], ids=lambda file: file.stem)
def test_loads_and_plans(file: Path) -> None:
    """Nothing is wrong with it, and its name is that of its file."""
    ordered = order(file)
    assert ordered.experiment.name == file.stem
    assert ordered.experiment.question.endswith("?")
    assert ordered.experiment.question.count("?") == 1
    assert ordered.plan.duration_s > ordered.experiment.baseline_s


def test_quickstart_is_as_promised() -> None:
    """Eight leader kills, then one latency spell on the leader's links, both ways, in about 75 seconds."""
    plan = order(ROOT / "experiments" / "quickstart.yaml").plan
    assert [window.kind for window in plan.windows] == ["kill"] * 8 + ["latency"]
    assert plan.duration_s == pytest.approx(75, abs=5)
    assert len(plan.nodes) == 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_limits_the_harm(file: Path) -> None:
    """No shipped experiment takes more than one node down at a time, and each says so."""
    experiment = order(file).experiment
    assert experiment.limits.nodes_down == 1 or not experiment.faults


@pytest.mark.parametrize("file", WEAKNESSES, ids=lambda file: file.stem)
def test_weaknesses_load_and_plan(file: Path) -> None:
    """Each shows what a system does not promise: it must fail, by an objective or a check of its own."""
    ordered = order(file)
    assert ordered.experiment.name == file.stem
    assert ordered.experiment.question.endswith("?")
    assert ordered.experiment.expect_verdict == "fail"
    assert ordered.experiment.objectives


def test_every_kind_of_fault_has_an_example() -> None:
    """In words that can be copied: one that comes into the table needs one."""
    shown = {window.kind for file in [*FILES, *ON_PODS] for window in order(file).plan.windows}
    assert sorted(tables.FAULTS.keys() - shown) == []
