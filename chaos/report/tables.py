"""The tables of a report, each made once: what stands in which column is decided here, how it looks in the format that shows it.

``of`` gives all of them in the order in which they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from chaos.report import data_tables, model_tables
from chaos.report import format as say
from chaos.report.format import Show
from chaos.report.svg.bars import interval_bars, phase_bars
from chaos.report.table import Cell, Column, Columns, Row, Table, anchor, linked, make, mark, right
from chaos.results.detectors import Detectors, Suspected
from chaos.results.observed import PHASES, Estimate, Observed, Outage
from chaos.results.predicted import Range
from chaos.results.report import Report

STATUS: Final = {"healed": "rolled back", "leftover": "left over"}
"""What people read for a word of ``report.json``."""


def of(report: Report, outages_shown: int) -> dict[str, Table]:
    """Every table by its name; those without rows are left out."""
    production = report.predicted.production if report.predicted is not None else None
    made = {
        "objectives": objectives(report),
        "data": data_tables.checks(report),
        "violation": data_tables.violation(report),
        "figures": figures(report),
        "classes": classes(report),
        "outages": outages(report, outages_shown),
        "demand": demand(report),
        "bad_requests": bad_requests(report),
        "faults": faults(report),
        "detectors": detectors(report),
        "checks": checks(report),
        "addresses": addresses(report),
        "agreement": model_tables.agreement(report),
        "looks": looks(report),
        "levers": model_tables.levers(production),
        "extrapolated": model_tables.extrapolated(report),
    }
    return {name: table for name, table in made.items() if table.rows or table.otherwise}


def seen(value: Estimate, show: Show) -> Cell:
    """A measured figure, and how sure it is or why there is none."""
    return Cell(show(value.value), value.reason if value.value is None else say.sure(value, show))


def expected(value: Range | None, show: Show) -> Cell:
    """A predicted figure, and the range that a run like this one shows; empty without a prediction."""
    if value is None:
        return Cell("")
    return Cell(show(value.value), value.reason if value.value is None else say.span(value.low, value.high, show))


def objectives(report: Report) -> Table:
    """What was to hold, and whether it does."""
    rows: list[Row] = [
        [row.title, row.want, row.basis, seen(row.observed, say.measure(row.name)), mark(row.verdict)] for row in report.objectives
    ]
    return make("Objectives", ["objective", Column("wanted", code=True), "basis", "observed", "verdict"], rows)


def figures(report: Report) -> Table:
    """What clients of each service saw, beside what was predicted; the primary service first."""
    observed = report.observed
    rows = [row for name, seen in services(report) for row in _of_service(name, seen, report)]
    note = "" if observed is None else f"95 % intervals. An outage is {say.rule(observed.rule)}; both of its ends are back-dated."
    columns: Columns = ["service", "figure", "observed", right("n"), "predicted for a run like this", Column("", drawn=True)]
    return make("Observed and predicted", columns, rows, note)


def _of_service(name: str, observed: Observed, report: Report) -> Iterator[list[Cell | str]]:
    model = report.predicted.services.get(name) if report.predicted is not None else None
    basis = "of the schedule" if observed.mtbf_basis == "schedule" else observed.mtbf_basis

    def told(label: str, text: str, n: int = 0) -> list[Cell | str]:
        return ["", label, text, str(n) if n else "", "", ""]

    rows: list[Row] = [
        _both("availability", observed.availability, model.availability if model else None, say.percent),
        _both("MTTR", observed.mttr_s, model.mttr_s if model else None, say.seconds),
        _both("MTTF", observed.mttf_s, model.mttf_s if model else None, say.seconds),
        _both(f"MTBF ({basis})", observed.mtbf_s, model.mtbf_s if model else None, say.seconds),
    ]
    if observed.maintainability is not None:
        rows.append(told("repairs, M(t)", say.maintained(observed.maintainability), observed.maintainability.n))
    rows.append(_both("success ratio", observed.success_ratio, None, say.percent))
    if observed.slo_ratio.value is not None:
        rows.append(_both("within the SLO's latency", observed.slo_ratio, None, say.percent))
    latency = observed.latency_s
    rows.append(told("latency p50 / p99 / max", " / ".join(map(say.seconds, (latency.p50, latency.p99, latency.max)))))
    worst, ratios = say.windows(observed)
    if worst:
        rows.append(told(worst, ratios))
    for index, row in enumerate(rows):
        yield [name if index == 0 else "", *row[1:]]


def _both(label: str, value: Estimate, model: Range | None, show: Show) -> list[Cell | str]:
    drawn = Cell("", draw=partial(interval_bars, value, model, show)) if model is not None else ""
    return ["", label, seen(value, show), str(value.n) if value.n else "", expected(model, show), drawn]


def classes(report: Report) -> Table:
    """Each fault class by itself: how often clients notice it, how long recovery and outages last."""
    observed = report.observed
    rows: list[Row] = []
    for name, row in (observed.by_fault if observed is not None else {}).items():
        model = report.predicted.by_fault.get(name) if report.predicted is not None else None
        share = seen(row.share, say.percent)
        noticed = Cell(f"{say.noticed(row)}: {share.text}", share.below)
        rows.append([name, f"{row.effective} of {row.injected}", "noticed by clients", noticed,
                     expected(model.share if model else None, say.percent), _agreed(report, name, "share"), ""])  # fmt: skip
        _, *recovery = _both("recovery, all faults", row.recovery_s, model.recovery_s if model else None, say.seconds)
        _, *outage = _both("outage, noticed faults", row.outage_s, model.outage_s if model else None, say.seconds)
        for (label, value, _, predicted, drawn), verdict in ((recovery, _agreed(report, name, "downtime")), (outage, "")):
            rows.append(["", "", label, value, predicted, verdict, drawn])
        if row.untold and row.noticed is not None:
            rows.append(["", "", "left out", row.reason, "", "", ""])
    columns: Columns = ["fault class", "took effect", "figure", "observed", "predicted", "agreement", Column("", drawn=True)]
    return make(f"By fault class, on {report.judged}", columns, rows, "Fault classes behave differently, so they are never pooled.")


def _agreed(report: Report, fault_class: str, measure: str) -> Cell | str:
    wanted = (fault_class, report.judged, measure)
    return next((mark(row.verdict) for row in report.agreement if (row.fault_class, row.service, row.measure) == wanted), "")


def outages(report: Report, shown: int) -> Table:
    """The longest outages of all services in the order of time, each cut into its phases: observed, and below what the model gives it."""
    found = [outage for _, observed in services(report) for outage in observed.outages]
    longest = sorted(sorted(found, key=_length)[-shown:] if shown else [], key=lambda outage: outage.start_s)
    used = [phase for phase in PHASES if any(phase in outage.phases for outage in longest)]
    scale_s = max((max(_length(each), sum(phase.predicted_s or 0.0 for phase in each.phases.values())) for each in longest), default=0.0)
    rows: list[Row] = [
        [Cell(outage.id, anchor=anchor("outage", outage.id)), say.clock(outage.start_s), say.length(outage),
         Cell("", draw=partial(phase_bars, outage, scale_s, say.seconds)), *(_phase(outage, phase) for phase in used),
         linked(((fault, anchor("fault", fault)) for fault in outage.faults), "no fault")]
        for outage in longest
    ]  # fmt: skip
    which = f"the {len(longest)} longest of {len(found)}; report.json has all" if len(longest) < len(found) else f"all {len(found)}"
    columns: Columns = [
        "outage",
        right("at (s)"),
        right("length"),
        Column("", drawn=True),
        *(right(say.phase(name)) for name in used),
        "after",
    ]
    return make("Outage breakdown by phase", columns, rows, f"Observed first, then what the model predicts ({which}).")


def services(report: Report) -> list[tuple[str, Observed]]:
    """Every service that was observed, the judged one first."""
    observed = report.observed
    if observed is None:
        return []
    found = observed.services or {report.judged: observed}
    return sorted(found.items(), key=lambda each: each[0] != report.judged)


def _phase(outage: Outage, name: str) -> Cell:
    phase = outage.phases.get(name)
    if phase is None or (phase.observed_s is None and phase.predicted_s is None):
        return Cell("")
    return Cell(say.seconds(phase.observed_s), "" if phase.predicted_s is None else say.seconds(phase.predicted_s))


def _length(outage: Outage) -> float:
    return outage.duration_s or 0.0


def demand(report: Report) -> Table:
    """What became of the requests at each level of a rate that changes."""
    rows: list[Row] = [
        [
            level.service, f"{level.begin_s:g}", f"{level.end_s:g}", _rates(level.from_per_s, level.to_per_s), f"{level.due:,}",
            f"{level.sent:,}", say.percent(level.good / level.sent) if level.sent else "–", say.seconds(level.p50_s),
            say.seconds(level.p99_s),
        ]
        for level in report.demand
    ]  # fmt: skip
    columns: Columns = ["service", right("from (s)"), right("to (s)"), right("rate"), right("due"), right("sent in time"),
                        right("successful"), right("p50"), right("p99")]  # fmt: skip
    note = "Even requests and those beyond together. Outages are seen by the even ones, which have the lowest rate." if rows else ""
    return make("Changing rate", columns, rows, note)


def _rates(begin: float, end: float) -> str:
    return f"{begin:g}/s" if begin == end else f"{begin:g} to {end:g}/s"


def bad_requests(report: Report) -> Table:
    """Why requests failed: by service, reason and node."""
    columns: Columns = ["service", "when", right("requests"), "outcome", "nodes"]
    note = "How the last attempt of each failed request ended."
    return make("Failed requests by reason", columns, say.bad_rows(report), note, [say.way_out(report)])


def faults(report: Report) -> Table:
    """Each injection: what was asked of it beside what was achieved."""
    named = say.containers(report.nodes)
    caused: dict[str, list[str]] = {}
    for _, observed in services(report):
        for outage in observed.outages:
            for name in outage.faults:
                caused.setdefault(name, []).append(outage.id)
    logged: dict[str, str] = {}
    for line in report.log:
        if line.fault:
            logged.setdefault(line.fault, anchor("log", str(line.number)))
    rows: list[Row] = []
    for fault in report.faults:
        asked, figures_said = fault.asked, say.figures(fault.achieved.during)
        achieved = Cell(fault.achieved.mechanism or figures_said, figures_said if fault.achieved.mechanism else "")
        in_force_s = None if fault.effective_at_s is None or fault.healed_at_s is None else fault.healed_at_s - fault.effective_at_s
        rows.append([
            Cell(fault.id, anchor=anchor("fault", fault.id)), fault.fault_class,
            Cell(say.victims(fault.target, named), f"asked: {asked.target}" if asked.target else ""),
            Cell(
                say.clock(fault.effective_at_s), f"asked: {say.clock(asked.at_s)}" if asked.at_s is not None else "",
                links=[(say.clock(fault.effective_at_s), logged[fault.id])] if fault.id in logged else (),
            ),
            Cell(say.seconds(in_force_s), f"asked: {say.seconds(asked.for_s)}" if asked.for_s is not None else ""),
            asked.details, achieved, say.seconds(fault.recovery_s), mark(STATUS.get(fault.status, fault.status), fault.reason),
            linked((each, anchor("outage", each)) for each in caused.get(fault.id, [])),
        ])  # fmt: skip
    columns: Columns = ["fault", "class", "target", right("at (s)"), right("in force"), "asked", Column("achieved", wide=True),
                        right("recovery"), "status", "outages"]  # fmt: skip
    return make(
        "Faults", columns, rows, "What was asked of each, and what was measured from outside: that it took effect, and that it is gone."
    )


def detectors(report: Report) -> Table:
    """The system's own failure detectors beside clients: a row a fault, a column a detector."""
    found = report.detectors
    if found is None:
        return make("Failure detectors beside clients", [], [])
    kinds = {fault.id: fault.fault_class for fault in report.faults}
    rows: list[Row] = []
    for fault in dict.fromkeys(each.fault for each in found.faults):
        mine = {each.detector: each for each in found.faults if each.fault == fault}
        first = next(iter(mine.values()))
        noticed = "no outage" if first.clients_after_s is None else f"after {say.seconds(first.clients_after_s)}"
        down = "" if first.clients_s is None or not first.clients_s else f"{report.judged} down {say.seconds(first.clients_s)}"
        cells = [_suspected(mine[name]) for name in found.names]
        rows.append([linked([(fault, anchor("fault", fault))]), kinds.get(fault, ""), Cell(noticed, down), *cells])
    columns: Columns = ["fault", "class", "clients", *found.names]
    note = f"When each detector first suspected a victim, after the effect; {say.count(found.pairs, 'pair')} of nodes watched."
    return make("Failure detectors beside clients", columns, rows, note, [_unfounded(found, name) for name in found.names])


