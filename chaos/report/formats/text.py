"""The report for a terminal: the verdict in plain words, then tables (tabulate)."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from chaos.core.escaping import every, terminal
from chaos.report import format as say
from chaos.report import story as tell
from chaos.results.observed import PHASES, Estimate, Observed
from chaos.results.predicted import Predicted, Range
from chaos.results.report import Report

OUTAGES_SHOWN = 12
"""The longest ones; report.json has all."""


def render(report: Report) -> str:
    """All of it, ready to print."""
    report = every(report, terminal)
    blocks = [_verdict(report), _objectives(report), _figures(report), _classes(report), _outages(report)]
    blocks += [_bad(report), _faults(report)]
    blocks += [_checks(report), _addresses(report), _agreement(report), _looks(report), _improve(report), _extrapolated(report)]
    blocks += [_end(report)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    if not rows:
        return ""
    align = ["right" if column in right else "left" for column in range(len(head))]
    body = tabulate(rows, headers=list(head), tablefmt="simple", colalign=align, disable_numparse=True)
    return f"{title}\n{body}"


def _verdict(report: Report) -> str:
    lines = [tell.line(report)]
    if report.question:
        lines += [f"  {report.question}"]
    lines += [""] + [f"  {sentence}" for sentence in tell.story(report)]
    lines += [f"  Note: {reason}" for reason in tell.notes(report)]
    lines += [f"  Next: {step}" for step in tell.next_steps(report)]
    return "\n".join(lines)


def _objectives(report: Report) -> str:
    rows = [[row.name, row.want, row.basis, say.estimate(row.observed, say.measure(row.name)), row.verdict] for row in report.objectives]
    return _table("Objectives", ["objective", "want", "basis", "observed", "verdict"], rows)


def _figures(report: Report) -> str:
    seen = report.observed
    if seen is None:
        return ""
    services: dict[str, Observed] = seen.services or {report.judged: seen}
    rows: list[list[str]] = []
    for name in sorted(services, key=lambda each: each != report.judged):
        rows += _service_rows(name, services[name], report.predicted)
    return _table(
        f"Observed beside predicted (95 % intervals; an outage is {say.rule(seen.rule)})",
        ["service", "figure", "observed", "n", "predicted for a run like this"],
        rows,
        right=(3,),
    )


def _service_rows(name: str, seen: Observed, predicted: Predicted | None) -> list[list[str]]:
    model = predicted.services.get(name) if predicted is not None else None
    basis = "the schedule's" if seen.mtbf_basis == "schedule" else seen.mtbf_basis
    rows = [
        _both("availability", seen.availability, model.availability if model else None, say.percent),
        _both("MTTR", seen.mttr_s, model.mttr_s if model else None, say.seconds),
        _both("MTTF", seen.mttf_s, model.mttf_s if model else None, say.seconds),
        _both(f"MTBF ({basis})", seen.mtbf_s, model.mtbf_s if model else None, say.seconds),
        _both("success ratio", seen.success_ratio, None, say.percent),
        ["latency p50 / p99 / max", " / ".join(map(say.seconds, (seen.latency_s.p50, seen.latency_s.p99, seen.latency_s.max))), "", ""],
    ]
    if seen.maintainability is not None:
        told = seen.maintainability
        rows.insert(4, ["repairs, M(t)", say.maintained(told), str(told.n), ""])
    if seen.slo_ratio.value is not None:
        rows.insert(len(rows) - 1, _both("within the SLO's latency", seen.slo_ratio, None, say.percent))
    worst, ratios = say.windows(seen)
    if worst:
        rows.append([worst, ratios, "", ""])
    return [[name if index == 0 else "", *row] for index, row in enumerate(rows)]


def _both(name: str, seen: Estimate, model: Range | None, show: say.Show) -> list[str]:
    return [name, say.estimate(seen, show), str(seen.n) if seen.n else "", say.expected(model, show)]


def _classes(report: Report) -> str:
    seen = report.observed
    if seen is None:
        return ""
    rows: list[list[str]] = []
    for name, row in seen.by_fault.items():
        model = report.predicted.by_fault.get(name) if report.predicted is not None else None
        _, share, _, share_model = _both("", row.share, model.share if model else None, say.percent)
        _, recovery, _, recovery_model = _both("", row.recovery_s, model.recovery_s if model else None, say.seconds)
        _, outage, _, outage_model = _both("", row.outage_s, model.outage_s if model else None, say.seconds)
        rows.append([name, f"{row.effective} of {row.injected}", "noticed by clients", f"{say.noticed(row)}: {share}", share_model])
        rows.append(["", "", "recovery, all faults", recovery, recovery_model])
        rows.append(["", "", "outage, noticed ones", outage, outage_model])
        if row.untold and row.noticed is not None:
            rows.append(["", "", "left out", row.reason, ""])
    return _table(f"By fault class, on {report.judged}", ["class", "took effect", "figure", "observed", "predicted"], rows)


def _outages(report: Report) -> str:
    seen = report.observed
    if seen is None or not seen.outages:
        return ""
    longest = sorted(seen.outages, key=lambda outage: -(outage.duration_s or 0.0))[:OUTAGES_SHOWN]
    used = [phase for phase in PHASES if any(phase in outage.phases for outage in longest)]
    rows = []
    for outage in sorted(longest, key=lambda each: each.start_s):
        row = [outage.id, say.clock(outage.start_s), say.length(outage)]
        row += [
            _phase(outage.phases[phase].observed_s, outage.phases[phase].predicted_s) if phase in outage.phases else "" for phase in used
        ]
        rows.append([*row, ", ".join(outage.faults) or "none"])
    shown = f"the {len(rows)} longest of {len(seen.outages)}" if len(seen.outages) > len(rows) else f"all {len(rows)}"
    head = ["outage", "at (s)", "length", *used, "fault"]
    return _table(f"Outage breakdown by phase ({shown}; seen | predicted)", head, rows, right=(1,))


def _bad(report: Report) -> str:
    table = _table("Bad requests by reason", say.BAD_HEAD, say.bad_rows(report), right=(2,))
    return "\n".join(line for line in (table, say.way_out(report)) if line)


def _phase(seen_s: float | None, predicted_s: float | None) -> str:
    if seen_s is None and predicted_s is None:
        return ""
    return say.seconds(seen_s) if predicted_s is None else f"{say.seconds(seen_s)} | {say.seconds(predicted_s)}"


def _faults(report: Report) -> str:
    named = say.containers(report.nodes)
    rows = []
    for fault in report.faults:
        achieved = say.figures(fault.achieved.during) or fault.achieved.mechanism
        status = f"{fault.status}: {fault.reason}" if fault.reason else fault.status
        rows.append(
            [
                fault.id,
                fault.fault_class,
                say.victims(fault.target, named),
                say.clock(fault.effective_at_s),
                say.clock(fault.healed_at_s),
                say.seconds(fault.recovery_s),
                status,
                achieved,
            ]
        )
    head = ["fault", "class", "target", "at (s)", "healed (s)", "recovery", "status", "achieved"]
    return _table("Faults", head, rows, right=(3, 4))


def _checks(report: Report) -> str:
    rows = [[row.heading, row.verdict, row.detail] for row in report.checks]
    return _table("Validity checks", ["check", "verdict", "detail"], rows)


def _addresses(report: Report) -> str:
    seen = report.observed
    if seen is None or not seen.addresses:
        return ""
    names = {node.address: node.name for node in report.nodes}
    rows = [[names.get(address, ""), address, say.percent(share)] for address, share in sorted(seen.addresses.items())]
    return _table("Where requests ended (the last attempt of each, after the baseline)", ["node", "address", "share"], rows, right=(2,))


def _agreement(report: Report) -> str:
    rows = [
        [row.service, row.fault_class or "all", row.measure, say.number(row.predicted), say.number(row.observed), say.chance(row.p_value),
         row.verdict + (" (a difference is detectable)" if row.detectable and row.verdict == "consistent" else ""),
         "" if row.faults_to_decide is None else str(row.faults_to_decide)]
        for row in report.agreement
    ]  # fmt: skip
    head = ["service", "class", "measure", "predicted", "observed", "p", "verdict", "faults to decide"]
    table = _table(f"Prediction check: {report.agreement_overall}", head, rows, right=(3, 4, 5, 7))
    return "\n".join([table, *(tell.undecided(row) for row in report.agreement if row.service == report.judged and tell.undecided(row))])


def _improve(report: Report) -> str:
    if report.predicted is None:
        return ""
    rows = [
        [each.parameter, f"{each.elasticity:+.3f}", say.seconds(each.halving_saves_s_per_year)]
        for each in report.predicted.production.improve_first[:5]
    ]
    table = _table("Biggest levers in production", ["parameter", "elasticity", "halving saves a year"], rows, right=(1,))
    advice = [f"What to improve first: {line}." for line in report.predicted.advice]
    return "\n".join(line for line in (table, *tell.causes(report.predicted.production), *advice) if line)


def _looks(report: Report) -> str:
    rows = [
        [str(row.number), say.clock(row.at_s), str(row.faults), say.DASH if row.confidence is None else f"{row.confidence:.2%}",
         row.agreement, "yes" if row.decided else "no"]
        for row in report.looks
    ]  # fmt: skip
    head = ["look", "at (s)", "faults", "confidence of claims", "agreement", "decided"]
    return _table("Interim analyses (the overall error rate is controlled by alpha spending)", head, rows, right=(0, 1, 2, 3))


def _extrapolated(report: Report) -> str:
    found = report.extrapolated
    if found is None:
        return ""
    rows = [
        [part.fault_class, f"{part.rate} ({part.rate_basis})", str(part.faults), say.seconds(part.downtime_s_per_year),
         say.DASH if part.variance_share is None else f"{part.variance_share:.0%}", part.note]
        for part in found.parts
    ]  # fmt: skip
    head = ["class", "rate in production", "measured here", "downtime a year", "share of variance", "note"]
    return _table(say.extrapolated(found), head, rows, right=(2, 3, 4)) or f"Measured outages at production rates: {found.reason}"


def _end(report: Report) -> str:
    return f"Report   {report.folder}/report.html  (also report.json)\nAgain    {tell.reproduce(report)}"
