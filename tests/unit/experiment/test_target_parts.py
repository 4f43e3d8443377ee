"""Parts that wait for others, roles of one part, init steps: what a target says, and what is refused when it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.core.errors import BadInput
from chaos.experiment.target.check import waves
from chaos.experiment.target.init import InitStep
from chaos.experiment.target.load import parse_target
from chaos.experiment.target.spec import Target

TWO = """schema: 1
target: two
parts:
  data:
    nodes: {default: 2}
    ports: {client: 7000}
    docker: {image: x, command: ["run", "{number}"]}
    ready: {http: "http://{address}:{client}/"}
  guard:
    nodes: {default: 3}
    ports: {watch: 7001}
    client_port: watch
    after: [data]
    user: nobody
    docker: {image: x, command: ["guard", "{quorum}", "{addresses:data:{address}:{client}}"]}
    ready: {http: "http://{address}:{watch}/"}
roles: {leader: {part: data, http: "http://{address}:{client}/role", json: leads}}
operations: {get: {http: "GET http://{first of data:{address}}:{client}/{key}", does: read}}
init:
  - {part: guard, node: all, command: "guard-cli -h {address} begin {first of data:{address} {client}}", within: 30s}
  - {node: 2, command: [sh, -c, "join {node}"], user: root}
"""


def load(text: str) -> Target:
    return parse_target(text, "target.yaml", Path())


def test_all_of_it_arrives_typed() -> None:
    """Order of parts, roles by part, steps with their words."""
    target = load(TWO)
    assert waves(target) == [["data"], ["guard"]]
    assert (list(target.roles_of("data")), list(target.roles_of("guard"))) == (["leader"], [])
    assert target.parts["guard"].user == "nobody"
    first, second = target.init
    assert first == InitStep(
        ("guard-cli", "-h", "{address}", "begin", "{first of data:{address} {client}}"), part="guard", node="all", within_s=30.0
    )
    assert (second.command, second.user, second.within_s) == (("sh", "-c", "join {node}"), "root", 60.0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("after: [data]", "after: [dta]", "parts.guard.after: there is no part 'dta' (did you mean 'data'?)"),
        ("    ports: {client: 7000}", "    ports: {client: 7000}\n    after: [guard]", "the parts data, guard wait for one another"),
        ("{part: data, http", "{part: dat, http", "roles.leader.part: there is no part 'dat' (did you mean 'data'?)"),
        ("{part: data, http", "{part: guard, http", "roles.leader: unknown name '{client}'"),
        ("part: guard, node: all", "part: gard, node: all", "init[0].part: there is no part 'gard' (did you mean 'guard'?)"),
        ("command: [sh, -c", "commnd: [sh, -c", "init[1].commnd: unknown key 'commnd' (did you mean 'command'?)"),
        ('command: [sh, -c, "join {node}"], user', "user", "init[1]: the key 'command' is missing"),
        ("join {node}", "join {nod}", "init[1].command: unknown name '{nod}'"),
        ("begin {first", "begin 'x {first", "init[0].command: 'guard-cli"),
        ("within: 30s", "within: 30", "init[0].within: "),
        ("{first of data:{address}}:", "{first of dat:{address}}:", "operations.get: there is no part 'dat'"),
    ],
)
def test_what_is_wrong_is_told_when_it_is_loaded(old: str, new: str, says: str) -> None:
    """With its place, and what would be right."""
    assert TWO.count(old) == 1
    with pytest.raises(BadInput) as refused:
        load(TWO.replace(old, new))
    assert says in str(refused.value)


def test_a_step_for_a_node_that_is_not_there_is_refused_by_the_plan(tmp_path: Path) -> None:
    """How many nodes there are is the experiment's word."""
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "target.yaml").write_text(TWO)
    text = "experiment: x\nquestion: y?\ncluster: {target: ./two, parts: {data: 1}, runtime: fake}\ntraffic: {operations: {get: 5/s}}\n"
    with pytest.raises(BadInput, match=r"init\[1\].node: .*for the node '2', which is not there \(first, all, 1 to 1, or one of data-1\)"):
        order_text(text, tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("node", "meant"),
    [("first", ["data-1"]), ("all", ["data-1", "data-2"]), ("2", ["data-2"]), ("data-2", ["data-2"])],
)
def test_which_nodes_a_step_means(node: str, meant: list[str]) -> None:
    """By place, by number, by name."""
    assert InitStep(("x",), node=node).nodes_among(["data-1", "data-2"]) == meant
