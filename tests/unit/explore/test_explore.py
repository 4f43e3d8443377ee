"""``nines explore`` in virtual time: what is drawn, what is found, and that the saved experiment shows the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest

from chaos.api import order
from chaos.cli.main import main
from chaos.core.errors import BadInput
from chaos.experiment.source import parse
from chaos.explore.ahead import Source, one_by_one, spread
from chaos.explore.draw import Bounds, draw
from chaos.explore.menu import menu
from chaos.explore.search import RESULT, TRIALS, Explored, Trial
from chaos.explore.trial import Bench, bench, told

NODES = ("n1", "n2", "n3")
TEXT = """\
experiment: quorum
question: Which faults stop writes for longer than a failover takes?
cluster: {target: replicated_kv, runtime: fake}
traffic: {operations: {write: 20/s}}
limits: {nodes_down: 2}
faults:
  - {kill: {}, target: any, at: 1s, for: 3s}
objectives: {outage: "<= 2500ms", agreement: consistent}
"""


def _file(folder: Path, text: str = TEXT) -> Path:
    file = folder / "quorum.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def _explore(folder: Path, file: Path, *options: str) -> tuple[int, Explored]:
    status = main(["explore", str(file), "--folder", str(folder), "--quiet", "--jobs", "1", *options])
    return status, msgspec.json.decode((folder / RESULT).read_bytes(), type=Explored)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lost_quorum_is_found_and_takes_two_nodes(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three nodes two must be down at once: the least schedule has two kills, and the saved experiment fails as the search did."""
    status, explored = _explore(tmp_path / "search", _file(tmp_path), "--seed", str(seed), "--schedules", "400")
    assert status == 1
    assert explored.least is not None
    assert len(explored.least) == 2
    first, second = explored.least
    assert second.at_s < first.at_s + first.for_s + 1.5  # the first is still down, or was just started
    assert explored.broke == ("outage",)
    saved = tmp_path / "search" / "found.yaml"
    capsys.readouterr()
    assert main(["run", str(saved), "--folder", str(tmp_path / "again"), "--quiet"]) == 0, "it says expect_verdict: fail"
    assert "FAIL" in capsys.readouterr().out


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One node down at a time never costs a quorum. What was not found is told with its bound."""
    main(["explore", str(_file(tmp_path)), "--set", "limits.nodes_down=1", "--schedules", "60", "--quiet", "--folder", str(tmp_path / "a"),
          "--jobs", "1"])  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("NOTHING FOUND in 60 schedules")
    assert "With 95% confidence fewer than" in said


def test_every_trial_is_on_disk(tmp_path: Path) -> None:
    """A line a run, in the order of the runs."""
    _, explored = _explore(tmp_path / "a", _file(tmp_path), "--schedules", "30")
    lines = (tmp_path / "a" / TRIALS).read_bytes().splitlines()
    trials = [msgspec.json.decode(line, type=Trial) for line in lines]
    assert sum(trial.phase == "search" for trial in trials) == explored.schedules
    assert [trial.number for trial in trials if trial.phase == "search"] == list(range(explored.schedules))


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    """The same seed: the same schedules, and the same answers in the same order."""
    source = _source(bench(TEXT, tmp_path / "quorum.yaml"))
    alone = list(itertools.islice(one_by_one(source, tmp_path), 8))
    many = spread(source, tmp_path, 2)
    together = list(itertools.islice(many, 8))
    many.close()
    assert alone == together


def _source(made: Bench) -> Source:
    return Source(made, menu(made.document.root, NODES, has_roles=True), Bounds(3, 10.0), 5)


def test_schedules_keep_to_the_limits(tmp_path: Path) -> None:
    """Protected nodes are not named, and no more nodes are surely down than allowed; every schedule can be planned."""
    made = bench(TEXT.replace("nodes_down: 2", "nodes_down: 1, protect: [n2]"), tmp_path / "quorum.yaml")
    source = _source(made)
    schedules = [draw(1, number, source.menu, source.bounds, lambda each: made.planned(each, 1)) for number in range(40)]
    assert not any(move.target == "n2" for schedule in schedules for move in schedule)
    assert {len(schedule) for schedule in schedules} == {1, 2, 3}
    assert all(1.5 <= move.for_s <= 6.0 for schedule in schedules for move in schedule), "half to twice the length in the file"


def test_without_faults_in_the_file_the_faults_offer_themselves() -> None:
    """Those of the file stand alone where there are any; ``kinds`` chooses, and a kind without offers must stand in the file."""
    bare = parse("experiment: x\n", "x.yaml")
    kinds = {choice.kind for choice in menu(bare, NODES, has_roles=True).choices}
    assert {"kill", "pause", "partition", "latency"} <= kinds
    own = parse("faults:\n  - {sequence: [{latency: {latency: 20ms}, target: any}], at: 1s}\n", "x.yaml")
    (choice,) = menu(own, NODES, has_roles=False).choices
    assert (choice.kind, choice.fields) == ("latency", "{latency: 20ms}")
    assert '{link: "n1 <-> n3"}' in choice.targets
    assert not any("leader" in target for target in choice.targets)
    with pytest.raises(BadInput, match="offers no fields"):
        menu(bare, NODES, has_roles=True, kinds=["bandwidth"])
    with pytest.raises(BadInput, match="unknown fault 'kil'"):
        menu(bare, NODES, has_roles=True, kinds=["kil"])


def test_there_must_be_something_to_break(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An agreement with the prediction is no objective that a schedule could break."""
    file = _file(tmp_path, TEXT.replace('outage: "<= 2500ms", ', ""))
    assert main(["explore", str(file)]) == 2
    told_ = capsys.readouterr().err
    assert "there is no objective that a schedule could break" in told_
    assert f"{file}:8" in told_


