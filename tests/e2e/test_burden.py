"""Load in control groups of others, by the kernel's own count: it takes effect there, dies with who asked for it, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.agent import agent_guest, agent_load
from chaos.agent.agent_parts import burden
from chaos.agent.agent_processes import times_s
from tests.support.needs import need

pytestmark = pytest.mark.e2e
TOP = Path("/sys/fs/cgroup")
NAME = "c0ffee" * 10 + "0000"
WITHIN_S = 60.0


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    """Those of a container that nobody runs, as kubelet names them."""
    whole = (TOP / "cgroup.controllers").exists()
    tops = [TOP] if whole else [TOP / name for name in ("cpu", "cpuacct", "memory") if (TOP / name).is_dir()]
    need("control groups that can be made", os.access(tops[0], os.W_OK) and os.geteuid() == 0, "root")
    made: list[Path] = []
    for each in dict.fromkeys(top.resolve() for top in tops):
        pod = each / f"nines-test-{os.getpid()}"
        for folder in (pod, pod / NAME):
            folder.mkdir()
            made.append(folder)
    yield [folder for folder in made if folder.name == NAME]
    for folder in reversed(made):
        until(lambda at=folder: not (at / "cgroup.procs").read_text(), f"nobody is in {folder}")
        folder.rmdir()


def until(true, what: str) -> None:
    """``AssertionError`` if it does not become true."""
    limit_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < limit_s, what
        time.sleep(0.005)


def begun(kind: str, amount: float, groups: list[Path]) -> subprocess.Popen[bytes]:
    """One process of load, once it has joined."""
    words = [sys.executable, "-I", "-S", burden.PROGRAM, kind, str(amount), *map(str, groups)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert child.stdout is not None
    said = child.stdout.readline()
    if said != b"ready\n":
        pytest.fail((said + child.stdout.read()).decode())
    return child


def members(group: Path) -> list[int]:
    return [int(word) for word in (group / "cgroup.procs").read_text().split()]


def test_it_counts_in_each_of_the_groups(groups: list[Path]) -> None:
    """Half of a processor, by the group's own account."""
    child = begun("cpu", 0.5, groups)
    try:
        assert [members(group) for group in groups] == [[child.pid]] * len(groups)
        assert Path(f"/proc/{child.pid}/comm").read_text().strip() == agent_load.LOAD

        def looked() -> tuple[float, tuple[float, float], float]:
            """A time before the look, the processor time had and waited for, a time after it."""
            return time.monotonic(), times_s(child.pid), time.monotonic()

        first = looked()
        until(lambda: time.monotonic() - first[2] > 1.0, "a second")
        last = looked()
        had_s, waited_s = (end - begin for begin, end in zip(first[1], last[1], strict=True))
        assert had_s / (last[2] - first[0]) < 0.75, "never more than it was asked for"
        assert (had_s + waited_s) / (last[0] - first[2]) > 0.35, "on a machine that is busy it wants as much and is not let"
    finally:
        child.kill()
        child.wait()


def test_memory_is_taken_from_the_group_and_the_load_is_the_last_to_be_killed(groups: list[Path]) -> None:
    child = begun("memory", 24_000_000, groups)
    try:
        score = Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip()
        assert score in (agent_load.NEVER, "0")
        usage = next(group / name for group in groups for name in ("memory.current", "memory.usage_in_bytes") if (group / name).exists())
        until(lambda: int(usage.read_text()) > 22_000_000, "the memory is taken")

        def own() -> int:
            figures = dict(line.split() for line in (usage.parent / "memory.stat").read_text().splitlines())
            return int(figures.get("total_rss") or figures["anon"])

        until(lambda: own() > 22_000_000, "it is a program's own, by which the fault is measured")
    finally:
        child.kill()
        child.wait()


def test_writes_are_durable_and_leave_no_file(groups: list[Path]) -> None:
    child = begun("io", 1_048_576, groups)
    try:
        files = [str(entry.readlink()) for entry in Path(f"/proc/{child.pid}/fd").iterdir()]
        assert any("(deleted)" in file for file in files), files
        wrote = Path(f"/proc/{child.pid}/io")
        until(lambda: "wchar: 0" not in wrote.read_text() and int(wrote.read_text().split()[3]) > 1_000_000, "it writes")
    finally:
        child.kill()
        child.wait()


def test_it_dies_with_who_started_it(groups: list[Path]) -> None:
    """However that ends: here by SIGKILL."""
    words = [sys.executable, "-I", "-S", burden.PROGRAM, "cpu", "0.1", *map(str, groups)]
    starts = f"import subprocess, sys; subprocess.Popen({words!r}, stdout=sys.stdout).wait()"
    parent = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    (pid,) = members(groups[0])
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not members(groups[0]), "the load is gone")
    assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


