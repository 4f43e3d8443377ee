"""Where the command line's words go: data to standard output (or a file), everything else to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.core.columns import coloured, columns, fitted
from chaos.core.escaping import page

if TYPE_CHECKING:
    from chaos.results.report import Report


def show(text: str, *, whole: bool = False, painted: bool = False) -> None:
    """Data, to standard output. A reader who has left (``| head``) is no error, and is told nothing.

    On a terminal lines are broken to its width; ``whole``: not those of a format that programs read.
    ``painted``: a page of ours with colours, whose values are escaped and whose lines fit already.
    """
    try:
        if not painted:
            text = page(text) if whole else fitted(page(text), columns())
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
    except OSError as error:
        from chaos.core.errors import EnvironmentUnusable

        _close_output()
        raise EnvironmentUnusable(
            f"cannot write to standard output: {error.strerror}", how="what was asked for is not there whole"
        ) from error


def _close_output() -> None:
    """Else the interpreter's own flush at exit would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int | None] = ()) -> None:
    """A table of plain texts, to standard output; ``widths``: the most letters of a line, column by column."""
    from chaos.report import table

    columns = [table.Column(title, most=widths[index] if widths else None) for index, title in enumerate(titles)]
    show(table.text(table.make("", columns, rows)))


def note(text: str) -> None:
    """Progress, to standard error; no run fails since nobody can read that."""
    with contextlib.suppress(OSError):
        print(fitted(page(text), columns()), file=sys.stderr, flush=True)


def show_report(report: Report, *, verbose: bool) -> None:
    """The screen that ends with the verdict; ``verbose``: after the story and all tables."""
    from chaos.report.formats import text

    if verbose:
        show(text.detailed(report) + "\n")
    show(text.screen(report, colour=coloured(sys.stdout, os.environ)), painted=True)


def show_json(value: object) -> None:
    """Indented JSON, to standard output, its lines as they are."""
    show(as_json(value), whole=True)


def put(text: str, output: str | None) -> None:
    """Into the named file, or onto standard output."""
    if output is None:
        show(text, whole=True)
        return
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        from chaos.core import storage
        from chaos.core.errors import BadInput, EnvironmentUnusable

        if storage.of_storage(error):
            raise EnvironmentUnusable(storage.why(error, path), how="free some space, or name a file on another disk") from error
        raise BadInput(f"cannot write {output}: {error.strerror}") from error


def as_json(value: object) -> str:
    """Indented JSON of msgspec values and plain ones."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