def test_a_found_experiment_stands_alone(tmp_path: Path) -> None:
    """Options are in it, variables stay variables, a target beside the file is still found from elsewhere."""
    (tmp_path / "mine").symlink_to(Path(__file__).parents[3] / "targets" / "replicated_kv")
    text = TEXT.replace("target: replicated_kv", "target: ./mine, nodes: ${NODES_OF_A_TEST:-3}")
    made = bench(text, tmp_path / "quorum.yaml", None, ["traffic.operations.write=30/s"])
    schedule = draw(1, 0, menu(made.document.root, NODES, has_roles=True), Bounds(2, 5.0), lambda each: made.planned(each, 1))
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "found.yaml").write_text(made.document.found(schedule, 4, ["outage"], folder), encoding="utf-8")
    assert "${NODES_OF_A_TEST:-3}" in (folder / "found.yaml").read_text(encoding="utf-8")
    ordered = order(folder / "found.yaml")
    assert ordered.experiment.traffic.operations["write"].rate_per_s == 30
    assert [spec.measure for spec in ordered.experiment.objectives] == ["outage"]
    assert len(ordered.plan.windows) == len(schedule)
    assert ordered.experiment.expect_verdict == "fail"


@pytest.mark.parametrize(
    ("state", "missed", "expected"),
    [("fail", ["outage of kill-1"], "fails"), ("pass", [], "holds"), ("inconclusive", [], "holds"), ("invalid", ["outage"], "nothing"),
     ("aborted", [], "nothing")],
)  # fmt: skip
def test_what_a_run_tells(state: str, missed: list[str], expected: str) -> None:
    """A run whose assumptions failed tells nothing, even where it missed an objective."""
    assert told(state, missed, []).told == expected


def test_json_is_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document on standard output, the same as on disk."""
    file = _file(tmp_path)
    status = main(["explore", str(file), "--schedules", "3", "--quiet", "--json", "--folder", str(tmp_path / "a"), "--jobs", "1"])
    printed = json.loads(capsys.readouterr().out)
    assert status in (0, 1)
    assert printed == json.loads((tmp_path / "a" / RESULT).read_bytes())
