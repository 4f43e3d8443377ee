"""File descriptors: how many a process of the node has and may still have, and denying it more.

    {"do": "limits.files"}                      -> {"result": {"open": 14.0, "limit": 1024.0, "left": 1010.0, "lowered": 0.0}}
    {"do": "limits.lower", "left": 0}           -> the same, once no process of the system may open more than that
    {"do": "limits.restore"}                    -> the same, with the limits that they had before

A limit is not a count but the first number that may not be given out (RLIMIT_NOFILE, getrlimit(2)), and the kernel gives the lowest free
one: to leave so many, the limit is put behind the free number that is the last of them. Descriptors above it stay open.

The harness uses these very functions where nodes are plain processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

WITHIN_S: Final = 5.0

_former: dict[tuple[int, int], int] = {}
"""(pid, start) of each process that was denied something -> its soft limit before."""


class Files(NamedTuple):
    """Of one process."""

    open: int
    limit: int
    left: int
    lowered: bool
    """It is by us that the limit is what it is."""


def files(pid: int) -> Files:
    """As the kernel has it now; ``FileNotFoundError`` or ``ProcessLookupError`` when it is gone."""
    numbers = _numbers(pid)
    limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return Files(len(numbers), limit, limit - sum(number < limit for number in numbers), (pid, _start(pid)) in _former)


def lower(pid: int, left: int) -> Files:
    """It may open so many more; never more than it could before."""
    numbers = _numbers(pid)
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    limit, free = 0, left
    while limit in numbers or free > 0:
        free -= limit not in numbers
        limit += 1
    if limit < soft:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
        _former.setdefault((pid, _start(pid)), soft)
    return files(pid)


def restore(pid: int) -> Files:
    """The limit that it had, if it is one that was lowered."""
    former = _former.pop((pid, _start(pid)), None)
    if former is not None:
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (former, hard))
    return files(pid)


def fewest(found: Iterable[Files]) -> Files:
    """Of the process that may open the fewest more; ``ValueError`` where there is none."""
    return min(found, key=lambda one: one.left)


def _numbers(pid: int) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 - numbers only


def _start(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
        text = stat.read()
    return int(text[text.rindex(")") + 2 :].split()[19])


# --- commands ----------------------------------------------------------------------------------------------------------


def do_files(agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """Of the process that may open the fewest more."""
    return _each(agent, "files")


def do_lower(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Every process that runs now."""
    return _each(agent, "lower", command["left"])


def do_restore(agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Every process that was denied something and still runs."""
    return _each(agent, "restore")


def heal(agent: Any) -> list[str]:  # noqa: ANN401
    """Nobody is denied anything."""
    if not _former:
        return []
    try:
        _each(agent, "restore")
    except (OSError, ValueError) as error:
        return [f"file limits: {error}"]
    return []


def _each(agent: Any, what: str, *arguments: int) -> dict[str, Any]:  # noqa: ANN401
    found = []
    for pid in agent.processes.all():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(_as_owner(pid, what, *arguments))
    return {"result": {name: float(value) for name, value in fewest(found)._asdict().items()}} if found else _nobody()


def _nobody() -> dict[str, Any]:
    raise ValueError("no process of the system runs")


def _as_owner(pid: int, what: str, *arguments: int) -> Files:
    """In our own name, or, of a process of another user, in its: the kernel lets a user limit his own processes (prlimit(2))."""
    owner = os.stat(f"/proc/{pid}")  # noqa: PTH116
    if owner.st_uid == os.getuid():
        return lower(pid, *arguments) if what == "lower" else restore(pid) if what == "restore" else files(pid)
    former = _former.get((pid, _start(pid)))
    command = [sys.executable, __file__, what, str(pid), str(arguments[0] if arguments else former or 0)]
    try:
        done = subprocess.run(
            command, user=owner.st_uid, group=owner.st_gid, extra_groups=[], capture_output=True, text=True, check=True, timeout=WITHIN_S
        )
    except subprocess.SubprocessError as error:
        raise ValueError(f"process {pid} of user {owner.st_uid} cannot be looked at: {error}") from error
    found, known = json.loads(done.stdout)
    if what == "lower" and known is not None:
        _former.setdefault((pid, _start(pid)), known)
    elif what == "restore":
        _former.pop((pid, _start(pid)), None)
    return Files(*found)._replace(lowered=(pid, _start(pid)) in _former)


def _main(what: str, pid: int, number: int) -> None:
    if what == "restore" and number:
        _former[pid, _start(pid)] = number
    found = lower(pid, number) if what == "lower" else restore(pid) if what == "restore" else files(pid)
    print(json.dumps([found, _former.get((pid, _start(pid)))]))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
