"""What crashed runs left, and its removal: processes, undo logs and records here, all else by the runtime that made it.

A leftover is a thing of a run whose harness is gone: a process with the run's label, a frozen one, an undo that was never
done, an address block, the record itself. Active runs of others are never touched, nor is anything without our label. A pid
is only ever signalled as the very process that was meant (start time checked behind a pidfd).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from chaos.core.errors import BadInput, EnvironmentUnusable, NinesError
from chaos.core.system import PLAIN_BYTES
from chaos.engine import leftovers as leftovers_docker
from chaos.history import undo
from chaos.history.events import HARNESS_DIED, RunEnded
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.plan.capabilities import loaded, runtime_of
from chaos.plugin import CrashedRun, Left, Runtime
from chaos.registry import runs as registry
from chaos.registry.orphans import BLOCK, RECORD, UNDO, Leftover, NotRemoved, end_processes, processes_of
from chaos.registry.runs import RunRecord


class HealResult(msgspec.Struct, frozen=True):
    """What was removed, and what could not be (then the exit status is 6)."""

    removed: list[Leftover]
    could_not: list[NotRemoved]


def leftovers(state: Path | None = None, *, recorded_only: bool = False) -> list[Leftover]:
    """Everything left by runs whose harness is gone, run by run: processes and containers first, the record last.

    Runtimes are asked by the records of stale runs, and for what no record tells of; the latter not with ``recorded_only``, since it
    takes a moment.
    """
    where = state or registry.state_dir()
    stale = {record.run: record for record in registry.stale(where)}
    by_runtimes = _by_runtimes(where, stale, recorded_only)
    runs = {*stale, *by_runtimes, *(process.run for process in registry.orphans(where)), *_ownerless_blocks(where).values()}
    found: list[Leftover] = []
    for run in sorted(runs):
        found += _of_run(where, run, stale.get(run), by_runtimes.get(run, []))
    return found


def unrecorded(state: Path | None = None) -> list[leftovers_docker.Unrecorded]:
    """Runs without a record, on every engine that this state folder knows and on the one that the docker command would use."""
    from chaos.engine.address import host as usual_host

    where = state or registry.state_dir()
    hosts = dict.fromkeys([*sorted(registry.engines(where)), usual_host()])
    return [found for host in hosts for found in leftovers_docker.unrecorded(host, where)]


def heal_unrecorded(state: Path | None = None) -> HealResult:
    """Remove what runs without a record left, each whose harness is dead."""
    removed: list[Leftover] = []
    could_not: list[NotRemoved] = []
    for found in unrecorded(state):
        if found.alive:
            continue
        reasons = {name: why for _, name, why in leftovers_docker.remove_unrecorded(found)}
        for thing in found.things:
            item = Leftover(found.run, thing.kind, thing.name, f"on {found.host}, no record; {found}", host=found.host)
            if thing.name in reasons:
                could_not.append(NotRemoved(item, reasons[thing.name]))
            else:
                removed.append(item)
    return HealResult(removed, could_not)


def _by_runtimes(where: Path, stale: dict[str, RunRecord], recorded_only: bool) -> dict[str, list[Leftover]]:
    by_run: dict[str, list[Leftover]] = {}
    crashed = {name: [_crashed(each.run, each) for each in stale.values() if each.runtime == name] for name in _names(stale)}
    for runtime in [each for each in map(_runtime, sorted(crashed)) if each is not None] if recorded_only else loaded():
        for thing in runtime.leftovers(crashed.get(runtime.name, []), where, thorough=not recorded_only):
            detail = thing.detail or (f"on {thing.where}" if thing.where else f"of the runtime '{runtime.name}'")
            found = Leftover(thing.run, thing.kind, thing.subject, detail, host=thing.where, runtime=runtime.name)
            by_run.setdefault(thing.run, []).append(found)
    return by_run


def _names(stale: dict[str, RunRecord]) -> set[str]:
    """Of their runtimes: each is asked about its own."""
    return {record.runtime for record in stale.values()}


def _runtime(name: str) -> type[Runtime] | None:
    """None for one that is not here, or does not load."""
    try:
        return runtime_of(name)
    except NinesError:
        return None


def _crashed(run: str, record: RunRecord | None) -> CrashedRun:
    if record is None:
        return CrashedRun(run)
    folder = RunFolder(Path(record.folder))
    undone = tuple((entry.action, entry.subject) for entry in undo.pending(folder.undo))
    return CrashedRun(run, folder.path, record.engine, str(record.harness), undone, record.further)


def refuse_leftovers(state: Path | None = None) -> None:
    """``EnvironmentUnusable`` (exit 5) if there are any: nothing may be measured on top of them."""
    found = leftovers(state, recorded_only=True)
    if found:
        runs = ", ".join(sorted({item.run for item in found}))
        raise EnvironmentUnusable(
            f"an earlier run did not clean up: {len(found)} things of {runs} are left",
            how="'nines leftovers' lists them, 'nines heal' removes them",
        )


def heal(state: Path | None = None) -> HealResult:
    """Remove all leftovers, proving each gone; safe to repeat, and beside active runs."""
    where = state or registry.state_dir()
    removed: list[Leftover] = []
    could_not: list[NotRemoved] = []
    with registry.exclusively(where):
        registry.sweep_drafts(where)
        found = leftovers(where)
        stale = {record.run: record for record in registry.stale(where)}
        for run in dict.fromkeys(item.run for item in found):
            mine = [item for item in found if item.run == run]
            failures = _heal_run(where, run, stale.get(run), mine)
            could_not += failures
            failed = {failure.leftover for failure in failures}
            removed += [item for item in mine if item not in failed]
    return HealResult(removed, could_not)


def forget(run: str, state: Path | None = None) -> list[Leftover]:
    """Take a run that cannot be healed out of the registry, and nothing else; what may be left of it is returned, to be named.

    ``BadInput`` if no run of that name is known, or if its harness lives.
    """
    where = state or registry.state_dir()
    with registry.exclusively(where):
        damaged = registry.unreadable(where)
        if run in damaged:
            registry.forget(RunRecord(run, 0, 0, "", "", ""), where)
            return [Leftover(run, RECORD, str(damaged[run]), "it could not be read: what this run left is not known")]
        record = next((each for each in registry.records(where, skip=frozenset(damaged)) if each.run == run), None)
        if record is None or not record.stale:
            known = [each.run for each in registry.records(where, skip=frozenset(damaged)) if each.stale] + list(damaged)
            what = f"no run '{run}' is known" if record is None else f"the harness of '{run}' lives: nothing of it is left over"
            raise BadInput(what, right=f"one of: {', '.join(sorted(known))}" if known else "'nines leftovers' lists what is left")
        found = _of_run(where, run, record, [])
        registry.forget(record, where)
    return [item for item in found if item.kind != BLOCK]


def _of_run(where: Path, run: str, record: RunRecord | None, by_runtimes: list[Leftover]) -> list[Leftover]:
    found = processes_of(run, where) + by_runtimes
    if record is not None:
        log = RunFolder(Path(record.folder)).undo
        runtime = _runtime(record.runtime)
        before = runtime.called(Path(record.folder)) if runtime is not None else {}
        found += [Leftover(run, UNDO, _named(entry, before), f"number {entry.id}") for entry in undo.pending(log)]
    owners = registry.block_owners(where)
    found += [Leftover(run, BLOCK, str(block), f"127.{block}.0.0/16") for block, owner in owners.items() if owner == run]
    if record is not None:
        found.append(Leftover(run, RECORD, record.folder, record.abandoned or f"its harness, pid {record.pid}, is gone"))
    return found


def _named(entry: undo.Entry, before: Mapping[str, str]) -> str:
    """With the container's name where the node is a container that was there before the run."""
    name = before.get(entry.subject)
    return f"{entry} (the container {name})" if name else str(entry)


