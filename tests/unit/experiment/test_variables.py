"""``${NAME}`` in files, and ``--set``: values from outside, with messages that name the file's own lines, or the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli.main import main
from chaos.core.errors import BadInput
from chaos.experiment.document import parse_experiment
from chaos.experiment.target.load import parse_target
from tests.support.samples import EXPERIMENT, TARGET, sample_experiment

FAULT = "  - {name: one, kill: {}, target: leader, at: 5s, for: 2s}"


def with_line(before: str, after: str) -> str:
    """The sample experiment with one piece of text in place of another."""
    text = EXPERIMENT.replace("FAULTS", FAULT)
    assert text.count(before) == 1, text
    return text.replace(before, after)


def line_of(text: str, piece: str) -> int:
    """Where it stands, from 1."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if piece in line)


def test_a_variable_is_filled_in_as_if_its_value_stood_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is a number, within a flow mapping too; a default holds for a variable that is missing or empty; quotes keep a text."""
    monkeypatch.setenv("NODES", "5")
    monkeypatch.setenv("NOTHING", "")
    monkeypatch.delenv("MISSING", raising=False)
    text = with_line("nodes: 3", 'nodes: ${NODES}, settings: {cache: "${MISSING:-7}"}') + "# ${NOT_READ}\n"
    cluster = parse_experiment(text, "x.yaml").cluster
    assert (cluster.nodes, cluster.settings) == (5, {"cache": "7"})
    assert parse_experiment(with_line("nodes: 3", "nodes: ${NOTHING:-4}"), "x.yaml").cluster.nodes == 4


def test_a_missing_variable_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a value that is wrong, at the line of the file where the variable stands."""
    monkeypatch.delenv("MISSING", raising=False)
    text = with_line("nodes: 3", "nodes: ${MISSING}")
    with pytest.raises(BadInput) as refused:
        parse_experiment(text, "x.yaml")
    assert str(refused.value) == (
        f"x.yaml:{line_of(text, 'MISSING')}: cluster.nodes: the environment has no variable 'MISSING' "
        "(export MISSING=..., or give a default: ${MISSING:-...})"
    )
    monkeypatch.setenv("MISSING", "many: [1")
    with pytest.raises(BadInput, match=rf"x\.yaml:{line_of(text, 'MISSING')}: cluster\.nodes: 'many: \[1' stands where a whole number"):
        parse_experiment(text, "x.yaml")


def test_what_is_no_variable_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An escaped one, a secret, and what only a shell understands."""
    monkeypatch.setenv("HOME", "/nowhere")
    text = TARGET + "about: $${HOME} ${env:HOME} ${HOME%/*} $HOME\n"
    assert parse_target(text, "target.yaml", Path()).about == "${HOME} ${env:HOME} ${HOME%/*} $HOME"


def test_a_variable_in_a_header_stays_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a secret: the plan holds its name, and the probe fills it in; one with a default is refused there."""
    monkeypatch.setenv("TOKEN", "s3cret")
    home = 'home: {{http: "http://{{address}}:80/", rate: 5/s, headers: {0}}}'
    for written in ('{Authorization: "Bearer ${TOKEN}"}', '["Authorization: Bearer ${TOKEN}"]', '"Authorization: Bearer ${TOKEN}"'):
        operations = parse_experiment(with_line("write: 100/s", home.format(written)), "x.yaml").traffic.operations
        assert operations["home"].options["headers"].strip() == "Authorization: Bearer ${env:TOKEN}"
    with pytest.raises(BadInput, match="has a default where a secret may stand"):
        parse_experiment(with_line("write: 100/s", home.format('["A: ${TOKEN:-x}"]')), "x.yaml")


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("cluster.nodes=5", lambda found: found.cluster.nodes == 5),
        ("faults.one.for=7s", lambda found: found.faults[0].for_s == 7),
        ("faults[0].for=1m30s", lambda found: found.faults[0].for_s == 90),
        ("traffic.client={attempts: 3}", lambda found: found.traffic.client.attempts == 3),
        ("slo.availability=99.5%", lambda found: found.slo.availability == 0.995),
        ("limits.protect=[n1]", lambda found: found.limits.protect == ("n1",)),
    ],
)
def test_set_overrides_one_value(override: str, read) -> None:  # noqa: ANN001 - a question to the experiment
    """By a path of keys; an item of a list by its name or number; keys on the way are made."""
    text = EXPERIMENT.replace("FAULTS", FAULT)
    assert not read(parse_experiment(text, "x.yaml"))
    found = parse_experiment(text, "x.yaml", [override])
    assert read(found)
    assert [each.partition("=")[2] for each in found.overrides] == [override.partition("=")[2]]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("cluster.nodes=many", "--set cluster.nodes=many: cluster.nodes: 'many' stands where a whole number belongs"),
        ("cluster.nods=5", "--set cluster.nods=5: cluster.nods: unknown key 'nods' (did you mean 'nodes'?)"),
        ("faults.two.for=5s", "--set faults.two.for=5s: no item of 'faults' is named 'two'"),
        ("faults[3].for=5s", "--set faults[3].for=5s: 'faults' has 1 items, from 0"),
        ("cluster.nodes", "'--set cluster.nodes' does not say which value is set"),
        ("cluster.nodes=[1", "--set cluster.nodes=[1: cluster.nodes: '[1' is not a value"),
    ],
)
def test_a_wrong_override_is_refused_at_the_option(override: str, says: str) -> None:
    """Not at a line of the file, where nothing is wrong."""
    with pytest.raises(BadInput) as refused:
        parse_experiment(EXPERIMENT.replace("FAULTS", FAULT), "x.yaml", [override])
    assert str(refused.value).startswith(says)


def test_a_plan_refuses_an_override_at_the_option(tmp_path, capsys) -> None:  # noqa: ANN001 - fixtures
    """What only the plan knows to be wrong; and with a right one the command line works."""
    file = tmp_path / "quick.yaml"
    file.write_text(
        "experiment: quick\nquestion: What?\ncluster: {target: replicated_kv, nodes: 3, runtime: fake}\n"
        "traffic: {operations: {write: 20/s}}\nfaults:\n  - {name: one, kill: {}, target: n3, at: 5s, for: 2s}\n"
    )
    assert main(["validate", str(file), "--set", "cluster.nodes=5"]) == 0
    assert "valid (5 nodes" in capsys.readouterr().out
    assert main(["validate", str(file), "--set", "faults.one.target=n9"]) == 2
    assert "--set faults[0].target=n9: faults[0].target: there is no node 'n9'" in capsys.readouterr().err


def test_the_sample_needs_no_variable() -> None:
    """The samples that other tests use are read as before."""
    assert sample_experiment().overrides == ()
