"""The tables of what was found of the data: every check, and the first violation as the fewest operations that show it."""

from __future__ import annotations

from typing import Final

from chaos.report import format as say
from chaos.report.table import BAD, GOOD, OPEN, Cell, Column, Columns, Row, Table, make, right
from chaos.results.data import Data, DataCheck, OperationSeen, Violation
from chaos.results.report import Report

TONES: Final = {"ok": GOOD, "violated": BAD, "unknown": OPEN}
MARK: Final = "◀"
"""At operations that cannot all be true."""
LONGEST: Final = 48


def checks(report: Report) -> Table:
    """Each check with its verdict; empty where the experiment checks no data."""
    data = report.data
    rows: list[Row] = [] if data is None else [_check(each) for each in data.checks]
    columns: Columns = ["check", "verdict", right("violations"), "looked at", Column("found", wide=True)]
    return make("Data", columns, rows, "" if data is None else counted(data))


def _check(check: DataCheck) -> Row:
    looked = f"{check.examined:,} {check.what}" if check.examined else ""
    count = say.DASH if check.count is None else f"{check.count:,}"
    return [check.name, Cell(check.verdict, tone=TONES.get(check.verdict, OPEN)), count, looked, check.said]


def counted(data: Data) -> str:
    """How much was written and read, and whether all of it is there to be judged."""
    ended = ", ".join(f"{data.outcomes.get(word, 0):,} {told}" for word, told in _OUTCOMES.items())
    told = (
        f"{say.count(data.operations, 'operation')} of {say.count(data.sessions, 'session')} on {say.count(data.keys, data.workload)}: "
        f"{ended}. {data.acknowledged:,} writes were acknowledged, {data.reads:,} reads answered."
    )
    return told + (f" But {data.damage}." if data.damage else "")


_OUTCOMES: Final = {"ok": "ok", "fail": "surely not done", "unknown": "of unknown outcome"}


def first(report: Report) -> tuple[DataCheck, Violation] | None:
    """The violation that could be known first, of those that operations show; else of all."""
    if report.data is None:
        return None
    found = [(check, check.first) for check in report.data.checks if check.first is not None]
    return min(found, key=lambda each: (not each[1].operations, each[1].at_s is None, each[1].at_s or 0.0), default=None)


def violation(report: Report) -> Table:
    """The operations of the first violation, in the order of their calls."""
    found = first(report)
    rows: list[Row] = [] if found is None else [_operation(each) for each in found[1].operations]
    columns: Columns = [right("from (s)"), right("to (s)"), "session", "asked", "operation", "outcome", ""]
    return make("First violation of the data", columns, rows, "" if found is None else said(*found))


def said(check: DataCheck, found: Violation) -> str:
    """What the violation is, in a sentence."""
    at = "" if found.at_s is None else f" at {found.at_s:.3f} s"
    where = f" under the key {found.key}" if found.key else ""
    marked = f" Those marked {MARK} cannot all be true." if any(each.contradicts for each in found.operations) else ""
    return f"{check.name}{where}{at}: {found.said}.{marked}"


def _operation(each: OperationSeen) -> Row:
    end = say.DASH if each.end_s is None else f"{each.end_s:.4f}"
    who = "last reading" if each.session == 0 else str(each.session)
    return [f"{each.start_s:.4f}", end, who, each.node, told(each), each.outcome, MARK if each.contradicts else ""]


def told(each: OperationSeen) -> str:
    """``write 3.17``, ``read: nothing``."""
    value = "nothing" if each.value is None else each.value if len(each.value) <= LONGEST else f"...{each.value[-LONGEST:]}"
    return f"read: {value}" if each.does == "read" else f"{each.does} {value}"


def sentence(report: Report) -> str:
    """For the story: what the checks came to; empty where there are none."""
    data = report.data
    if data is None:
        return ""
    bad = [check for check in data.checks if check.verdict == "violated"]
    open_ = [check for check in data.checks if check.verdict == "unknown"]
    looked = f"{say.count(data.operations, 'operation')} on {say.count(data.keys, 'key')}"
    if bad:
        found = first(report)
        shown = f" First: {said(*found)}" if found is not None else ""
        return f"The data is wrong: {', '.join(f'{check.name} {check.count:,}' for check in bad)}, over {looked}.{shown}"
    undecided = f" Undecided: {'; '.join(f'{check.name}: {check.said}' for check in open_)}." if open_ else ""
    held = len(data.checks) - len(open_)
    return f"{say.count(held, 'check')} of the data found nothing wrong over {looked}.{undecided}"