def _ownerless_blocks(where: Path) -> dict[int, str]:
    """Blocks whose run has no record: it is written before a block is taken, so such a run is over.

    Looked at before the records and after them, since runs begin and end meanwhile: a beginning one has its record by then, an
    ended one has given its block back.
    """
    before = registry.block_owners(where)
    known = {record.run for record in registry.records(where)}
    after = registry.block_owners(where)
    return {block: owner for block, owner in before.items() if owner not in known and after.get(block) == owner}


def _heal_run(where: Path, run: str, record: RunRecord | None, items: list[Leftover]) -> list[NotRemoved]:
    if record is not None:
        try:
            runtime_of(record.runtime)
        except NinesError as error:
            reason = str(error).splitlines()[0]
            why = (
                f"the runtime '{record.runtime}' cannot be asked to heal ({reason}); once nothing of it is left: nines heal --forget {run}"
            )
            return [NotRemoved(item, why) for item in items]
    failures = end_processes([item for item in items if item.process is not None])
    # A helper may have started something after we listed: look again before anything is called gone.
    failures += end_processes([item for item in processes_of(run, where) if item not in items])
    failures += _heal_runtimes(where, run, record, items)
    if failures:
        # Harm may live in what is still there, so neither its undo log nor its record is closed.
        told = {failure.leftover for failure in failures}
        return failures + [
            NotRemoved(item, "something of this run is still there") for item in items if item.process is None and item not in told
        ]
    if record is None:
        registry.forget(RunRecord(run, 0, 0, "", "", ""), where)
        return []
    try:
        _close_folder(RunFolder(Path(record.folder)))
    except OSError as error:
        return [NotRemoved(item, f"{error.filename}: {error.strerror}") for item in items if item.process is None]
    registry.forget(record, where)
    return []


