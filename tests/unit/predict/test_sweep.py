"""Levels compared: axes from the command line, nodes and parameters, the knee, the next nine, as table, picture and JSON."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as Xml

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.core.errors import BadInput
from chaos.experiment.production import ProductionRate
from chaos.predict.facts import ClassFacts, RunFacts
from chaos.predict.run import predict
from chaos.predict.sweep import Axis, Level, Sweep, axis, sweep
from chaos.report.pages.sweep import page, sentences, text
from tests.support.predicting import DAY_S, PARAMETERS, a_plan, facts
from tests.support.quick import QUICK

KILLS = (ProductionRate("kill", 1 / (45 * DAY_S), "node", "1 per 45d per node"),)


def slow_restarts(**changed: object):  # noqa: ANN201
    """A plan whose crashes matter: restarts of half an hour at one crash a day and node."""
    parameters = tuple(msgspec.structs.replace(each, value=1800.0) if each.name == "restart_s" else each for each in PARAMETERS)
    often = (ProductionRate("kill", 1 / DAY_S, "node", "1 per 1d per node"),)
    return a_plan(parameters=parameters, production=often, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "name", "unit", "values"),
    [("nodes=1..4", "nodes", "1", (1, 2, 3, 4)), ("nodes=3,5", "nodes", "1", (3, 5)), ("restart=1s,500ms", "restart", "s", (1.0, 0.5)),
     ("election_timeout_s=1s,2s", "election_timeout", "s", (1.0, 2.0)), ("dns.ttl=1s,30s", "dns.ttl", "s", (1.0, 30.0)),
     ("client.attempts=1..2", "client.attempts", "1", (1, 2)), ("common_cause=0.01,0.1", "common_cause", "1", (0.01, 0.1))],
)  # fmt: skip
def test_axes(told: str, name: str, unit: str, values: tuple[float, ...]) -> None:
    """Whole numbers count up, times carry units."""
    assert axis(told) == Axis(name, tuple(map(float, values)), unit)


def test_a_range_of_times_is_spaced_evenly_in_its_logarithm() -> None:
    """Eight levels, each the same factor above the one before."""
    values = axis("restart=1s..128s").values
    assert len(values) == 8
    assert {round(after / before, 9) for before, after in pairwise(values)} == {2.0}


@pytest.mark.parametrize(
    ("told", "word"),
    [("nodes", "no sweep"), ("nodes=", "no sweep"), ("nodes=0..3", "whole number"), ("nodes=1.5,3", "whole number"), ("nodes=5..3", "rise"),
     ("nodes=1..200", "at most"), ("nods=1..3", "nothing that can be swept"), ("restart=1,2", "unit"), ("restart=0s..3s", "above 0"),
     ("restart=nans,1s", "is not a"), ("leaderless=refuse,hang", "choice"), ("nodes=3,3", "twice"),
    ("misses=-1,2", "is no count"), ("coverage=101%", "out of range"), ("coverage=.9,x", "not a number"),
     ("crews=x", "not a number")],
)  # fmt: skip
def test_what_is_no_axis_is_refused(told: str, word: str) -> None:
    """Each with its reason."""
    with pytest.raises(BadInput) as refused:
        axis(told)
    assert word in f"{refused.value}"


def test_nodes_as_predicted_one_by_one() -> None:
    """The level of the experiment's own size is what ``predict`` says; a second node without a lower quorum makes it worse."""
    plan, told = slow_restarts(), facts("kill", "leader", (2.0,))
    found = sweep(plan, told, [axis("nodes=1..7")], cost_per_node=10.0)
    lost = [level.unavailability for level in found.levels]
    assert all(value is not None for value in lost)
    own = 1 - (predict(plan, told).predicted.production.availability or 0.0)
    assert lost[2] == pytest.approx(own, rel=1e-9)
    assert found.now.unavailability == pytest.approx(own, rel=1e-9)
    assert lost[1] > 1.5 * lost[0] > lost[2] > lost[4]  # type: ignore[operator]
    assert [level.cost for level in found.levels] == [10.0 * nodes for nodes in range(1, 8)]
    assert found.levels[0].minutes_a_year == pytest.approx(lost[0] * 365 * 1440)  # type: ignore[operator]


def level(at: float, lost: float | None) -> Level:
    """A level of so many nodes."""
    return Level((at,), int(at), lost, None, None, None)


@pytest.mark.parametrize(
    ("lost", "knee"),
    [([1e-2, 1e-3, 1e-4], None), ([1e-2, 2e-2, 7.1e-4, 5.6e-4, 5.55e-4], 2), ([1e-3, 9e-4], 0), ([None, 1e-3, 9e-4], 1), ([1e-3], None)],
)
def test_the_knee(lost: list[float | None], knee: int | None) -> None:
    """The least level within a factor of two of the best one; none while each still pays."""
    from chaos.predict.sweep import _knee

    assert _knee([level(index + 1.0, value) for index, value in enumerate(lost)]) == knee


