"""Which runs are active on this machine: one record each, so that a crashed one is found again.

    <state>/runs/<run>.json     who runs it (pid, start time, boot), where its folder is, which address block it took
    <state>/runs/<run>.pids     each process it started, written at its start
    <state>/blocks/<number>     the run that owns this block of loopback addresses (created exclusively)
    <state>/engines             where Docker engines were reached, one a line: what runs left there is looked for there

``<state>`` is ``$NINES_STATE``, else ``$XDG_STATE_HOME/nines``, else ``~/.local/state/nines``. A record whose harness lives is
an active run and never a leftover; one whose harness is gone, or that says it was abandoned (something could not be removed),
is. The record is written before anything starts and removed after everything is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import system
from chaos.core.errors import EnvironmentUnusable
from chaos.core.files import write_atomically
from chaos.registry import blocks as registry_blocks
from chaos.registry import processes as proc

TRIES: Final = "tries"
"""The folder of what ``nines try`` brings up, beside the records of runs."""
_WRITER: Final = re.compile(r"\.([0-9]+)\.(?:first|[0-9a-f]{16}\.draft)$")
"""The pid of who writes a draft, in its name."""


class RunRecord(msgspec.Struct, frozen=True):
    """One run that has begun and has not proven that everything of it is gone."""

    run: str
    pid: int
    pid_start: int
    boot: str
    folder: str
    runtime: str
    block: int | None = None
    abandoned: str = ""
    """Why it is a leftover although its harness lives: what could not be removed."""
    engine: str = ""
    """Where its Docker engine was reached, or the place that another runtime names: what it left is looked for there."""
    further: tuple[str, ...] = ()
    """Where the engines of its further hosts were reached."""

    @property
    def harness(self) -> proc.Identity:
        """The process that runs it."""
        return proc.Identity(self.pid, self.pid_start, self.boot)

    @property
    def stale(self) -> bool:
        """Its harness is gone, or gave up on it."""
        return bool(self.abandoned) or not proc.alive(self.harness)


class StartedProcess(msgspec.Struct, frozen=True):
    """One line of ``<run>.pids``."""

    node: str
    pid: int
    start: int
    boot: str

    @property
    def identity(self) -> proc.Identity:
        """Which process that is."""
        return proc.Identity(self.pid, self.start, self.boot)


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Where the records are; not necessarily there yet."""
    env = os.environ if environ is None else environ
    if env.get("NINES_STATE"):
        return Path(env["NINES_STATE"]).absolute()
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".local" / "state")
    return Path(base).absolute() / "nines"


class Claim:
    """A run's hold on its record and its block."""

    def __init__(self, state: Path, record: RunRecord) -> None:
        self._state = state
        self.record = record
        self._started_some = False

    @property
    def block(self) -> int:
        """The number of the address block."""
        assert self.record.block is not None, "this run claimed no block"
        return self.record.block

    def labels(self, node: str) -> dict[str, str]:
        """The environment that marks a process as this run's."""
        return proc.labels(self.record.run, node, self.record.harness, self._state)

    def note_process(self, node: str, pid: int) -> None:
        """Remember a process that was just started; its label says the same, unless the process overwrites its environment."""
        self._started_some = True
        seen = proc.stat(pid)
        if seen is None:
            return  # died and collected already: nothing to find again
        line = msgspec.json.encode(StartedProcess(node, pid, seen.start, self.record.boot)) + b"\n"
        # On a full disk a node must come back all the same: the label in its environment finds it again.
        with contextlib.suppress(OSError), pids_file(self._state, self.record.run).open("ab", buffering=0) as file:
            file.write(line)

    def begins(self) -> None:
        """From now on something of this run may exist that only its end, or a heal, removes."""
        self._started_some = True

    def proven_gone(self) -> None:
        """Nothing that this run started is left; only after this, or when nothing was started, may it leave the registry."""
        self._started_some = False

    @property
    def unproven(self) -> bool:
        """Something was started, and nobody has shown that it is gone."""
        return self._started_some

    def abandon(self, why: str) -> None:
        """Something could not be removed: the record stays, and is a leftover from now on."""
        self.record = msgspec.structs.replace(self.record, abandoned=why)
        # On a full disk the record stays as it is: of a run whose harness is gone, it says the same.
        with contextlib.suppress(OSError):
            write_record(self._state, self.record)


@contextmanager
def claim(
    run: str,
    folder: Path,
    runtime: str,
    blocks: Iterable[int] = (),
    unusable: Callable[[int], str] = lambda _block: "",
    state: Path | None = None,
    engine: str = "",
    place: str = "",
    further: tuple[str, ...] = (),
) -> Iterator[Claim]:
    """Enter this run into the registry, with the first of ``blocks`` that nobody holds and of which ``unusable`` says nothing.

    Left by return or exception it is taken out again, unless it was abandoned or has not proven that all it started is gone.
    ``EnvironmentUnusable`` if no block is free. ``place``: where its things are, if that is no Docker engine.
    """
    where = state or state_dir()
    for name in ("runs", "blocks"):
        _make(where, where / name)
    me = proc.own_identity()
    record = RunRecord(
        run=run,
        pid=me.pid,
        pid_start=me.start,
        boot=me.boot,
        folder=str(folder.absolute()),
        runtime=runtime,
        engine=engine or place,
        further=further,
    )
    held = Claim(where, record)
    for each in (engine, *further) if engine else ():
        _note_engine(where, each)
    _enter(where, record)
    try:
        wanted = list(blocks)
        if wanted:
            block = registry_blocks.take(where / "blocks", run, wanted, unusable)
            held.record = msgspec.structs.replace(record, block=block)
            write_record(where, held.record)
        yield held
    finally:
        if held.unproven and not held.record.abandoned:
            held.abandon("its end was cut short")
        if not held.record.abandoned:
            forget(held.record, where)


