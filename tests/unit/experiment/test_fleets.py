"""Files of fleets: what they mean, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.errors import BadInput
from chaos.experiment.fleet import load_fleet, parse_fleet
from tests.support.paths import ROOT

SHOP = ROOT / "experiments" / "fleets" / "shop.yaml"
SMALL = """\
fleet: small
regions: {east: [a, b, c], west: [a]}
services:
  store: {nodes: 3, in: east, crash: 1 per 45d per node, repair: {exponential: 30s}}
years: 0.1
replications: 2
"""


def test_the_shipped_fleet_has_the_nodes_that_it_says() -> None:
    fleet = load_fleet(SHOP)
    assert (fleet.nodes, fleet.replications) == (10_000, 40)
    orders = fleet.services["orders"]
    assert (orders.needed, orders.sides, orders.crash_per_s) == (3, 2, pytest.approx(1 / (45 * 86400)))
    assert orders.takeover is not None
    assert (orders.takeover.kind, orders.takeover.mean_s, orders.repair.cv) == ("uniform", 2.0, 1.5)


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("in: east", "in: eastt", 4, "unknown region 'eastt' (did you mean 'east'?)"),
        ("nodes: 3", "nodes: 3, quorum: 4", 4, "a quorum of 4 is not possible with 3 nodes (1 to 3)"),
        ("1 per 45d per node", "1 per 45d per zone", 4, "'1 per 45d per zone' is not a rate per node (1 per 45d per node)"),
        ("{exponential: 30s}", "{exponential: 30s, cv: 1}", 4, "this is no law of lengths"),
        ("{exponential: 30s}", "[3s, 2s]", 4, "this range does not rise"),
        ("nodes: 3", "nodes: 3, failover: {to: east, after: 1s, takes: 1s}", 4, "'east' is the region that fails over (another region)"),
        ("years: 0.1", "years: 0.1\ncrews: 0 per zone", 6, "'0 per zone' is no number of repair crews"),
        ("repair: {exponential: 30s}", "groups: 400000, repair: 1s", 3, "the fleet has 1,200,000 nodes (at most 1,000,000)"),
        ("years: 0.1", "years: 0.1\nslo: {availability: 99%, window: 40d}", 6, "no window of the slo fits into"),
        ("regions: {east: [a, b, c], west: [a]}", "regions: {east: []}", 2, "a region without zones"),
        ("fleet: small", "fleet: small\nyear: 3", 2, "unknown key 'year' (did you mean 'years'?)"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(old: str, new: str, line: int, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_fleet(SMALL.replace(old, new), "fleet.yaml")
    assert any(str(each).startswith(f"fleet.yaml:{line}:") and told in str(each) for each in refused.value.each), str(refused.value)


def test_crews_that_never_catch_up_are_refused() -> None:
    """Three nodes of 300 groups that crash each 45 days keep 0.83 crews busy with repairs of an hour."""
    busy = SMALL.replace("nodes: 3", "groups: 300, nodes: 3").replace("{exponential: 30s}", "90m")
    assert parse_fleet(f"{busy}crews: 2 per region\n", "fleet.yaml").crews
    with pytest.raises(
        BadInput, match=r"fleet\.yaml:7: crews: 1 crews per region cannot keep up: crashes keep 1\.25 of them busy.*2 per region"
    ):
        parse_fleet(f"{busy}crews: 1 per region\n", "fleet.yaml")


def test_the_command_says_what_it_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("45d", "2h"), encoding="utf-8")
    assert cli.main(["predict", str(file), "--simulate", "--processes", "1", "--replications", "3", "--years", "0.2", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert "simulated 3 times over 0.2 years (seed 5;" in said
    assert "Exact chain of store: unavailability" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--simulate", "--window", "30d"], "--simulate and --window exclude each other"),
        (["--years", "3"], "--years without --simulate"),
        (["--simulate", "--processes", "0"], "--processes 0"),
        (["--simulate", "--years", "0"], "the command line: --years: '0.0' is out of range"),
        (["--simulate", "--set", "seed=2"], "--set changes experiments, not fleets"),
        ([], "this is a fleet, not an experiment ('nines predict FILE --simulate' simulates it"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL, encoding="utf-8")
    assert cli.main(["predict", str(file), *words]) == 2
    assert told in capsys.readouterr().err


def test_an_experiment_is_no_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(ROOT / "experiments" / "quickstart.yaml"), "--simulate"]) == 2
    assert "this is an experiment, not a fleet" in capsys.readouterr().err
