"""Load on a container that is seen from outside: processes of ours in its control groups, which count against its limits.

The engine of a container starts a load in it by ``exec``; a guest may not, or has nothing there to start. So it moves processes of its own
into the container's groups (``agent_load.py``), and nothing of the container's files or namespaces is touched. They end when the fault
does, when the container's main process does, when nobody speaks to the guest any more, and when the guest is killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from chaos.agent.agent_processes import read_stat, times_s, written_bytes
else:
    sys.path.append(str(Path(__file__).parent.parent))  # it stands there, and the interpreter looks nowhere by itself
    from agent_processes import read_stat, times_s, written_bytes

Message = dict[str, Any]

PROGRAM: Final = str(Path(__file__).parent.parent / "agent_load.py")
TOPS: Final = (Path("/proc/1/root/sys/fs/cgroup"), Path("/sys/fs/cgroup"))
"""The machine's own groups: its first process sees all of them, writable; so may we, where that one's eyes are closed to us."""
CONTROLLERS: Final = ("cpu,cpuacct", "cpu", "cpuacct", "memory", "blkio")
"""Of version 1: each has a tree of its own."""
END_WITHIN_S: Final = 3.0
LOOK_EVERY_S: Final = 0.002


class Processes(Protocol):
    """What of the system's processes is needed here."""

    own: set[int]
    main: int | None

    def container_of(self, pid: int) -> str:
        """The id of the container that a process of the system runs in."""
        ...


class Agent(Protocol):
    """What of the agent is needed here."""

    processes: Processes

    def later(self, number: object, work: Callable[[], Message]) -> None:
        """In a thread."""
        ...


_loads: dict[str, list[subprocess.Popen[bytes]]] = {}
"""The number of a load -> its processes."""
_found: dict[str, list[str]] = {}
"""The id of a container -> the folders of its groups."""


def do_begin(agent: Agent, command: Message) -> None:
    """Start a load; answers when all of its processes have joined the container's groups."""
    main = agent.processes.main
    if main is None:
        raise ValueError("no process of the system runs")
    if command["number"] in _loads:
        raise ValueError(f"there is a load {command['number']} already")
    groups = _groups(agent.processes.container_of(main), main)
    words = [sys.executable, "-I", "-S", PROGRAM, command["kind"], str(command["amount"]), *groups]
    # By the main thread: a child that is to die with its parent dies with the thread that made it.
    children = [subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                for _ in range(command["workers"])]  # fmt: skip
    _loads[command["number"]] = children
    agent.processes.own |= {child.pid for child in children}
    agent.later(command["id"], lambda: _ready(command["number"], children, command["within_s"]))


def _ready(number: str, children: list[subprocess.Popen[bytes]], within_s: float) -> Message:
    until_s = time.monotonic() + within_s
    for child in children:
        assert child.stdout is not None
        said = b""
        while b"ready\n" not in said:
            if not select.select([child.stdout], [], [], max(0.0, until_s - time.monotonic()))[0]:
                _end(number)
                raise ValueError(f"a process of the load did not begin within {within_s:g} s")
            data = os.read(child.stdout.fileno(), 4096)
            if not data:
                _end(number)
                raise ValueError(f"a process of the load ended: {_last(said)}")
            said += data
    return {"result": {}, "at_ns": time.monotonic_ns()}


def _last(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


def do_work(_agent: object, _command: Message) -> Message:
    """What all loads here have done so far, by the kernel's count."""
    pids = [child.pid for children in _loads.values() for child in children]
    times = [times_s(pid) for pid in pids]
    at_ns = time.monotonic_ns()
    return {
        "result": {
            "run_s": sum(run for run, _ in times), "wait_s": sum(wait for _, wait in times), "written_bytes": sum(map(written_bytes, pids)),
        },
        "at_ns": at_ns,
    }  # fmt: skip


def do_end(agent: Agent, command: Message) -> None:
    """Kill the processes of a load, and answer when none is left; ``ended``: how many there were."""
    agent.later(command["id"], lambda: {"result": {"ended": _end(command["number"])}})


def _end(number: str) -> int:
    children = _loads.get(number, [])
    alive = [child.pid for child in children if _lives(child.pid)]
    until_s = time.monotonic() + END_WITHIN_S
    while left := [child.pid for child in children if _lives(child.pid)]:
        if time.monotonic() > until_s:
            raise ValueError(f"{len(left)} processes of the load did not die of SIGKILL within {END_WITHIN_S:g} s")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EVERY_S)
    for child in _loads.pop(number, []):
        if child.stdout is not None:
            child.stdout.close()
        child.returncode = -signal.SIGKILL  # collected by the agent, which waits for all of its children
    return len(alive)


def _lives(pid: int) -> bool:
    """A process of load, and not one that took its number over."""
    stat = read_stat(pid)
    return stat is not None and stat.state not in "ZX" and stat.parent == os.getpid()


# --- where they go -----------------------------------------------------------------------------------------------------


def _groups(container: str, main: int) -> list[str]:
    """The folders of the container's groups, in which its main process is seen; ``ValueError`` where there is none."""
    folders = _found.get(container) or _sought(container)
    with_main = [each for each in folders if str(main) in Path(each, "cgroup.procs").read_text(encoding="ascii").split()]
    if not with_main:
        raise ValueError(f"no control group of the container {container[:12]} holds its main process {main}")
    _found[container] = with_main
    return with_main


def _sought(container: str) -> list[str]:
    refused = ""
    for top in TOPS:
        try:
            found = [str(each) for each in groups_of(container, top)]
        except PermissionError as error:
            refused = f" ({error})"
            continue
        if found:
            return found
    raise ValueError(f"the container {container[:12]} has no control group that is seen from here{refused}")


def groups_of(container: str, top: Path) -> Iterator[Path]:
    """The groups named after a container, whoever names them and however deep they stand: of version 2, else of each controller.

    ``.../pod<uid>/<id>`` as cgroupfs has it, ``...-pod<uid>.slice/cri-containerd-<id>.scope`` as systemd does.
    """
    whole = (top / "cgroup.controllers").exists()
    # Not by their resolved paths: what stands below /proc/PID/root is another mount namespace's.
    there = [top] if whole else [top / name for name in CONTROLLERS if (top / name).is_dir()]
    trees = {(each.stat().st_dev, each.stat().st_ino): each for each in there}
    for tree in trees.values():
        for folder, names, _ in os.walk(tree):
            mine = [name for name in names if container in name]
            if mine:
                yield from (Path(folder, name) for name in mine)
                break


# --- by itself ---------------------------------------------------------------------------------------------------------


def down(_agent: object) -> None:
    """The container's main process is dead: a load dies with its node."""
    for number in list(_loads):
        for child in _loads[number]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)


def heal(_agent: object) -> list[str]:
    """No load."""
    problems = []
    for number in list(_loads):
        try:
            _end(number)
        except ValueError as error:
            problems.append(f"load: {error}")
    return problems
