"""Processes as ``/proc`` and pidfds show them: who lives, since when, in what state, with which label.

A pid alone names nobody: it is reused. A process is told by its pid *and* its start time (field 22 of ``/proc/PID/stat``, in
clock ticks since boot; proc(5)) *and* the boot it belongs to. Signals go through a pidfd that is opened first and checked
second, so that a process that took over the number in between is never hit.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from chaos.core.system import SIGKILL

RUN_LABEL = "NINES_RUN"
NODE_LABEL = "NINES_NODE"
HARNESS_LABEL = "NINES_HARNESS"
"""``<pid>:<start>:<boot>`` of the harness that started the process: an orphan is recognised even without its record."""
STATE_LABEL = "NINES_STATE"
"""The state folder of that harness; runs of different state folders leave each other alone."""

_PROC = Path("/proc")
_GONE_STATES = frozenset("ZXx")
_STOPPED_STATES = frozenset("T")
_KERNEL_THREAD = 0x00200000
"""``PF_KTHREAD`` of the kernel's sched.h, in field 9 of ``/proc/PID/stat``."""
EXEC_WITHIN_S = 1.0
_EXEC_LOOK_EVERY_S = 0.001
_SETTLED_LOOKS = 5
"""So often in a row a program without an environment is seen before that is believed: one look may fall between two programs."""


class Identity(msgspec.Struct, frozen=True):
    """One process and no other: pid, start time in clock ticks since boot, and which boot."""

    pid: int
    start: int
    boot: str

    def __str__(self) -> str:
        return f"{self.pid}:{self.start}:{self.boot}"

    @classmethod
    def parse(cls, text: str) -> Identity | None:
        """The reverse of ``str``; None where it is not one."""
        pid, _, rest = text.partition(":")
        start, _, boot = rest.partition(":")
        if not (pid.isdigit() and start.isdigit()):
            return None
        return cls(int(pid), int(start), boot)


