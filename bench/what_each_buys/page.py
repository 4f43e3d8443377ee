"""The page: a section for each mechanism, with its table and its picture, which is made like those of reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.what_each_buys.measure import Found
from bench.what_each_buys.mechanisms import Mechanism, experiment
from chaos.core.units import show_s
from chaos.report.page import svg
from chaos.report.svg.drawing import Drawing, Shape, circle, drawing, line, path, words

LEFT, RIGHT, WIDTH, ROW, TOP = 270.0, 620.0, 640.0, 34.0, 12.0
INTRO = """\
# What each mechanism buys

Each section is one claim about replicated systems, as experiments that differ in one mechanism alone.
It shows what the model predicts beside what clients saw.
All of it is made by one command, `make what-each-buys`; the table of experiments is `bench/what_each_buys/mechanisms.py`.

Measured: {conditions}. Figures are means for each fault, with the 95 % interval of the mean and the number of faults.
{agreed}
*consistent*, *inconclusive* and *inconsistent* are the words of the reports ([deciding](deciding.md)).
In the pictures the dot is what was seen, the diamond what was predicted.
Where both differ, the phases tell which part is off: on a busy machine processes start, and elections end, later than the target declares.
"""


def shown(mechanism: Mechanism, value: float | None) -> str:
    """A time, or a number of writes."""
    if value is None:
        return "–"
    if not mechanism.loses_writes:
        return show_s(value)
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _row(mechanism: Mechanism, each: Found) -> str:
    if each.why:
        return f"| {each.variant} | – | not measured: {each.why} | | |"
    around = f" ({shown(mechanism, each.around[0])} to {shown(mechanism, each.around[1])})" if each.around else ""
    model = shown(mechanism, each.predicted)
    if each.between is not None:
        model = f"{shown(mechanism, each.between[0])} to {shown(mechanism, each.between[1])}"
    return f"| {each.variant} | {model} | {shown(mechanism, each.mean)}{around} | {len(each.seen)} | {each.agreement or '–'} |"


def section(mechanism: Mechanism, found: Sequence[Found]) -> str:
    """The Markdown of one mechanism."""
    figure = "acknowledged writes lost" if mechanism.loses_writes else "without service"
    lines = [f"## {mechanism.title}", "", f"{mechanism.question}", ""]
    lines += [f"| | predicted | {figure}, seen | faults | agreement |", "|---|---|---|---|---|"]
    lines += [_row(mechanism, each) for each in found]
    if any(each.seen for each in found):
        lines += ["", f"![{mechanism.title}: predicted and seen](img/buys-{mechanism.key}.svg)"]
    phases = [f"{each.variant}: {each.phases}" for each in found if each.phases]
    if phases and not mechanism.loses_writes:
        lines += ["", f"Where the time went, seen and in brackets predicted. {'; '.join(phases)}."]
    if mechanism.explains:
        lines += ["", mechanism.explains]
    if mechanism.page:
        lines += ["", f"How it works: [{mechanism.page.rpartition('/')[2].removesuffix('.md').replace('-', ' ')}]({mechanism.page})."]
    return "\n".join(lines) + "\n"


def agreed(found: Sequence[Found]) -> str:
    """How many rows are as predicted, of those that could be held against a prediction."""
    words = [each.agreement for each in found if each.agreement in ("consistent", "inconclusive", "inconsistent")]
    counts = ", ".join(f"{words.count(word)} *{word}*" for word in ("consistent", "inconclusive", "inconsistent"))
    return f"Of {len(words)} rows that can be held against a prediction: {counts}."


def picture(mechanism: Mechanism, found: Sequence[Found]) -> Drawing | None:
    """One line for each variant, all on one scale that begins at nothing."""
    measured = [each for each in found if each.mean is not None]
    ends = [end for each in measured for end in (each.mean, each.predicted, each.around[1] if each.around else None) if end is not None]
    if not measured:
        return None
    most = max([*ends, 1e-9])

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(value / most, 1.0)

    shapes: list[Shape] = []
    for place, each in enumerate(measured):
        y = TOP + ROW * place + ROW / 2
        shapes += [words(LEFT - 12, y + 4, each.variant, anchor="end"), line(LEFT, y, RIGHT, y, "grid")]
        if each.predicted is not None:
            shapes.append(path(f"M{x(each.predicted):.1f} {y + 1:.1f} l6 6 l-6 6 l-6 -6 z", "model"))
        if each.around is not None:
            low, high = (x(end) for end in each.around)
            shapes.append(path(f"M{low:.1f} {y - 11:.1f} v10 M{low:.1f} {y - 6:.1f} H{high:.1f} M{high:.1f} {y - 11:.1f} v10", "seen",
                               fill="none", stroke_width="1.6"))  # fmt: skip
        assert each.mean is not None
        shapes.append(circle(x(each.mean), y - 6, 4.5, "seen"))
    bottom = TOP + ROW * len(measured) + 14
    shapes += [words(LEFT, bottom, "0", "soft"), words(RIGHT, bottom, shown(mechanism, most), "soft", "end")]
    said = "; ".join(
        f"{each.variant}: seen {shown(mechanism, each.mean)}, predicted {shown(mechanism, each.predicted)}" for each in measured
    )
    return drawing(WIDTH, bottom + 8, said, shapes)


def write(results: Sequence[tuple[Mechanism, Sequence[Found]]], conditions: str, docs: Path) -> None:
    """The page and its pictures."""
    (docs / "img").mkdir(parents=True, exist_ok=True)
    text = [INTRO.format(conditions=conditions, agreed=agreed([each for _, found in results for each in found]))]
    for mechanism, found in results:
        text.append(section(mechanism, found))
        made = picture(mechanism, found)
        if made is not None:
            (docs / "img" / f"buys-{mechanism.key}.svg").write_text(svg(made, int(WIDTH)), encoding="utf-8")
    text.append(_example(results[0][0]))
    (docs / "what-each-buys.md").write_text("\n".join(text), encoding="utf-8")


def _example(mechanism: Mechanism) -> str:
    """One of the experiments, whole, so that a reader sees what the table makes."""
    import yaml

    variant = mechanism.variants[1]
    whole = yaml.safe_dump(experiment(mechanism, variant), sort_keys=False, default_flow_style=None, width=120)
    return f"## One of the experiments\n\n*{mechanism.title}*, {variant.name}, as the command runs it:\n\n```yaml experiment\n{whole}```\n"
