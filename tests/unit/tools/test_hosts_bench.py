"""The bench of hosts: what it runs is valid, can be decided, and its table tells of what is not as it is to be."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.hosts import __main__ as bench
from bench.hosts.__main__ import EXPERIMENTS, OUTCOME, Outcome, table, written
from chaos.api import order_text
from tests.support.hosts import Rack


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_is_planned_on_three_hosts(tmp_path: Path, name: str) -> None:
    """Nodes on each of them; a loss of power is by commands."""
    ordered = order_text(written(Rack(tmp_path, ("a", "b", "c")), name), bench.HERE / f"{name}.yaml")
    assert {node.zone for node in ordered.plan.nodes} == {"a", "b", "c"}
    assert len(ordered.plan.windows) >= 4
    assert ordered.plan.duration_s < 90
    assert ordered.experiment.cluster.hosts["b"].power_off[-3:-1] == ("off", "b")


def test_the_table_tells_of_each_run(tmp_path: Path) -> None:
    """And of those that failed, left something, were undecided, or were not run."""
    for seed, (status, agreement, left) in enumerate(
        [(0, "consistent", []), (0, "inconclusive", []), (0, "consistent", ["b: volume"]), (3, "consistent", [])], start=1
    ):
        folder = tmp_path / f"partition-{seed}"
        folder.mkdir()
        (folder / OUTCOME).write_bytes(msgspec.json.encode(Outcome(status, "pass", agreement, left, 70.0)))
    lines, wrong = table(tmp_path, ["partition"], 5)
    assert lines[2] == "| partition | 1 | 0 | pass | consistent | nothing | 70 |"
    assert lines[4].endswith("| b: volume | 70 |")
    assert [each.split(":")[0] for each in wrong] == [f"partition with seed {seed}" for seed in (2, 3, 4)] + [
        "partition with seed 5 was not run"
    ]
