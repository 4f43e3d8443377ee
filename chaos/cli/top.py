"""``nines top``: runs that go on, from outside. It reads their run folders as they are written, and touches nothing."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

import msgspec

from chaos.cli.going_on import GoingOn
from chaos.cli.output import note
from chaos.core.columns import columns
from chaos.core.errors import BadInput, HistoryUnreadable
from chaos.core.escaping import terminal
from chaos.history.events import Row
from chaos.history.folder import RunFolder

REFRESH_S: Final = 0.5
PLAIN_S: Final = 10.0
"""Between two plain lines where there is no terminal."""
USUAL_WIDTH: Final = 80
_ROW: Final = msgspec.json.Decoder(Row)
_HOME: Final = "\x1b[H\x1b[J"


class Tail:
    """One run: the state by the rows of its history that are written whole by now."""

    def __init__(self, name: str, folder: RunFolder) -> None:
        """``HistoryUnreadable`` where the run has no plan yet."""
        self.name = name
        self.state = GoingOn(folder.read_plan())
        self._history = folder.history
        self._offset = 0

    def read(self) -> list[str]:
        """Take what is new; returns what is worth a line of its own. A row of a kind that is not known here is passed over."""
        if not self._history.exists():
            return []
        with self._history.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [said for line in whole.splitlines() if (row := _row(line)) is not None and (said := self.state.take(row))]

    def block(self, width: int) -> list[str]:
        """Its name, and the lines of ``GoingOn.block``."""
        title = f"{self.name}: {self.state.plan.experiment.name} on {self.state.plan.runtime}"
        return [title[:width], *self.state.block(width)]


def _row(line: bytes) -> Row | None:
    try:
        return _ROW.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def top(arguments: argparse.Namespace) -> int:
    """Follow the runs that go on until they end; one screen each, or with ``--once`` a single look."""
    tails = [tail for name, folder in _asked(arguments.run) if (tail := _tail(name, folder)) is not None]
    if not tails:
        note("No runs in progress.")
        return 0
    for tail in tails:
        tail.read()
    if arguments.once:
        for tail in tails:
            print("\n".join(terminal(line) for line in tail.block(columns() or USUAL_WIDTH)))
        return 0
    follow(tails, sys.stdout, time.sleep)
    return 0


def _tail(name: str, folder: RunFolder) -> Tail | None:
    try:
        return Tail(name, folder)
    except HistoryUnreadable:
        return None  # it has only begun, or is gone meanwhile


def _asked(wanted: str | None) -> list[tuple[str, RunFolder]]:
    """Names and folders: of the run that is named, by its name or folder, else of all that go on."""
    from chaos.run.stop import active

    found = [(record.run, RunFolder(Path(record.folder))) for record in active()]
    if wanted is None:
        return found
    named = [(run, folder) for run, folder in found if wanted == run or Path(wanted).absolute() == folder.path.absolute()]
    if not named:
        raise BadInput(f"no run '{wanted}' is in progress", right=", ".join(run for run, _ in found) or "start one: nines run FILE.yaml")
    return named


def follow(tails: Sequence[Tail], stream: TextIO, sleep: Callable[[float], None]) -> None:
    """Until every run has ended: a screen that is drawn anew on a terminal, else a line a run."""
    on_terminal = stream.isatty()
    waited_s = PLAIN_S
    while True:
        news = [f"{tail.name}: {said}" for tail in tails for said in tail.read()]
        ended = all(tail.state.ended for tail in tails)
        if on_terminal:
            blocks = [line for tail in tails for line in [*tail.block(columns() or USUAL_WIDTH), ""]]
            stream.write(_HOME + "\n".join(terminal(line) for line in blocks))
        else:
            if waited_s >= PLAIN_S or ended:
                news += [f"{tail.name}: {tail.state.line()}" for tail in tails]
                waited_s = 0.0
            stream.writelines(f"{terminal(line)}\n" for line in news)
        stream.flush()
        if ended:
            return
        sleep(REFRESH_S)
        waited_s += REFRESH_S
