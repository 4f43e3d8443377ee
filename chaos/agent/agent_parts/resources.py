"""What a node uses, and what of ours uses it up beside its system: processes of load in its control group.

They are started by the engine, so that they live within the limits of the system's container; here they are told by the name of what the
kernel started (``TOOL``) and counted, watched and ended by the number on their command line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from chaos.agent.agent_parts.gate import GATE
    from chaos.agent.agent_processes import times_s, written_bytes
else:
    sys.path.append(str(Path(__file__).parent.parent))  # it stands there, and the interpreter looks nowhere by itself
    from agent_parts.gate import GATE
    from agent_processes import times_s, written_bytes

Message = dict[str, Any]

TOOL: Final = "nines-tool"
LOOK_EVERY_S: Final = 0.002
END_WITHIN_S: Final = 3.0
FIRST_TO_DIE: Final = "1000"
"""The highest score: when memory runs out in its control group, the kernel takes this process before all others."""
NEVER: Final = ("-1000", "0")
"""A score of a process that the kernel never takes; and what anybody may set, where below 0 needs CAP_SYS_RESOURCE and nobody has it. A
gate has so little memory that the load, which is large, goes before it then."""


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


_exposed: dict[int, str] = {}
"""Process of the system -> its own out-of-memory score."""
_shielded: dict[int, str] = {}
"""The same of a gate."""


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
    times = [times_s(pid) for pid in found]
    at_ns = time.monotonic_ns()
    return {
        "result": {
            "processes": len(found), "run_s": sum(run for run, _ in times), "wait_s": sum(wait for _, wait in times),
            "written_bytes": sum(map(written_bytes, found)),
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


def do_shield(agent: Agent, _command: Message) -> Message:
    """When memory runs out, the gate before the system lives on; ``score``: the one that it has now, empty where there is no gate.

    The kernel may want another process before the memory of the first one is free. A gate's score is that of its pod's class, about as
    high as the system's; a load's is not.
    """
    score = ""
    for pid in filter(_is_gate, agent.processes.all()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            own = _score(pid).read_text(encoding="ascii").strip()
            score = _lowered(pid) or own
            if score != own:
                _shielded.setdefault(pid, own)
    return {"result": {"score": score}}


def _lowered(pid: int) -> str:
    for score in NEVER:
        with contextlib.suppress(PermissionError):
            _score(pid).write_text(score, encoding="ascii")
            return score
    return ""


def do_unshield(_agent: object, _command: Message) -> Message:
    """Every gate has its own score again."""
    _unshield()
    return {"result": {}}


def _unshield() -> None:
    for pid, score in _shielded.items():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if _is_gate(pid):
                _score(pid).write_text(score, encoding="ascii")
    _shielded.clear()


def _is_gate(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return GATE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def _score(pid: int) -> Path:
    return Path(f"/proc/{pid}/oom_score_adj")


# --- by itself ---------------------------------------------------------------------------------------------------------


def heal(agent: Agent) -> list[str]:
    """No load, every process as likely to die as before."""
    problems: list[str] = []
    ours = (("load", lambda: _end(None)), ("out-of-memory scores", lambda: _cover(agent)), ("the gate's score", _unshield))
    for what, do in ours:
        try:
            do()
        except (OSError, ValueError) as error:
            problems.append(f"{what}: {error}")
    return problems
