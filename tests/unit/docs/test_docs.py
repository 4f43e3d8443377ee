"""What the documentation shows works: YAML is loaded, commands are run, tests pass, links lead somewhere, no key is left out.

The word after the language says what a block is: ``yaml experiment``, ``yaml fragment`` (of an experiment), ``yaml target``,
``yaml steps`` (the ``init`` of a target), ``yaml workflow`` (of a CI system),
``python test`` (run by pytest), ``file=PATH`` (written there for the blocks after it). ``sh`` is
run line by line, with the fake runtime.
"""

from __future__ import annotations

import doctest
import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from chaos.api import order, order_text
from chaos.cli import main as cli
from chaos.core import plugins as tables
from chaos.experiment import cluster, parameters, traffic
from chaos.experiment.document import Experiment, Slo
from chaos.experiment.fleet import parse_fleet
from chaos.experiment.production import PredictSpec
from chaos.experiment.safety import AbortCommand, AbortIf, Limits
from chaos.experiment.tables import keys_of
from chaos.experiment.target.load import parse_target
from chaos.experiment.target.spec import Target
from chaos.plugin import Spot
from chaos.results import states
from chaos.runtimes.kubernetes.runtime import KubernetesRuntime
from tests.support.doc_pages import FENCE, PAGES, Block, blocks, blocks_of
from tests.support.paths import ROOT
from tests.support.quick import QUICK

LABELS = [{"tier": "cache", "shard": str(number), "statefulset.kubernetes.io/pod-name": f"store-{number}"} for number in range(3)]
parser = functools.cache(cli.parser)
"""Made once for all the calls that the pages show."""
QUICKSTART = QUICK.replace("experiment: quick", "experiment: quickstart")


def files_before(block: Block, folder: Path) -> None:
    """Write what the page has shown so far, so that later blocks find it."""
    for other in blocks_of(block.page):
        if other.file is not None and other.line <= block.line:
            path = folder / other.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(other.text, encoding="utf-8")


# --- YAML --------------------------------------------------------------------------------------------------------------


def test_every_yaml_says_what_it_is() -> None:
    """No block escapes the tests for want of a word."""
    kinds = {"experiment", "fragment", "target", "workflow", "steps", "play", "prometheus", "fleet", "kind"}
    assert not [param.id for param in blocks("yaml") if not kinds & set(param.values[0].words)]


@pytest.mark.parametrize("block", blocks("yaml", "experiment"))
def test_experiments_load_and_plan(block: Block, tmp_path: Path) -> None:
    """Every experiment in the docs is right as it stands."""
    files_before(block, tmp_path)
    order_text(block.text, tmp_path / "shown.yaml")


@pytest.fixture(autouse=True)
def a_cluster_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods of the docs stand on three machines, each in a zone of its own."""
    stand = [Spot(f"worker-{number}", f"eu-1{zone}") for number, zone in enumerate("abc", start=1)]
    monkeypatch.setattr(KubernetesRuntime, "spots", lambda *_: stand)
    monkeypatch.setattr(KubernetesRuntime, "ground", lambda *_: stand)
    monkeypatch.setattr(KubernetesRuntime, "labels", lambda _, parts: {parts[0]: LABELS})


@pytest.mark.parametrize("block", blocks("yaml", "fragment"))
def test_fragments_load_and_plan(block: Block, tmp_path: Path) -> None:
    """Every piece fits into an experiment."""
    whole = yaml.safe_load(QUICK) | yaml.safe_load(block.text)
    order_text(yaml.safe_dump(whole, sort_keys=False), tmp_path / "shown.yaml")


@pytest.mark.parametrize("block", blocks("yaml", "fleet"))
def test_fleets_load(block: Block) -> None:
    """Every fleet in the docs is right as it stands."""
    assert parse_fleet(block.text, "fleet.yaml").nodes


@pytest.mark.parametrize("block", blocks("yaml", "target"))
def test_targets_load(block: Block, tmp_path: Path) -> None:
    """Every target in the docs is right as it stands."""
    target = parse_target(block.text, "target.yaml", tmp_path)
    assert target.operations


@pytest.mark.parametrize("block", blocks("yaml", "steps"))
def test_init_steps_load(block: Block, tmp_path: Path) -> None:
    """Steps of a target with the two parts that they speak of."""
    part = '{ports: {client: 1, watch: 2}, docker: {image: x}, ready: {tcp: "{address}:{client}"}}'
    rest = f"schema: 1\ntarget: shown\nparts: {{data: {part}, sentinel: {part}}}\n"
    assert len(parse_target(rest + block.text, "target.yaml", tmp_path).init) == block.text.count("command:")


@pytest.mark.parametrize("block", blocks("yaml", "kind"))
def test_clusters_of_kind_have_a_machine_to_spare(block: Block) -> None:
    """Its configuration is YAML of the version that kind takes; tests/kind makes a cluster of it."""
    found = yaml.safe_load(block.text)
    assert (found["kind"], found["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert [node["role"] for node in found["nodes"]].count("worker") >= 2


def calls() -> list[Any]:
    """Each call of ours that a page shows and nobody can run without somebody's system, with its page and line."""
    found = []
    for param in blocks("text"):
        block = param.values[0]
        for line in block.text.replace("\\\n", " ").splitlines():
            words = re.split(r"\s[|>#]|&&", line.strip().removeprefix("$ "))[0]
            words = re.sub(r"^(\w+=\S+ )+", "", words)
            if re.match(r"nines (?!help\b)[a-z]", words):
                found.append(pytest.param(words, id=f"{param.id} {words}"[:80]))
    return found


