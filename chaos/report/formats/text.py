"""The report for a terminal: all of it (``render``), the tables alone, and the screen that answers the reader's questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.core.columns import columns, fitted, wrapped
from chaos.core.escaping import every, terminal
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report import table, tables
from chaos.report.answers import Answer, answers
from chaos.results.observed import Observed
from chaos.results.report import Report
from chaos.results.states import COLOURS

OUTAGES_SHOWN: Final = 12
"""The longest ones; report.json has all."""
WIDTH: Final = 80
LINES: Final = 23
"""Of a screen of 24 lines, one is the shell's."""
SERVICES_SHOWN: Final = 3
PLAIN: Final = "\x1b[0m"
LABEL: Final = 15
"""Letters of the questions in front of the answers."""


def render(report: Report) -> str:
    """All of it, ready to print, however wide."""
    report = every(report, terminal)
    blocks = [_verdict(report), *(table.text(each) for each in tables.of(report, OUTAGES_SHOWN).values()), "\n".join(_end(report, None))]
    return "\n\n".join(blocks) + "\n"


def detailed(report: Report) -> str:
    """The story and the tables, no line wider than ``columns()``; the screen follows."""
    report = every(report, terminal)
    said = [*tell.story(report), *(f"Note: {reason}" for reason in top.notes(report))]
    made = tables.of(report, OUTAGES_SHOWN).values()
    blocks = [fitted("\n".join(said), columns()), *(table.text(each) for each in made)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def screen(report: Report, lines: int = LINES, colour: bool = False) -> str:
    """One screen, which ends with the verdict line: the figures of each service, the four answers, and how to go on.

    What does not fit is left out by whole sentences, the least important first.
    """
    report = every(report, terminal)
    width = columns() or WIDTH
    asked = wrapped(f"{report.experiment}: {report.question}" if report.question else report.experiment, width, "  ")[:2]
    verdict = wrapped(f"{top.state(report).icon} {top.line(report)}", width, "  ")[:5]
    frame = [*asked, *_services(report, width), ""], ["", *_end(report, width), "", *verdict]
    room = lines - sum(map(len, frame))
    if colour:
        paint = f"\x1b[1;{COLOURS[top.state(report).colour]}m"
        frame[1][-len(verdict) :] = [f"{paint}{line}{PLAIN}" for line in verdict]
    return "\n".join([*frame[0], *_fitting(answers(report), width, room), *frame[1]]) + "\n"


def _fitting(found: Sequence[Answer], width: int, room: int) -> list[str]:
    kept = [list(answer.sentences) for answer in found]

    def made() -> list[list[str]]:
        return [_answer(answer.question, " ".join(said), width) for answer, said in zip(found, kept, strict=True)]

    while sum(map(len, made())) > room and any(len(said) > 1 for said in kept):
        longest = max((place for place, said in enumerate(kept) if len(said) > 1), key=lambda place: len(made()[place]))
        kept[longest].pop()
    blocks = made()
    while sum(map(len, blocks)) > room and any(len(block) > 1 for block in blocks):
        block = max(blocks, key=len)
        block.pop()
        block[-1] = f"{block[-1][: width - 2]} …"
    return [line for block in blocks for line in block]


def _answer(question: str, text: str, width: int) -> list[str]:
    return wrapped(f"{question:<{LABEL}}{text}", width, " " * LABEL)


def _services(report: Report, width: int) -> Iterator[str]:
    """A line a service, the judged one first."""
    observed = report.observed
    if observed is None:
        return
    services = observed.services or {report.judged: observed}
    for name in sorted(services, key=lambda each: each != report.judged)[:SERVICES_SHOWN]:
        yield f"{f'  {name}: {_figures(services[name])}':.{width}}"


def _figures(seen: Observed) -> str:
    mttr = f", MTTR {say.seconds(seen.mttr_s.value)}" if seen.mttr_s.value is not None else ""
    p99 = f", p99 {say.seconds(seen.latency_s.p99)}" if seen.latency_s.p99 is not None else ""
    return f"availability {say.percent(seen.availability.value)}, {say.count(len(seen.outages), 'outage')}{mttr}{p99}"


def _verdict(report: Report) -> str:
    lines = [top.line(report)]
    if report.question:
        lines += [f"  {report.question}"]
    lines += [""] + [f"  {answer.question}: {answer.text}" for answer in answers(report)]
    lines += [""] + [f"  {sentence}" for sentence in tell.story(report)]
    lines += [f"  Note: {reason}" for reason in top.notes(report)]
    return "\n".join(lines)


def _end(report: Report, width: int | None) -> list[str]:
    return [*command(f"Report   {report.folder}/report.html", width), *command(f"Again    {tell.reproduce(report)}", width)]


def command(line: str, width: int | None) -> list[str]:
    """A command in lines that a shell reads as one, broken between its words."""
    if width is None or len(line) <= width:
        return [line]
    lines, words = [""], line.split(" ")
    for place, word in enumerate(words):
        longer = f"{lines[-1]} {word}" if place else word
        if len(longer) + 2 <= width or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines[-1] += " \\"
            lines.append(f"           {word}")
    return lines
