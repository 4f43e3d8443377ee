"""What comes from a harness that was sent away: rows, notes, text, archives, questions, errands; and the error that it ended with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import errors
from chaos.core.errors import EnvironmentUnusable, Interrupted, NinesError
from chaos.elsewhere import archive
from chaos.elsewhere.channel import Channel
from chaos.elsewhere.frames import ANSWER, DATA, END, ERRAND, KEPT, NOTE, OBEYED, QUESTION, ROW, SHOWN, WHOLE, Answer, End
from chaos.engine.images.build import Note, quiet
from chaos.history import owed
from chaos.history.events import Row
from chaos.runtimes.base.machines.orders import Obeyed, Order, RunsErrands

PLAN: Final = "plan.json"
Decide = Callable[[], tuple[bool, str]]


class Reader:
    """Takes what comes from there: rows, notes, text, archives, questions, errands."""

    errands: RunsErrands | None = None
    there: str = ""
    """What the folder is called where the harness is: people are told the name that it has here."""

    def __init__(
        self, channel: Channel, folder: Path, live: Callable[[Row], None] | None = None, decide: Decide | None = None,
        show: Callable[[str], None] = quiet, note: Note = quiet,
    ) -> None:  # fmt: skip
        self._channel = channel
        self._folder = folder
        self._live = live
        self._decide = decide
        self._show = show
        self._note = note

    def _obeyed(self, obeyed: Obeyed) -> None:
        self._channel.send(OBEYED, msgspec.json.encode(obeyed))

    def _as_here(self, payload: bytes) -> str:
        text = payload.decode()
        return text.replace(self.there, str(self._folder)) if self.there else text

    def until_end(self, idle: Callable[[], None] = lambda: None) -> End:
        """The last frame. An archive goes into the folder, and the other side is told when it is there."""
        frames = self._channel.receive(idle)
        for kind, payload in frames:
            if kind == END:
                return msgspec.json.decode(payload, type=End)
            if kind == DATA:
                self._keep(payload, frames)
            else:
                self._other(kind, payload)
        raise AssertionError("unreachable: the last frame is an end")

    def _keep(self, first: bytes, frames: Iterator[tuple[bytes, bytes]]) -> None:
        def pieces() -> Iterator[bytes]:
            yield first
            for kind, payload in frames:
                if kind == WHOLE:
                    return
                if kind == DATA:
                    yield payload
                else:
                    self._other(kind, payload)

        # Heal runs the commands of the plan and of the debts that are here: they are to be those of whoever wrote the experiment, whatever
        # comes from there.
        ours = [owed.FILE, PLAN] if (self._folder / PLAN).exists() else [owed.FILE]
        archive.unpack(pieces(), self._folder, ours)
        archive.sync(self._folder)
        self._channel.send(KEPT)

    def _other(self, kind: bytes, payload: bytes) -> None:
        if kind == ROW and self._live is not None:
            self._live(msgspec.json.decode(payload, type=Row))
        elif kind == NOTE:
            self._note(self._as_here(payload).rstrip("\n"))
        elif kind == SHOWN:
            self._show(self._as_here(payload))
        elif kind == ERRAND:
            order = msgspec.json.decode(payload, type=Order)
            if self.errands is None:
                self._obeyed(Obeyed(order.number, "nothing is done to machines from here"))
            else:
                self.errands.do(order, self._obeyed)
        elif kind == QUESTION:
            assert self._decide is not None, "a run that does not stop early asks nothing"
            self._channel.send(ANSWER, msgspec.json.encode(Answer(*self._decide())))


def raise_of(end: End) -> None:
    """The error that it ended with there, as if it had been raised here."""
    if not end.error:
        return
    kind = getattr(errors, end.error, None)
    if not (isinstance(kind, type) and issubclass(kind, NinesError)):
        raise RuntimeError(f"the harness beside the engine failed:\n{end.message}")
    if issubclass(kind, EnvironmentUnusable):
        raise kind(end.message, how=end.how)
    if issubclass(kind, Interrupted):
        raise Interrupted(end.status - 128)
    raise kind(end.message)