@pytest.mark.parametrize("words", calls())
def test_shown_calls_are_calls_that_the_command_takes(words: str) -> None:
    """Verbs and options exist, and each has what it needs."""
    parser().parse_args(shlex.split(words)[1:])


@pytest.mark.parametrize("block", blocks("yaml", "workflow"))
def test_workflows_use_commands_that_exist(block: Block) -> None:
    """The jobs are YAML, and each call of ours in them is a call that our command line takes."""
    assert yaml.safe_load(block.text)
    calls = [line.strip().removeprefix("- ").removeprefix("run: ") for line in block.text.splitlines() if "- nines " in line]
    assert calls or "uses: chaos-nines/chaos-nines@" in block.text
    for call in calls:
        parser().parse_args(shlex.split(call)[1:])


@pytest.mark.parametrize("block", blocks("yaml", "prometheus"))
def test_prometheus_takes_its_settings(block: Block, tmp_path: Path, need: Callable[..., None]) -> None:
    """As promtool says, with the rules that the page makes."""
    need("promtool")
    files_before(block, tmp_path)
    (tmp_path / "prometheus.yml").write_text(block.text, encoding="utf-8")
    (tmp_path / "rules.yaml").write_text("groups: []\n", encoding="utf-8")
    done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", blocks("yaml", "play"))
def test_ansible_plays_run(block: Block, tmp_path: Path) -> None:
    """As they stand, with the fake runtime: the play succeeds where the objectives are met, and fails where they are not."""
    (tmp_path / "play.yaml").write_text(block.text, encoding="utf-8")
    (tmp_path / "experiments").mkdir()
    wrapper = tmp_path / "nines"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m chaos "$@" --runtime fake\n', encoding="utf-8")
    wrapper.chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ANSIBLE_LOCALHOST_WARNING": "false", "PYTHONPATH": str(ROOT),
                            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "ansible"), "ANSIBLE_HOME": str(tmp_path / "ansible")}  # fmt: skip
    play = str(Path(sys.executable).with_name("ansible-playbook"))
    for objectives, status in (('availability: ">= 50%"', 0), ('availability: ">= 99.99%"', 2)):
        text = QUICKSTART.replace('availability: ">= 50%"', objectives)
        (tmp_path / "experiments" / "quickstart.yaml").write_text(text, encoding="utf-8")
        words = [play, "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "play.yaml"]
        done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stdout + done.stderr


# --- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("sh"))
def test_commands(
    block: Block, tmp_path: Path, quick_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is run, with the fake runtime where something would be started; ``RUN`` is a run folder."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.yaml").write_text(QUICKSTART, encoding="utf-8")
    (tmp_path / "experiments" / "fleets").symlink_to(ROOT / "experiments" / "fleets")
    files_before(block, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NINES_HISTORY", "runs/history.db")
    if any(line.startswith("nines validate first.yaml") for line in block.text.splitlines()):
        assert "nines init first.yaml" in block.text
    for line in block.text.splitlines():
        words = [str(quick_run) if word == "RUN" else word for word in shlex.split(line, comments=True)]
        match words:
            case ["make", goal]:
                assert re.search(rf"^{goal}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), line
            case ["pytest", *_]:
                _check_pytest_options(words)
            case ["nines", "run", *rest]:
                assert cli.main(["run", *rest, "--runtime", "fake"]) in (0, 1, 3), capsys.readouterr().err
            case ["nines", "explore", *rest]:
                assert cli.main(["explore", *rest]) in (0, 1), capsys.readouterr().err
            case ["nines", "gate", *rest]:
                assert cli.main(["gate", *rest, "--runtime", "fake"]) in (0, 1, 3), capsys.readouterr().err
            case ["nines", "compare", *rest]:
                assert cli.main(["compare", *rest]) in (0, 1, 3), capsys.readouterr().err
            case ["nines", "doctor"]:
                assert cli.main(words[1:]) in (0, 5)
            case ["nines", *rest]:
                assert cli.main(rest) == 0, capsys.readouterr().err
            case _:
                pytest.fail(f"nobody knows how to try '{line}'")


def _check_pytest_options(words: list[str]) -> None:
    """Ours exist; pytest's own are its business."""
    source = (ROOT / "chaos" / "pytest_plugin.py").read_text(encoding="utf-8")
    for word in words:
        if word.startswith("--nines"):
            assert f'"{word}"' in source, word


# --- Python ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("python", "test"))
def test_tests_in_the_docs_pass(block: Block, pytester: pytest.Pytester, quick_run: Path) -> None:
    """Copied into a project as they stand, on the fake runtime, they pass."""
    assert quick_run.exists()
    folder = pytester.mkdir("experiments")
    (folder / "quickstart.yaml").write_text(QUICKSTART, encoding="utf-8")
    pytester.makepyfile(test_page=block.text)
    result = pytester.runpytest_inprocess("--nines-runtime", "fake", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}, result.stdout.str()


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "pycon" for block in blocks_of(page))], ids=str)
def test_sessions_in_the_docs_go_as_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed into Python on a page gives what the page shows, in its order, in one folder."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.yaml").write_text(QUICKSTART, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = "\n".join(block.text for block in blocks_of(page) if block.language == "pycon")
    session = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL, verbose=False)
    assert runner.run(session, out=told.append).failed == 0, "".join(told)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_compiles(block: Block) -> None:
    """All of it is at least Python."""
    compile(block.text, str(block.page), "exec")


