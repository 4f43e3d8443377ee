"""What a gate came to: one table for people; JUnit, Markdown and one JSON document for machines. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as Xml

import msgspec

from chaos.core.escaping import markdown, xml
from chaos.evidence.compare import Comparison
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import table
from chaos.report.formats import junit
from chaos.report.formats import markdown as summary
from chaos.report.pages import compare
from chaos.report.table import BAD, GOOD, OPEN, Cell, Column, Columns, Row, make, right
from chaos.results import states
from chaos.results.report import Report

if TYPE_CHECKING:
    from chaos.report.table import Table

SCHEMA: Final = 1
_TONES: Final = {"good": GOOD, "bad": BAD, "open": OPEN}


class Gated(msgspec.Struct, frozen=True):
    """One experiment of a gate."""

    experiment: str
    file: str
    exit_code: int
    """Of the experiment with its comparison."""
    state: str
    said: str
    """In one sentence: what it came to, or why it did not run."""
    planned_s: float
    took_s: float
    folder: str
    report: Report | None
    comparison: Comparison | None = None
    uncompared: str = ""
    """Why there is none."""


class Gate(msgspec.Struct, frozen=True):
    """The whole document."""

    schema: int
    exit_code: int
    verdict: str
    """pass, fail or unknown."""
    against: str
    """What the experiments were compared with; empty: nothing."""
    experiments: list[Gated]


def rows(gate: Gate) -> Table:
    """One row an experiment."""
    found: list[Row] = []
    for each in gate.experiments:
        state = states.named(each.state, each.exit_code)
        found.append([each.experiment, Cell(state.word, "", _TONES.get(state.tone, "")), each.said, _compared(each),
                      f"{each.took_s:.0f} s", each.folder])  # fmt: skip
    columns: Columns = [
        "experiment",
        "verdict",
        Column("result", wide=True, most=60),
        Column("against", wide=True, most=40),
        right("took"),
        "folder",
    ]
    return make("", columns, found)


def _compared(each: Gated) -> Cell | str:
    if each.comparison is None:
        return each.uncompared
    told = {"no worse": f"no worse than {each.comparison.margin:g} times", "worse": "worse", "cannot tell": "cannot tell yet"}
    verdict = each.comparison.verdict
    open_ = [row.more for row in each.comparison.rows if row.verdict == "cannot tell" and row.more is not None]
    more = f", {say.count(max(open_), 'more fault')} would" if verdict == "cannot tell" and open_ else ""
    return Cell(f"{told[verdict]}{more}", "", compare.TONES[verdict])


def closing(gate: Gate) -> str:
    """The last line: ``PASS: 6 of 6 experiments``."""
    good = sum(each.exit_code == 0 for each in gate.experiments)
    word = {"pass": "PASS", "fail": "FAIL"}.get(gate.verdict, "UNKNOWN")
    against = f", compared with {gate.against}" if gate.against else ""
    return f"{word}: {good} of {say.count(len(gate.experiments), 'experiment')} as expected{against} (exit status {gate.exit_code})"


def text(gate: Gate) -> str:
    """For a terminal: what was compared, the table, the closing line."""
    compared = [each.comparison for each in gate.experiments if each.comparison is not None]
    parts = [compare.text(compared).rstrip(), ""] if compared else []
    return "\n".join([*parts, table.text(rows(gate)), "", closing(gate)]) + "\n"


def as_markdown(gate: Gate) -> str:
    """For the summary of a job: the table first, then each experiment."""
    icon = {"pass": "✅", "fail": "❌"}.get(gate.verdict, "❔")
    lines = [f"# {icon} {markdown(closing(gate))}", "", *table.markdown_lines(rows(gate))]
    compared = [each.comparison for each in gate.experiments if each.comparison is not None]
    if compared:
        lines += [compare.markdown(compared), ""]
    for each in gate.experiments:
        said = summary.render(each.report) if each.report is not None else summary.refused(each.experiment, each.said, each.exit_code)
        lines += ["<details><summary>" + markdown(each.experiment) + "</summary>", "", said, "</details>", ""]
    return "\n".join(lines)


def as_junit(gate: Gate) -> str:
    """One file: a suite an experiment, and in it a case a comparison."""
    suites = Xml.Element("testsuites", name="nines gate")
    for each in gate.experiments:
        said = junit.render(each.report) if each.report is not None else junit.refused(each.experiment, each.said, each.exit_code)
        suite = Xml.fromstring(said.encode())  # noqa: S314 - made by us a line before
        for case in _cases(each):
            suite.append(case)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
        suite.set("tests", str(len(suite.findall("testcase"))))
        suites.append(suite)
    for attribute in ("tests", "failures", "errors"):
        suites.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites)))
    Xml.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(suites, encoding="unicode") + "\n"


def _cases(each: Gated) -> Sequence[Xml.Element]:
    found = []
    for row in each.comparison.rows if each.comparison is not None else ():
        assert each.comparison is not None
        name = xml(f"{compare.title(row)} no worse than {each.comparison.margin:g} times {each.comparison.old}")
        case = Xml.Element("testcase", classname=f"nines.{xml(each.experiment)}.comparison", name=name, time="0")
        if row.verdict != "no worse":
            tag = "failure" if row.verdict == "worse" else "error"
            Xml.SubElement(case, tag, type=row.verdict, message=xml(compare.sentence(row, each.comparison.margin)))
        found.append(case)
    return found


def line_of(report: Report) -> str:
    """What a report came to, in one sentence."""
    return top.headline(report)
