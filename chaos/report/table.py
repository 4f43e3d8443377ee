"""What a table is: columns with titles, rows of cells that are formatted already. Each medium renders this one value, and no other.

Text and Markdown show a cell in one line, its second line in brackets. HTML (``templates/table.html.j2``) shows both lines, and drawings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from chaos.core.columns import columns, fitted, wrapped
from chaos.core.escaping import markdown, terminal

if TYPE_CHECKING:
    from chaos.report.svg.drawing import Drawing

GOOD: Final = "good"
BAD: Final = "bad"
OPEN: Final = "open"
TONES: Final = {
    "pass": GOOD, "consistent": GOOD, "rolled back": GOOD,
    "fail": BAD, "inconsistent": BAD, "failed": BAD, "left over": BAD,
    "unknown": OPEN, "inconclusive": OPEN, "skipped": OPEN,
}  # fmt: skip
"""The words of verdicts, each with its tone."""
SIGNS: Final = {GOOD: "✓", BAD: "✕", OPEN: "?"}
"""Before such a word on a page."""
EMOJI: Final = {GOOD: "✅", BAD: "❌", OPEN: "❔"}
"""The same in Markdown."""


_NO_ANCHOR: Final = re.compile(r"[^A-Za-z0-9_.-]")


class Cell(NamedTuple):
    """One formatted entry."""

    text: str
    below: str = ""
    """The second line: how sure the figure is, or why there is none."""
    tone: str = ""
    """``GOOD``, ``BAD`` or ``OPEN`` for the word of a verdict."""
    draw: Callable[[], Drawing | None] | None = None
    """The drawing that a page shows here; made only there."""
    anchor: str = ""
    """The name by which a page leads here."""
    links: Sequence[tuple[str, str]] = ()
    """The words of ``text`` one by one, each with the anchor that it leads to, or with none."""

    @property
    def line(self) -> str:
        """Both lines as one: ``701 ms (586 ms to 807 ms)``."""
        return f"{self.text} ({self.below})" if self.below else self.text


class Column(NamedTuple):
    """One column."""

    title: str
    right: bool = False
    """Figures that are compared by their length."""
    drawn: bool = False
    """Drawings alone: left out where there are none."""
    wide: bool = False
    """Sentences: broken into lines where a page or a terminal is narrow."""
    code: bool = False
    """What is typed as it stands."""
    most: int | None = None
    """The most letters of a line on a terminal; longer cells are broken there."""


Row = Sequence[Cell | str]
Columns = Sequence[Column | str]


@dataclass(frozen=True)
class Table:
    """A table, its title, what is said before it and after it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    after: Sequence[str] = ()
    otherwise: str = ""
    """What is said where there are no rows; without it the table is not shown then."""

    @property
    def name(self) -> str:
        """The anchor of the whole table."""
        return anchor("table", self.title.partition(":")[0].partition(",")[0].lower())

    @property
    def told(self) -> Table:
        """The same without drawings, for media that have none."""
        kept = [index for index, column in enumerate(self.columns) if not column.drawn]
        rows = [[row[index] for index in kept] for row in self.rows]
        return replace(self, columns=[self.columns[index] for index in kept], rows=rows)