# --- completeness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "struct",
    [cluster.ClusterSpec, cluster.AttachSpec, cluster.Dns, cluster.DnsCheck, traffic.TrafficSpec, traffic.ClientPolicy, traffic.OutageRule,
     Limits, AbortIf, AbortCommand, Slo, PredictSpec, Experiment],
    ids=lambda struct: struct.__name__,
)  # fmt: skip
def test_every_key_of_an_experiment_is_explained(struct: type[msgspec.Struct]) -> None:
    """docs/experiments.md names every key there is."""
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert not {word for word in keys_of(struct).fields if not re.search(rf"\b{word}\b", page)}


@pytest.mark.parametrize("kind", sorted(tables.FAULTS))
def test_every_fault_is_explained(kind: str) -> None:
    """docs/faults.md has a row for each fault, with each of its fields."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{kind}` |"))
    fields = keys_of(tables.find("faults", kind)).fields
    assert not {field for field in fields if f"`{field}`" not in row}


def test_every_key_of_a_target_is_explained() -> None:
    """docs/targets.md names every key, every probe and every template name."""
    from chaos.experiment.target.templates import RESERVED

    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert not [key for key in keys_of(Target).fields if f"`{key}`" not in page]
    assert not [probe for probe in tables.PROBES if f"| `{probe}` |" not in page]
    assert not [name for name in RESERVED if f"`{{{name}" not in page]


def test_every_parameter_is_explained() -> None:
    """docs/models.md has each parameter of the models."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert not [name for name in parameters.KNOWN if f"`{name}`" not in page]


def test_every_verb_is_shown_somewhere() -> None:
    """Each verb of the command line stands in the README or the docs."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [verb for verb in cli.VERBS if f"nines {verb}" not in text]


def test_every_state_is_explained() -> None:
    """docs/reports.md has each, with its icon and its meaning."""
    page = " ".join((ROOT / "docs" / "reports.md").read_text(encoding="utf-8").split())
    for state in (each for each in states.STATES.values() if each is not states.UNKNOWN):
        assert f"{state.icon} {state.word} " in page and state.meaning in page, state.name


def test_every_exit_status_is_explained() -> None:
    """docs/ci.md has each."""
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert not [code for code in ("0", "1", "2", "3", "4", "5", "6", "70") if f"| {code} |" not in page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of ours finds it, and a page has one title."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not link.startswith(("http://", "https://")):
            assert (page.parent / link).exists(), link
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_shipped_experiments_are_mentioned_as_they_are() -> None:
    """A path to an experiment in the docs is one that exists."""
    for page in PAGES:
        for name in re.findall(r"experiments/([\w-]+\.yaml)", page.read_text(encoding="utf-8")):
            assert (ROOT / "experiments" / name).exists(), f"{page.name}: {name}"
            order(ROOT / "experiments" / name)
