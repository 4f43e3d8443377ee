"""The JSON Schemas say what the loader does: the same keys, nothing refused that it takes, every slip of structure found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chaos.cli import main as cli
from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.core.units import BytesPerSecond, Seconds, SignedSeconds
from chaos.experiment.document import SCHEMAS, load_experiment, parse_experiment
from chaos.experiment.faults import Entry
from chaos.experiment.schedules import Timing
from chaos.experiment.schema import VARIABLE
from chaos.experiment.source import parse
from chaos.experiment.tables import keys_of, table
from chaos.plugin import Fault
from tests.support.doc_pages import blocks
from tests.support.paths import BAD, ROOT
from tests.support.quick import QUICK
from tests.support.schema_forms import UNKNOWN, Steps, Tree, as_seen, experiments, load, places, put, slips, targets
from tools import schemas

BAD_FILES: Final = sorted(BAD.glob("*.yaml"))
CHECKS: Final = {kind: Draft202012Validator(make()) for kind, make in SCHEMAS.items()}
FLEETS: Final = sorted((ROOT / "experiments" / "fleets").glob("*.yaml"))
FORMS: Final = (
    [("experiment", form) for form in experiments()]
    + [("target", form) for form in targets()]
    + [("fleet", as_seen(file.read_text(encoding="utf-8"))) for file in FLEETS]
)
FILES: Final = (
    [("experiment", file) for file in sorted((ROOT / "experiments").glob("*.yaml"))]
    + [("target", file) for file in sorted((ROOT / "targets").glob("*/target.yaml"))]
    + [("fleet", file) for file in FLEETS]
)
STRUCTURE: Final = re.compile(
    r"stands where|unknown (key|measure|parameter|fault)|is missing|is not a (choice|rate|percentage|size|bound)|has no unit|exclude each|"
    r"says no fault|two faults in|several probes|no probe in|goes? with|says when"
)
"""What the loader says of slips that can be seen without knowing what the words stand for."""


def faults_of(kind: str, tree: Tree) -> list[str]:
    """What the schema says against it."""
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in CHECKS[kind].iter_errors(tree)]


# --- what is right -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCHEMAS)
def test_it_is_a_schema_and_the_file_is_that_of_now(kind: str) -> None:
    """``python -m tools.schemas`` writes it anew."""
    Draft202012Validator.check_schema(SCHEMAS[kind]())
    assert schemas.file_of(kind).read_text(encoding="utf-8") == schemas.whole(kind), "stale: python -m tools.schemas"


@pytest.mark.parametrize(("kind", "file"), FILES, ids=lambda value: getattr(value, "parent", value) if value else "")
def test_what_is_shipped_is_right(kind: str, file: Path) -> None:
    """Every experiment and every target."""
    assert not faults_of(kind, as_seen(file.read_text(encoding="utf-8")))


def test_what_the_docs_show_is_right() -> None:
    """Whole experiments, fragments of them, targets."""
    quick = yaml.safe_load(QUICK)
    for (block,) in (param.values for param in blocks("yaml")):
        if {"experiment", "fragment"} & set(block.words):
            seen = as_seen(block.text)
            assert not faults_of("experiment", seen if "experiment" in block.words else quick | seen), f"{block.page}:{block.line}"
        elif "target" in block.words:
            assert not faults_of("target", as_seen(block.text)), f"{block.page}:{block.line}"


def test_every_form_is_right() -> None:
    """Those that the tests below are made of: the schema takes them, and so does the loader."""
    for kind, form in FORMS:
        assert not faults_of(kind, form)
        load(kind, form)


# --- the same keys -----------------------------------------------------------------------------------------------------


def closed_tables(check: Any, schema: Any, value: Tree, path: Steps = ()) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """Each table of a document with the schema of a table of just these keys that it was taken by."""
    while "$ref" in schema:
        schema = check.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    for choice in schema.get("anyOf", ()):
        if check.evolve(schema=choice).is_valid(value):
            yield from closed_tables(check, choice, value, path)
    if "if" in schema:
        branch = schema.get("then" if check.evolve(schema=schema["if"]).is_valid(value) else "else", {})
        yield from closed_tables(check, branch, value, path) if branch is not True else ()
    if isinstance(value, dict) and "properties" in schema and "type" in schema:
        if schema["additionalProperties"] is False:
            yield path, schema
        for key, inner in value.items():
            yield from closed_tables(check, schema["properties"].get(key, schema["additionalProperties"]), inner, (*path, key))
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, inner in value.items():
            yield from closed_tables(check, schema["additionalProperties"], inner, (*path, key))
    elif isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            yield from closed_tables(check, schema["items"], inner, (*path, number))


def every_fault() -> list[tuple[str, Tree]]:
    """A document for each kind, with what it needs and no more, any value that fits."""
    return [("experiment", FORMS[0][1] | {"faults": [{kind: smallest(kind), "at": "1s"}]}) for kind in tables.names("faults")]


def smallest(kind: str) -> Tree:
    """Of the fields that must be there, else with one more, the first that the loader takes."""
    check = CHECKS["experiment"]
    fields = check.schema["$defs"][f"fault-{kind}"]
    fitting = {
        key: next(value for value in FITTING if check.evolve(schema=one).is_valid(value)) for key, one in fields["properties"].items()
    }
    needed = {key: fitting[key] for key in fields.get("required", ())}
    for filled in [needed, *(needed | {key: value} for key, value in fitting.items())]:
        try:
            load("experiment", FORMS[0][1] | {"faults": [{kind: filled, "at": "1s"}]})
        except BadInput:
            continue
        return filled
    pytest.fail(f"no small '{kind}' found")


WORDS: Final = [word for _, value in places(CHECKS["experiment"].schema) if isinstance(value, dict) for word in value.get("enum", ())]
FITTING: Final = [5, "5%", "5s", "5/s", "10KB/s", "10KB", True, "n1", [], *WORDS]


def every_table() -> Iterator[tuple[str, Tree, Steps, dict[str, Any]]]:
    """In all documents: kind, document, where a table stands in it, and its schema; once for each place and schema."""
    met = set()
    for kind, form in [*FORMS, *every_fault()]:
        for path, schema in closed_tables(CHECKS[kind], CHECKS[kind].schema, form):
            place = (id(schema), tuple(step for step in path if isinstance(step, str)))
            if place not in met:
                met.add(place)
                yield kind, form, path, schema


def loaders_keys(kind: str, tree: Tree, path: Steps) -> set[str]:
    """What the loader would have taken instead of a key that there is not."""
    with pytest.raises(BadInput, match=f"'{UNKNOWN}'") as refused:
        load(kind, put(tree, (*path, UNKNOWN), 1))
    told = next(mistake for mistake in refused.value.each if f"'{UNKNOWN}'" in mistake.message)
    return set(told.right.removeprefix("one of: ").split(", ")) - {""}


def test_every_key_of_the_loader_stands_in_the_schema_and_the_reverse() -> None:
    """In every table of every form; and every table of the schema is met."""
    met: dict[str, set[str]] = {kind: set() for kind in SCHEMAS}
    for kind, form, path, schema in every_table():
        mine = set(schema["properties"])
        met[kind].add(json.dumps(schema, sort_keys=True))
        theirs = loaders_keys(kind, form, path)
        if {"kill", "at"} <= theirs and "at" not in mine:
            theirs -= {*keys_of(Entry).fields, *keys_of(Timing).fields}  # A step: refused with words of its own.
        if {"sequence", "parallel"} & (mine | theirs):
            mine, theirs = (keys - {"sequence", "parallel"} for keys in (mine, theirs))  # One of them, or none.
        assert mine == theirs, f"{kind}: {path}"
    for kind, check in CHECKS.items():
        whole = {json.dumps(table, sort_keys=True) for table in all_closed(check.schema)}
        assert not [json.loads(table).get("description", table[:200]) for table in whole - met[kind]]


def all_closed(schema: Tree) -> Iterator[Tree]:
    """Every table of just these keys, wherever it stands in a schema."""
    for _, value in places(schema):
        if isinstance(value, dict) and value.get("additionalProperties") is False:
            yield value


def test_the_defaults_are_those_of_the_loader() -> None:
    """Written out, each changes nothing."""
    seen = 0
    for kind, form, path, schema in every_table():
        table = reduce(getitem, path, form)
        for key, inner in schema["properties"].items():
            if "default" not in inner or key in table or (key == "runtime" and "attach" in table):
                continue  # What runs already runs in containers.
            said = put(form, (*path, key), inner["default"])
            if CHECKS[kind].is_valid(said):
                seen += 1
                assert load(kind, said) == load(kind, form), f"{path}: {key}"
    assert seen > 70


# --- what is wrong -----------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_of_two_slips_the_loader_finds_what_the_schema_finds_and_the_reverse(data: st.DataObject) -> None:
    """The schema refuses nothing that the loader takes; and takes nothing that the loader refuses for its structure."""
    kind, tree = data.draw(st.sampled_from(FORMS), label="form")
    for _ in range(data.draw(st.integers(1, 2), label="slips")):
        tree = data.draw(slips(tree), label="slip")
    said = faults_of(kind, tree)
    try:
        load(kind, tree)
    except BadInput as refusal:
        blank = "''" in refusal.message or "' '" in refusal.message
        assert said or blank or not STRUCTURE.search(refusal.message), str(refusal)
    else:
        assert not said


def seen_of(file: Path) -> Tree | None:
    """None for what no editor could look at: no YAML, or no table."""
    try:
        return as_seen(file.read_text(encoding="utf-8"))
    except (BadInput, UnicodeDecodeError):
        return None


SPELLING: Final = {"octal_number"}
"""YAML reads a number there; only the loader sees how it is written."""


@pytest.mark.parametrize("file", BAD_FILES, ids=lambda file: file.stem)
def test_of_the_bad_files_the_schema_refuses_those_of_wrong_structure(file: Path) -> None:
    """And takes those that only the plan finds wrong: what the words stand for is no matter of structure."""
    seen = seen_of(file)
    if seen is None:
        with pytest.raises(BadInput):
            load_experiment(file)
        return
    said = faults_of("experiment", seen)
    try:
        load_experiment(file)
    except BadInput as refusal:
        assert said or file.stem in SPELLING or not STRUCTURE.search(refusal.message), str(refusal)
    else:
        assert not said


PODS_OF_OURS = (
    ("{volumes: claims, size: 1GiB}", True), ("{volumes: '${KIND:-claims}', size: 1GiB}", True), ("{volumes: pods, size: }", True),
    ("{storage_class: }", True), ("{storage_class: fast}", False), ("{volumes: pods, size: 1GiB}", False),
    ("{volumes: , size: 1GiB}", False),
)  # fmt: skip


@pytest.mark.parametrize(("written", "right"), PODS_OF_OURS)
def test_loader_and_schema_take_the_same_keys_of_claims(written: str, right: bool) -> None:
    """A key without a value is a key that is not there."""
    text = f"{{target: replicated_kv, nodes: 3, runtime: kubernetes, kubernetes: {written}}}"
    tree = FORMS[0][1] | {"cluster": yaml.safe_load(text)}
    assert CHECKS["experiment"].is_valid(tree) == right
    try:
        parse_experiment(yaml.safe_dump(tree), "x.yaml")
    except BadInput as refused:
        assert not right, refused
    else:
        assert right


# --- what is added -----------------------------------------------------------------------------------------------------


class Fog(Fault, frozen=True, forbid_unknown_fields=True):
    """How thick."""

    rate_bytes_per_s: BytesPerSecond
    """What still passes."""
    depth: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    after_s: Seconds = 1.5
    shift_s: SignedSeconds | None = None
    kind: Literal["thin", "thick"] = "thin"
    where: tuple[Literal["here", "there"], ...] = ("here",)


def test_a_new_fault_stands_in_the_schema_without_a_word_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an entry point adds it: with units, choices, defaults and texts; as an entry, and as a step of several."""
    fog = tables.Added("faults", "fog", f"{__name__}:Fog", "a-package")
    monkeypatch.setattr(tables, "_added", lambda table: {"fog": fog} if table == "faults" else {})
    made = SCHEMAS["experiment"]()
    fields = made["$defs"]["fault-fog"]["properties"]
    assert made["$defs"]["fault-fog"]["required"] == ["rate"]
    assert fields["rate"] == {"description": "What still passes.", "$ref": "#/$defs/bandwidth-more-than-0"}
    assert {**fields["depth"], "type": "integer"} == {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "pattern": VARIABLE}
    assert fields["depth"]["type"] == ["integer", "string"]
    assert fields["after"]["default"] == "1500ms"
    assert fields["kind"] == {"anyOf": [{"enum": ["thick", "thin"]}, {"type": "string", "pattern": VARIABLE}], "default": "thin"}
    check = Draft202012Validator(made)
    single = {"fog": {"rate": "10KB/s", "where": ["there"], "shift": "-1s"}, "at": "1s"}
    several = {"sequence": [{"fog": {"rate": "10KB/s"}}, {"pause": None}], "at": "1s"}
    for entry, right in [(single, True), (several, True), (single | {"fog": {"rate": "10"}}, False), (single | {"fog": {}}, False)]:
        assert check.is_valid(FORMS[0][1] | {"faults": [entry]}) == right


def test_a_field_that_no_file_can_say_is_told() -> None:
    """As the loader would tell it."""

    class Odd(msgspec.Struct):
        at: bytes

    with pytest.raises(AssertionError, match="no way to read a bytes"):
        table(Odd).read(parse("at: 1", "x.yaml"))


# --- printed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kind"), [(["--schema"], "experiment"), (["--schema", "target"], "target"), (["--schema", "fleet"], "fleet")]
)
def test_it_is_printed(words: list[str], kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As data: on standard output, and nothing else."""
    assert cli.main(["validate", *words]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == SCHEMAS[kind]()
    assert not printed.err


@pytest.mark.parametrize("words", [[], ["--schema", "experiment", "x.yaml"]])
def test_a_schema_or_files(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One of them."""
    assert cli.main(["validate", *words]) == 2
    assert "nines validate --schema" in capsys.readouterr().err
