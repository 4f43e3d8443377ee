"""What a node uses, and what of ours uses it up beside its system: processes of load in its control group, ballast on its disks.

The processes are started by the engine, so that they live within the limits of the system's container; here they are told by the name of
what the kernel started (``TOOL``) and counted, watched and ended by the number on their command line. Ballast is an open file without
a name: no program finds it in the node's folder, and it is gone with us, however we end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

Message = dict[str, Any]

TOOL: Final = "nines-tool"
LOOK_EVERY_S: Final = 0.002
END_WITHIN_S: Final = 3.0
PAGE: Final = 4096
PIECE: Final = 1024 * 1024
MS_RDONLY: Final = 1
MS_REMOUNT: Final = 32
FIRST_TO_DIE: Final = "1000"
"""The highest score: when memory runs out in its control group, the kernel takes this process before all others."""


class Processes(Protocol):
    """What of the system's processes is needed here."""

    main: int | None

    def all(self) -> list[int]:
        """Every one of them."""
        ...


class Agent(Protocol):
    """What of the agent is needed here."""

    processes: Processes

    def later(self, number: object, work: Callable[[], Message]) -> None:
        """In a thread."""
        ...


_ballast: dict[str, int] = {}
"""Folder -> the open file that fills it."""
_locked: set[str] = set()
_exposed: dict[int, str] = {}
"""Process of the system -> its own out-of-memory score."""


# --- what the node uses ------------------------------------------------------------------------------------------------


def do_usage(agent: Agent, _command: Message) -> Message:
    """What its control group counts, read where the system sees it: processor time, throttling, memory, out-of-memory kills."""
    main = agent.processes.main
    if main is None:
        raise ValueError("no process of the system runs")
    used = usage_of(Path(f"/proc/{main}/root/sys/fs/cgroup"))
    return {"result": used, "at_ns": time.monotonic_ns()}


def usage_of(group: Path) -> Message:
    """By the files of a control group, of version 1 or 2."""
    return _usage_v2(group) if (group / "cpu.stat").exists() else _usage_v1(group)


def _usage_v2(group: Path) -> Message:
    cpu, memory, events = _pairs(group / "cpu.stat"), _pairs(group / "memory.stat"), _pairs(group / "memory.events")
    return {
        "cpu_s": cpu["usage_usec"] / 1e6, "throttled_s": cpu.get("throttled_usec", 0) / 1e6,
        "memory_bytes": memory["anon"], "oom_kills": events.get("oom_kill", 0),
    }  # fmt: skip


def _usage_v1(group: Path) -> Message:
    cpu, memory = _pairs(group / "cpu" / "cpu.stat"), _pairs(group / "memory" / "memory.stat")
    events = _pairs(group / "memory" / "memory.oom_control")
    return {
        "cpu_s": int((group / "cpuacct" / "cpuacct.usage").read_text(encoding="ascii")) / 1e9,
        "throttled_s": cpu.get("throttled_time", 0) / 1e9,
        "memory_bytes": memory["total_rss"], "oom_kills": events.get("oom_kill", 0),
    }  # fmt: skip


def _pairs(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {fields[0]: int(fields[1]) for fields in lines if len(fields) == 2}


# --- processes of load -------------------------------------------------------------------------------------------------


def do_load(_agent: object, command: Message) -> Message:
    """How many processes of this load there are, or of all, and what they have done so far."""
    found = _of_load(command["number"])
    times = [_times_s(pid) for pid in found]
    at_ns = time.monotonic_ns()
    return {
        "result": {
            "processes": len(found), "run_s": sum(run for run, _ in times), "wait_s": sum(wait for _, wait in times),
            "written_bytes": sum(map(_written, found)),
        },
        "at_ns": at_ns,
    }  # fmt: skip


def do_await(agent: Agent, command: Message) -> None:
    """Answer when there are so many processes of this load."""
    agent.later(command["id"], lambda: _await(command["number"], command["processes"], command["within_s"]))


def _await(number: str, processes: int, within_s: float) -> Message:
    until_s = time.monotonic() + within_s
    while len(_of_load(number)) < processes:
        if time.monotonic() > until_s:
            raise ValueError(f"{len(_of_load(number))} of {processes} processes of the load ran {within_s:g} s after they were started")
        time.sleep(LOOK_EVERY_S)
    return {"result": {}}


def do_end(agent: Agent, command: Message) -> None:
    """Kill every process of this load, and answer when none is left; ``ended``: how many there were."""
    agent.later(command["id"], lambda: _end(command["number"]))


def _end(number: str | None) -> Message:
    until_s = time.monotonic() + END_WITHIN_S
    ended: set[int] = set()
    while found := _of_load(number):
        if time.monotonic() > until_s:
            raise ValueError(f"{len(found)} processes of the load did not die of SIGKILL within {END_WITHIN_S:g} s")
        ended.update(found)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EVERY_S)
    return {"result": {"ended": len(ended)}}


def _of_load(number: str | None) -> list[int]:
    """The living ones of one load, or of all."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - called often, and a Path each would cost more than the listing
        if not entry.isdigit():
            continue
        try:
            if Path(f"/proc/{entry}/comm").read_text(encoding="utf-8", errors="replace").strip() != TOOL:
                continue
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # A dead one that nobody has collected yet has no command line.
        if words != [b""] and (number is None or number.encode() in words):
            found.append(int(entry))
    return found


def _times_s(pid: int) -> tuple[float, float]:
    """On a processor, and waiting for one; of a process that is gone nothing is left to know."""
    try:
        run_ns, wait_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    return int(run_ns) / 1e9, int(wait_ns) / 1e9


def _written(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("write_bytes:"))


# --- who dies first ----------------------------------------------------------------------------------------------------


def do_expose(agent: Agent, _command: Message) -> Message:
    """When memory runs out, the system dies and not the load: as if it were the one that had grown."""
    for pid in agent.processes.all():
        path = Path(f"/proc/{pid}/oom_score_adj")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            score = path.read_text(encoding="ascii").strip()
            if score != FIRST_TO_DIE:
                _exposed.setdefault(pid, score)
                path.write_text(FIRST_TO_DIE, encoding="ascii")
    return {"result": {"exposed": len(_exposed)}}


def do_cover(agent: Agent, _command: Message) -> Message:
    """Every process has its own score again; one that began meanwhile has its parent's."""
    _cover(agent)
    return {"result": {}}


