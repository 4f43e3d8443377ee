"""Containers that are not ours: harmed and measured from outside, then exactly as they were, whatever becomes of us."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos import cli, leftovers, leftovers_docker
from chaos.agent_link import AgentLink, Event
from chaos.clock import MonotonicClock
from chaos.engine import Engine
from chaos.engine_network import make_network
from chaos.images import GUEST
from chaos.runtimes.docker_attach_find import Key, look_up

WITHIN_S = 90.0
PORT = 8000
ASK_INSIDE = f"import urllib.request as u; print(u.urlopen('http://{{}}:{PORT}/', timeout=1).status)"


class Theirs:
    """Three plain web servers with one label and one name, on a network that nobody of us made."""

    def __init__(self, engine: Engine, image: str, policy: str, word: str) -> None:
        self.api = engine.client.api
        self.word = word
        self.labels = {"nines.test": word, "app": word}
        make_network(engine, word, {"nines.test": word}, random.SystemRandom())
        self.ids = [self._start(f"{self.word}-{number}", image, policy) for number in (1, 2, 3)]
        self.before = [self.state(number) for number in (1, 2, 3)]

    def _start(self, name: str, image: str, policy: str) -> str:
        host = self.api.create_host_config(network_mode=self.word, restart_policy={"Name": policy, "MaximumRetryCount": 0})
        place = self.api.create_networking_config({self.word: self.api.create_endpoint_config(aliases=["web"])})
        command = ["python3", "-m", "http.server", str(PORT)]
        made = self.api.create_container(image, command, name=name, labels=self.labels, host_config=host, networking_config=place)
        self.api.start(made["Id"])
        return str(made["Id"])

    def inspected(self, number: int) -> dict[str, Any]:
        """The container of node ``n<number>``."""
        found: dict[str, Any] = self.api.inspect_container(self.ids[number - 1])
        return found

    def state(self, number: int) -> tuple[bool, bool, str]:
        """What must be as before: runs, is not paused, has this address."""
        found = self.inspected(number)
        return found["State"]["Running"], found["State"]["Paused"], found["NetworkSettings"]["Networks"][self.word]["IPAddress"]

    def answers(self, number: int, within_s: float = 0.5) -> bool:
        """Asked from this machine, past everything of ours."""
        try:
            with urllib.request.urlopen(f"http://{self.state(number)[2] or '127.0.0.1'}:{PORT}/", timeout=within_s) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def await_answer(self, number: int) -> None:
        """Until it answers."""
        until_s = time.monotonic() + WITHIN_S
        while not self.answers(number):
            assert time.monotonic() < until_s, f"n{number} does not answer"
            time.sleep(0.05)

    def reaches(self, number: int, other: int) -> bool:
        """Asked by one of them of another, over their own network."""
        command = ["python3", "-c", ASK_INSIDE.format(self.before[other - 1][2])]
        execution = self.api.exec_create(self.ids[number - 1], command)["Id"]
        self.api.exec_start(execution)
        return bool(self.api.exec_inspect(execution)["ExitCode"] == 0)

    def assert_as_before(self, engine: Engine, image: str) -> None:
        """All run at their old places and answer, and there is no table of ours in any of their networks."""
        for number in (1, 2, 3):
            self.await_answer(number)
            assert self.state(number) == self.before[number - 1]
        for number in (1, 2, 3):
            said = engine.client.containers.run(
                image, ["nft", "list", "tables"], network_mode=f"container:{self.ids[number - 1]}", cap_add=["NET_ADMIN"], remove=True,
                labels=self.labels,
            )  # fmt: skip
            assert b"nines" not in said
        ours = [each for each in leftovers_docker.things(self.api) if self.word in each.name or self.word in each.run]
        assert ours == []


@contextmanager
def theirs(engine: Engine, image: str, policy: str = "no") -> Iterator[Theirs]:
    """Up and answering; taken away afterwards, whatever a test did to them and however far they came."""
    word, api = f"attach-{os.getpid()}-{random.randrange(1 << 30):x}", engine.client.api
    try:
        made = Theirs(engine, image, policy, word)
        for number in (1, 2, 3):
            made.await_answer(number)
        yield made
    finally:
        for each in api.containers(all=True, filters={"label": f"nines.test={word}"}):
            api.remove_container(each["Id"], force=True, v=True)
        for each in api.networks(filters={"label": f"nines.test={word}"}):
            api.remove_network(each["Id"])


@pytest.fixture
def state(harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of the test's own; the image is there, so nothing waits for it."""
    assert harness_image
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


