"""The system's processes as the node agent sees them: who they are, which is the main one, what they do. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

LOAD: Final = "nines-tool"
"""The name of every process that loads a node (``agent_parts/resources.py``): it is ours, although the engine starts it."""


class Processes:
    """The system's processes: everything in our namespace but ourselves and what we started."""

    def __init__(self) -> None:
        self.own: set[int] = {1}
        self.main: int | None = None
        self.main_fd: int | None = None

    def all(self) -> list[int]:
        """Every process of the system, its main one first."""
        found = []
        for entry in os.listdir("/proc"):  # noqa: PTH208 - called often, and a Path each would cost more than the listing
            if entry.isdigit() and int(entry) not in self.own and not self._is_ours(int(entry)):
                found.append(int(entry))
        return sorted(found, key=lambda pid: (pid != self.main, pid))

    def _is_ours(self, pid: int) -> bool:
        """Children of our children, processes of load, dead ones that nobody has reaped yet, and the engine's starter before it becomes
        the system.

        An orphan of the system has us for its parent, but is no child of ours.
        """
        stat = read_stat(pid)
        return stat is None or stat.state in "ZX" or stat.parent in self.own - {1} or stat.name.startswith("runc:[") or stat.name == LOAD

    def look(self) -> int | None:
        """The main process: its parent is outside our namespace. Newly seen: its pid, else None."""
        if self.main is not None:
            return None
        for pid in self.all():
            stat = read_stat(pid)
            if stat is not None and stat.parent == 0:
                try:
                    self.main_fd = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                self.main = pid
                return pid
        return None

    def lost(self) -> int:
        """The main process is dead."""
        assert self.main is not None
        assert self.main_fd is not None
        os.close(self.main_fd)
        pid, self.main, self.main_fd = self.main, None, None
        return pid

    def state(self) -> str:
        """``up``, ``down`` or ``paused``, by the word of the kernel."""
        stats = [stat for pid in self.all() if (stat := read_stat(pid)) is not None]
        if self.main is None or not stats:
            return "down"  # children of a dead main process may take a moment longer to die
        return "paused" if all(stat.state in "Tt" for stat in stats) else "up"


class Stat(NamedTuple):
    """What ``/proc/PID/stat`` says of a process."""

    name: str
    state: str
    parent: int


def read_stat(pid: int) -> Stat | None:
    """None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(text[text.index("(") + 1 : text.rindex(")")], fields[0], int(fields[1]))


def times_s(pid: int) -> tuple[float, float]:
    """On a processor, and waiting for one; of a process that is gone nothing is left to know."""
    try:
        run_ns, wait_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    return int(run_ns) / 1e9, int(wait_ns) / 1e9


def written_bytes(pid: int) -> int:
    """To disks; of a process that is gone nothing is left to know."""
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("write_bytes:"))
