"""Two sets of runs held against each other, shown: a sentence for each row, tables for terminal, Markdown and pages. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from chaos.report import format as say
from chaos.report.format import Show
from chaos.report.table import BAD, GOOD, OPEN, Cell, Column, Columns, Row, Table, make, right

if TYPE_CHECKING:
    from chaos.evidence.compare import Compared, Comparison

TONES: Final = {"no worse": GOOD, "worse": BAD, "cannot tell": OPEN}
NAMES: Final = {"mttr": "MTTR", "availability": "availability", "latency_p99": "latency p99"}
_SHOW: Final[dict[str, Show]] = {"mttr": say.seconds, "availability": say.percent, "latency_p99": say.seconds}


def title(row: Compared) -> str:
    """``MTTR of kill/leader``."""
    return f"{NAMES[row.measure]} of {row.fault_class}" if row.fault_class else NAMES[row.measure]


def times(value: float | None) -> str:
    """``1.32 times``."""
    return say.DASH if value is None else f"{say.number(value)} times"


def judged(row: Compared, margin: float) -> str:
    """What the comparison came to: ``no worse than 1.3 times, shown (1.02 times, 0.91 to 1.14)``."""
    around = say.span(row.low, row.high, say.number)
    ratio = f"{times(row.ratio)}{f', {around}' if around else ''}"
    match row.verdict:
        case "no worse" if row.ratio is None or row.reason:
            return f"no worse than {margin:g} times: {row.reason}"
        case "no worse":
            return f"no worse than {margin:g} times, shown ({ratio})"
        case "worse":
            return f"worse: {ratio}, {say.is_chance(row.p_worse)}" if row.ratio is not None else f"worse, {say.is_chance(row.p_worse)}"
        case _:
            why = f"; {row.reason}" if row.reason else ""
            enough = f"; {say.count(row.more, f'more {row.unit}')} would tell" if row.more is not None else why
            seen = f" ({ratio})" if row.ratio is not None else ""
            return f"cannot tell yet whether it is worse than {margin:g} times{seen}{enough}"


def sentence(row: Compared, margin: float) -> str:
    """``MTTR of kill/leader was 860 ms (810 ms to 900 ms, 214 faults) and is 880 ms (5 faults): no worse than 1.3 times, shown``."""
    show = _SHOW[row.measure]

    def told(which: str) -> str:
        value = row.old if which == "was" else row.new
        if value.value is None:
            return f"{which} not seen"
        around = say.span(value.low, value.high, show)
        return f"{which} {show(value.value)} ({f'{around}, ' if around else ''}{say.count(value.n, row.unit)})"

    return f"{title(row)} {told('was')} and {told('is')}: {judged(row, margin)}."


def table(found: Comparison) -> Table:
    """All rows of one comparison."""
    rows: list[Row] = []
    for row in found.rows:
        show = _SHOW[row.measure]
        sides = [
            Cell(show(side.value), say.span(side.low, side.high, show) if side.value is not None else side.reason)
            for side in (row.old, row.new)
        ]
        counts = f"{row.old.n} / {row.new.n} {row.unit}s"
        ratio = Cell(say.number(row.ratio), say.span(row.low, row.high, say.number))
        rows.append([title(row), *sides, counts, ratio, say.chance(row.p_worse), say.chance_percent(row.power),
                     Cell(_verdict(row, found.margin), "", TONES[row.verdict])])  # fmt: skip
    heads: Columns = [
        "figure",
        "before",
        "now",
        right("n"),
        Column("ratio"),
        right("p"),
        right("power"),
        Column("verdict", wide=True, most=34),
    ]
    return make(f"{found.experiment}: {found.old} against {found.new}", heads, rows, _note(found), found.cautions)


def _verdict(row: Compared, margin: float) -> str:
    if row.verdict == "no worse":
        return row.reason or f"no worse than {margin:g} times, shown"
    if row.verdict == "worse":
        return "worse"
    if row.more is not None:
        return f"cannot tell yet, {say.count(row.more, f'more {row.unit}')} would"
    return f"cannot tell: {row.reason}" if row.reason else "cannot tell"


def _note(found: Comparison) -> str:
    runs = f"{say.count(found.old_runs, 'run')} with {say.count(found.old_faults, 'fault')}"
    now = f"{say.count(found.new_runs, 'run')} with {say.count(found.new_faults, 'fault')}"
    return f"{runs} before, {now} now. p: so large a ratio if nothing had changed. Power: of finding 1.5 times as much."


def text(comparisons: Sequence[Comparison]) -> str:
    """For a terminal."""
    from chaos.report import table as tables

    return "\n\n".join("\n".join([tables.text(table(each)), "", *_sentences(each)]) for each in comparisons) + "\n"


def markdown(comparisons: Sequence[Comparison]) -> str:
    """For the summary of a job."""
    from chaos.core.escaping import markdown as escaped
    from chaos.report.table import markdown_lines

    lines: list[str] = []
    for each in comparisons:
        lines += markdown_lines(table(each))
        lines += [*(f"- {escaped(line)}" for line in _sentences(each)), ""]
    return "\n".join(lines)


def _sentences(found: Comparison) -> list[str]:
    from chaos.core.escaping import terminal

    return [terminal(sentence(row, found.margin)) for row in found.rows]
