"""The bench of hosts: what it runs is valid, can be decided, and its table tells of what is not as it is to be."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.hosts import __main__ as bench
from bench.hosts.__main__ import EXPERIMENTS, OUTCOME, Outcome, instants, table, written
from bench.hosts.instants import ANSWERS, Edge, edges
from chaos.api import order_text
from chaos.history.events import FaultEffective, FaultHealed
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


def asked(*answered: tuple[int, int], until: int) -> list[tuple[int, str]]:
    """A question each 5 ms; ``answered``: from when to when, in ms."""
    ms = 10**6
    return [(at * ms, ANSWERS if any(one <= at < other for one, other in answered) else "silent") for at in range(0, until, 5)]


def test_instants_are_held_against_the_last_answer_and_the_first_silence() -> None:
    """Of two nodes the later one counts; a silence of 100 ms is a busy machine's."""
    seen = {"n2": asked((0, 1000), (3000, 9000), until=9000), "n3": asked((0, 500), (600, 1010), (3010, 9000), until=9000)}
    rows = [
        FaultEffective(at_ns=1_008 * 10**6, id="cut.1", mechanism="", before={}, during={}),
        FaultHealed(at_ns=3_025 * 10**6, id="cut.1"),
    ]
    begin, end = edges(rows, seen, "partition")
    assert (begin.edge, begin.late_ms, begin.apart_ms) == ("begin", 0.0, 5.0)  # between 1005 and 1010 ms
    assert (end.edge, end.late_ms) == ("end", 15.0)  # answered again at 3010 ms
    assert [each.edge for each in edges(rows, seen, "power_off")] == ["begin"]


def test_an_instant_that_is_said_too_early_is_told(tmp_path: Path) -> None:
    """And counted against the bound of its run."""
    early = FaultEffective(at_ns=990 * 10**6, id="cut.1", mechanism="", before={}, during={})
    (found,) = edges([early], {"n2": asked((0, 1000), (3000, 4000), until=4000)}, "partition")
    assert found.late_ms == -5.0  # the last answer is that to the question of 995 ms
    folder = tmp_path / "partition-1"
    folder.mkdir()
    outcome = Outcome(0, "pass", "consistent", [], 70.0, clock_bound_ms=2.0, edges=[found, Edge("cut.2", "begin", 1.5, 5.0)])
    (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    *_, line = instants(tmp_path, ["partition"], 5)
    assert line == "| partition | begin | 2 | 1 | -5.00 ms | 5.0 ms | 2 to 2 ms |"