def unreadable(state: Path | None = None) -> dict[str, Path]:
    """Run -> record of which nothing can be read."""
    found = {}
    for path in sorted(((state or state_dir()) / "runs").glob("*.json")):
        try:
            msgspec.json.decode(path.read_bytes(), type=RunRecord)
        except FileNotFoundError:
            continue
        except msgspec.DecodeError:
            found[path.stem] = path
    return found


def records(state: Path | None = None, skip: frozenset[str] = frozenset()) -> list[RunRecord]:
    """Every record there is, live and stale; an unreadable one is refused with its path, never passed over (but for those to ``skip``)."""
    found = []
    for path in sorted(((state or state_dir()) / "runs").glob("*.json")):
        if path.stem in skip:
            continue
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=RunRecord))
        except FileNotFoundError:
            continue  # its run ended while we listed
        except msgspec.DecodeError as error:
            raise EnvironmentUnusable(
                f"the run record {path} cannot be read: {error}", how=f"look what it was, then: nines heal --forget {path.stem}"
            ) from error
    return found


def stale(state: Path | None = None) -> list[RunRecord]:
    """The runs that ended without cleaning up."""
    return [record for record in records(state) if record.stale]


def started(run: str, state: Path | None = None) -> list[StartedProcess]:
    """Every process the run noted; a torn last line is left out."""
    path = pids_file(state or state_dir(), run)
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [msgspec.json.decode(line, type=StartedProcess) for line in lines if line.endswith(b"\n")]


def block_owners(state: Path | None = None) -> dict[int, str]:
    """Claimed block -> run."""
    return registry_blocks.owners((state or state_dir()) / "blocks")


def engines(state: Path | None = None) -> set[str]:
    """Every Docker engine that a run of this state folder ever used."""
    path = (state or state_dir()) / "engines"
    return set(path.read_text(encoding="utf-8").split("\n")) - {""} if path.exists() else set()


def _note_engine(state: Path, host: str) -> None:
    if host not in engines(state):
        with (state / "engines").open("a", encoding="utf-8") as file:
            file.write(f"{host}\n")


def orphans(state: Path | None = None) -> list[proc.Labelled]:
    """Processes of runs of this state folder whose harness is gone, whether or not a record of the run is left."""
    where = state or state_dir()
    live = {record.run for record in records(where) if not record.stale}
    return [
        process
        for process in proc.labelled()
        if process.state_dir == str(where)
        and process.run not in live
        and (process.harness is None or not proc.alive(process.harness) or _abandoned(where, process.run))
    ]


def forget(record: RunRecord, state: Path | None = None) -> None:
    """Give the block back and delete the record: the last step of an end or of a heal."""
    where = state or state_dir()
    registry_blocks.give_back(where / "blocks", record.run)
    pids_file(where, record.run).unlink(missing_ok=True)
    record_file(where, record.run).unlink(missing_ok=True)


def sweep_drafts(state: Path) -> None:
    """Delete the drafts of records whose writer died before the record stood: nobody will finish them."""
    for draft in (state / "runs").glob(".*"):
        writer = _WRITER.search(draft.name)
        if writer is not None and proc.identity(int(writer[1])) is None:
            draft.unlink(missing_ok=True)


@contextmanager
def exclusively(state: Path | None = None) -> Iterator[None]:
    """One heal at a time."""
    where = state or state_dir()
    _make(where, where)
    with (where / "heal.lock").open("w", encoding="utf-8") as lock:
        system.lock(lock)
        yield


def record_file(state: Path, run: str) -> Path:
    """Where the record of that run is."""
    return state / "runs" / f"{run}.json"


def pids_file(state: Path, run: str) -> Path:
    """Where its processes are noted."""
    return state / "runs" / f"{run}.pids"


def write_record(state: Path, record: RunRecord) -> None:
    """Durable when it returns."""
    write_atomically(record_file(state, record.run), msgspec.json.encode(record))


def _enter(state: Path, record: RunRecord) -> None:
    """The first record of a run: no other run of that name may be known, alive or not, since what is removed is found by the name."""
    path = record_file(state, record.run)
    draft = path.with_name(f".{record.run}.{record.pid}.first")
    write_atomically(draft, msgspec.json.encode(record))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise EnvironmentUnusable(
            f"a run of the name '{record.run}' is known already", how="'nines status' and 'nines leftovers' tell of it"
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def _make(state: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnusable(
            f"cannot write to the state folder {state}: {error.strerror}", how="set NINES_STATE to a folder that can be written"
        ) from error


def _abandoned(state: Path, run: str) -> bool:
    return any(record.run == run and record.abandoned for record in records(state))