def _cover(agent: Agent) -> None:
    usual = next(iter(_exposed.values()), "0")
    if _exposed:
        for pid in agent.processes.all():
            path = Path(f"/proc/{pid}/oom_score_adj")
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if path.read_text(encoding="ascii").strip() == FIRST_TO_DIE:
                    path.write_text(_exposed.get(pid, usual), encoding="ascii")
    _exposed.clear()


# --- disks -------------------------------------------------------------------------------------------------------------


def do_room(_agent: object, command: Message) -> Message:
    """How big a folder's disk is, how much of it is free, how long a small synchronous write takes, or why it fails."""
    folder = command["folder"]
    room = os.statvfs(folder)
    began_s = time.monotonic()
    error = _attempt(folder)
    took_s = time.monotonic() - began_s
    return {
        "result": {
            "size_bytes": room.f_blocks * room.f_frsize, "free_bytes": room.f_bavail * room.f_frsize,
            "write_error": error, "write_s": None if error else took_s,
        }
    }  # fmt: skip


def _attempt(folder: str) -> str:
    """A real write, durable, into a file without a name; empty if it succeeds, else the name of the error (``ENOSPC``)."""
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    try:
        os.write(file, bytes(PAGE))
        os.fsync(file)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        os.close(file)
    return ""


def do_fill(agent: Agent, command: Message) -> None:
    """Lay ``bytes`` on a folder's disk, or as much as makes that ``share`` of it taken: 1 is to the last page."""
    agent.later(command["id"], lambda: _fill(command["folder"], command["share"], command["bytes"]))


def _fill(folder: str, share: float | None, size_bytes: int | None) -> Message:
    if folder in _ballast:
        raise ValueError(f"{folder} is being filled already")
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    _ballast[folder] = file
    room = os.statvfs(folder)
    free_bytes = room.f_bavail * room.f_frsize
    wanted = size_bytes if share is None else free_bytes - round(room.f_blocks * room.f_frsize * (1 - share))
    laid = max(0, min(wanted or 0, free_bytes))
    try:
        if laid:
            os.posix_fallocate(file, 0, laid)
    except OSError as error:
        # The system wrote meanwhile: what is left then is filled piece by piece.
        if error.errno != errno.ENOSPC:
            raise
    if share == 1:
        laid = _to_the_last_page(file)
    return {"result": {"laid_bytes": laid}}


def _to_the_last_page(file: int) -> int:
    size = os.fstat(file).st_size
    for piece in (PIECE, PAGE):
        while True:
            try:
                os.posix_fallocate(file, size, piece)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
            size += piece
    return size


def do_free(_agent: object, command: Message) -> Message:
    """Take the ballast away."""
    _free(command["folder"])
    return {"result": {}}


def _free(folder: str) -> None:
    file = _ballast.pop(folder, None)
    if file is not None:
        os.close(file)


def do_lock(agent: Agent, command: Message) -> None:
    """Remount a folder's disk read-only. The kernel refuses while any file on it is open for writing: ``busy`` is then yes."""

    def lock() -> Message:
        busy = _remount(command["folder"], MS_RDONLY)
        if not busy:
            _locked.add(command["folder"])
        return {"result": {"busy": "yes" if busy else ""}}

    agent.later(command["id"], lock)


def do_unlock(agent: Agent, command: Message) -> None:
    """Remount a folder's disk for reading and writing."""

    def unlock() -> Message:
        _unlock(command["folder"])
        return {"result": {}}

    agent.later(command["id"], unlock)


def _unlock(folder: str) -> None:
    if folder in _locked:
        _remount(folder, 0)
        _locked.discard(folder)


def _remount(folder: str, flags: int) -> bool:
    """True if it is busy. By the system call itself: a program of ours would look like one of the system's."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, folder.encode(), None, ctypes.c_ulong(MS_REMOUNT | flags), None) == 0:
        return False
    number = ctypes.get_errno()
    if number == errno.EBUSY:
        return True
    raise OSError(number, os.strerror(number), folder)


def do_empty(_agent: object, command: Message) -> Message:
    """Delete all that stands in the folders, as if their disks were new."""
    for folder in command["folders"]:
        for path in Path(folder).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return {"result": {}}


# --- by itself ---------------------------------------------------------------------------------------------------------


def heal(agent: Agent) -> list[str]:
    """No load, no ballast, every disk writable, every process as likely to die as before."""
    problems: list[str] = []

    def attempt(what: str, do: Callable[[], object]) -> None:
        try:
            do()
        except (OSError, ValueError) as error:
            problems.append(f"{what}: {error}")

    attempt("load", lambda: _end(None))
    for folder in list(_ballast):
        attempt(f"ballast on {folder}", lambda folder=folder: _free(folder))  # type: ignore[misc]
    for folder in list(_locked):
        attempt(f"read-only {folder}", lambda folder=folder: _unlock(folder))  # type: ignore[misc]
    attempt("out-of-memory scores", lambda: _cover(agent))
    return problems