def _heal_runtimes(where: Path, run: str, record: RunRecord | None, items: list[Leftover]) -> list[NotRemoved]:
    """All that runtimes made, and what they had changed; while that is there, everything of the run stays: it says what is to be done."""
    failures = []
    names = {item.runtime for item in items if item.runtime} | ({record.runtime} if record is not None else set())
    for name in sorted(names):
        mine = {Left(item.run, item.kind, item.subject, item.host, item.detail): item for item in items if item.runtime == name}
        by_subject = {item.subject: item for item in mine.values()}
        for thing, why in runtime_of(name).heal(_crashed(run, record), list(mine), where):
            if thing is None:
                failures += [NotRemoved(item, why) for item in items if item.kind in (UNDO, RECORD)]
            else:
                known = by_subject.get(thing.subject)
                found = Leftover(run, thing.kind, thing.subject, f"on {thing.where}", host=thing.where, runtime=name)
                failures.append(NotRemoved(known or found, why))
    return failures


def _close_folder(folder: RunFolder) -> None:
    """Every harm lived in a process or container that is gone now, so what was pending is done; and the history gets its end."""
    if not folder.path.is_dir():
        return
    if folder.undo.exists():
        undo.settle(folder.undo)
    rows = folder.rows()
    if not rows or any(isinstance(row, RunEnded) for row in rows):
        return
    if not folder.history.read_bytes().endswith(b"\n"):
        with os.fdopen(os.open(folder.history, os.O_WRONLY | os.O_APPEND | PLAIN_BYTES), "ab") as file:
            file.write(b"\n")  # the crash tore a row; ours must not become part of it
    writer = HistoryWriter(folder.history)
    # After a reboot the clock began anew: the end of a history is never before what it holds.
    at_ns = max(time.monotonic_ns(), *(row.at_ns for row in rows))
    writer.append(RunEnded(at_ns=at_ns, left=[], aborted=f"the {HARNESS_DIED}; healed afterwards"))
    writer.close()
    folder.give_room()
