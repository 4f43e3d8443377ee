"""``python other_system.py SYSTEM``: command lines of Nines, on this Linux with what SYSTEM (darwin, win32) lacks taken away.

They come as JSON on standard input, one after the other in this process; what came of each goes to standard output.
What the standard library and other packages import of it is loaded first: on the real system they have branches of their own.
"""

from __future__ import annotations

import asyncio  # noqa: F401
import concurrent.futures  # noqa: F401
import contextlib
import http.client  # noqa: F401
import importlib
import io
import json
import multiprocessing  # noqa: F401
import os
import platform  # noqa: F401
import select
import shutil
import signal
import socket
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import types
import zoneinfo  # noqa: F401

LINUX_ONLY = {
    os: ("fdatasync", "pidfd_open", "posix_fallocate", "O_PATH", "O_TMPFILE", "eventfd", "eventfd_write", "EFD_CLOEXEC", "P_PIDFD",
         "waitid", "sched_getaffinity", "sched_setaffinity"),
    signal: ("pidfd_send_signal",),
    select: ("epoll", "EPOLLIN"),
    socket: ("SOCK_NONBLOCK", "SOCK_CLOEXEC", "SO_PEERCRED", "AF_NETLINK", "AF_PACKET", "TCP_INFO"),
}  # fmt: skip
UNIX_ONLY = {
    os: ("O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "pread", "statvfs", "ST_RDONLY", "geteuid", "getuid", "getgid", "killpg", "getpgid",
         "setsid", "WEXITED", "WNOHANG", "fchmod", "chown", "mkfifo"),
    signal: ("SIGKILL", "SIGHUP", "SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGALRM", "setitimer"),
    select: ("poll", "POLLIN"),
    socket: ("AF_UNIX",),
}  # fmt: skip
UNIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty")


def become(system: str) -> None:
    """From now on this process has no more than that system."""
    for name in (
        "numpy",
        "scipy.special",
        "scipy.optimize",
        "scipy.linalg",
        "scipy.sparse.linalg",
        "jinja2",
        "yaml",
        "tabulate",
        "msgspec",
    ):
        importlib.import_module(name)
    here = shutil.disk_usage(".")
    for lacking in (LINUX_ONLY, UNIX_ONLY) if system == "win32" else (LINUX_ONLY,):
        for module, names in lacking.items():
            for name in names:
                with contextlib.suppress(AttributeError):
                    delattr(module, name)
    if system == "win32":
        for name in UNIX_MODULES:
            sys.modules[name] = None  # type: ignore[assignment]
        msvcrt = types.ModuleType("msvcrt")
        msvcrt.LK_LOCK, msvcrt.locking = 1, lambda _fd, _mode, _bytes: None  # type: ignore[attr-defined]
        sys.modules["msvcrt"] = msvcrt
        shutil.disk_usage = lambda _path: here  # its Windows form asks another call
    sys.platform = system


def run(argv: list[str]) -> tuple[int, str, str]:
    """One command line: its exit status, and what it said. Predictions are worked out of few draws: nothing here hangs on them."""
    from chaos.cli.main import main
    from chaos.predict import run as predicting

    predicting.SLOTS = 50_000  # type: ignore[misc]

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    become(sys.argv[1])
    print(json.dumps([run(argv) for argv in json.load(sys.stdin)]))
