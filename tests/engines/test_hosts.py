"""Three hosts with an engine each, in namespaces of their own, tied together by a run: who is where, what goes dark, what is left.

The command stands on the first host, or on none of them: then the engines are reached by a context with TLS, by ``ssh://`` and by ``tcp://``
with TLS, and the harness travels to the first.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine.connection import answers, connect
from chaos.engine.images.ensure import ensure_harness, ensure_target
from chaos.engine.leftovers import ROLE
from chaos.experiment.target.load import load_target
from chaos.history.events import ClockMapped, FaultEffective, FaultGone, FaultHealed, NodeChanged, NodeUp, RunEnded
from chaos.history.folder import RunFolder
from chaos.history.owed import owed
from chaos.runtimes.base.machines.errands import KEEPER
from tests.support import hosts
from tests.support.engine_transports import SSHD, certificates, ssh_before, tls_before
from tests.support.hosts import Rack
from tests.support.needs import need
from tests.support.paths import ROOT

EXPERIMENT = """
experiment: hosts
question: What do clients see when a host goes?
cluster:
  target: replicated_kv
  nodes: 3
  runtime: docker
  dns: {{balancer: health-checked, ttl: 1s}}
  hosts:
    a: {{engine: "{a}", address: {at_a}}}
    b: {{engine: "{b}", address: {at_b}, power_off: "{order} off b {folder}", power_on: "{order} on b {folder}"}}
    c: {{engine: "{c}", address: {at_c}}}
traffic: {{operations: {{write: 20/s, read: 20/s}}, judge: write}}
baseline: 2s
faults:
{faults}
settle: 20s
objectives: {{availability: ">= 10%"}}
"""
CUT_AND_KILL = """
  - {kill: {recovery: restart}, target: n2, at: 1s, for: 2s}
  - {partition: {}, target: {host: c}, at: 10s, for: 2s}
  - {power_off: {}, target: {host: b}, at: 20s, for: 2s}
"""
OFF = "  - {name: dark, power_off: {by: command}, target: {host: b}, at: 1s, for: 4s}"
PROBE = """
import json, pathlib, socket, sys, time
place, enough, rows = (sys.argv[1], int(sys.argv[2])), pathlib.Path(sys.argv[3]), []
while not enough.exists():
    sent_ns = time.monotonic_ns()
    try:
        socket.create_connection(place, 0.1).close()
        rows.append((sent_ns, "answers"))
    except TimeoutError:
        rows.append((sent_ns, "silent"))
    except OSError as error:
        rows.append((sent_ns, "refuses"))
    time.sleep(0.005)