def words(there: Theirs, *fault: str) -> list[str]:
    """The command line for one fault on them."""
    ask = f"http://{{address}}:{PORT}/"
    return ["inject", *fault, "--attach", f"label=app={there.word}", "--ask", ask, "--folder", there.word]


@contextmanager
def injecting(there: Theirs, *fault: str) -> Iterator[subprocess.Popen[str]]:
    """``nines inject`` in a process of its own, its fault in force; it is dead afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "chaos", *words(there, *fault)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("effective"):
                break
        else:
            pytest.fail(f"it ended before it took effect:\n{said}")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_each_fault_holds_and_leaves_no_trace(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frozen, cut from each other, killed: seen from outside while it lasts; a restart policy does not undo what has a limit."""
    with theirs(engine, base_image, policy="always") as there:
        with injecting(there, "pause", "--to", "n2", "--for", "600s") as process:
            assert not there.answers(2)
            assert there.answers(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN_S) == 143
        there.await_answer(2)
        folder = Path(there.word)
        folder.rename("first")
        with injecting(there, "partition", "--set", "groups=[[n1], [n2, n3]]", "--for", "600s") as process:
            assert not there.reaches(1, 2)
            assert not there.reaches(3, 1)
            assert there.reaches(2, 3)
            assert there.answers(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN_S) == 130
        assert there.reaches(1, 2)
        folder.rename("second")
        assert cli.main([*words(there, "kill", "--to", "n1", "--for", "1s"), "--json"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert done["status"] == "healed"
        assert done["during"]["n1.process"] == "down"
        assert done["healed_s"] - done["effective_s"] >= 1.0, "its policy would have brought it back at once"
        assert there.inspected(1)["RestartCount"] == 0
        there.assert_as_before(engine, harness_image)
        assert leftovers.leftovers() == []


def test_what_a_killed_harness_left_is_healed(state: Path, engine: Engine, base_image: str, harness_image: str) -> None:
    """One frozen and one dead, and rules in all networks: listed, then as before; what it had killed is started again."""
    with theirs(engine, base_image) as there:
        with injecting(there, "pause", "--to", "n2", "--for", "600s") as process:
            process.kill()
            process.wait()
        assert not there.answers(2)
        kinds = {item.kind for item in leftovers.leftovers()}
        assert {"container", "undo", "record"} <= kinds
        assert leftovers.heal().could_not == []
        there.await_answer(2)
        Path(there.word).rename("first")
        with injecting(there, "power_off", "--to", "n1", "--for", "600s") as process:
            process.kill()
            process.wait()
        assert not there.answers(1)
        assert leftovers.heal().could_not == []
        there.assert_as_before(engine, harness_image)
        assert leftovers.leftovers() == []


def test_a_guest_heals_alone(state: Path, engine: Engine, base_image: str, harness_image: str) -> None:
    """Nobody speaks to it any more: what it had frozen goes on, its rules are gone, table and all; others' processes were never its."""
    with theirs(engine, base_image) as there:
        container = there.ids[0]
        guest = engine.client.containers.create(
            harness_image, list(GUEST), stdin_open=True, cap_add=["NET_ADMIN"], network_mode=f"container:{container}", pid_mode="host",
            environment={"NINES_GUEST_OF": container, "NINES_ORPHAN_AFTER_S": "2"}, labels=there.labels,
        )  # fmt: skip
        told: list[Event] = []
        link = AgentLink(there.api, str(guest.id), node="n1", clock=MonotonicClock(), on_event=lambda _, event: told.append(event))
        try:
            guest.start()
            link.hello(WITHIN_S)
            status = link.call("status")
            assert (status.state, len(status.pids)) == ("up", 1), "the processes of one container, and no others"
            link.call("nft", commands=["add chain inet nines some"])
            link.call("pause")
            assert link.call("status").state == "paused"
            assert not there.answers(1)
            link.close()
            until_s = time.monotonic() + WITHIN_S
            while b'"orphaned"' not in guest.logs():
                assert time.monotonic() < until_s
                time.sleep(0.05)
            there.await_answer(1)
        finally:
            link.close()
            guest.remove(force=True)
        there.assert_as_before(engine, harness_image)


def test_an_experiment_on_what_runs_already(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Traffic through their own name, a kill that their own restart policy mends, a report; and all is as before."""
    with theirs(engine, base_image, policy="always") as there:
        text = f"""
experiment: {there.word}
question: Do visitors notice when a web server dies?
cluster: {{attach: {{label: app={there.word}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://web:{PORT}/", rate: 20/s}}}}, client: {{attempts: 3}}}}
baseline: 1s
settle: 8s
faults: [{{kill: {{recovery: policy}}, target: n3, at: 0.5s, for: 1s}}]
"""
        Path("web.yaml").write_text(text, encoding="utf-8")
        cli.main(["run", "web.yaml", "--json", "--quiet", "--folder", there.word])
        report = json.loads(capsys.readouterr().out)
        (fault,) = report["faults"]
        assert fault["status"] == "healed", fault
        assert fault["class"] == "kill/node"
        assert report["exit_code"] in (0, 3), report["reasons"]
        service = report["observed"]["services"]["home"]
        assert service["probes"]["home"]["ok"] > 0
        assert len(service["addresses"]) == 3, "each of them was found by the name and asked"
        assert there.inspected(3)["RestartCount"] == 1
        there.assert_as_before(engine, harness_image)
        assert cli.main(["validate", "web.yaml"]) == 0


def test_what_does_not_fit_is_refused_before_anything_is_done(
    state: Path, engine: Engine, base_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another number than run, one that is frozen, a label that nobody has, a fault that would not leave it as it was."""
    with theirs(engine, base_image) as there:
        text = f"""
experiment: {there.word}
question: Is it refused?
cluster: {{attach: {{label: app={there.word}}}, nodes: 4}}
traffic: {{operations: {{home: {{http: "http://web:{PORT}/", rate: 20/s}}}}}}
faults: [{{pause: {{}}, target: any, at: 1s, for: 1s}}]
"""
        Path("web.yaml").write_text(text, encoding="utf-8")
        assert cli.main(["run", "web.yaml", "--quiet"]) == 5
        assert "3 running containers" in capsys.readouterr().err
        there.api.pause(there.ids[0])
        Path("web.yaml").write_text(text.replace("nodes: 4", "nodes: 3"), encoding="utf-8")
        assert cli.main(["run", "web.yaml", "--quiet"]) == 5
        assert "does not run" in capsys.readouterr().err
        there.api.unpause(there.ids[0])
        assert cli.main(words(there, "remove", "--to", "n1", "--for", "1s")) == 5
        there.word = "nobody"
        assert cli.main(words(there, "pause", "--to", "n1", "--for", "1s")) == 2
        assert leftovers.leftovers() == []


def test_one_is_found_again_by_what_survives_it(engine: Engine, base_image: str) -> None:
    """By its name, or by its place in a compose project, whatever its id has become."""
    with theirs(engine, base_image) as there:
        key = Key("n1", name=f"{there.word}-1")
        found = look_up(there.api, key)
        assert found is not None
        assert found["Id"] == there.ids[0]
        there.api.remove_container(there.ids[0], force=True, v=True)
        assert look_up(there.api, key) is None
        labels = {
            "com.docker.compose.project": there.word, "com.docker.compose.service": "web", "com.docker.compose.container-number": "1",
            "nines.test": there.word,
        }  # fmt: skip
        there.ids[0] = str(there.api.create_container(base_image, ["true"], labels=labels)["Id"])
        again = look_up(there.api, Key("n1", project=there.word, service="web", number="1"))
        assert again is not None
        assert again["Id"] == there.ids[0]
