"""The node agent in a pod of ours: a sidecar that sees the processes of the whole pod, among them the gate before the system.

    pause (1)     gate (parent 0)  ->  the system's main process        agent's own container: left alone

The containers of a pod may share one namespace of processes, whose first is that of the pod itself. What runs in the agent's own container
is known by its control group, and a gate by its name, which it loses when it becomes the system. Standard library only, like ``agent.py``,
whose commands are all there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.agent import agent
    from chaos.agent.agent_parts.gate import GATE
    from chaos.agent.agent_processes import Processes, read_stat
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    import agent
    from agent_parts.gate import GATE
    from agent_processes import Processes, read_stat


class Gated(Processes):
    """The system's processes in a pod: everything but the pod's first, the agent's own container, and gates."""

    def __init__(self) -> None:
        super().__init__()
        self.own = {1, os.getpid()}
        self._here = group_of(os.getpid())

    def look(self) -> int | None:
        """The main process: a gate's child, or what a gate has become. Newly seen: its pid, else None."""
        if self.main is not None:
            return None
        for pid in self.all():
            stat = read_stat(pid)
            if stat is None or not (stat.parent == 0 or self._opened(stat.parent)):
                continue
            if not _read(pid, "cmdline"):  # it is at its end, and has lost its words: what stops a system may be that
                continue
            try:
                main_fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            self.main, self.main_fd = pid, main_fd
            return pid
        return None

    def _is_ours(self, pid: int) -> bool:
        return super()._is_ours(pid) or is_gate(pid) or group_of(pid) == self._here

    def _opened(self, parent: int) -> bool:
        """Whether this is a gate itself, and not what it is about to become."""
        stat = read_stat(parent)
        return stat is not None and stat.parent == 0 and is_gate(parent)


def is_gate(pid: int) -> bool:
    """By the words that it was started with; a copy of it that becomes the system loses them."""
    return GATE.encode() in _read(pid, "cmdline").split(b"\0")


def group_of(pid: int) -> bytes:
    """The control groups that it is in: another text for each container, whatever of it is seen from here."""
    return _read(pid, "cgroup")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, agent.end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sidecar = agent.Agent(float(os.environ.get("NINES_ORPHAN_AFTER_S", "15")), ends_with_input="NINES_ENDS_WITH_INPUT" in os.environ)
    sidecar.processes = Gated()
    sidecar.run()
