"""One declaration reads and describes: all mistakes of a file at once, lists that are sets, fields of other packages' faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from chaos.core.errors import MOST_MISTAKES, BadInput
from chaos.core.units import Seconds
from chaos.experiment.document import parse_experiment
from chaos.experiment.forms import Form, choice, listed, string, whole
from chaos.experiment.schema import Shapes
from chaos.experiment.source import Value, parse
from chaos.experiment.tables import DISTINCT, Key, Written, table
from chaos.experiment.target.load import parse_target
from chaos.plan.build import make_plan
from tests.support.samples import EXPERIMENT, TARGET, sample_experiment, sample_target

ONE: Final = "  - {kill: {}, target: leader, at: 5s, for: 2s}"


def told(text: str) -> list[str]:
    """Every line of what is said of an experiment, less the file's name."""
    with pytest.raises(BadInput) as refused:
        parse_experiment(text, "x.yaml")
    assert [str(mistake) for mistake in refused.value.each][:MOST_MISTAKES] == str(refused.value).splitlines()[:MOST_MISTAKES]
    return str(refused.value).replace("x.yaml:", "").splitlines()


# --- all mistakes of a file --------------------------------------------------------------------------------------------


def test_a_file_with_seven_mistakes_names_all_seven_in_its_order() -> None:
    """Each with line, path, what was found, and what would be right."""
    text = """\
experiment: three
question: What is wrong?
cluster: {target: sample, nodes: 0}
traffic:
  operations: {write: 100}
  clent: {attempts: 2}
faults:
  - kill: {signal: KIL}
    target: leader
    at: 5
    for: 2s
  - {pase: {}, target: n1, at: 5s}
  - {sequence: [{kill: {}, target: n1, for: 1}, {pause: {}, target: n2, for: 1s}], at: 9s}
"""
    assert told(text) == [
        "3: cluster.nodes: '0' is out of range (at least 1)",
        "5: traffic.operations.write: '100' is not a rate (write it like 100/s)",
        "6: traffic.clent: unknown key 'clent' (did you mean 'client'?)",
        "8: faults[0].kill.signal: 'KIL' is not a choice here (did you mean 'KILL'?)",
        "10: faults[0].at: '5' has no unit of time (write it like 250ms, 3s, 2m, 1h)",
        "12: faults[1].pase: unknown key 'pase' (did you mean 'pause'?)",
        "13: faults[2].sequence[0].for: '1' has no unit of time (write it like 250ms, 3s, 2m, 1h)",
    ]


def test_beyond_ten_mistakes_the_rest_is_counted() -> None:
    """A file that is wrong altogether is no screenful."""
    bad = "\n".join(f"  - {{kill: {{}}, target: leader, at: {number}}}" for number in range(14))
    lines = told(EXPERIMENT.replace("FAULTS", bad))
    assert len(lines) == MOST_MISTAKES + 1
    assert lines[-1] == "... and 4 more"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("question:", "qustion:", "unknown key 'qustion' (did you mean 'question'?)"),
        ("nodes: 3", "nods: 3, parts: {data: 3}", "unknown key 'nods' (did you mean 'nodes'?)"),
        ("at: 5s", "att: 5s", "unknown key 'att' (did you mean 'at'?)"),
        ("operations:", "opertions:", "unknown key 'opertions' (did you mean 'operations'?)"),
    ],
)
def test_a_slip_is_told_once(old: str, new: str, says: str) -> None:
    """A misspelt key is not missed as well, and breaks no rule of its table."""
    text = EXPERIMENT.replace("FAULTS", ONE)
    (line,) = told(text.replace(old, new, 1))
    assert line.endswith(says)