def _suspected(each: Suspected) -> Cell:
    if each.after_s is None:
        return Cell("never suspected")
    whole = "still suspected at the end" if each.cleared_after_s is None else f"cleared {say.seconds(each.cleared_after_s)} after rollback"
    return Cell(f"after {say.seconds(each.after_s)}", f"{', '.join(each.by)}; {whole}")


def _unfounded(found: Detectors, name: str) -> str:
    mine = [each for each in found.unfounded if each.detector == name]
    if not mine:
        return f"{name}: no false suspicion."
    first = mine[0]
    where = f"the first at {say.clock(first.at_s)} s, {first.by}, for {say.seconds(first.lasted_s)}"
    return f"{name}: {say.count(len(mine), 'false suspicion')}; {where}."


def log(report: Report) -> Table:
    """The control events of the run; each fault's lead from its row to here."""
    rows: list[Row] = [
        [Cell(say.clock(line.at_s), anchor=anchor("log", str(line.number))), line.text,
         linked([(line.fault, anchor("fault", line.fault))] if line.fault else []), str(line.number)]
        for line in report.log
    ]  # fmt: skip
    columns: Columns = [right("at (s)"), Column("event", wide=True), "fault", right("row of history.jsonl")]
    return make("Log", columns, rows, "What happened, as the run wrote it down.")


