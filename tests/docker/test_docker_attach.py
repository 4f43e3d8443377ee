"""Containers that are not ours: harmed and measured from outside, then exactly as they were, whatever becomes of us."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.engine.connection import Engine
from chaos.run import leftovers
from chaos.runtimes.docker.attach.find import Key, look_up
from tests.support.theirs import PORT, WITHIN_S, guest_of, injecting, leave_alone, theirs, words


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


def test_what_a_guest_did_is_taken_back(state: Path, engine: Engine, base_image: str, harness_image: str) -> None:
    """By itself, when nobody speaks to it any more: what was frozen goes on, its rules are gone, table and all; or by the next guest."""
    with theirs(engine, base_image) as there, guest_of(there, 1, harness_image, "2") as link:
        status = link.call("status")
        assert (status.state, len(status.pids)) == ("up", 1), "the processes of one container, and no others"
        link.call("nft", commands=["add chain inet nines some"])
        link.call("pause")
        assert link.call("status").state == "paused"
        assert not there.answers(1)
        leave_alone(there, link)
        there.await_answer(1)
        there.assert_as_before(engine, harness_image)
        with guest_of(there, 1, harness_image, "60") as dies:
            assert dies.call("shaping.single", devices=["eth0"], on=True).result == {"eth0": 1}
        with guest_of(there, 1, harness_image, "60") as comes:
            assert comes.call("guest.leave").result == {"left": ""}
        there.assert_as_before(engine, harness_image)


def test_an_experiment_on_what_runs_already(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Traffic through their own name and more of it, a kill that their own policy mends, a link of its next life; and all is as before."""
    with theirs(engine, base_image, policy="always") as there:
        text = f"""
experiment: {there.word}
question: Do visitors notice when a web server dies?
cluster: {{attach: {{label: app={there.word}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://web:{PORT}/", rate: 20/s}}}}, client: {{attempts: 3}}}}
baseline: 1s
settle: 8s
faults:
  - {{kill: {{recovery: policy}}, target: n3, at: 0.5s, for: 1s}}
  - {{load: {{rate: 60/s}}, at: 10s, for: 1s}}
  - {{latency: {{latency: 80ms}}, target: {{link: "n3 -> n1"}}, at: 19s, for: 1s}}
"""
        Path("web.yaml").write_text(text, encoding="utf-8")
        cli.main(["run", "web.yaml", "--json", "--quiet", "--folder", there.word])
        report = json.loads(capsys.readouterr().out)
        assert [(fault["class"], fault["status"]) for fault in report["faults"]] == [
            ("kill/node", "healed"), ("load/clients", "healed"), ("latency/node", "healed"),
        ], report["faults"]  # fmt: skip
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