def test_mistakes_of_a_target_are_told_together() -> None:
    """Those of its shape, then those of what it means."""
    shape = TARGET.replace("default: 3", "default: three").replace("does: read", "does: reed")
    with pytest.raises(BadInput) as refused:
        parse_target(shape, "target.yaml", Path())
    assert [mistake.place.path for mistake in refused.value.each if mistake.place] == ["parts.data.nodes.default", "operations.read.does"]
    meaning = TARGET.replace("restart: 1s", "restart: 1").replace('"{node}", "{address}"', '"{nod}", "{address}"')
    with pytest.raises(BadInput) as refused:
        parse_target(meaning, "target.yaml", Path())
    assert [mistake.place.path for mistake in refused.value.each if mistake.place] == ["parts.data.local.command[2]", "model.restart"]


def test_what_only_the_plan_sees_is_told_of_every_fault() -> None:
    """Nodes that there are not; a judge, a zone and a setting that there are not."""
    faults = "\n".join(f"  - {{kill: {{}}, target: {node}, at: {at}s, for: 1s}}" for node, at in (("n7", 1), ("n1", 30), ("n8", 60)))
    with pytest.raises(BadInput) as refused:
        make_plan(sample_experiment(faults), sample_target(), seed=None, runtime="local")
    assert [mistake.message for mistake in refused.value.each] == ["there is no node 'n7'", "there is no node 'n8'"]
    bent = (
        EXPERIMENT.replace("FAULTS", ONE).replace("nodes: 3", "nodes: 3, settings: {cash: 1}, zones: {a: [n9]}").replace("write:", "rite:")
    )
    with pytest.raises(BadInput) as refused:
        make_plan(parse_experiment(bent, "x.yaml"), sample_target(), seed=None, runtime="local")
    assert {mistake.message for mistake in refused.value.each} == {"there is no node 'n9'", "there is no setting 'cash'"}


# --- lists that are sets -----------------------------------------------------------------------------------------------

FAULT: Final = "faults: [{%s, at: 5s, for: 1s}]"
PREDICT: Final = "predict: {around: {parts: {a: 99%%, b: 99%%}, needs: %s}}"
SETS: Final = [
    ("cluster: {target: sample, zones: {z: [n1, n2, n1]}}", "cluster.zones.z[2]"),
    ("cluster: {target: sample, networks: [front, back, front]}", "cluster.networks[2]"),
    ("cluster: {target: sample, dns: {order: [a, a]}}", "cluster.dns.order[1]"),
    ("cluster: {attach: {compose: shop, services: [web, web]}}", "cluster.attach.services[1]"),
    ("cluster: {attach: {label: a, ports: [80, 81, 80]}}", "cluster.attach.ports[2]"),
    ("limits: {protect: [n1, n1]}", "limits.protect[1]"),
    (FAULT % "kill: {}, target: [n1, n1]", "faults[0].target[1]"),
    (FAULT % "partition: {include: [clients, dns, clients]}, target: n1", "faults[0].partition.include[2]"),
    (FAULT % "partition: {groups: [[n1, n1], [n2]]}", "faults[0].partition.groups[0][1]"),
    (FAULT % "loss: {percent: 5%, include: [peers, peers]}, target: n1", "faults[0].loss.include[1]"),
    (PREDICT % "[a, b, cluster, a]", "predict.around.needs[3]"),
    (PREDICT % "[{any: [a, b, b]}, cluster]", "predict.around.needs[0].any[2]"),
    (PREDICT % "[{any: [{all: [a, b]}, {all: [a, b]}]}, cluster]", "predict.around.needs[0].any[1]"),
]


@pytest.mark.parametrize(("line", "path"), SETS, ids=[path for _, path in SETS])
def test_nothing_stands_twice_in_a_list_that_is_a_set(line: str, path: str) -> None:
    """Told at the second one."""
    whole_file = yaml.safe_load(EXPERIMENT.replace("FAULTS", ONE)) | yaml.safe_load(line)
    (said,) = told(yaml.safe_dump(whole_file))
    assert re.fullmatch(rf"\d+: {re.escape(path)}: .* stands in this list twice \(each once\)", said)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [("choices: [quorum, local]", "choices: [quorum, quorum]", "settings.reads.choices[1]"),
     ("ports:", "data: [/a, /a]\n    ports:", "parts.data.data[1]")],
)  # fmt: skip
def test_nor_in_one_of_a_target(old: str, new: str, path: str) -> None:
    """Choices of a setting, folders of a part."""
    with pytest.raises(BadInput, match="stands in this list twice") as refused:
        sample_target(TARGET.replace(old, new, 1))
    assert refused.value.place is not None
    assert refused.value.place.path == path


