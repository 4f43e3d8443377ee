"""The node agent as a guest: in the network namespace of somebody else's container, looking at its processes from outside.

    NINES_GUEST_OF=<container id> python3 agent_guest.py
    NINES_GUEST_OF=<container id> NINES_GUEST_POD=<uid of its pod> python3 agent_guest.py

A system that already runs has namespaces of its own. Its first process cannot be killed or frozen from inside them (the kernel
shields the first process of a namespace from everything in it), so the guest sees the whole machine's processes and takes for the
system's exactly those whose control group carries the container's id: no signal goes anywhere else. It outlives the system's
death, unlike anything inside; of the network it holds only an empty shell then, and another guest joins the next life.
In a pod the network outlives its containers, so one guest serves all lives: each is a new container of the same pod.
Standard library only, like ``agent.py``, whose commands are all there.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chaos.agent import agent
    from chaos.agent.agent_processes import Processes, read_stat
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    import agent
    from agent_processes import Processes, read_stat

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

    def container_of(self, pid: int) -> str:  # noqa: ARG002 - there is one
        """The id of the container that a process of the system runs in."""
        return self._container

    def _inside(self, pid: int) -> bool:
        try:
            return self._container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False


class Pods(Hosts):
    """The processes of one container of a pod, over all of its lives: each is a container with another id.

    What else is in the pod is known by what runs there now: its own sandbox, and the other containers.
    """

    def __init__(self, container: str, pod: str, *, shared: bool = False) -> None:
        super().__init__(container)
        self._shared = shared
        """The pod's containers see each other's processes (``shareProcessNamespace``)."""
        self._pod = pod_words(pod)
        self._others: frozenset[str] = frozenset()
        self._others = frozenset(found for pid in pids() if (found := self._id_of(pid)) and found != container)

    def look(self) -> int | None:
        """The first process of its own namespace; where the pod's containers share one, of which that is not theirs, the oldest."""
        if not self._shared or self.main is not None:
            return super().look()
        inside = [pid for pid in self.all() if not name_of(pid).startswith("runc")]  # what starts it is in its group for a moment
        if not inside:
            return None
        first = min(inside, key=began)
        try:
            main_fd = os.pidfd_open(first)
        except ProcessLookupError:
            return None
        if not self._inside(first):
            os.close(main_fd)
            return None
        self.main, self.main_fd = first, main_fd
        return first

    def container_of(self, pid: int) -> str:
        """Of its present life."""
        return self._id_of(pid)

    def _inside(self, pid: int) -> bool:
        found = self._id_of(pid)
        return bool(found) and found not in self._others

    def _id_of(self, pid: int) -> str:
        """The container of the pod that it runs in; empty for what is not of the pod."""
        return container_of(cgroup_of(pid), self._pod)


def pods_process(pod: str) -> int | None:
    """A process in the network of that pod: its oldest, which keeps it."""
    words = pod_words(pod)
    found = [pid for pid in pids() if container_of(cgroup_of(pid), words)]
    return min(found, key=began) if found else None


def pod_words(pod: str) -> tuple[str, str]:
    """Its uid as control groups have it: as it is, or as part of the name of a slice of systemd."""
    return pod, pod.replace("-", "_")


def container_of(group: str, pod: tuple[str, str]) -> str:
    """The id that follows that of the pod in the path of a control group."""
    for line in group.splitlines():
        for word in pod:
            _, there, rest = line.partition(word)
            if there and (found := re.search(r"[0-9a-f]{64}", rest)):
                return found[0]
    return ""


def cgroup_of(pid: int) -> str:
    """Where it stands; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pids() -> list[int]:
    """Of all processes that are seen from here."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - called often


def name_of(pid: int) -> str:
    """Of its program; empty when it is gone."""
    stat = read_stat(pid)
    return "" if stat is None else stat.name


def began(pid: int) -> int:
    """When it did, in ticks since the machine did (proc_pid_stat(5)); one that is gone began last."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return sys.maxsize
    return int(text[text.rindex(")") + 2 :].split()[19])


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
    guest = Guest(
        float(os.environ.get("NINES_ORPHAN_AFTER_S", "15")), has_system="NINES_NO_SYSTEM" not in os.environ,
        ends_with_input="NINES_ENDS_WITH_INPUT" in os.environ,
    )  # fmt: skip
    in_pod = os.environ.get("NINES_GUEST_POD")
    guest.processes = Pods(container, in_pod, shared="NINES_GUEST_SHARES" in os.environ) if in_pod else Hosts(container)
    guest._part("guest")  # so that it also heals by itself what only a guest has to
    guest.run()
