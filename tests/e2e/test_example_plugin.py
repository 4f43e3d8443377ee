"""A package of plug-ins that lives outside of ``chaos/``: each kind works wherever a shipped one does, by its entry point alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.core import plugins
from chaos.core.values import Link
from chaos.data.check import carried_out
from chaos.data.operations import DataHistory, KeyHistory, Operation
from chaos.history.observations import Outcome, Why
from chaos.plugin import Deployment
from chaos.testing.faults import check_fault
from chaos.testing.probes import check_probe
from chaos.testing.runtimes import RuntimeContract, RuntimeStage
from tests.support.echo_deployment import echo_deployment, echo_plan, need_toxiproxy
from tests.support.histories import journal_of
from tests.support.paths import ROOT

pytestmark = pytest.mark.e2e

PACKAGE = ROOT / "tests" / "example_plugin"
JUDGED = (0, 3)
"""A busy machine may not send every request in time, and the report then says so; the fault has been done all the same."""
EXPERIMENT = """
experiment: caged
question: What does a hiccup cost?
cluster: {target: replicated_kv, nodes: 3, runtime: RUNTIME}
traffic:
  operations:
    write: 50/s
    door: {knock: "{address}:{client}", rate: 20/s}
  judge: write
baseline: 1s
faults:
  - {hiccup: {every: EVERY}, target: leader, at: 1s, for: 1500ms}
