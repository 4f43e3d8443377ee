"""The processes of a node that serve, beside its main one: those that hold a socket which listens on a port of the node.

    {"do": "serving.find", "ports": [7000]}                -> {"result": {"14": 0.0}}, pids as the node numbers them
    {"do": "serving.kill", "ports": [7000], "signal": 9}   -> {"at_ns": ..., "result": {"14": 0.0}}, when the last of them was dead

A supervisor, a master of workers or a shell that waits is the main process, and is left alone: what it does next is what is tested. The
harness uses these very functions where nodes are plain processes. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

_LISTEN: Final = "0A"
WITHIN_S: Final = 5.0
"""How long one may take to die; a signal that it handles may take that long as well."""


def listening(ports: Collection[int]) -> set[str]:
    """What ``/proc/PID/fd`` calls the sockets that listen on one of these ports (proc(5), ``/proc/net/tcp``)."""
    found = set()
    for name in ("tcp", "tcp6"):
        table = Path(f"/proc/net/{name}")
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) in ports:
                found.add(f"socket:[{fields[9]}]")
    return found


def serving(pids: Iterable[int], main: int | None, ports: Collection[int]) -> list[int]:
    """Those of the pids that hold such a socket, but for the main one."""
    sockets = listening(ports)
    return [pid for pid in pids if pid != main and not sockets.isdisjoint(_open(pid))]


def _open(pid: int) -> set[str]:
    found: set[str] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names only
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.add(os.readlink(f"/proc/{pid}/fd/{number}"))  # noqa: PTH115 - the same
    return found


def kill(pids: Iterable[int], number: int, within_s: float = WITHIN_S) -> tuple[int, list[int]]:
    """Signal them; when the last one was dead (CLOCK_MONOTONIC ns), and which of them still live after that time."""
    opened = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            opened[os.pidfd_open(pid)] = pid
    try:
        for fd in opened:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, number)
        waiting, until_s = set(opened), time.monotonic() + within_s
        poller = select.poll()
        for fd in waiting:
            poller.register(fd, select.POLLIN)
        while waiting and (left_s := until_s - time.monotonic()) > 0:
            for fd, _ in poller.poll(left_s * 1e3):
                poller.unregister(fd)
                waiting.discard(fd)
        return time.monotonic_ns(), sorted(opened[fd] for fd in waiting)
    finally:
        for fd in opened:
            os.close(fd)


# --- commands ----------------------------------------------------------------------------------------------------------


def do_find(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """Who serves."""
    agent.processes.look()
    found = serving(agent.processes.all(), agent.processes.main, command["ports"])
    return {"result": {str(pid): 0.0 for pid in found}}


def do_kill(agent: Any, command: dict[str, Any]) -> None:  # noqa: ANN401
    """Kill them; answered when they are dead."""
    pids = serving(agent.processes.all(), agent.processes.main, command["ports"])

    def strike() -> dict[str, Any]:
        at_ns, alive = kill(pids, command["signal"])
        if alive:
            raise OSError(f"process {alive[0]} still lives {WITHIN_S:g} s after {signal.Signals(command['signal']).name}")
        return {"at_ns": at_ns, "result": {str(pid): 0.0 for pid in pids}}

    agent.later(command["id"], strike)


def heal(_agent: Any) -> list[str]:  # noqa: ANN401
    """What died here is its main process's to start again."""
    return []
