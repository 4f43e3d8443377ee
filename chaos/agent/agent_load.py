"""One process of load inside the control groups of somebody else's container. Standard library only.

    python3 agent_load.py KIND AMOUNT GROUPS...      KIND: cpu, memory or io; GROUPS: folders of control groups to join

    cpu      AMOUNT is the share of one processor to keep busy          memory   so many bytes are taken, and kept
    io       so many bytes are the size of a file that is written durably at random places, without pause

It says ``ready`` once it has joined the groups, and works until it is killed. Whoever started it may die in any way: the kernel then kills
this process too. Its name tells it from the system's own processes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from chaos.agent.agent_processes import LOAD
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    from agent_processes import LOAD

PR_SET_PDEATHSIG: Final = 1
NEVER: Final = "-1000"
"""An out-of-memory score of a process that the kernel never takes (proc_pid_oom_score_adj(5))."""
TURN_S: Final = 0.02
"""A worker that is to be busy a share of the time rests once in each turn: below the period of the kernel's limit, 100 ms."""
PIECE: Final = 65_536


def main(arguments: list[str]) -> NoReturn:
    """Becomes the load."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("who started it is dead already")
    kind, amount, groups = arguments[0], float(arguments[1]), arguments[2:]
    Path("/proc/self/comm").write_text(LOAD, encoding="ascii")
    if kind == "memory":
        _spare()
    held = _file(int(amount)) if kind == "io" else -1  # made before, so that making it counts against nobody's limit
    for group in groups:
        Path(group, "cgroup.procs").write_text("0", encoding="ascii")  # itself
    print("ready", flush=True)
    if kind == "cpu":
        _work(amount)
    elif kind == "memory":
        _take(int(amount))
    _write(held, int(amount))


def _spare() -> None:
    """When memory runs out, the kernel is to take the system, not us. Below 0 only with CAP_SYS_RESOURCE, which not every machine gives."""
    score = Path("/proc/self/oom_score_adj")
    try:
        score.write_text(NEVER, encoding="ascii")
    except PermissionError:
        score.write_text("0", encoding="ascii")


def _work(busy: float) -> NoReturn:
    while True:
        until_s = time.monotonic() + TURN_S * busy
        while busy >= 1 or time.monotonic() < until_s:
            pass
        time.sleep(TURN_S * (1 - busy))


def _take(size: int) -> NoReturn:
    taken = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # as a program's own, and not as a file's
    for place in range(0, size, mmap.PAGESIZE):
        taken[place] = 1
    while True:
        signal.pause()


def _file(size: int) -> int:
    """Without a name: no program finds it, and it is gone with us."""
    with tempfile.TemporaryFile() as file:
        held = os.dup(file.fileno())
    os.posix_fallocate(held, 0, size)
    return os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_DSYNC)


def _write(file: int, size: int) -> NoReturn:
    data, places = os.urandom(PIECE), size // PIECE
    while True:
        os.pwrite(file, data, random.randrange(places) * PIECE)  # noqa: S311 - where it is written matters to nobody


if __name__ == "__main__":
    main(sys.argv[1:])
