"""The tables of a report that show the model: held against what was observed, and asked for a year of production."""

from __future__ import annotations

from functools import partial
from typing import Final

from chaos.report import format as say
from chaos.report import story as tell
from chaos.report.format import Show
from chaos.report.svg.bars import share_bar
from chaos.report.table import Cell, Column, Columns, Row, Table, make, mark, right
from chaos.results.predicted import ParameterUsed, Predicted, Production
from chaos.results.report import Report

LEVERS_SHOWN: Final = 6
COMPARED: Final[dict[str, Show]] = {"downtime": say.seconds, "share": say.percent}
"""How the figures of a comparison are shown; others are bare numbers."""


def agreement(report: Report) -> Table:
    """Prediction held against observation, measure by measure."""
    rows: list[Row] = [
        [row.service, row.fault_class or "all", row.measure, COMPARED.get(row.measure, say.number)(row.predicted),
         COMPARED.get(row.measure, say.number)(row.observed), say.chance(row.p_value),
         mark(row.verdict, "a difference is detectable" if row.detectable and row.verdict == "consistent" else ""),
         "" if row.faults_to_decide is None else str(row.faults_to_decide)]
        for row in report.agreement
    ]  # fmt: skip
    columns: Columns = [
        "service",
        "class",
        "measure",
        right("predicted"),
        right("observed"),
        right("p"),
        "verdict",
        right("faults to decide"),
    ]
    after = [tell.undecided(row) for row in report.agreement if row.service == report.judged]
    return make(f"Prediction check: {report.agreement_overall}", columns, rows, after=after)


def levers(production: Production | None) -> Table:
    """What halving each parameter would save in a year of production."""
    first = production.improve_first[:LEVERS_SHOWN] if production is not None else []
    most = max((each.halving_saves_s_per_year for each in first), default=0.0)
    rows: list[Row] = [
        [say.parameter(each.parameter), Cell("", draw=partial(share_bar, each.halving_saves_s_per_year, most)), f"{each.elasticity:+.3f}",
         say.seconds(each.halving_saves_s_per_year), each.price]
        for each in first
    ]  # fmt: skip
    columns: Columns = [
        "parameter",
        Column("", drawn=True),
        right("elasticity"),
        right("halving saves per year"),
        Column("at the price of", wide=True),
    ]
    return make("Biggest levers in production, by the model", columns, rows)


def extrapolated(report: Report) -> Table:
    """What the measured outages would cost a year, at the rates that the experiment assumes."""
    found = report.extrapolated
    rows: list[Row] = [
        [part.fault_class, f"{part.rate} ({part.rate_basis})", str(part.faults), say.seconds(part.downtime_s_per_year),
         say.percent(part.variance_share), part.note]
        for part in (found.parts if found is not None else [])
    ]  # fmt: skip
    columns: Columns = ["fault class", "production rate", right("measured here"), right("downtime per year"), right("share of variance"),
               Column("note", wide=True)]  # fmt: skip
    note = "" if found is None else f"{say.extrapolated(found)}."
    return make("Measured outages scaled to production rates", columns, rows, note, otherwise="" if found is None else found.reason)


def parameters(predicted: Predicted) -> Table:
    """Every input of the model, with its source."""
    rows: list[Row] = [[say.parameter(each.name), _amount(each), say.origin(each)] for each in predicted.parameters]
    return make("", [Column("parameter", code=True), right("value"), "source"], rows)


def _amount(each: ParameterUsed) -> str:
    """``100 ms``, ``150 ms to 300 ms``, ``hang``."""
    if each.word:
        return each.word
    values = [each.value] if each.high is None else [each.value, each.high]
    if each.unit == "s":
        return " to ".join(map(say.seconds, values))
    return f"{' to '.join(map(say.number, values))} {each.unit.removeprefix('1')}".rstrip()
