"""The history of all runs: one SQLite file, ``runs/history.db`` unless ``NINES_HISTORY`` names another.

Safe against two writers and a kill at any instant: a rollback journal with ``synchronous=EXTRA``, each run in one transaction that waits
for its turn. So between two commands the history is one file, which may be copied, cached and merged (docs/adr, "One SQLite file").
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable
from chaos.evidence.rows import KeptRun, KeptTrial, Trials

VARIABLE: Final = "NINES_HISTORY"
OFF: Final = "off"
"""The value that keeps no history."""
USUAL: Final = Path("runs") / "history.db"
APPLICATION: Final = 0x4E494E45
"""``NINE``: what tells a history of ours from other SQLite files."""
SCHEMA: Final = 1
WAITS_S: Final = 30.0
"""How long a writer waits for another one."""

_RUN_KEYS: Final = KeptRun.__struct_fields__
_TRIAL_KEYS: Final = tuple(name for name in KeptTrial.__struct_fields__ if name != "run")
_MAKE: Final = (
    """CREATE TABLE runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, experiment TEXT NOT NULL, configuration TEXT NOT NULL,
       version TEXT NOT NULL, target TEXT NOT NULL, runtime TEXT NOT NULL, seed INTEGER NOT NULL, started_at TEXT NOT NULL,
       started_s REAL NOT NULL, folder TEXT NOT NULL, state TEXT NOT NULL, exit_code INTEGER NOT NULL, duration_s REAL NOT NULL,
       faults INTEGER NOT NULL, availability REAL, mttr_s REAL, mttr_low_s REAL, mttr_high_s REAL, latency_p50_s REAL,
       latency_p99_s REAL, simulated INTEGER NOT NULL, recorded_s REAL NOT NULL)""",
    """CREATE TABLE trials (run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, number INTEGER NOT NULL,
       fault_class TEXT NOT NULL, at_s REAL NOT NULL, outage_s REAL, recovery_s REAL, censored INTEGER NOT NULL, cycle_s REAL NOT NULL,
       down_s REAL, latency_p50_s REAL, latency_p99_s REAL, PRIMARY KEY (run_id, number)) WITHOUT ROWID""",
    "CREATE INDEX runs_by_configuration ON runs (configuration, started_s)",
    "CREATE INDEX runs_by_version ON runs (version, started_s)",
    "CREATE INDEX runs_by_time ON runs (started_s)",
)


def usual_path() -> Path | None:
    """Where the history is; None where the user wants none."""
    named = os.environ.get(VARIABLE, "")
    return None if named == OFF else Path(named) if named else USUAL


class Store:
    """An open history. Leave it with ``close``, or use it as a context."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """``HistoryUnreadable`` for what is no history of ours; ``EnvironmentUnusable`` where it cannot be opened or made."""
        self.path = path
        if create:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EnvironmentUnusable(
                    f"cannot make {path.parent}: {error.strerror}", how=f"name another place with {VARIABLE}"
                ) from error
        self._base = self._connect("rwc" if create else "rw")
        with self._told():
            self._prepare(create)

    def _connect(self, mode: str) -> sqlite3.Connection:
        place = self.path.absolute().as_uri()
        try:
            return sqlite3.connect(f"{place}?mode={mode}", uri=True, timeout=WAITS_S, isolation_level=None)
        except sqlite3.Error as error:
            raise EnvironmentUnusable(f"cannot open the history {self.path}: {error}", how=f"name another one with {VARIABLE}") from error

    def _prepare(self, create: bool) -> None:
        self._base.execute("PRAGMA journal_mode = DELETE")
        self._base.execute("PRAGMA synchronous = EXTRA")
        self._base.execute("PRAGMA foreign_keys = ON")
        if create and self._number("application_id") == 0:
            with self.transaction():
                if self._number("application_id") == 0 and not self._base.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _MAKE:
                        self._base.execute(statement)
                    self._base.execute(f"PRAGMA user_version = {SCHEMA}")
                    self._base.execute(f"PRAGMA application_id = {APPLICATION}")
        self._require("main", self.path)

    def _require(self, schema: str, path: Path) -> None:
        if self._number("application_id", schema) != APPLICATION:
            raise HistoryUnreadable(f"{path} is not a history of Nines")
        version = self._number("user_version", schema)
        if version != SCHEMA:
            raise HistoryUnreadable(f"{path} has schema {version}; this version of Nines reads schema {SCHEMA}")

    def _number(self, pragma: str, schema: str = "main") -> int:
        return int(self._base.execute(f"PRAGMA {schema}.{pragma}").fetchone()[0])

    # --- writing -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing, alone."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def record(self, run: KeptRun, trials: Sequence[KeptTrial]) -> None:
        """Enter a run, in the place of what was known of it. Durable when it returns."""
        self.record_all([(run, trials)])

    def record_all(self, runs: Iterable[tuple[KeptRun, Sequence[KeptTrial]]]) -> None:
        """Enter many runs at once."""
        with self._told(), self.transaction():
            for run, trials in runs:
                self._base.execute("DELETE FROM runs WHERE run = ?", (run.run,))
                entered = self._base.execute(
                    f"INSERT INTO runs ({', '.join(_RUN_KEYS)}) VALUES ({_marks(_RUN_KEYS)})", _values(run, _RUN_KEYS)
                )
                self._base.executemany(
                    f"INSERT INTO trials (run_id, {', '.join(_TRIAL_KEYS)}) VALUES (?, {_marks(_TRIAL_KEYS)})",
                    [(entered.lastrowid, *_values(trial, _TRIAL_KEYS)) for trial in trials],
                )

    def merge(self, other: Path) -> int:
        """Take over the runs of another history that are missing here, or were judged later there; how many."""
        if not other.is_file():
            raise BadInput(f"there is no history {other}", right="the file history.db of another machine")
        if other.resolve() == self.path.resolve():
            raise BadInput(f"{other} is this history itself", right="another one")
        with self._told(other):
            self._base.execute("ATTACH ? AS other", (other.absolute().as_uri() + "?mode=rw",))
            try:
                self._require("other", other)
                with self.transaction():
                    return self._take_over()
            finally:
                self._base.execute("DETACH other")

    def _take_over(self) -> int:
        newer = "SELECT o.run FROM other.runs o LEFT JOIN main.runs m ON m.run = o.run WHERE m.run IS NULL OR o.recorded_s > m.recorded_s"
        self._base.execute("CREATE TEMP TABLE taken (run TEXT PRIMARY KEY)")
        try:
            self._base.execute(f"INSERT INTO taken {newer}")
            self._base.execute("DELETE FROM main.runs WHERE run IN taken")
            keys = ", ".join(_RUN_KEYS)
            self._base.execute(f"INSERT INTO main.runs ({keys}) SELECT {keys} FROM other.runs WHERE run IN taken")
            keys = ", ".join(_TRIAL_KEYS)
            self._base.execute(
                f"INSERT INTO main.trials (run_id, {keys}) SELECT m.id, {', '.join('t.' + key for key in _TRIAL_KEYS)} FROM other.trials t "
                "JOIN other.runs o ON o.id = t.run_id JOIN main.runs m ON m.run = o.run WHERE o.run IN taken"
            )
            return int(self._base.execute("SELECT count(*) FROM taken").fetchone()[0])
        finally:
            self._base.execute("DROP TABLE taken")

    # --- reading -------------------------------------------------------------------------------------------------------

    def runs(self, where: str = "1", values: Sequence[object] = (), newest: int | None = None) -> list[KeptRun]:
        """Those for which a condition holds, the newest first."""
        limit = "" if newest is None else f" LIMIT {int(newest)}"
        question = f"SELECT {', '.join(_RUN_KEYS)} FROM runs WHERE {where} ORDER BY started_s DESC, id DESC{limit}"
        with self._told():
            return [KeptRun(*_row(row)) for row in self._base.execute(question, tuple(values))]

    def count(self, where: str = "1", values: Sequence[object] = ()) -> int:
        """How many runs there are for which a condition holds."""
        with self._told():
            return int(self._base.execute(f"SELECT count(*) FROM runs WHERE {where}", tuple(values)).fetchone()[0])

    def trials(self, where: str = "1", values: Sequence[object] = ()) -> Trials:
        """The trials of the runs for which a condition holds, column by column, the oldest run first."""
        question = (
            "SELECT r.id, r.version, t.fault_class, t.outage_s, t.censored, t.cycle_s, t.down_s, t.latency_p50_s, t.latency_p99_s "
            f"FROM runs r JOIN trials t ON t.run_id = r.id WHERE {where} ORDER BY r.started_s, r.id, t.number"
        )
        with self._told():
            rows = self._base.execute(question, tuple(values)).fetchall()
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(Trials.__struct_fields__)
        return Trials(*columns)

    def folders(self) -> list[tuple[str, float]]:
        """Where each run's folder was, and when the run began."""
        with self._told():
            return [(str(folder), float(at_s)) for folder, at_s in self._base.execute("SELECT folder, started_s FROM runs")]

    def versions(self, configuration: str = "") -> list[str]:
        """The versions of systems that were tried, the one of the newest run first."""
        where, values = ("WHERE configuration = ?", (configuration,)) if configuration else ("", ())
        question = f"SELECT version FROM runs {where} GROUP BY version ORDER BY max(started_s) DESC"
        with self._told():
            return [str(version) for (version,) in self._base.execute(question, values)]

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _told(self, other: Path | None = None) -> Iterator[None]:
        """What SQLite says, as an error of ours."""
        path = self.path if other is None else other
        try:
            yield
        except sqlite3.OperationalError as error:
            raise EnvironmentUnusable(
                f"the history {path}: {error}", how=f"name another one with {VARIABLE}, or wait for who holds it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise HistoryUnreadable(f"{path} cannot be read as a history: {error}") from error


def open_usual(named: Path | None = None) -> Store | None:
    """The history that is read; None where there is none yet. A file that somebody names must be there."""
    path = usual_path() if named is None else named
    if path is None or not path.is_file():
        if named is not None:
            raise BadInput(f"there is no history {named}", right="runs/history.db, which 'nines run' writes")
        return None
    return Store(path)


def _row(found: Sequence[Any]) -> list[Any]:
    """SQLite has no truth values."""
    values = list(found)
    values[-2] = bool(values[-2])
    return values


def _marks(things: Sequence[object]) -> str:
    return ", ".join("?" * len(things))


def _values(row: msgspec.Struct, keys: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(row, key) for key in keys)
