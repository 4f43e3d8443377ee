"""A run folder: the only thing that doing hands to thinking. Readable after a crash at any byte.

    experiment.yaml    as given                        plan.json         written before anything starts (planned)
    history.jsonl      control events, flushed (ran)   observations.bin  every slot (ran)
    operations.jsonl   every operation on checked keys, if the experiment has 'data' (ran)
    undo.jsonl         the write-ahead undo log        logs/<node>.log   what the nodes said
    report.json        written by judging (judged)

Only the plan is indispensable; of the rest, whatever was written whole is read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from chaos.core import secrets, storage
from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable
from chaos.core.files import write_atomically
from chaos.core.system import PLAIN_BYTES
from chaos.history import identity, journal, observations
from chaos.history.events import Row
from chaos.plan.plan import Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = msgspec.json.Decoder(Row)
_ENCODER = msgspec.json.Encoder()
DEMAND: Final = "demand"
"""Who sends what a rate that changes asks beyond the even requests, and the name of the file of its slots."""
KEPT_BYTES: Final = 128 * 1024
"""Space that the history has ahead: several hundred rows."""
REPORTS_BYTES: Final = 3_000_000
"""Space that a run keeps for its reports, in a file of its own."""
_KINDS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Row))
SHOWN: Final = 4
"""So many damaged lines are named."""


class History(msgspec.Struct, frozen=True):
    """What could be read of a history, and the numbers of the lines that are no rows."""

    rows: list[Row]
    damaged: list[int]

    @property
    def damage(self) -> str:
        """What is damaged, in words; empty: nothing."""
        if not self.damaged:
            return ""
        shown = ", ".join(str(number) for number in self.damaged[:SHOWN])
        more = f" and {len(self.damaged) - SHOWN} more" if len(self.damaged) > SHOWN else ""
        lines = "line" if len(self.damaged) == 1 else "lines"
        return f"the history is damaged: {lines} {shown}{more} of history.jsonl cannot be read"


class RunFolder:
    """Paths and readers of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def run(self) -> str:
        """What a run that begins here is called; the history of one that was here before has its own."""
        return identity.of_folder(self.path)

    def refuse_held(self) -> None:
        """``BadInput`` for the folder of an earlier run: none is ever written over."""
        if self.plan.exists() or self.history.exists():
            raise BadInput(f"{self.path} holds a run already", right="name another folder with --folder, or leave it out")

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def observations(self) -> Path:
        return self.path / "observations.bin"

    @property
    def demand(self) -> Path:
        """The slots beyond the even ones, where a rate changes."""
        return self.path / f"{DEMAND}.bin"

    @property
    def operations(self) -> Path:
        return self.path / journal.FILE

    @property
    def undo(self) -> Path:
        return self.path / "undo.jsonl"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def reserve(self) -> Path:
        return self.path / ".reserve"

    def keep_room(self) -> None:
        """Take the space of the reports before anything is started. ``EnvironmentUnusable`` if there is none."""
        try:
            self.reserve.unlink(missing_ok=True)
            with self.reserve.open("xb") as file:
                if sys.platform == "linux":
                    os.posix_fallocate(file.fileno(), 0, REPORTS_BYTES)
                else:
                    file.write(bytes(REPORTS_BYTES))
        except OSError as error:
            raise EnvironmentUnusable(storage.why(error, self.reserve), how="name a folder on another disk with --folder") from error

    def give_room(self) -> None:
        """The reports are about to be written: that space is theirs now."""
        with contextlib.suppress(OSError):
            self.reserve.unlink()

    def write_plan(self, plan: Plan, experiment_text: str) -> None:
        """The first phase: durable before anything is started. ``EnvironmentUnusable`` where it cannot be written."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            write_private(self.experiment, experiment_text.encode())
            write_private(self.plan, secrets.masked(msgspec.json.format(_ENCODER.encode(plan), indent=1)))
        except OSError as error:
            raise EnvironmentUnusable(
                f"cannot write the run folder {self.path}: {storage.why(error, self.plan)}",
                how="name one that can be written with --folder",
            ) from error

    def read_plan(self) -> Plan:
        """The plan, or ``HistoryUnreadable`` where this is no run folder."""
        try:
            return msgspec.json.decode(plain(self.plan).read_bytes(), type=Plan)
        except FileNotFoundError:
            raise HistoryUnreadable(f"{self.path} is not a run folder: it has no plan.json") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HistoryUnreadable(f"{self.plan}: {error}") from error

    def rows(self) -> list[Row]:
        """All whole rows, in the order written; rows of a kind this version does not know are passed over."""
        return self.read_history().rows

    def read_history(self) -> History:
        """The same, and what is damaged of the file: torn by a crash, or by the disk."""
        rows: list[Row] = []
        damaged: list[int] = []
        if not self.history.exists():
            return History(rows, damaged)
        with plain(self.history).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    damaged.append(number)  # torn by a crash: the row was never promised
                    break
                try:
                    rows.append(_ROWS.decode(line))
                except msgspec.ValidationError:
                    if not _is_of_a_newer_kind(line):
                        damaged.append(number)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    damaged.append(number)  # torn inside, then written on by a later process (heal), or damaged on the disk
        return History(rows, damaged)

    def read_observations(self) -> NDArray[np.void]:
        """Every slot, see ``observations.dtype``."""
        return observations.read(plain(self.observations))

    def read_demand(self) -> NDArray[np.void]:
        """The same of the slots beyond the even ones; none where no rate changes."""
        return observations.read(plain(self.demand))


def _is_of_a_newer_kind(line: bytes) -> bool:
    """A whole row, of a kind that this version does not know."""
    try:
        kind = msgspec.json.decode(line, type=_Kind).row
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return kind not in _KINDS


class _Kind(msgspec.Struct):
    row: str
    at_ns: int


class HistoryWriter:
    """Appends rows, from any thread; each is in the kernel's hands before ``append`` returns (a crash of ours loses none).

    A disk that takes no more is no exception here, since undoing goes on meanwhile: ``trouble`` says what is wrong, and ``unwritten``
    holds the rows that are not on the disk.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = storage.Ahead(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | PLAIN_BYTES, 0o644), path, KEPT_BYTES)
        self.unwritten: list[Row] = []

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, in one line; empty while nothing is."""
        return self._file.trouble

    def append(self, row: Row) -> None:
        """Write one row."""
        data = secrets.masked(_ENCODER.encode(row)) + b"\n"
        with self._lock:
            if not self._file.append(data):
                self.unwritten.append(row)

    def close(self) -> None:
        """Flush to the disk and close."""
        with self._lock:
            self._file.close()


def write_private(path: Path, data: bytes) -> None:
    """For what may hold a secret (headers, settings): readable by its owner alone, from its first byte on; all of it or nothing."""
    write_atomically(path, data, mode=0o600)


def plain(path: Path) -> Path:
    """The same path. ``HistoryUnreadable`` for a pipe, a device or a folder in the place of a file: to read one may take for ever."""
    if path.exists() and not path.is_file():
        raise HistoryUnreadable(f"{path} is no plain file")
    return path
