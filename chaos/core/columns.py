"""How wide the terminal is that text is made for, and lines broken to that width.

The width is one for the whole command, so it is a context variable: pages need not hand it down. Without a terminal there is none,
and no line is broken: a program that reads the output finds each row in one line. ``COLUMNS`` is the word of a terminal only, since
readline leaves it in the environment of whatever a program starts; ``NINES_COLUMNS`` sets a width in any case.
"""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Final, TextIO

_COLUMNS: Final[ContextVar[int | None]] = ContextVar("columns", default=None)
NARROWEST: Final = 40
"""No text is broken into shorter lines than this."""
_GLUED: Final = re.compile(r"(?<=\d) (?=(?:%|[nµm]?s|min|h|d|MB|GB|KB|B)(?![A-Za-z]))| (?=->|<->)|(?<=->) |(?<=<->) ")
_GLUE: Final = "\N{NO-BREAK SPACE}"


def columns() -> int | None:
    """Letters in a line; None: as many as there are."""
    return _COLUMNS.get()


@contextlib.contextmanager
def fitting(width: int | None) -> Iterator[None]:
    """Text made inside is made for so many letters in a line."""
    token = _COLUMNS.set(None if width is None else max(width, NARROWEST))
    try:
        yield
    finally:
        _COLUMNS.reset(token)


def width_of(stream: TextIO, environment: Mapping[str, str]) -> int | None:
    """Of the terminal behind ``stream``, or what ``NINES_COLUMNS`` says; None where neither says one."""
    terminal = stream.isatty()
    for name in ("NINES_COLUMNS", "COLUMNS") if terminal else ("NINES_COLUMNS",):
        said = environment.get(name, "")
        if said.isascii() and said.isdigit() and int(said) > 0:
            return int(said)
    try:
        return (os.get_terminal_size(stream.fileno()).columns or None) if terminal else None
    except (OSError, ValueError):
        return None


def coloured(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether colours may be used: on a terminal that knows them, and not where ``NO_COLOR`` is set (no-color.org)."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb" and stream.isatty()


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most ``width`` letters, those after the first with ``indent``; a figure stays with its unit, an arrow with its ends.

    A longer word is a path or an address: it stays whole, so that it can be copied.
    """
    glued = _GLUED.sub(_GLUE, text)
    lines = textwrap.wrap(glued, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return [line.replace(_GLUE, " ") for line in lines] or [""]


def fitted(text: str, width: int | None) -> str:
    """Every line of a text broken where it is too long; what follows stands as far to the right as the line began."""
    if width is None:
        return text
    return "\n".join("\n".join(_fitted(line, width)) if len(line) > width else line for line in text.split("\n"))


def _fitted(line: str, width: int) -> list[str]:
    indent = " " * min(len(line) - len(line.lstrip()), width // 2)
    return wrapped(line, width, indent)
