"""Files that were mutated at random: each is planned, or refused with exit 2 and the file; nothing else ever comes of one.

What is taken has no key that the JSON Schema does not know: nothing is taken in silence. A few of each file here; ``make mutations``
makes a thousand of each.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import zlib
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from chaos.api import order
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.experiment.document import SCHEMAS
from chaos.experiment.nodes import composed
from chaos.experiment.source import MAX_BYTES
from chaos.predict.run import facts_from_plan, predict
from tests.support.mutating import double_keys, mutated, unknown_keys
from tests.support.paths import ROOT
from tests.support.schema_forms import as_seen

EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
TARGETS = sorted((ROOT / "targets").glob("*/target.yaml"))
EACH = int(os.environ.get("NINES_MUTATIONS", "6"))


def outcome(file: Path, seen: Path) -> str:
    """``planned``, or what the refusal says; any other exception is the test's failure."""
    for runtime in ("local", "docker"):
        try:
            ordered = order(file, runtime=runtime)
        except CapabilityMissing as missing:
            assert str(file) in str(missing) or str(seen) in str(missing), f"the message names no file: {missing}"
            continue
        except BadInput as refusal:
            assert refusal.exit_code == 2
            assert refusal.place is not None, f"the message has no place: {refusal}"
            assert all(len(str(mistake)) < 3000 for mistake in refusal.each)
            return str(refusal)
        try:
            predict(ordered.plan, facts_from_plan(ordered.plan))
        except BadInput as refusal:
            assert str(refusal)
        known_in_all(seen)
        return "planned"
    known_in_all(seen)
    return "not on this machine"


@functools.cache
def check_of(kind: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[kind]())


def known_in_all(seen: Path) -> None:
    """No table of a file that was taken has a key that its JSON Schema does not know."""
    file, kind = (seen / "target.yaml", "target") if seen.is_dir() else (seen, "experiment")
    wrong = check_of(kind).iter_errors(as_seen(file.read_bytes().decode("utf-8-sig")))
    assert not [error.message for error in wrong], f"taken: {file.read_text(encoding='utf-8')}"


def seed_of(name: str, number: int) -> int:
    return zlib.crc32(f"{name}/{number}".encode())


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_a_mutated_experiment_is_planned_or_refused(file: Path, tmp_path: Path) -> None:
    """Deleted, doubled, renamed, bent, truncated; odd bytes."""
    content = file.read_bytes()
    mutant = tmp_path / "mutant.yaml"
    for number in range(EACH):
        mutant.write_bytes(mutated(content, seed_of(file.stem, number)))
        outcome(mutant, mutant)


@pytest.mark.parametrize("file", TARGETS, ids=lambda file: file.parent.name)
def test_an_experiment_on_a_mutated_target_is_planned_or_refused(file: Path, tmp_path: Path) -> None:
    """The target's file is read with the same care."""
    content = file.read_bytes()
    experiment, folder = on_target(file, tmp_path)
    for number in range(EACH):
        (folder / "target.yaml").write_bytes(mutated(content, seed_of(file.parent.name, number)))
        outcome(experiment, folder)


def tree_of(node: yaml.Node | None) -> object:
    """Values with their tags and lines, as a parser of YAML gave them."""
    match node:
        case yaml.MappingNode():
            return node.tag, node.start_mark.line, [(tree_of(key), tree_of(value)) for key, value in node.value]
        case yaml.SequenceNode():
            return node.tag, node.start_mark.line, [tree_of(item) for item in node.value]
        case yaml.ScalarNode():
            return node.tag, node.start_mark.line, node.value, node.style or ""
    return None


@pytest.mark.parametrize("file", [*EXPERIMENTS, *TARGETS], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_whichever_parser_reads_a_file_it_says_the_same(file: Path) -> None:
    """libyaml, where it takes the file, and PyYAML's own; what either refuses is refused in the words of the latter."""
    content = file.read_bytes()
    for text in [content, *(mutated(content, seed_of(f"parsers {file.stem}", number)) for number in range(2))]:
        shown = text.decode("utf-8-sig", errors="ignore")
        try:
            found = tree_of(composed(shown))
        except yaml.YAMLError as refused:
            with pytest.raises(type(refused), match=re.escape(str(refused))):
                yaml.compose(shown, Loader=yaml.SafeLoader)
        else:
            assert found == tree_of(yaml.compose(shown, Loader=yaml.SafeLoader))


ODD = [
    "a:\tb", "{a: b?c: d}", "{a: b? c}", "a: [?\n]", "a: &x 'b?'\nc: {d: *x, e: f? g}", "? a\n", "[" * 600, "- " * 600 + "x", '"\\ud800"',
    "a: 1\n\x00", "a: |# c\n  y", "{a: !!str, b: 1}", "[!!str,x]", "a: !t~!!str b", "a: |2\n\ufeffb: 1", "a:\n- \n\ufeff- b", "---\n", "!",
    "a: &x\n  b: *x\n  c: d?", "a: {b: 'c?', d: [\"e?\", f]}", "a: x\u2028b: [", "a: 1\x85b: 2", "a: 1\r\rb: [",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_what_only_one_parser_takes_is_left_to_the_slower(text: str) -> None:
    """So that a file is a file on every machine, with libyaml or without."""
    found = []
    for read in (composed, functools.partial(yaml.compose, Loader=yaml.SafeLoader)):
        try:
            found.append(tree_of(read(text)))
        except (yaml.YAMLError, RecursionError) as refused:
            found.append(str(refused))
    assert found[0] == found[1]


def on_target(file: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An experiment beside a copy of a target's folder."""
    folder = tmp_path / "mutant"
    shutil.copytree(file.parent, folder)
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(
        "experiment: x\nquestion: y\ncluster: {target: ./mutant, nodes: 3}\ntraffic: {operations: {write: 50/s}}\n"
        "faults:\n- {kill: {}, target: any, at: 1s, for: 1s}\n- {latency: {delay: 5ms}, target: {link: clients -> any}, at: 40s, for: 1s}\n"
        "settle: 5s\n",
        encoding="utf-8",
    )
    return experiment, folder


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_no_table_of_an_experiment_takes_an_unknown_key(file: Path, tmp_path: Path) -> None:
    """Nor a key a second time."""
    mutant = tmp_path / "mutant.yaml"
    for content in [*unknown_keys(file.read_bytes()), *double_keys(file.read_bytes())]:
        mutant.write_bytes(content)
        said = outcome(mutant, mutant)
        assert said not in ("planned", "not on this machine"), content.decode()


@pytest.mark.parametrize("file", TARGETS, ids=lambda file: file.parent.name)
def test_no_table_of_a_target_takes_a_key_twice(file: Path, tmp_path: Path) -> None:
    """Each line that is a key and its value, doubled."""
    experiment, folder = on_target(file, tmp_path)
    for content in double_keys(file.read_bytes()):
        (folder / "target.yaml").write_bytes(content)
        assert outcome(experiment, folder) not in ("planned", "not on this machine"), content.decode()


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """Folders, missing and huge files, pipes; as an experiment, a target and a compose file."""
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a: " + b"x" * MAX_BYTES)
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("folder.yaml", "none.yaml", "big.yaml", "pipe.yaml", "no/such/thing.yaml", "big.yaml/x.yaml", "x" * 300, "nul\0.yaml"):
        with pytest.raises(BadInput) as refused:
            order(tmp_path / name)
        assert refused.value.place is not None, name