class Stat(msgspec.Struct, frozen=True):
    """What ``/proc/PID/stat`` says, as far as it matters here."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start: int
    kernel: bool = False

    @property
    def gone(self) -> bool:
        """Dead, though perhaps nobody has collected its status yet."""
        return self.state in _GONE_STATES

    @property
    def stopped(self) -> bool:
        """Frozen by a signal."""
        return self.state in _STOPPED_STATES


class Labelled(msgspec.Struct, frozen=True):
    """A live process that carries our label."""

    run: str
    node: str
    identity: Identity
    harness: Identity | None
    state_dir: str
    frozen: bool


def boot_id() -> str:
    """Names this boot of the machine; start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat(pid: int) -> Stat | None:
    """None if there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in brackets and may itself hold brackets and blanks: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start=int(fields[19]),
        kernel=bool(int(fields[6]) & _KERNEL_THREAD),
    )


def identity(pid: int) -> Identity | None:
    """Who has this pid now; None if nobody living."""
    seen = stat(pid)
    return None if seen is None or seen.gone else Identity(pid, seen.start, boot_id())


def own_identity() -> Identity:
    """This very process."""
    found = identity(os.getpid())
    assert found is not None, "this process is not in /proc"
    return found


def pid_namespace() -> str:
    """Which pid namespace this process is in, as the kernel names it: pids mean something only within one."""
    return str((_PROC / "self" / "ns" / "pid").readlink())


def alive(who: Identity) -> bool:
    """Whether that process, not merely one of its number, lives."""
    return identity(who.pid) == who


def environ(pid: int) -> dict[str, str]:
    """The environment it was started with; empty if gone or not ours to read.

    While a process changes its program (execve(2)) the kernel shows neither environment nor arguments: that moment is waited out,
    at most ``EXEC_WITHIN_S``, so that nobody goes unseen because he was looked at in it.
    """
    until_s = time.monotonic() + EXEC_WITHIN_S
    settled = 0
    while not (data := _bytes_of(pid, "environ")) and settled < _SETTLED_LOOKS and _lives(pid) and time.monotonic() < until_s:
        if _bytes_of(pid, "cmdline"):
            settled += 1  # it has a program, and either no environment or another one than a moment ago
        else:
            settled = 0
            time.sleep(_EXEC_LOOK_EVERY_S)
    pairs = (entry.partition(b"=") for entry in data.split(b"\0") if entry)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def _bytes_of(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _lives(pid: int) -> bool:
    """Whether it is a process that could have an environment."""
    seen = stat(pid)
    return seen is not None and not seen.gone and not seen.kernel


def labels(run: str, node: str, harness: Identity, state_dir: Path) -> dict[str, str]:
    """What every process of a run carries in its environment."""
    return {RUN_LABEL: run, NODE_LABEL: node, HARNESS_LABEL: str(harness), STATE_LABEL: str(state_dir)}


def pids() -> Iterator[int]:
    """Every process there is, as far as the system shows them."""
    if sys.platform != "linux":
        return
    for entry in os.listdir(_PROC):  # noqa: PTH208 - names only: no path object for each of them
        if entry.isdigit():
            yield int(entry)


def labelled(run: str | None = None) -> list[Labelled]:
    """All live processes with our label (of one run, if given), this process and its ancestors left out."""
    boot = boot_id()
    spared = _self_and_ancestors()
    found = []
    for pid in pids():
        if pid in spared:
            continue
        before = stat(pid)
        if before is None or before.gone:
            continue
        env = environ(pid)
        if RUN_LABEL not in env or (run is not None and env[RUN_LABEL] != run):
            continue
        after = stat(pid)
        if after is None or after.start != before.start or after.gone:
            continue  # the number changed hands while we read
        found.append(
            Labelled(
                run=env[RUN_LABEL],
                node=env.get(NODE_LABEL, "?"),
                identity=Identity(pid, after.start, boot),
                harness=Identity.parse(env.get(HARNESS_LABEL, "")),
                state_dir=env.get(STATE_LABEL, ""),
                frozen=after.stopped,
            )
        )
    return found


def session_of(leader: Identity) -> list[Identity]:
    """The live members of the session that this process leads; empty unless it is that very process."""
    if not alive(leader):
        return []
    found = []
    for pid in pids():
        seen = stat(pid)
        if seen is not None and seen.session == leader.pid and not seen.gone:
            found.append(Identity(pid, seen.start, leader.boot))
    return found


def send(who: Identity, number: int) -> bool:
    """Send a signal to that process; false if it is gone. The pidfd is taken *before* the identity is checked."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    try:
        fd = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return False
    try:
        if not alive(who):
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def end(processes: Collection[Identity], within_s: float, now_s: Callable[[], float] = time.monotonic) -> list[Identity]:
    """Kill them all, wait until they are gone, collect those that are our children; what is still there is returned."""
    for who in processes:
        send(who, SIGKILL)
    return wait_gone(processes, within_s, now_s)


def wait_gone(processes: Collection[Identity], within_s: float, now_s: Callable[[], float] = time.monotonic) -> list[Identity]:
    """Wait until none of them lives; those that still do after ``within_s`` are returned."""
    until_s = now_s() + within_s
    left = []
    for who in processes:
        if not _wait_one(who, until_s, now_s):
            left.append(who)
    return left


def _wait_one(who: Identity, until_s: float, now_s: Callable[[], float]) -> bool:
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    try:
        fd = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return True
    try:
        if not alive(who):
            _collect(fd)
            return True
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        gone = bool(poller.poll(max(0.0, until_s - now_s()) * 1e3))
        if gone:
            _collect(fd)
        return gone
    finally:
        os.close(fd)


def _collect(pidfd: int) -> None:
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child: its own parent, or init, collects it


def _self_and_ancestors() -> frozenset[int]:
    chain = []
    pid = os.getpid()
    while pid > 0 and pid not in chain:
        chain.append(pid)
        seen = stat(pid)
        pid = 0 if seen is None else seen.parent
    return frozenset(chain)