class Guest:
    """The guest of a container whose groups are the test's, as it is started for a pod, but for the network."""

    def __init__(self) -> None:
        env = {**os.environ, "NINES_GUEST_OF": NAME, "NINES_ENDS_WITH_INPUT": "1"}
        words = ["unshare", "--net", sys.executable, "-I", "-S", agent_guest.__file__]
        self.process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.heard: list[dict[str, object]] = []

    def until(self, true) -> dict[str, object]:
        """The first message that is so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard.append(json.loads(line))
            if true(self.heard[-1]):
                return self.heard[-1]
        raise AssertionError(f"the guest ended: {self.heard[-3:]}")

    def call(self, do: str, **fields: object) -> dict[str, object]:
        number = len(self.heard) + 1000
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "do": do, **fields}) + "\n")
        return self.until(lambda message: message.get("id") == number)


@pytest.fixture
def system(groups: list[Path]) -> Iterator[subprocess.Popen[bytes]]:
    """The first process of a namespace of its own, as that of a container is."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "600"]
    outer = subprocess.Popen(words)
    until(lambda: Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().strip(), "the system runs")
    (inner,) = map(int, Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split())
    until(lambda: Path(f"/proc/{inner}/comm").read_text().strip() == "sleep", "it is itself")
    for group in groups:
        (group / "cgroup.procs").write_text(str(inner))
    yield outer
    outer.kill()
    outer.wait()


def test_a_guest_loads_a_container_and_ends_that(groups: list[Path], system: subprocess.Popen[bytes]) -> None:
    """By an order; with the container's main process; and when the guest itself is killed."""
    guest = Guest()
    try:
        guest.until(lambda message: message.get("event") == "up")
        begin = {"kind": "cpu", "amount": 0.2, "workers": 2, "within_s": 8.0}
        assert "error" not in guest.call("burden.begin", number="1", **begin)
        assert len(members(groups[0])) == 3
        assert guest.call("status")["pids"] == [pid for pid in members(groups[0]) if not is_load(pid)], "the load is none of the system"
        assert guest.call("burden.end", number="1")["result"] == {"ended": 2}
        assert len(members(groups[0])) == 1
        assert "error" not in guest.call("burden.begin", number="2", **begin)
        system.kill()  # and the kernel with it what it has started
        guest.until(lambda message: message.get("event") == "down")
        until(lambda: not members(groups[0]), "the load has died with the container")
        assert guest.call("burden.end", number="2")["result"] == {"ended": 0}
        assert guest.call("guest.leave")["result"] == {"left": ""}
    finally:
        guest.process.kill()
        guest.process.wait()


def test_no_load_outlives_its_guest(groups: list[Path], system: subprocess.Popen[bytes]) -> None:  # noqa: ARG001 - it is what is loaded
    guest = Guest()
    guest.until(lambda message: message.get("event") == "up")
    assert "error" not in guest.call("burden.begin", number="1", kind="memory", amount=8_000_000, workers=1, within_s=8.0)
    assert len(members(groups[0])) == 2
    guest.process.kill()
    guest.process.wait()
    until(lambda: len(members(groups[0])) == 1, "the load has died with the guest")


def is_load(pid: int) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == agent_load.LOAD


def test_groups_are_found_by_the_id_however_they_are_named(tmp_path: Path) -> None:
    """Both drivers of kubelet, both versions."""
    own = "a1" * 32
    second = tmp_path / "v2"
    (second / "kubepods.slice" / "kubepods-pod1.slice" / f"cri-containerd-{own}.scope").mkdir(parents=True)
    (second / "cgroup.controllers").write_text("cpu memory")
    assert [each.name for each in burden.groups_of(own, second)] == [f"cri-containerd-{own}.scope"]
    first = tmp_path / "v1"
    for controller in ("cpu,cpuacct", "memory", "blkio", "freezer"):
        (first / controller / "kubepods" / "burstable" / "pod1" / own).mkdir(parents=True)
    (first / "cpu").symlink_to("cpu,cpuacct")
    (first / "cpuacct").symlink_to("cpu,cpuacct")
    found = [str(each.relative_to(first)).split("/")[0] for each in burden.groups_of(own, first)]
    assert sorted("cpu" if name.startswith("cpu") else name for name in found) == ["blkio", "cpu", "memory"]
    assert list(burden.groups_of("b2" * 32, first)) == []
