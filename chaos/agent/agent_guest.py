"""The node agent as a guest: in the network namespace of somebody else's container, looking at its processes from outside.

    NINES_GUEST_OF=<container id> python3 agent_guest.py

A system that already runs has namespaces of its own. Its first process cannot be killed or frozen from inside them (the kernel
shields the first process of a namespace from everything in it), so the guest sees the whole machine's processes and takes for the
system's exactly those whose control group carries the container's id: no signal goes anywhere else. It outlives the system's
death, unlike anything inside; of the network it holds only an empty shell then, and another guest joins the next life.
Standard library only, like ``agent.py``, whose commands are all there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chaos.agent import agent
    from chaos.agent.agent_processes import Processes
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    import agent
    from agent_processes import Processes

SURE_S: Final = 5.0
"""The engine moves a process into its control group after it has made it; one that is elsewhere for so long stays there."""


class Hosts(Processes):
    """The processes of one container, seen from the machine's own namespace."""

    def __init__(self, container: str) -> None:
        super().__init__()
        self.own = {os.getpid()}
        self._container = container
        self._foreign: dict[int, float] = {}
        """Processes of others -> when they were first seen: reading all of them each time would cost more than the looking."""

    def all(self) -> list[int]:
        """Every process of the container, its main one first."""
        now_s = time.monotonic()
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - called often
        before, self._foreign = self._foreign, {}
        found = []
        for pid in pids:
            since_s = before.get(pid, now_s)
            if now_s - since_s > SURE_S or not self._inside(pid):
                self._foreign[pid] = since_s
            elif pid not in self.own and not self._is_ours(pid):
                found.append(pid)
        return sorted(found, key=lambda pid: (pid != self.main, pid))

    def look(self) -> int | None:
        """The main process: the first one of the container's own namespace. Newly seen: its pid, else None.

        What the engine starts it with runs in the same control group for a moment, and is the first of no namespace.
        """
        if self.main is not None:
            return None
        firsts = [(len(numbers), pid) for pid in self.all() if (numbers := inner_pids(pid))[-1:] == [1]]
        if not firsts:
            return None
        _, first = min(firsts)  # those of containers inside the container lie deeper
        try:
            main_fd = os.pidfd_open(first)
        except ProcessLookupError:
            return None
        if not self._inside(first):
            os.close(main_fd)  # it died meanwhile, and its number is somebody else's
            return None
        self.main, self.main_fd = first, main_fd
        return first

    def _inside(self, pid: int) -> bool:
        try:
            return self._container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False


class Guest(agent.Agent):
    """What it leaves behind when nobody speaks to it any more, others go on living with."""

    outlived = True
    """Parts note in the namespace itself what is to be undone there."""

    def _heal_alone(self) -> None:
        # While the rules stand: without them a connection that went through a proxy would not hear of its end.
        self._part("aside").heal(self)
        super()._heal_alone()


def inner_pids(pid: int) -> list[int]:
    """Its number in each namespace that it is in, its own and innermost last; empty when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    line = next((line for line in text.splitlines() if line.startswith("NSpid:")), "")
    return [int(word) for word in line.split()[1:]]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, agent.end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    container = os.environ["NINES_GUEST_OF"]
    if len(container) != 64:
        sys.exit(f"'{container}' is not the id of a container")
    guest = Guest(float(os.environ.get("NINES_ORPHAN_AFTER_S", "15")))
    guest.processes = Hosts(container)
    guest._part("guest")  # so that it also heals by itself what only a guest has to
    guest.run()
