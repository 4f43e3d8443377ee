"""The data of one run, judged: every check of its plan carried out on the journal in its run folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from chaos.core import plugins
from chaos.core.clock import to_s
from chaos.core.errors import NinesError
from chaos.data.check import Breach, Check, Finding, carried_out
from chaos.data.operations import NEVER, Content, DataHistory, Operation
from chaos.history import journal
from chaos.history.events import NodeUp, Row
from chaos.history.folder import RunFolder
from chaos.plan.plan import DataPlan, Plan
from chaos.results.data import OK, UNKNOWN, VIOLATED, Data, DataCheck, OperationSeen, Violation

NOT_SEEN: Final = "there was nothing to look at"
_LONGEST: Final = 60


def judge_data(folder: RunFolder, plan: Plan, rows: Sequence[Row], start_ns: int) -> Data | None:
    """None where the plan checks no data."""
    if plan.data is None or plan.experiment.data is None:
        return None
    found = journal.read(folder.operations)
    history = DataHistory(plan.data.workload, found, rows, plan)
    nodes = {row.client_address or row.address: row.node for row in rows if isinstance(row, NodeUp)}
    limit_s = plan.experiment.data.check_within_s
    checks = [_checked(name, history, limit_s, start_ns, nodes) for name in plan.data.checks]
    return _data(plan.data, history, checks)


def _data(plan: DataPlan, history: DataHistory, checks: list[DataCheck]) -> Data:
    outcomes = Counter(each.outcome for each in history.operations)
    begun = history.begun
    return Data(
        workload=plan.workload,
        keys=len(history.keys),
        sessions=begun.sessions if begun is not None else 0,
        operations=len(history.operations),
        outcomes={word: outcomes.get(word, 0) for word in (journal.OK, journal.FAIL, journal.UNKNOWN)},
        acknowledged=sum(each.ok and not each.reads for each in history.operations),
        reads=sum(each.ok and each.reads for each in history.operations),
        settled=history.settled,
        damage=history.journal.damage,
        checks=checks,
    )


def _checked(name: str, history: DataHistory, limit_s: float, start_ns: int, nodes: Mapping[str, str]) -> DataCheck:
    began_s = time.monotonic()
    finding = _finding(name, history, limit_s)
    took_s = time.monotonic() - began_s
    if finding.count is None:
        return DataCheck(name, UNKNOWN, None, finding.examined, finding.what, finding.said, took_s=took_s)
    if finding.count:
        first = _violation(finding.breaches[0], start_ns, nodes) if finding.breaches else None
        said = "; ".join(part for part in (first.said if first is not None else "", finding.said) if part)
        return DataCheck(name, VIOLATED, finding.count, finding.examined, finding.what, said, first, took_s)
    if not finding.examined:
        return DataCheck(name, UNKNOWN, None, 0, finding.what, NOT_SEEN, took_s=took_s)
    return DataCheck(name, OK, 0, finding.examined, finding.what, finding.said, took_s=took_s)


def _finding(name: str, history: DataHistory, limit_s: float) -> Finding:
    """Lost lines may be what others need to be understood: without them nothing is found out at all."""
    if history.journal.damaged or not history.journal.rows:
        return Finding(None, 0, "", said=history.journal.damage)
    try:
        check: Check = plugins.find("checks", name)()
    except NinesError as error:
        return Finding(None, 0, "", said=str(error))
    return carried_out(check, history, limit_s)


def _violation(breach: Breach, start_ns: int, nodes: Mapping[str, str]) -> Violation:
    known_ns = breach.known_ns
    if known_ns is None:
        known_ns = max((each.return_ns for each in breach.operations if each.return_ns != NEVER), default=None)
    at_s = None if known_ns is None else to_s(known_ns - start_ns)
    return Violation(
        breach.key, at_s, breach.said, [_seen(each, start_ns, nodes, each.n in breach.contradicts) for each in breach.operations]
    )


def _seen(each: Operation, start_ns: int, nodes: Mapping[str, str], contradicts: bool) -> OperationSeen:
    return OperationSeen(
        n=each.n,
        session=each.session,
        does=each.does,
        key=each.key,
        value=_shown(each.found) if each.reads else each.value,
        start_s=to_s(each.call_ns - start_ns),
        end_s=None if each.return_ns == NEVER else to_s(each.return_ns - start_ns),
        outcome=each.outcome,
        node=nodes.get(each.address, each.address),
        contradicts=contradicts,
    )


def _shown(found: Content) -> str | None:
    if isinstance(found, tuple):
        text = ",".join(found)
        return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"
    return found if found is None else str(found)
