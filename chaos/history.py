"""A run folder: the only thing that doing hands to thinking. Readable after a crash at any byte.

    experiment.yaml    as given                        plan.json         written before anything starts (planned)
    history.jsonl      control events, flushed (ran)   observations.bin  every slot (ran)
    undo.jsonl         the write-ahead undo log        logs/<node>.log   what the nodes said
    report.json        written by judging (judged)

Only the plan is indispensable; of the rest, whatever was written whole is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from chaos import observations
from chaos.errors import EnvironmentUnusable, HistoryUnreadable
from chaos.events import Row
from chaos.plan import Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = msgspec.json.Decoder(Row)
_ENCODER = msgspec.json.Encoder()


class RunFolder:
    """Paths and readers of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
    def undo(self) -> Path:
        return self.path / "undo.jsonl"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def write_plan(self, plan: Plan, experiment_text: str) -> None:
        """The first phase: durable before anything is started. ``EnvironmentUnusable`` where it cannot be written."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self.experiment.write_text(experiment_text, encoding="utf-8")
            write_atomically(self.plan, msgspec.json.format(_ENCODER.encode(plan), indent=1))
        except OSError as error:
            raise EnvironmentUnusable(
                f"cannot write the run folder {self.path}: {error.strerror}", how="name one that can be written with --folder"
            ) from error

    def read_plan(self) -> Plan:
        """The plan, or ``HistoryUnreadable`` where this is no run folder."""
        try:
            return msgspec.json.decode(self.plan.read_bytes(), type=Plan)
        except FileNotFoundError:
            raise HistoryUnreadable(f"{self.path} is not a run folder: it has no plan.json") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HistoryUnreadable(f"{self.plan}: {error}") from error

    def rows(self) -> list[Row]:
        """All whole rows, in the order written; rows of a kind this version does not know are passed over."""
        return list(self._rows())

    def _rows(self) -> Iterator[Row]:
        if not self.history.exists():
            return
        with self.history.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    return  # torn by a crash: the row was never promised
                try:
                    yield _ROWS.decode(line)
                except msgspec.ValidationError:
                    continue  # a newer writer's row
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # torn inside, then written on by a later process (heal), or damaged on the disk

    def read_observations(self) -> NDArray[np.void]:
        """Every slot, see ``observations.dtype``."""
        return observations.read(self.observations)


class HistoryWriter:
    """Appends rows, from any thread; each is in the kernel's hands before ``append`` returns (a crash of ours loses none)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file: IO[bytes] = path.open("ab", buffering=0)

    def append(self, row: Row) -> None:
        """Write one row."""
        data = _ENCODER.encode(row) + b"\n"
        with self._lock:
            self._file.write(data)

    def close(self) -> None:
        """Flush to the disk and close."""
        with self._lock:
            os.fsync(self._file.fileno())
            self._file.close()


def write_atomically(path: Path, data: bytes) -> None:
    """All of it or nothing, durable when it returns."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