def test_the_member_that_is_named_is_the_one_that_is_killed(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each member is a compose service of its own, so all are number 1: n1 is the first by name, and a container's name will do too."""
    with theirs(engine, base_image, services=True) as there:
        dead = there.deaths()
        assert cli.main([*words(there, "kill", "--to", "n1", "--for", "1s"), "--json"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert done["containers"] == {f"n{number}": f"{there.word}-{number}" for number in (1, 2, 3)}
        assert dead() == {f"{there.word}-1"}
        Path(there.word).rename("first")
        assert cli.main(words(there, "kill", "--to", f"{there.word}-3", "--for", "1s")) == 0
        said = capsys.readouterr()
        assert f"n3 is {there.word}-3" in said.err
        assert f"kill on n3 ({there.word}-3): rolled back" in said.out
        assert dead() == {f"{there.word}-1", f"{there.word}-3"}
        there.assert_as_before(engine, harness_image)


def test_a_name_of_one_of_three_is_refused(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clients would never reach the other two, so a kill of these would look harmless."""
    with theirs(engine, base_image) as there:
        text = f"""
experiment: {there.word}
question: Does a name of one node measure anything?
cluster: {{attach: {{label: app={there.word}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://{there.word}-2:{PORT}/", rate: 20/s}}}}}}
faults: [{{kill: {{recovery: restart}}, target: any, at: 1s, for: 1s}}]
"""
        Path("web.yaml").write_text(text, encoding="utf-8")
        assert cli.main(["validate", "web.yaml"]) == 2
        assert f"web.yaml:5: traffic.operations: the name '{there.word}-2' leads to 1 of 3 containers" in capsys.readouterr().err
        assert cli.main(["run", "web.yaml", "--folder", there.word]) == 5
        said = capsys.readouterr().err
        assert f"leads to 1 of 3 nodes: clients would never reach n1 ({there.word}-1), n3 ({there.word}-3)" in said
        there.assert_as_before(engine, harness_image)


def test_hardened_containers_of_which_only_the_process_is_known(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another user, nothing to write on, no capability, no question: frozen and cut off, seen by the kernel and by packets of ours."""
    with theirs(engine, base_image, hardened=True) as there:
        where = ["--attach", f"label=app={there.word}", "--json"]
        assert cli.main(["inject", "pause", "--to", "n2", "--for", "1s", *where, "--folder", "one"]) == 0
        assert json.loads(capsys.readouterr().out)["during"]["n2.error"] == "its process is frozen"
        assert cli.main(["inject", "partition", "--to", "n1", "--for", "1s", *where, "--folder", "two"]) == 0
        during = json.loads(capsys.readouterr().out)["during"]
        assert {during[f"{link}.rtt_s"] for link in ("n1 -> n2", "n2 -> n1", "n1 -> n3", "n3 -> n1")} == {None}
        there.assert_as_before(engine, harness_image)


def test_data_and_one_port_of_what_runs_already(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions write and read beside the traffic while clients are cut off one port; every operation is judged."""
    kept = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
values = {}
class Keeps(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body=b""):
        self.send_response(status); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(200, b"up") if self.path == "/" else self.answer(200 if self.path in values else 404, values.get(self.path, b""))
    def do_PUT(self):
        values[self.path] = self.rfile.read(int(self.headers["Content-Length"])); self.answer(200)
    def log_message(self, *words): pass
ThreadingHTTPServer(("", 8000), Keeps).serve_forever()
"""
    with theirs(engine, base_image, command=lambda _: ["python3", "-c", kept]) as there:
        text = f"""
experiment: keeps
question: Does it keep its data?
cluster: {{attach: {{label: app={there.word}, name: web, ready: {{http: "http://{{address}}:{{client}}/"}}}}, nodes: 3}}
traffic:
  operations:
    put: {{http: "PUT http://{{address}}:{PORT}/{{key}}", body: "{{value}}", does: write, rate: 10/s}}
    get: {{http: "GET http://{{address}}:{PORT}/{{key}}", ok: "200,404", rate: 10/s}}
  client: {{endpoints: [n1]}}
  judge: put
baseline: 1s
data: {{keys: 5, sessions: 2, rate: 20/s, settle: 1s, mix: {{put: 50%, get: 50%}}}}
faults: [{{name: cut, partition: {{port: client, include: [clients]}}, target: n1, at: 1s, for: 1s}}]
"""
        Path("keeps.yaml").write_text(text, encoding="utf-8")
        status = cli.main(["run", "keeps.yaml", "--folder", there.word])
        assert status in (0, 1, 3), capsys.readouterr().err
        report = json.loads((Path(there.word) / "report.json").read_bytes())
        assert [(fault["name"], fault["status"]) for fault in report["faults"]] == [("cut", "healed")], report["reasons"]
        assert "clients -> n1:client.error" in report["faults"][0]["achieved"]["during"]
        assert report["data"]["operations"] > 10
        there.assert_as_before(engine, harness_image)


MOVED = """
experiment: {word}
question: What do visitors see of a server that comes back at another address?
cluster: {{attach: {{label: app={word}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://web:{port}/", rate: 20/s}}}}, client: {{attempts: 3, resolve: per-request}}}}
baseline: 1s
settle: 20s
faults:
  - {{name: death, kill: {{recovery: restart}}, target: {{label: "com.docker.compose.service={word}-3"}}, at: 0.5s, for: 8s}}
  - {{name: cut, partition: {{}}, target: {{label: "com.docker.compose.service notin ({word}-1, {word}-2)"}}, at: 30s, for: 8s}}
"""


def test_a_container_that_comes_back_at_another_address(state: Path, engine: Engine, base_image: str, harness_image: str) -> None:
    """While it is dead somebody else takes its address. Rules, questions and the report know the new one; the stranger is never cut."""
    with theirs(engine, base_image, services=True) as there:
        Path("web.yaml").write_text(MOVED.format(word=there.word, port=PORT), encoding="utf-8")
        command = [sys.executable, "-m", "chaos", "run", "web.yaml", "--quiet", "--folder", there.word]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            until(lambda: not there.state(3)[0] or process.poll() is not None, "n3 is dead")
            old = there.before[2][2]
            there.stranger(base_image, old)
            there.await_answer(3)
            new = there.state(3)[2]
            assert new != old
            until(lambda: not there.reaches_address(1, new) or process.poll() is not None, "n3 is cut off")
            assert process.poll() is None
            assert there.reaches_address(1, old), "the stranger is cut off in its place"
            said, _ = process.communicate(timeout=WITHIN_S)
        finally:
            process.kill()
            process.communicate()
        report = json.loads((Path(there.word) / "report.json").read_text(encoding="utf-8"))
        assert [(fault["target"], fault["status"]) for fault in report["faults"]] == [(["n3"], "healed")] * 2, said
        assert process.returncode in (0, 3), said
        assert [(node["name"], node["address"]) for node in report["nodes"]][2] == ("n3", new)
        there.before[2] = there.state(3)
        there.assert_as_before(engine, harness_image)


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    until_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < until_s, f"not within {WITHIN_S:g} s: {what}"
        time.sleep(0.05)