# --- fields of other packages' faults ----------------------------------------------------------------------------------


def _even(found: int, value: Value) -> int:
    if found % 2:
        raise BadInput(f"'{found}' is odd", place=value.place, right="2, 4, 6, ...")
    return found


EVEN: Final[Form[int]] = whole(ge=0).then(_even, {"multipleOf": 2})


class Inner(msgspec.Struct, frozen=True):
    """A table of its own."""

    wait_s: Seconds = 1.0


class Base(msgspec.Struct, frozen=True):
    """What several share."""

    wait_s: Seconds = 2.0


@Written(blank=True)
class Foreign(Base, frozen=True):
    """A fault as another package may declare it."""

    pairs: Annotated[int, EVEN] = 2
    """How many, two by two."""
    ports: Annotated[tuple[int, ...], DISTINCT] = ()
    words: Annotated[tuple[str, ...], listed(string("a word"), least=1), Key("say", example="say: [hello]")] = ("hello",)
    is_: Annotated[str, choice(("wet", "dry"))] = "dry"
    inner: Inner = Inner()


def of(text: str) -> Foreign:
    """That fault, as it is written."""
    return table(Foreign).read(parse(text, "x.yaml"))


def schema() -> dict[str, Any]:
    """The whole, with what it refers to."""
    shapes = Shapes()
    return table(Foreign).describe(shapes) | {"$defs": shapes.definitions}


RIGHT: Final = ["{pairs: 4, ports: [1, 2], say: [hello, you], is: wet, inner: {wait: 3s}, wait: 1s}", "{pairs: , inner: }", "{}"]
WRONG: Final = [
    ("{pairs: 3}", "pairs: '3' is odd (2, 4, 6, ...)"),
    ("{ports: [1, 1]}", "ports[1]: '1' stands in this list twice (each once)"),
    ("{say: []}", "say: a list of 0 stands here (write it like [a, b])"),
    ("{is: damp}", "is: 'damp' is not a choice here (one of: wet, dry)"),
    ("{words: [x]}", "words: unknown key 'words' (did you mean 'ports'?)"),
    ("{inner: {wait: 3}}", "inner.wait: '3' has no unit of time (write it like 250ms, 3s, 2m, 1h)"),
]  # fmt: skip


def test_a_declaration_makes_the_value() -> None:
    """Units, inherited fields, names with and without a unit, forms of its own."""
    assert of(RIGHT[0]) == Foreign(1.0, 4, (1, 2), ("hello", "you"), "wet", Inner(3.0))
    assert of(RIGHT[1]) == of(RIGHT[2]) == Foreign()


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_the_same_declaration_refuses(text: str, says: str) -> None:
    """With the place, what was found and what would be right."""
    with pytest.raises(BadInput) as refused:
        of(text)
    assert str(refused.value) == f"x.yaml:1: {says}"


def test_the_same_declaration_describes() -> None:
    """The schema takes what is read and refuses what is refused; texts and defaults stand in it."""
    check = Draft202012Validator(schema())
    Draft202012Validator.check_schema(check.schema)
    assert all(check.is_valid(yaml.safe_load(text)) for text in RIGHT)
    assert not any(check.is_valid(yaml.safe_load(text)) for text, _ in WRONG)
    (fields,) = (each["properties"] for name, each in check.schema["$defs"].items() if "Foreign" in name)
    pairs = {"anyOf": [{"type": "integer", "minimum": 0, "multipleOf": 2}, {"type": "null"}]}
    assert fields["pairs"] == pairs | {"description": "How many, two by two.", "default": 2}
    assert (fields["wait"]["default"], fields["say"]["default"], fields["is"]["default"]) == ("2s", ["hello"], "dry")