def make(
    title: str,
    columns: Columns,
    rows: Iterable[Row],
    note: str = "",
    after: Sequence[str] = (),
    otherwise: str = "",
) -> Table:
    """A table; a plain title is a column of text, a plain text a cell. A column without a single entry is left out."""
    heads = [Column(column) if isinstance(column, str) else column for column in columns]
    cells = [[Cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    assert all(len(row) == len(heads) for row in cells), title
    used = [index for index in range(len(heads)) if any(row[index].text or row[index].draw for row in cells)]
    shown = [[row[index] for index in used] for row in cells]
    return Table(title, [heads[index] for index in used], shown, note, [line for line in after if line], otherwise)


def linked(words: Iterable[tuple[str, str]], otherwise: str = "") -> Cell:
    """Words that lead somewhere on a page, and stand with commas everywhere else."""
    found = list(words)
    return Cell(", ".join(word for word, _ in found) or otherwise, links=found)


def anchor(kind: str, name: str) -> str:
    """``fault-kill-leader.1``: fit for an address."""
    return f"{kind}-{_NO_ANCHOR.sub('_', name)}"


def right(title: str) -> Column:
    """A column of figures."""
    return Column(title, right=True)


def mark(word: str, below: str = "") -> Cell:
    """The word of a verdict, in its tone."""
    return Cell(word, below, TONES.get(word, ""))


def text(table: Table) -> str:
    """For a terminal: title, note, table, what follows; empty without rows. Each part is escaped for it.

    No line is wider than ``columns()``: cells are broken into lines; where that is not enough, the last columns are left out and named.
    """
    width = columns()
    if not table.rows:
        return fitted(terminal(f"{table.title}: {table.otherwise}"), width) if table.otherwise else ""
    from tabulate import tabulate

    shown = table.told
    heads = [column.title for column in shown.columns]
    cells = [[terminal(cell.line) for cell in row] for row in shown.rows]
    kept, limits = fit([[head, *column] for head, *column in zip(heads, *cells, strict=True)], shown.columns, width)
    body = tabulate(
        [[_broken(row[index], limits[index]) for index in kept] for row in cells],
        headers=[_broken(heads[index], limits[index] - PADDING) for index in kept],
        tablefmt="simple",
        colalign=["right" if shown.columns[index].right else "left" for index in kept],
        disable_numparse=True,
    )
    lost = [heads[index] for index in range(len(heads)) if index not in kept]
    left_out = [f"Not shown for want of room: {', '.join(lost)}."] if lost else []
    before = [terminal(line) for line in (table.title, table.note) if line]
    after = [*map(terminal, table.after), *left_out]
    return "\n".join([*(fitted(line, width) for line in before), body, *(fitted(line, width) for line in after)])


GAP: Final = 2
"""Between two columns."""
PADDING: Final = 2
"""A column is so much wider than its heading at least."""
NARROW: Final = 12
"""No column of sentences is broken into shorter lines than this."""


def fit(texts: Sequence[Sequence[str]], kinds: Sequence[Column], width: int | None) -> tuple[list[int], list[int]]:
    """Which columns are shown in so many letters, and the most letters of a line in each: the widest are narrowed first.

    ``texts``: column by column, the heading first.
    """
    natural = [max(len(head) + PADDING, *map(len, cells)) for head, *cells in texts]
    limits = [length if kind.most is None else min(length, kind.most) for length, kind in zip(natural, kinds, strict=True)]
    kept = list(range(len(texts)))
    if width is None:
        return kept, limits
    least = [_least(head, cells, kind, limit, width) for (head, *cells), kind, limit in zip(texts, kinds, limits, strict=True)]
    while len(kept) > 1 and sum(least[index] for index in kept) + GAP * (len(kept) - 1) > width:
        kept.pop()
    room = width - GAP * (len(kept) - 1)
    while sum(limits[index] for index in kept) > room:
        widest = max((index for index in kept if limits[index] > least[index]), key=lambda index: limits[index], default=None)
        if widest is None:
            break
        limits[widest] -= 1
    return kept, limits


def _least(head: str, cells: Sequence[str], kind: Column, limit: int, width: int) -> int:
    """How narrow a column may become: figures and code are never broken inside a word."""
    heading = max(map(len, head.split()), default=0) + PADDING
    word = max((len(word) for cell in cells for word in cell.split()), default=0)
    inside = word if kind.right or kind.code else max(NARROW, min(word, width // 3))
    return min(limit, max(heading, inside))


def _broken(text: str, most: int) -> str:
    return "\n".join(wrapped(text, max(most, 1))) if len(text) > most else text


def markdown_lines(table: Table) -> list[str]:
    """For GitHub and GitLab: heading, table, what follows, each ended by an empty line; nothing without rows."""
    if not table.rows:
        return [f"{markdown(table.title)}: {markdown(table.otherwise)}", ""] if table.otherwise else []
    shown = table.told
    lines = [f"### {markdown(shown.title)}", ""] if shown.title else []
    lines += [markdown(shown.note), ""] if shown.note else []
    lines += [f"| {' | '.join(markdown(column.title) for column in shown.columns)} |"]
    lines += [f"|{''.join('---:|' if column.right else '---|' for column in shown.columns)}"]
    lines += [f"| {' | '.join(_in_markdown(cell) for cell in row)} |" for row in shown.rows]
    return [*lines, "", *(line for each in shown.after for line in (markdown(each), ""))]


def _in_markdown(cell: Cell) -> str:
    return markdown(f"{EMOJI[cell.tone]} {cell.line}" if cell.tone else cell.line)
