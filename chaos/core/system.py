"""What only some systems have, for the parts of the program that run on all of them: Linux, macOS and Windows.

Only Linux runs nodes; planning, predicting, judging and reporting run anywhere, and so does the command of a run beside an engine that is
elsewhere.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import IO, Final

LINUX: Final = sys.platform == "linux"
NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
"""For ``os.open``: a symbolic link is not followed, where the system has such a flag."""
PLAIN_BYTES: Final[int] = NO_LINKS | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""For ``os.open``: the same, closed in children, and the bytes as they are (Windows would change the ends of lines)."""
NONBLOCKING: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)
"""Of a new socket, where that costs no call of its own; elsewhere ``setblocking(False)`` must follow, and does no harm here."""
SIGKILL: Final = 9
"""Its number on every system that has it; Windows has no name for it."""


def sync(fd: int) -> None:
    """The file's data are on the disk when it returns."""
    if sys.platform == "linux":
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def lock(file: IO[str]) -> None:
    """Wait until nobody else has locked that file; it is unlocked when it is closed, however that comes."""
    if sys.platform == "win32":
        import msvcrt
        import time

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            except OSError:
                time.sleep(0.1)  # it gives up by itself after ten seconds
            else:
                return
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def is_root() -> bool:
    """Whether this process may do everything; false where there is no such user."""
    return sys.platform != "win32" and os.geteuid() == 0


def user_name() -> str:
    """Who runs this process, by name where the system has one."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "")
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def most_files() -> int | None:
    """Open files that a process may have at most; None: no limit that is known."""
    if sys.platform == "win32":
        return None
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most
