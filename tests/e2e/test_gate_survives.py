"""A gate whose container runs out of memory, by the kernel's own choice: shielded, it lives, and has its own score after that."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.agent.agent_parts import resources
from chaos.agent.agent_parts.gate import GATE
from tests.e2e.test_burden import begun, groups, members, until
from tests.support.needs import need

__all__ = ["groups"]
pytestmark = pytest.mark.e2e
LIMIT = 64 << 20
OWN = "997"
"""What kubelet gives to a container that requests little of a large machine."""
GATE_WAITS = ["/bin/sh", "-c", 'echo $$ > "$2"; read -r _', GATE, "keeps"]
SYSTEM = "held = bytearray(8 << 20)\nfor at in range(0, len(held), 4096): held[at] = 1\nprint('holds', flush=True)\ninput()"


class Inside:
    """The processes of one container, and an agent that looks after them."""

    main = None

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self.processes = self

    def all(self) -> list[int]:
        return self._pids


@pytest.fixture
def memory(groups: list[Path]) -> Path:
    """The group of a container with a limit."""
    for group in groups:
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (group / name).exists():
                (group / name).write_text(str(LIMIT))
                return group
    need("control groups with a limit of memory", False, "a kernel with the memory controller, delegated to this place")
    raise AssertionError


def started(words: list[str], group: Path, score: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for folder, name in ((group, "cgroup.procs"), (Path(f"/proc/{child.pid}"), "oom_score_adj")):
        (folder / name).write_text(str(child.pid) if name == "cgroup.procs" else score)
    return child


@pytest.fixture
def ballast(memory: Path) -> Iterator[None]:
    """Half of the limit is taken, and no kill gives it back: as of a system that is dead and has not freed its memory yet."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        words = f"import sys; sys.stdin.readline(); open({file.name!r}, 'wb').write(bytes({LIMIT // 2}))"
        child = started([sys.executable, "-I", "-S", "-c", words], memory, "0")
        child.communicate(b"\n", 20)
        assert usage(memory) >= LIMIT // 2
        yield


@pytest.fixture
def gate(memory: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = started([*GATE_WAITS, "/dev/null"], memory, OWN)
    yield child
    child.kill()
    child.wait()


def score_of(pid: int) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


@pytest.mark.parametrize("shielded", [True, False])
def test_the_kernel_takes_the_load_or_nobody_before_a_gate_that_is_shielded(
    memory: Path, ballast: None, gate: subprocess.Popen[bytes], shielded: bool
) -> None:
    """The system goes first. The load wants more than there is all the same, so that another one has to go: without a shield, the gate."""
    del ballast
    system = started([sys.executable, "-I", "-S", "-c", SYSTEM], memory, resources.FIRST_TO_DIE)
    assert system.stdout is not None
    assert system.stdout.readline() == b"holds\n"
    agent = Inside([gate.pid, system.pid])
    if shielded:
        assert resources.do_shield(agent, {})["result"]["score"] in resources.NEVER
    load = begun("memory", 2 * LIMIT, [memory])
    try:
        assert system.wait(20) < 0
        if shielded:
            until(lambda: load.poll() is not None or usage(memory) > 0.9 * LIMIT, "the load has taken what there is")
            assert gate.poll() is None
            resources.do_unshield(agent, {})
            assert score_of(gate.pid) == OWN
        else:
            assert gate.wait(20) < 0
    finally:
        load.kill()
        load.wait()
    until(lambda: set(members(memory)) <= {gate.pid}, "nobody else is left")


def usage(group: Path) -> int:
    """Bytes that are taken there, by the kernel's account."""
    return int(next((group / name) for name in ("memory.current", "memory.usage_in_bytes") if (group / name).exists()).read_text())


def test_a_harness_that_is_gone_leaves_the_gate_as_it_was(gate: subprocess.Popen[bytes]) -> None:
    """The agent takes it back by itself; who is no gate is left alone, and so is one that died."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        before = score_of(other.pid)
        agent = Inside([gate.pid, other.pid, 1 << 22])
        resources.do_shield(agent, {})
        assert score_of(gate.pid) in resources.NEVER
        assert score_of(other.pid) == before
        assert resources.heal(agent) == []
        assert score_of(gate.pid) == OWN
        resources.do_shield(agent, {})
        gate.kill()
        gate.wait()
        assert resources.heal(agent) == []
    finally:
        other.kill()
        other.wait()