def checks(report: Report, *, held: bool = True) -> Table:
    """What everything else stands on; ``held``: also the checks that hold."""
    rows: list[Row] = [[row.heading, mark(row.verdict), row.detail] for row in report.checks if held or row.verdict != "pass"]
    title = "Validity checks" if held else "Validity checks that failed or could not be made"
    return make(title, ["check", "verdict", Column("detail", wide=True)], rows)


def addresses(report: Report) -> Table:
    """Where the last attempt of each request went."""
    shares = report.observed.addresses if report.observed is not None else {}
    names = {node.address: node.name for node in report.nodes}
    rows: list[Row] = [[names.get(address, ""), address, say.percent(share)] for address, share in sorted(shares.items())]
    return make("Where requests ended", ["node", "address", right("share")], rows, "The last attempt of each, after the baseline.")


def looks(report: Report) -> Table:
    """The interim analyses of a run that could stop early."""
    rows: list[Row] = [
        [str(row.number), say.clock(row.at_s), str(row.faults), say.percent(row.confidence), mark(row.agreement),
         "yes" if row.decided else "no"]
        for row in report.looks
    ]  # fmt: skip
    columns: Columns = [right("number"), right("at (s)"), right("faults"), right("confidence level"), "agreement", "decided"]
    note = "This run could stop early. Alpha spending controls the overall error rate."
    return make("Interim analyses", columns, rows, note)
