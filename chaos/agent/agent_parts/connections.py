"""Idle TCP connections to one place, held until they are let go: opened, counted and closed from where the clients are.

    {"do": "connections.open", "crowd": 1, "host": "198.18.0.11", "port": 7000, "count": 500, "within_s": 5.0}
                                                  -> {"result": {"open": 500.0}}
    {"do": "connections.count", "crowd": 1}       -> {"result": {"open": 498.0}}
    {"do": "connections.close", "crowd": 1}

The kernel of the node completes them whether its process takes them up or not. They are this process's own: with it they end.
The harness uses these very functions where nodes are plain processes.
"""

from __future__ import annotations

import errno
import fcntl
import resource
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

SPARE: Final = 128
"""Descriptors that this process needs for itself."""
AT_ONCE: Final = 128
"""So many connects at a time: a listener's queue takes about as many."""
_ESTABLISHED: Final = 1
"""The state of a connection, first byte of TCP_INFO (tcp(7), net/tcp_states.h)."""

_crowds: dict[int, list[socket.socket]] = {}


class Agent(Protocol):
    """What is needed of ``agent.Agent``."""

    def later(self, number: object, work: Callable[[], dict[str, Any]]) -> None:
        """Do it in a thread, and answer the command of this number with what it returns."""
        ...


def room() -> int:
    """How many connections this process could hold: beside its own files, or above its limit if that may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(hard - soft, soft - SPARE)


def opened(host: str, port: int, count: int, within_s: float) -> list[socket.socket]:
    """That many, or as many as could be had in that time; the caller closes them. ``ValueError`` where the limit does not let so many.

    Our own limit is raised for a moment only, since whatever we start inherits it: the sockets are put aside above it, where they may
    stay when it is as before, and the numbers below it are free for our own files.
    """
    if count > room():
        raise ValueError(f"{count} connections: the limit of open files lets {room()} (ulimit -n)")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    aside = hard - soft >= count
    if aside:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    until_s = time.monotonic() + within_s
    made: list[socket.socket] = []
    try:
        while len(made) < count and time.monotonic() < until_s:
            some, why = _some(host, port, min(AT_ONCE, count - len(made)), until_s)
            made += [_above(soft, one) for one in some] if aside else some
            if why:
                break
    except BaseException:
        close(made)
        raise
    finally:
        if aside:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return made


def _above(limit: int, one: socket.socket) -> socket.socket:
    with one:
        return socket.socket(fileno=fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, limit))


def _some(host: str, port: int, count: int, until_s: float) -> tuple[list[socket.socket], str]:
    waiting: dict[int, socket.socket] = {}
    done: list[socket.socket] = []
    why = ""
    poller = select.poll()
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        number = one.connect_ex((host, port))
        if number not in (0, errno.EINPROGRESS):
            one.close()
            why = errno.errorcode.get(number, str(number))
            break
        waiting[one.fileno()] = one
        poller.register(one, select.POLLOUT)
    while waiting and (left_s := until_s - time.monotonic()) > 0:
        for fd, _ in poller.poll(left_s * 1e3):
            one = waiting.pop(fd)
            poller.unregister(fd)
            number = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                one.close()
                why = errno.errorcode.get(number, str(number))
            else:
                done.append(one)
    close(list(waiting.values()))
    return done, why


def established(crowd: list[socket.socket]) -> int:
    """How many of them stand on both sides, as far as this side's kernel knows."""
    return sum(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED for one in crowd)


def close(crowd: list[socket.socket]) -> None:
    """At once, by reset: thousands of them would else wait in TIME_WAIT, each with a port of its own."""
    for one in crowd:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.close()


# --- commands ----------------------------------------------------------------------------------------------------------


def do_room(_agent: object, _command: dict[str, Any]) -> dict[str, Any]:
    """How many there could be."""
    return {"result": {"room": float(room())}}


def do_open(agent: Agent, command: dict[str, Any]) -> None:
    """It may take its whole time."""

    def work() -> dict[str, Any]:
        crowd = opened(command["host"], command["port"], command["count"], command["within_s"])
        _crowds[command["crowd"]] = crowd
        return {"result": {"open": float(established(crowd))}}

    agent.later(command["id"], work)


def do_count(_agent: object, command: dict[str, Any]) -> dict[str, Any]:
    """Those that stand."""
    return {"result": {"open": float(established(_crowds.get(command["crowd"], [])))}}


def do_close(_agent: object, command: dict[str, Any]) -> dict[str, Any]:
    """All of this crowd."""
    close(_crowds.pop(command["crowd"], []))
    return {}


def heal(_agent: object) -> list[str]:
    """All of every crowd."""
    for number in list(_crowds):
        close(_crowds.pop(number))
    return []