settle: 10s
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an experiment, as a user has one."""
    for name, runtime, every in (("caged", "cage", "2s"), ("virtual", "fake", "100ms"), ("docker", "docker", "100ms")):
        text = EXPERIMENT.replace("RUNTIME", runtime).replace("EVERY", every)
        if runtime == "fake":
            text = text.replace('    door: {knock: "{address}:{client}", rate: 20/s}\n', "")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def environment(here: Path) -> dict[str, str]:
    """The package is installed, for this process and those that it starts."""
    path = os.pathsep.join([str(PACKAGE), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "NINES_STATE": str(here / "state"), "NINES_CAGES": str(here / "cages")}


def called(here: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """The command, as installed; ``path``: without the package."""
    env = environment(here) | ({"PYTHONPATH": path} if path else {})
    return subprocess.run([sys.executable, "-m", "chaos", *words], check=False, cwd=here, env=env, capture_output=True, text=True)


def nines(here: Path, *words: str, status: tuple[int, ...] = (0,)) -> str:
    """Its standard output."""
    done = called(here, *words)
    assert done.returncode in status, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return done.stdout


# --- known like the shipped ones ---------------------------------------------------------------------------------------


def test_it_is_planned_and_predicted_and_stands_in_the_runbook(here: Path) -> None:
    """By its own runtime, with its own model, and in its own words."""
    assert "on the runtime 'cage'" in (plan := nines(here, "plan", "caged.yaml"))
    assert "hiccup-1.1" in plan
    assert "write      hiccup/leader  100 %" in nines(here, "predict", "caged.yaml")
    assert "what a system does between two stops is its own" in nines(here, "predict", "virtual.yaml")
    runbook = nines(here, "runbook", "caged.yaml")
    assert "**hiccup**: `kill -CONT <pid>`" in runbook
    assert "recovered after" in runbook


def test_it_stands_in_the_schema(here: Path) -> None:
    """With its fields, their units and their texts; so do the probe and the runtime. What does not load does not."""
    schema = json.loads(nines(here, "validate", "--schema"))
    fault = schema["$defs"]["fault-hiccup"]
    assert fault["description"].startswith("`hiccup`: the node is frozen again and again")
    assert fault["properties"]["every"]["default"] == "100ms"
    assert "fault-broken" not in schema["$defs"]
    assert '"knock"' in json.dumps(schema)
    assert '"cage"' in json.dumps(schema)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("every: 2s", "every: 1ms", "cannot be seen"),
        ("every: 2s", "often: 2s", "unknown key 'often'"),
        ("hiccup:", "hicup:", "did you mean 'hiccup'?"),
        ("runtime: cage", "runtime: cge", "did you mean 'cage'?"),
        ("{address}:{client}", "db:{client}", "'db' is not asked"),
        ("hiccup: {every: 2s}", "broken: {}", "of nines-example does not load: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(here: Path, old: str, new: str, says: str) -> None:
    """As for a shipped one."""
    file = here / "caged.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = called(here, "validate", "caged.yaml")
    assert done.returncode in (2, 5)
    assert says in done.stdout + done.stderr


def test_the_doctor_lists_it(here: Path) -> None:
    """Each part with its package; one that does not load with its reason. Where the fault can be done is told by its needs alone."""
    found = {each["name"]: each for each in json.loads(nines(here, "doctor", "--json"))}
    assert [
        found[name]["state"] for name in ("fault hiccup", "runtime cage", "probe knock", "report csv", "model hiccup", "check no_blanks")
    ] == ["ok"] * 6
    assert "a_package_that_is_not_here" in found["fault broken"]["detail"]
    rows = {(row["fault"], row["runtime"]): row for row in json.loads(nines(here, "doctor", "--faults", "--json"))}
    assert all(rows["hiccup", runtime]["possible"] for runtime in ("local", "docker", "docker, attached", "cage"))
    assert not rows["load", "cage"]["possible"]
    assert "use the runtime 'local' or 'docker'" in rows["load", "cage"]["missing"][0]["why"]


# --- done --------------------------------------------------------------------------------------------------------------


def test_it_runs(here: Path) -> None:
    """The fault in the runtime, the probe's operation beside; reported in the package's format. Nothing is left of the cages."""
    need_toxiproxy()
    nines(here, "run", "caged.yaml", "--folder", "out", "--quiet", status=JUDGED)
    report = json.loads((here / "out" / "report.json").read_text(encoding="utf-8"))
    assert [(fault["kind"], fault["status"]) for fault in report["faults"]] == [("hiccup", "healed")]
    assert report["observed"]["services"].keys() == {"write", "door"}
    assert report["runtime"] == "cage"
    assert nines(here, "report", "out", "--format", "csv").startswith("caged,")
    assert list((here / "cages").iterdir()) == []


def test_it_runs_in_virtual_time(here: Path) -> None:
    """A fault that needs signals alone is done wherever there are any."""
    nines(here, "run", "virtual.yaml", "--folder", "out", "--quiet")
    assert '"status":"healed"' in (here / "out" / "report.json").read_text(encoding="utf-8").replace(" ", "")


@pytest.fixture
def held(here: Path) -> Iterator[subprocess.Popen[str]]:
    """``nines up`` on the foreign runtime, until it says that it is up."""
    need_toxiproxy()
    child = subprocess.Popen(
        [sys.executable, "-m", "chaos", "up", "caged.yaml", "--folder", "out"],
        cwd=here, env=environment(here), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip()
        yield child
    finally:
        child.kill()
        child.communicate()
        nines(here, "heal")


def test_it_is_injected_by_hand(here: Path, held: subprocess.Popen[str]) -> None:
    """Into a cluster that is held on the foreign runtime."""
    done = json.loads(nines(here, "inject", "hiccup", "--to", "n1", "--for", "1s", "--set", "every=200ms", "--json"))
    assert (done["status"], done["mechanism"]) == ("healed", "SIGSTOP, SIGCONT")


def test_a_crash_of_the_foreign_runtime_is_healed(here: Path, held: subprocess.Popen[str]) -> None:
    """SIGKILL of the harness: its processes and its cages are listed, the next run is refused, ``nines heal`` removes both."""
    held.send_signal(signal.SIGKILL)
    held.wait()
    left = {(row["kind"], row["subject"]) for row in json.loads(nines(here, "leftovers", "--json", status=(5,)))}
    assert {("cage", "n1"), ("cage", "n2"), ("cage", "n3"), ("process", "n1")} <= left
    nines(here, "run", "caged.yaml", "--folder", "again", status=(5,))
    assert "removed" in nines(here, "heal")
    assert json.loads(nines(here, "leftovers", "--json")) == []
    assert not any((here / "cages").glob("*/*"))


def test_without_its_package_a_crash_is_told_and_not_forgotten(here: Path, held: subprocess.Popen[str]) -> None:
    """Nobody else knows what a cage is."""
    held.send_signal(signal.SIGKILL)
    held.wait()
    done = called(here, "heal", path=str(ROOT))
    assert done.returncode == 6
    assert "the runtime 'cage' cannot be asked to heal (unknown runtime 'cage'" in done.stderr
    nines(here, "heal")


# --- held to the contracts ---------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """The package, for this process."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.setenv("NINES_CAGES", str(here / "cages"))
    plugins._added.cache_clear()
    plugins.failure.cache_clear()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What this process has found, for the tests after it."""
    yield
    plugins._added.cache_clear()
    plugins.failure.cache_clear()


@pytest.mark.usefixtures("installed")
def test_the_fault_passes_the_checks(tmp_path: Path) -> None:
    """Those that chaos.testing has for every fault."""
    check_fault("{hiccup: {every: 100ms}, target: n1, at: 1s, for: 1s}", tmp_path / "stage")


@pytest.mark.usefixtures("installed")
def test_the_check_of_data_judges_and_is_an_objective(here: Path) -> None:
    """It finds what it looks for, it is carried out with the shipped ones, and an objective may speak of it."""
    check = plugins.find("checks", "no_blanks")()
    blank = KeyHistory("k", [Operation(1, 1, "read", "k", None, "", 0, 10, "ok"), Operation(2, 1, "read", "k", None, "a", 20, 30, "ok")])
    assert carried_out(check, DataHistory("register", journal_of(blank)), 10.0).count == 1
    text = (here / "caged.yaml").read_text(encoding="utf-8").replace("runtime: cage", "runtime: local")
    planned = order_text(f"{text}data: {{}}\nobjectives: {{no_blanks: 0}}\n", here / "caged.yaml").plan
    assert planned.data is not None
    assert {"no_blanks", "lost_writes"} <= set(planned.data.checks)


@pytest.mark.usefixtures("installed")
def test_the_probe_passes_the_checks() -> None:
    """Against a port where somebody listens, and one where nobody does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        threading.Thread(target=server.accept, daemon=True).start()
        assert check_probe("knock", {"what": "{address}:{client}"}, "127.0.0.1", {"client": port}) == (Outcome.OK, Why.NONE)
    assert check_probe("knock", {"what": "{address}:{client}"}, "127.0.0.1", {"client": port}) == (Outcome.FAIL, Why.REFUSED)


@pytest.mark.usefixtures("installed")
class TestCage(RuntimeContract):
    """The contract of runtimes."""

    @pytest.fixture
    def stage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RuntimeStage:
        """In cages of this test alone."""
        need_toxiproxy()
        monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("NINES_CAGES", str(tmp_path / "cages"))

        def deployment(folder: Path, links: tuple[Link, ...]) -> Deployment:
            return echo_deployment(folder, echo_plan("cage", links))

        return RuntimeStage(plugins.find("runtimes", "cage")(), tmp_path / f"contract-cage-{tmp_path.name}", deployment)
