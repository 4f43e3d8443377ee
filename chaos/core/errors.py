"""The errors a user can meet, each with the exit status it leads to.

A condition that a caller can bring about is one of these; a broken invariant of ours is an ``AssertionError`` and ends as
status 70. Nothing here is ever swallowed: a fault that could not be healed must reach the exit status.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

MOST_CHARACTERS: Final = 800
MOST_MISTAKES: Final = 10
"""More of them than these are counted, not told: whoever has mended ten asks again."""
_LINE: Final = re.compile(r"line (\d+): ")


class Place(msgspec.Struct, frozen=True):
    """Where in a file something stands: ``file:line`` and the path inside the document (``cluster.dns.ttl``)."""

    file: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}" if self.path else where


class NinesError(Exception):
    """Anything we can say in one sentence and that has an exit status of its own."""

    exit_code: ClassVar[int] = 70


def shortened(text: str) -> str:
    """A message without the middle of what is far too long, such as a name of 5,000 letters."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS // 2]} ... {text[-MOST_CHARACTERS // 2 :]}"


class BadInput(NinesError):
    """A file or an option is wrong; nothing was started.

    ``found`` is what stands there, ``right`` what would be right; the message carries both.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, place: Place | None = None, right: str = "") -> None:
        message = shortened(message)
        self.message = message
        self.place = place
        self.right = right
        where = f"{place}: " if place else ""
        tail = f" ({right})" if right else ""
        super().__init__(f"{where}{message}{tail}")

    @property
    def each(self) -> tuple[BadInput, ...]:
        """All the mistakes that this tells: here one."""
        return (self,)


class SeveralMistakes(BadInput):
    """All that is wrong with one file, in the order of its lines; ``message``, ``place`` and ``right`` are those of the first."""

    def __init__(self, mistakes: Sequence[BadInput]) -> None:
        first = mistakes[0]
        super().__init__(first.message, place=first.place, right=first.right)
        self._all = tuple(mistakes)
        told = [str(mistake) for mistake in mistakes[:MOST_MISTAKES]]
        more = len(mistakes) - MOST_MISTAKES
        self.args = ("\n".join([*told, *([f"... and {more} more"] if more > 0 else [])]),)

    @property
    def each(self) -> tuple[BadInput, ...]:
        """All of them, also those that the text leaves out."""
        return self._all


def together(mistakes: Sequence[BadInput]) -> BadInput:
    """One error that tells them all, each once."""
    once = {str(mistake): mistake for mistake in mistakes}
    ordered = sorted(once.values(), key=lambda mistake: (mistake.place and mistake.place.line) or 0)
    return ordered[0] if len(ordered) == 1 else SeveralMistakes(ordered)


class EnvironmentUnusable(NinesError):
    """The machine lacks something; says what, and how to get it. Raised before any fault."""

    exit_code: ClassVar[int] = 5

    def __init__(self, what: str, *, how: str) -> None:
        self.what = what
        self.how = how
        super().__init__(f"{what}\n  {how}" if how else what)


class CapabilityMissing(EnvironmentUnusable):
    """This runtime cannot do this fault truthfully; raised before anything starts."""

    def in_file(self, file: str) -> CapabilityMissing:
        """The same, with the file that asks for it."""
        line = _LINE.match(self.what)
        if not file or file in self.what:
            return self
        return CapabilityMissing(f"{file}:{line[1]}: {self.what[line.end() :]}" if line else f"{file}: {self.what}", how=self.how)


class FaultNotEffective(NinesError):
    """The harm was done but could not be seen from outside. The run becomes unknown, never a pass."""

    exit_code: ClassVar[int] = 3


class NotHealed(NinesError):
    """We could not prove that a fault was removed: the most urgent thing to tell anyone."""

    exit_code: ClassVar[int] = 6


class Aborted(NinesError):
    """A safety condition of the experiment stopped the run."""

    exit_code: ClassVar[int] = 4


class Interrupted(NinesError):
    """SIGINT or SIGTERM; undo was completed."""

    def __init__(self, signal_number: int, message: str = "") -> None:
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # the one error whose status is not that of its class
        super().__init__(message or f"interrupted by signal {signal_number}")


class HistoryUnreadable(NinesError):
    """A folder that is not a run folder, or one whose first phase was never written."""

    exit_code: ClassVar[int] = 2
