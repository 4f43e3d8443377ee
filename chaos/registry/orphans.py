"""What a run should have removed, one thing each; and its processes, found by their label and ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaos.registry import processes as proc
from chaos.registry import runs as registry

PROCESS = "process"
FROZEN = "frozen process"
UNDO = "undo"
BLOCK = "address block"
RECORD = "record"

HELPERS = frozenset({"prober", "dns", "watch"})
"""Our own helper processes end by themselves when their harness is gone; they get a moment to write what they hold."""
HELPER_GRACE_S = 1.0
KILL_WITHIN_S = 5.0


class Leftover(msgspec.Struct, frozen=True):
    """One thing that a run should have removed."""

    run: str
    kind: str
    subject: str
    """Node name, action and subject of an undo, number of a block, or folder of the run."""
    detail: str = ""
    process: proc.Identity | None = None
    host: str = ""
    """For what a runtime made: where that is, if it knows several places, such as engines."""
    runtime: str = ""
    """Which runtime made it, where it is that one's to remove."""

    def __str__(self) -> str:
        return f"{self.run}: {self.kind} {self.subject}" + (f" ({self.detail})" if self.detail else "")


class NotRemoved(msgspec.Struct, frozen=True):
    """A leftover that is still there, and why."""

    leftover: Leftover
    why: str

    def __str__(self) -> str:
        return f"{self.leftover}: {self.why}"


def processes_of(run: str, state: Path | None = None) -> list[Leftover]:
    """All live processes of a run: by label, and by the sessions it noted (for programs that overwrite their environment).

    What a living harness started that is not the run's own belongs to another run, whatever it is called, and is left out.
    """
    where = state or registry.state_dir()
    found: dict[proc.Identity, Leftover] = {}
    known = registry.records(where, skip=frozenset(registry.unreadable(where)))
    mine = {record.harness for record in known if record.run == run} or {proc.own_identity()}
    for process in proc.labelled(run):
        of_another = process.harness is not None and process.harness not in mine and proc.alive(process.harness)
        if process.state_dir == str(where) and not of_another:
            found[process.identity] = _process(run, process.node, process.identity, process.frozen)
    for noted in registry.started(run, where):
        for member in proc.session_of(noted.identity):
            if member not in found:
                seen = proc.stat(member.pid)
                found[member] = _process(run, noted.node, member, seen is not None and seen.stopped)
    return sorted(found.values(), key=lambda item: (item.subject, item.detail))


def end_processes(items: Sequence[Leftover], grace_s: float = HELPER_GRACE_S, within_s: float = KILL_WITHIN_S) -> list[NotRemoved]:
    """Kill them and wait until they are gone; our helpers are first given ``grace_s`` to end by themselves."""
    helpers = [item.process for item in items if item.subject in HELPERS and item.kind == PROCESS and item.process is not None]
    proc.wait_gone(helpers, grace_s)
    failures = []
    identities = {item.process: item for item in items if item.process is not None}
    # A stopped process dies of SIGKILL as it is: letting it go on first would only give it a moment to act.
    for who in proc.end(list(identities), within_s):
        failures.append(NotRemoved(identities[who], f"did not die of SIGKILL within {within_s:g} s, or it is not ours to kill"))
    return failures


def _process(run: str, node: str, who: proc.Identity, frozen: bool) -> Leftover:
    return Leftover(run, FROZEN if frozen else PROCESS, node, f"pid {who.pid}", who)