print(json.dumps(rows))
"""
WITHIN_S = 240.0
GONE_WITHIN_S = 20.0
ENDED_WITHIN_S = 40.0
"""Agents wait 15 s for a harness that does not speak; the rest is for a machine that is busy."""
CONTEXT = "hosts-a"


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    need("hosts of their own", hosts.may(), "root, dockerd, unshare, nsenter, nftables, iproute2")
    folder = Path(os.environ.get("NINES_TEST_HOSTS_FOLDER") or "/var/tmp/nines-hosts")  # noqa: S108 - images stay for the next time
    with hosts.running(folder) as found:
        with connect(found.socket("a"), checked=False) as engine:  # from here there is a way to packages, from the hosts there is none
            ensure_harness(engine)
            for part in (target := load_target("replicated_kv")).parts:
                ensure_target(engine, target, part)
        yield found


@pytest.fixture
def folder(rack: Rack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NINES_HISTORY", str(tmp_path / "history.db"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DOCKER_HOST", rack.engine("c"))  # nothing may depend on it
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(rack: Rack, folder: Path, faults: str, *engines: str) -> Path:
    """The experiment on these hosts; from the first one: by its socket, by TCP, and by a socket as well."""
    a, b, c = engines or (rack.socket("a"), rack.engine("b"), rack.socket("c"))
    text = EXPERIMENT.format(
        a=a, at_a=rack.address("a"), b=b, at_b=rack.address("b"), c=c, at_c=rack.address("c"),
        order=f"{sys.executable} -m tests.support.hosts", folder=rack.folder, faults=faults.strip("\n"),
    )  # fmt: skip
    path = folder / "hosts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def started(rack: Rack, *words: str) -> subprocess.Popen[str]:
    """The command, on the first host."""
    command = rack.inside("a", sys.executable, "-m", "chaos", *words)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(process: subprocess.Popen[str]) -> str:
    """What it said, and its exit status on the last line."""
    said, _ = process.communicate(timeout=WITHIN_S)
    return f"{said}\n{process.returncode}"


def kill_below(process: subprocess.Popen[str]) -> None:
    """The command itself, below what started it on its host."""
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split():
        os.kill(int(pid), signal.SIGKILL)
    process.communicate(timeout=WITHIN_S)


def rules_on(rack: Rack, name: str) -> str:
    """Rules that drop packets, in the networks of all agents there, as the kernel lists them."""
    with connect(rack.socket(name), checked=False) as engine:
        api, found = engine.client.api, ""
        for agent in api.containers(filters={"label": f"{ROLE}=agent"}):
            listed = api.exec_start(api.exec_create(agent["Id"], ["nft", "list", "ruleset"], user="root")["Id"]).decode()
            found += "".join(line for line in listed.splitlines(keepends=True) if "drop" in line)
        return found


def ran(said: str) -> None:
    """It came to its end. On a busy machine its figures may not count (3): these tests look at what was done, not at how well it went."""
    assert said.rsplit("\n", 1)[-1] in ("0", "3"), said


def await_row(run: RunFolder, kind: type) -> object:
    """The first of its kind, as soon as it is there."""
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        if run.history.exists() and (found := next((row for row in run.rows() if isinstance(row, kind)), None)) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {kind.__name__} within {WITHIN_S:g} s")


def await_paid(rack: Rack, run: RunFolder) -> None:
    """Host b is on again, and nothing is owed to it."""
    until_s = time.monotonic() + WITHIN_S
    while owed(run.path) or not answers({"DOCKER_HOST": rack.socket("b")}):
        assert time.monotonic() < until_s
        time.sleep(0.1)


def nothing_left(rack: Rack) -> bool:
    """On no host. The kernel takes the interfaces of a namespace away a moment after its last process."""
    until_s = time.monotonic() + GONE_WITHIN_S
    while left := [f"{name}: {each}" for name in rack.names for each in hosts.left_on(rack, name)]:
        if time.monotonic() > until_s:
            print(left)
            return False
        time.sleep(0.1)
    return True


def test_a_run_stands_on_three_hosts_and_leaves_nothing(rack: Rack, folder: Path) -> None:
    """Nodes in turn; a kill, a cut and a dark host by rules are proven there and gone; times of agents elsewhere are mapped."""
    said = done(started(rack, "run", str(written(rack, folder, CUT_AND_KILL)), "--folder", "run", "--seed", "3"))
    ran(said)
    rows = list(RunFolder(folder / "run").rows())
    assert {row.node: row.zone for row in rows if isinstance(row, NodeUp)} == {"n1": "a", "n2": "b", "n3": "c"}
    assert len([row for row in rows if isinstance(row, FaultEffective)]) == 3
    assert all(not row.not_back for row in rows if isinstance(row, FaultGone))
    assert {row.node for row in rows if isinstance(row, ClockMapped)} == {"n2", "n3"}
    assert nothing_left(rack)


def test_a_host_is_switched_off_and_comes_back(rack: Rack, folder: Path) -> None:
    """Since when it is silent agrees with a probe of the test's own; agent and system stand again, at the same address."""
    run = RunFolder(folder / "run")
    process = started(rack, "run", str(written(rack, folder, OFF)), "--folder", "run", "--seed", "3")
    await_row(run, NodeUp)
    place = next(row for row in run.rows() if isinstance(row, NodeUp) and row.node == "n2")
    probe = subprocess.Popen(
        rack.inside("a", sys.executable, "-c", PROBE, place.address, str(place.ports["client"]), str(folder / "enough")),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ran(done(process))
    finally:
        (folder / "enough").touch()
    seen = json.loads(probe.communicate(timeout=WITHIN_S)[0].splitlines()[-1])
    rows = list(run.rows())
    effective = next(row for row in rows if isinstance(row, FaultEffective))
    healed = next(row for row in rows if isinstance(row, FaultHealed))
    answered = [at_ns for at_ns, how in seen if how == "answers"]
    last_answer_ns, back_ns = max(itertools.pairwise(answered), key=lambda pair: pair[1] - pair[0])
    first_silent_ns = next(at_ns for at_ns, how in seen if at_ns > last_answer_ns and how == "silent")
    assert last_answer_ns - 50_000_000 <= effective.at_ns <= first_silent_ns + 300_000_000
    assert effective.at_ns < healed.at_ns <= back_ns + 100_000_000
    deaths = [row for row in rows if isinstance(row, NodeChanged) and row.node == "n2" and row.detail == "power off"]
    assert len(deaths) == 1
    assert next(row for row in rows if isinstance(row, RunEnded)).left == []
    assert nothing_left(rack)


def test_a_command_that_fails_harms_nothing(rack: Rack, folder: Path) -> None:
    """The fault is not done, the host runs on, and so does the run."""
    path = written(rack, folder, OFF)
    path.write_text(path.read_text(encoding="utf-8").replace(" off b ", " no-such-order b "), encoding="utf-8")
    said = done(started(rack, "run", str(path), "--folder", "run", "--seed", "3"))
    rows = list(RunFolder(folder / "run").rows())
    assert not [row for row in rows if isinstance(row, FaultEffective)], said
    assert not [row for row in rows if isinstance(row, NodeChanged) and row.node == "n2" and row.detail]
    assert next(row for row in rows if isinstance(row, RunEnded)).left == []
    assert "switches host 'b' off failed" in said
    assert nothing_left(rack)


def test_a_dead_harness_leaves_no_host_off(rack: Rack, folder: Path) -> None:
    """Its keeper switches it on, with nobody's help; heal removes the rest from all hosts."""
    run = RunFolder(folder / "run")
    process = started(rack, "run", str(written(rack, folder, OFF.replace("for: 4s", "for: 60s"))), "--folder", "run", "--seed", "3")
    await_row(run, FaultEffective)
    assert not answers({"DOCKER_HOST": rack.socket("b")})
    assert [(each.do, each.host) for each in owed(run.path)] == [("power_on", "b")]
    kill_below(process)
    await_paid(rack, run)
    assert "container" in done(started(rack, "leftovers"))
    said = done(started(rack, "heal"))
    assert said.endswith("\n0"), said
    assert nothing_left(rack)
    assert "No leftovers" in done(started(rack, "leftovers"))


def test_hosts_that_hear_nothing_of_each_other_are_refused(rack: Rack, folder: Path, request: pytest.FixtureRequest) -> None:
    """Before any node is started, with the pair and the port that must be open, though the first host hears both; nothing is left."""
    rack.part("b", "c")
    request.addfinalizer(lambda: rack.unite("b", "c"))
    said = done(started(rack, "run", str(written(rack, folder, CUT_AND_KILL)), "--folder", "run"))
    assert said.endswith("\n5"), said
    assert "do not hear each other over VXLAN within 5 s: 'b' and 'c'\n" in said
    assert f"open UDP 4790 between {rack.address('b')} and {rack.address('c')}, in both directions" in said
    assert nothing_left(rack)


def test_a_host_that_was_cut_off_is_joined_by_its_agents_when_the_harness_dies(rack: Rack, folder: Path) -> None:
    """By the kernel's word, within the time that agents wait; what is left is found and removed."""
    run = RunFolder(folder / "run")
    faults = "  - {partition: {}, target: {host: c}, at: 1s, for: 60s}"
    process = started(rack, "run", str(written(rack, folder, faults)), "--folder", "run", "--seed", "3")
    await_row(run, FaultEffective)
    assert rules_on(rack, "c")
    kill_below(process)
    until_s = time.monotonic() + ENDED_WITHIN_S
    while rules := rules_on(rack, "c"):
        assert time.monotonic() < until_s, rules
        time.sleep(0.2)
    assert "container" in done(started(rack, "leftovers"))
    said = done(started(rack, "heal"))
    assert said.endswith("\n0"), said
    assert nothing_left(rack)


# --- from outside ------------------------------------------------------------------------------------------------------


@pytest.fixture
def outside(folder: Path, ways: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:  # noqa: ARG001 - it sets what is unset here
    """The same for one test; the docker command itself would reach none of them."""
    monkeypatch.delenv("DOCKER_HOST")
    return ways


@pytest.fixture(scope="module")
def ways(rack: Rack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The engines as this machine reaches them, which stands on none of the hosts."""
    need("sshd", SSHD.exists(), "sudo apt-get install openssh-server")
    need("openssl")
    top = tmp_path_factory.mktemp("ways")
    for each in ("tls", "ssh"):
        (top / each).mkdir()
    certificates(top / "tls")
    with (
        tls_before(path_of(rack, "a"), top / "tls") as a,
        ssh_before(path_of(rack, "b"), top / "ssh") as (b, path),
        tls_before(path_of(rack, "c"), top / "tls") as c,
        pytest.MonkeyPatch.context() as patch,
    ):
        context(top / "docker", f"tcp://127.0.0.1:{a}", top / "tls")
        for name, value in (
            ("DOCKER_CONFIG", str(top / "docker")), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", str(top / "tls")), ("PATH", path),
        ):  # fmt: skip
            patch.setenv(name, value)
        yield CONTEXT, b, f"tcp://127.0.0.1:{c}"


def path_of(rack: Rack, name: str) -> str:
    return rack.socket(name).removeprefix("unix://")


def context(folder: Path, where: str, tls: Path) -> None:
    """As ``docker context create`` writes it."""
    digest = hashlib.sha256(CONTEXT.encode()).hexdigest()
    meta, files = folder / "contexts" / "meta" / digest, folder / "contexts" / "tls" / digest / "docker"
    for each in (meta, files):
        each.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": CONTEXT, "Endpoints": {"docker": {"Host": where, "SkipTLSVerify": False}}}))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(tls / name, files / name)


def here(*words: str) -> subprocess.Popen[str]:
    """The command, on this machine."""
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_from_outside_the_harness_travels_to_the_first_host(rack: Rack, folder: Path, outside: tuple[str, ...]) -> None:
    """A kill, a cut and a loss of power by the command's own program, on engines of which the first host has no keys; nothing is left."""
    faults = CUT_AND_KILL.replace("power_off: {}", "power_off: {by: command}")
    said = done(here("run", str(written(rack, folder, faults, *outside)), "--folder", "run", "--seed", "3"))
    ran(said)
    rows = list(RunFolder(folder / "run").rows())
    assert {row.node: row.zone for row in rows if isinstance(row, NodeUp)} == {"n1": "a", "n2": "b", "n3": "c"}
    assert len([row for row in rows if isinstance(row, FaultEffective)]) == 3, said
    assert all(not row.not_back for row in rows if isinstance(row, FaultGone))
    assert [row.node for row in rows if isinstance(row, NodeChanged) and row.detail == "power off"] == ["n2"]
    assert {row.node for row in rows if isinstance(row, ClockMapped)} == {"n2", "n3"}
    assert next(row for row in rows if isinstance(row, RunEnded)).left == []
    assert nothing_left(rack)
    assert "No leftovers" in done(here("leftovers"))


def test_a_command_that_dies_while_a_host_is_off(rack: Rack, folder: Path, outside: tuple[str, ...]) -> None:
    """Its keeper switches the host on. The harness rolls back what it can reach, and ends; heal removes the rest, and brings what was
    measured."""
    path = written(rack, folder, OFF.replace("for: 4s", "for: 60s"), *outside)
    process = here("run", str(path), "--folder", "run", "--seed", "3")
    until_s = time.monotonic() + WITHIN_S
    while answers({"DOCKER_HOST": rack.socket("b")}) and time.monotonic() < until_s:
        assert process.poll() is None, done(process)
        time.sleep(0.1)
    run = RunFolder(folder / "run")
    assert [(each.do, each.host) for each in owed(run.path)] == [("power_on", "b")]
    process.kill()
    process.communicate(timeout=WITHIN_S)
    await_paid(rack, run)
    said = done(here("heal"))
    assert said.endswith("\n0"), said
    assert nothing_left(rack)
    assert "No leftovers" in done(here("leftovers"))
    assert any(isinstance(row, RunEnded) for row in run.rows())


def test_a_command_and_its_keeper_die_while_a_host_is_off(rack: Rack, folder: Path, outside: tuple[str, ...]) -> None:
    """What is owed is on the disk here, and heal pays it."""
    path = written(rack, folder, OFF.replace("for: 4s", "for: 60s"), *outside)
    process = here("run", str(path), "--folder", "run", "--seed", "3")
    until_s = time.monotonic() + WITHIN_S
    while answers({"DOCKER_HOST": rack.socket("b")}) and time.monotonic() < until_s:
        assert process.poll() is None, done(process)
        time.sleep(0.1)
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split():
        if KEEPER.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    process.kill()
    process.communicate(timeout=WITHIN_S)
    assert "power_on" in done(here("leftovers"))
    said = done(here("heal"))
    assert said.endswith("\n0"), said
    assert answers({"DOCKER_HOST": rack.socket("b")})
    assert nothing_left(rack)
    assert "No leftovers" in done(here("leftovers"))


def test_hosts_themselves_go_dark_and_come_back(rack: Rack) -> None:
    """What these tests stand on: no packet of a host without power, everything of it dead, its images still there."""
    words = rack.inside("a", "python3", "-c", f"import socket; socket.create_connection(('{rack.address('b')}', 2375), 0.5)")

    def answers() -> bool:
        return subprocess.run(words, capture_output=True, check=False, timeout=10).returncode == 0

    def await_answers() -> None:
        until_s = time.monotonic() + GONE_WITHIN_S
        while not answers():
            assert time.monotonic() < until_s

    await_answers()
    rack.off("b")
    assert not answers()
    rack.on("b")
    await_answers()
    with connect(rack.socket("b"), checked=False) as engine:
        assert engine.facts.name == "b"
