"""The gate before a system of ours in a pod: by a real shell, opened by the agent's own part."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.agent import agent_gate
from chaos.agent.agent_parts import gate as part
from chaos.agent.agent_processes import Stat
from chaos.kube import gate

pytestmark = [pytest.mark.timeout(60), pytest.mark.skipif(os.name != "posix", reason="a shell")]
WITHIN_S = 10.0
SYSTEM = ["sh", "-c", 'echo "$$ $WORD" >> "$LIVES"; read -r _ < "$HOLD"; exit 3']


class Now:
    """Of the agent: what would be done in a thread is done at once."""

    def later(self, _number: object, work: Callable[[], dict[str, Any]]) -> None:
        work()


def until(true: Callable[[], object]) -> None:
    limit_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < limit_s
        time.sleep(0.005)


class Pod:
    """A folder, a gate, a system that writes down each of its lives and waits."""

    def __init__(self, folder: Path, *, keeps: bool) -> None:
        self.folder, self.keeps = folder, keeps
        self.lives = folder / "lives"
        os.mkfifo(folder / "go")
        os.mkfifo(folder / "hold")
        self.gate = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(gate.command(keeps=self.keeps, folder=str(self.folder)), cwd="/usr")

    def prepare(self, **more: Any) -> None:
        environment = {"WORD": "it's $HOME", "LIVES": str(self.lives), "HOLD": str(self.folder / "hold")}
        part.do_prepare(Now(), {"life": gate.life(SYSTEM, environment), "files": {}, **more})

    def open(self) -> None:
        part.do_open(Now(), {"id": 1})

    def seen(self) -> list[tuple[int, str]]:
        if not self.lives.exists():
            return []
        return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in self.lives.read_text().splitlines()]

    def ended(self) -> str:
        return str(part.do_ended(Now(), {})["result"]["status"])


@pytest.fixture
def pod_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], Pod]]:
    monkeypatch.setattr(part, "FOLDER", tmp_path)
    made: list[Pod] = []

    def make(keeps: bool) -> Pod:
        made.append(Pod(tmp_path, keeps=keeps))
        return made[-1]

    yield make
    for pod in made:
        pod.gate.kill()
        pod.gate.wait()
        for pid, _ in pod.seen():
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)


def test_a_gate_that_stays_starts_the_system_each_time_that_it_is_told_to(pod_of: Callable[[bool], Pod]) -> None:
    pod = pod_of(True)
    pod.prepare()
    assert not pod.seen()
    pod.open()
    until(lambda: len(pod.seen()) == 1)
    ((pid, word),) = pod.seen()
    assert word == "it's $HOME"
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/usr")  # that of the image
    assert not agent_gate.is_gate(pid)
    assert agent_gate.is_gate(pod.gate.pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pod.ended() == "137")
    assert pod.gate.poll() is None
    pod.open()
    until(lambda: len(pod.seen()) == 2)
    assert pod.ended() == ""
    (pod.folder / "hold").write_text("go\n")
    until(lambda: pod.ended() == "3")


def test_a_gate_that_goes_becomes_the_system_and_the_next_one_does_not_wait(pod_of: Callable[[bool], Pod]) -> None:
    pod = pod_of(False)
    pod.prepare()
    time.sleep(0.1)
    assert not pod.seen()  # what it is to start is known, and it waits for its turn
    pod.open()
    until(lambda: len(pod.seen()) == 1)
    assert pod.seen()[0][0] == pod.gate.pid
    assert not agent_gate.is_gate(pod.gate.pid)
    pod.gate.kill()
    assert pod.gate.wait(WITHIN_S) == -signal.SIGKILL
    pod.gate = pod.start()
    until(lambda: len(pod.seen()) == 2)
    assert pod.seen()[1][0] == pod.gate.pid


def test_who_a_user_is_stands_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n+::::::\npostgres:x:101:103:,,,:/var/lib/postgresql:/bin/bash\n"
    )
    (tmp_path / "etc" / "group").write_text("root:x:0:\nssl-cert:x:102:a,postgres\npostgres:x:103:\nother:x:104:postgresql\n")
    expected = {"uid": 101, "gid": 103, "groups": "102,103", "home": "/var/lib/postgresql"}
    assert part.account(tmp_path, "postgres") == part.account(tmp_path, "101") == expected
    with pytest.raises(ValueError, match="no user 'redis'"):
        part.account(tmp_path, "redis")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_the_system_runs_as_its_user_in_one_process(pod_of: Callable[[bool], Pod], tmp_path: Path) -> None:
    """What stood in the gate becomes it: the pid is that of the system, and what it writes belongs to that user."""
    pod = pod_of(True)
    words = ["sh", "-c", 'echo "$$ $(id -u) $(id -g) $(id -G) $HOME" >&3; read -r _ <&4']
    opened = f"exec 3>>{pod.lives} 4<>{tmp_path / 'hold'}\n"  # that user may look into no folder of ours
    script = opened + gate.life(words, {}, gate.Account(65534, 65533, "65532,65533", "/nowhere"))
    data = tmp_path / "data"
    part.do_prepare(Now(), {"life": script, "files": {str(data / "a"): "1"}, "folders": [str(data)], "owner": [65534, 65533]})
    pod.open()
    until(pod.seen)
    ((pid, who),) = pod.seen()
    assert who.split() == ["65534", "65533", "65533", "65532", "/nowhere"]
    assert Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0] == str(pod.gate.pid)
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (data, data / "a")] == [(65534, 65533)] * 2


ENDS = ["sh", "-c", 'echo "$$ $WORD" >> "$LIVES"; trap "echo told >> $TOLD; exit 7" TERM; while :; do sleep 0.05; done']


def stopped(pod: Pod) -> None:
    """As kubelet does it: what stands before the stop, then the signal."""
    subprocess.run(gate.stop(str(pod.folder)), check=True, timeout=WITHIN_S)
    pod.gate.terminate()


def test_a_pod_that_is_told_to_end_tells_the_system_and_ends_after_it(
    pod_of: Callable[[bool], Pod], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pod_of(True)
    told = tmp_path / "told"
    life = gate.life(ENDS, {"WORD": "x", "LIVES": str(pod.lives), "TOLD": str(told)})
    part.do_prepare(Now(), {"life": life, "files": {}})
    pod.open()
    until(lambda: len(pod.seen()) == 1)
    stopped(pod)
    assert pod.gate.wait(WITHIN_S) == 0
    assert told.read_text() == "told\n"
    assert pod.ended() == "7"


def test_a_gate_behind_which_nothing_runs_ends_when_it_is_told_to(pod_of: Callable[[bool], Pod]) -> None:
    pod = pod_of(True)
    pod.prepare()
    until((pod.folder / "pid").exists)
    time.sleep(0.2)
    stopped(pod)
    assert pod.gate.wait(WITHIN_S) == 0
    assert not pod.seen()


def test_names_are_changed_in_the_file_that_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "FOLDER", tmp_path)
    file = tmp_path / gate.HOSTS
    file.write_text("a long first text\n" * 9)
    before = file.stat().st_ino
    part.do_hosts(Now(), {"text": "10.0.0.1 n1\n"})
    assert (file.read_text(), file.stat().st_ino) == ("10.0.0.1 n1\n", before)


def test_no_gate_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "FOLDER", tmp_path)
    monkeypatch.setattr(part, "WITHIN_S", 0.05)
    os.mkfifo(tmp_path / "go")
    with pytest.raises(ValueError, match="no gate waits"):
        part.do_open(Now(), {"id": 1})


def test_files_are_written_after_what_was_there_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "FOLDER", tmp_path / "gate")
    (tmp_path / "gate").mkdir()
    data = tmp_path / "data"
    (data / "old").mkdir(parents=True)
    (data / "old" / "x").write_text("1")
    part.do_prepare(Now(), {"life": "exec true\n", "files": {str(data / "conf" / "a.yaml"): "b: 1\n"}, "empty": [str(data)]})
    assert [str(path.relative_to(data)) for path in sorted(data.rglob("*"))] == ["conf", "conf/a.yaml"]
    assert (tmp_path / "gate" / "life").read_text() == "exec true\n"


def test_a_new_volume_is_open_to_whoever_runs_in_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an emptyDir is; one that holds data is left as its system wants it."""
    monkeypatch.setattr(part, "FOLDER", tmp_path)
    new, used = tmp_path / "new", tmp_path / "used"
    for folder in (new, used):
        folder.mkdir(mode=0o700)
    (used / "log").touch()
    part.do_prepare(Now(), {"life": "exec true\n", "files": {}, "folders": [str(new), str(used)]})
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (new, used)] == [0o777, 0o700]


def test_kubernetes_leaves_the_words_of_a_gate_as_they_are() -> None:
    """It takes two dollars for one, and what stands in brackets after one for a variable of the pod."""
    for words in (gate.command(keeps=True), gate.command(keeps=False)):
        assert not any("$$" in word or "$(" in word for word in words)


def test_what_stops_a_system_is_no_life_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends has lost its words before it is dead: the stop of a pod of ours would be taken for the system that it stopped."""
    pid, words = os.getpid(), {"cmdline": b""}
    monkeypatch.setattr(agent_gate, "read_stat", lambda _: Stat("sh", "R", 0))
    monkeypatch.setattr(agent_gate, "_read", lambda _, name: words.get(name, b""))
    processes = agent_gate.Gated()
    monkeypatch.setattr(processes, "all", lambda: [pid])
    assert processes.look() is None
    words["cmdline"] = b"python3\0node.py\0"
    assert processes.look() == pid
    assert processes.main_fd is not None
    os.close(processes.main_fd)


def test_both_sides_mean_the_same_place() -> None:
    """They share nothing but a folder: the agent needs the standard library alone."""
    assert (str(part.FOLDER), agent_gate.GATE) == (gate.FOLDER, gate.GATE)