def test_two_axes_and_levels_that_cannot_be() -> None:
    """An election time-out below the heartbeat has no figure, and says why; the others are laid out row by row."""
    found = sweep(slow_restarts(), facts("kill", "leader", (2.0,)), [axis("nodes=3,5"), axis("election_timeout=50ms,500ms")])
    assert [each.at for each in found.levels] == [(3.0, 0.05), (3.0, 0.5), (5.0, 0.05), (5.0, 0.5)]
    assert [each.unavailability is None for each in found.levels] == [True, False, True, False]
    assert "heartbeat" in found.levels[0].reason
    for shown in (text(found), page(found, "x")):
        assert "nodes 3" in shown or "nodes" in shown
    drawing = page(found, "x").split("<figure>")[1].split("</figure>")[0]
    assert len(list(Xml.fromstring(drawing).iter("rect"))) == 4


def test_the_next_nine_without_another_node() -> None:
    """Fast restarts and slow elections: halving the time-out buys what two more nodes do not, and costs no node."""
    plan = a_plan(production=KILLS)
    found = sweep(plan, facts("kill", "leader", (2.0,)), [axis("nodes=3,5")], cost_per_node=50.0)
    named = {way.what.split(" ")[0]: way for way in found.ways}
    named["election_timeout"] = named["heartbeat_s"]  # together, since five beats are the least that a time-out has
    assert named["election_timeout"].cost == 0.0
    assert named["5"].cost == 100.0
    assert named["election_timeout"].minutes_a_year < named["5"].minutes_a_year
    assert any("More replicas are not the cheapest way" in sentence or "Closest: " in sentence for sentence in sentences(found))


def test_what_cannot_be_swept_is_refused() -> None:
    """No rates, named groups, one thing twice, too much of it, costs that are none."""
    told = facts("kill", "leader", (2.0,))
    with pytest.raises(BadInput, match="no production fault rates"):
        sweep(a_plan(), told, [axis("nodes=1..3")])
    plan = a_plan(production=KILLS)
    for axes in ([], [axis("nodes=1..3")] * 2, [axis("nodes=1..3"), axis("restart=1s,2s"), axis("resync=1s,2s")]):
        with pytest.raises(BadInput, match="one or two"):
            sweep(plan, told, axes)
    with pytest.raises(BadInput, match="too many levels"):
        sweep(plan, told, [axis("nodes=1..99"), axis("restart=1s..9s")])
    for cost in (-1.0, float("nan")):
        with pytest.raises(BadInput, match="cost"):
            sweep(plan, told, [axis("nodes=3,5")], cost)
    groups = RunFacts(60.0, (ClassFacts("partition/groups", "partition", "groups", (2.0,), {"groups": (("n1",), ("n2", "n3"))}),))
    with pytest.raises(BadInput, match="groups"):
        sweep(a_plan(production=(ProductionRate("partition", 1e-6, "cluster"),)), groups, [axis("nodes=3,5")])


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """The command line."""
    status = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A short experiment with production rates."""
    file = tmp_path / "quick.yaml"
    file.write_text(QUICK, encoding="utf-8")
    return file


def test_command_line(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, bars and sentences on standard output; the page beside it; JSON as it is."""
    out = tmp_path / "levels.html"
    status, said, noted = run(capsys, "predict", quick, "--sweep", "nodes=1..3", "--cost-per-node", "20", "--html", out)
    assert (status, str(out) in noted) == (0, True)
    assert "nines by nodes" in said and "downtime per year" in said and "The knee" in said.replace("No knee", "The knee")
    assert "<script" not in out.read_text(encoding="utf-8") and "<svg" in out.read_text(encoding="utf-8")
    status, said, _ = run(capsys, "predict", quick, "--sweep", "nodes=1..3", "--json")
    assert [each["nodes"] for each in json.loads(said)["levels"]] == [1, 2, 3]
    assert msgspec.json.decode(said, type=Sweep).axes[0].name == "nodes"


def test_command_line_refuses(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2: an axis that is none, options without a sweep, a window that is none."""
    for words in (["--sweep", "nods=1..3"], ["--cost-per-node", "3"], ["--html", "x.html"], ["--window", "30"], ["--window", "0s"]):
        assert run(capsys, "predict", quick, *words)[0] == 2


def test_a_window_of_production(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Longer windows are less often without an outage, and have the same mean."""
    found = {}
    for window in ("30d", "365d"):
        status, said, _ = run(capsys, "predict", quick, "--window", window, "--json")
        assert status == 0
        found[window] = json.loads(said)["production"]["window"]
    assert found["30d"]["no_outage"] > found["365d"]["no_outage"] > 0
    assert found["30d"]["mean_availability"] == pytest.approx(found["365d"]["mean_availability"], rel=1e-12)
    assert found["365d"]["outages"] == pytest.approx(found["30d"]["outages"] * 365 / 30)
    assert "In a window of 30 d" in run(capsys, "predict", quick)[1]
