"""The page docs/measured.md from the reports of runs: one table of leader kills, one of everything, then a section a target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.measured.rows import Report, Row, how_made

INTRO: Final = """# Measured: the shipped systems

What clients saw of real systems when something broke, beside what the models predicted. `make measured` runs each experiment named
here that has no run folder yet, and writes this page from the reports of all of them. {runs} runs on {days} were there when it was
written; lines of other runs are from before.

{made}

## Each leader kill, three seeds

`make leader-kills` runs these alone. *n* faults took effect. *Recovery*: from the effect until clients are served again, zeros
included, with its 95 % interval. *Agreement*: whether what was seen and what was predicted are within a factor of 1.5 of each other,
by equivalence tests. *Left behind*: processes, rules, containers and files that the run should have removed.
"""
LEGEND: Final = """
*Writes lost*: acknowledged, and gone in the end (only where the experiment checks data). A verdict *fail* in brackets was expected: the
experiment shows a weakness.
"""
KILLS: Final = (
    "| experiment | runtime | seed | verdict | agreement | n | recovery predicted | recovery seen | left behind |",
    "|---|---|---|---|---|---|---|---|---|",
)
ALL: Final = (
    "| experiment | runtime | fault | n | recovery seen | predicted | availability | predicted | writes lost | agreement | verdict |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def page(rows: list[Row], runs: Path) -> Iterator[str]:
    """All of it: the tables, a section a target with phases and explanations."""
    reports = [report for row in rows for seed in row.each_seed if (report := row.report(runs, seed)) is not None]
    days = sorted({str(report["started_at"])[:10] for report in reports})
    yield INTRO.format(runs=len(reports), made=how_made(), days=" and ".join(dict.fromkeys((days[0], days[-1]))) if days else "no day yet")
    yield from leader_kills(rows, runs)
    yield ""
    yield "## Every experiment"
    yield ""
    yield "A row with several seeds above shows its first one here."
    yield ""
    yield from ALL
    for row in rows:
        report = row.report(runs, row.each_seed[0])
        yield from [_missing(row)] if report is None else lines(row, report)
    yield LEGEND.rstrip("\n")
    for target in dict.fromkeys(row.target for row in rows):
        yield from section(target, [row for row in rows if row.target == target], runs)


def leader_kills(rows: list[Row], runs: Path) -> list[str]:
    """The table of all runs of rows with seeds."""
    table = [*KILLS]
    for row in rows:
        for seed in row.seeds:
            report = row.report(runs, seed)
            name = f"| `{row.experiment}` | {row.runtime} | {seed} |"
            if report is None:
                table.append(f"{name} not run here yet | | | | | |")
                continue
            left = row.left_behind(runs, seed)
            for fault_class, seen, told in by_fault(report):
                agreed = agreement(report, fault_class)
                table.append(
                    f"{name} {report['verdict']} | {agreed} | {seen['effective']} | {seconds(told.get('recovery_s'))} "
                    f"| {seconds(seen['recovery_s'])} | {'–' if left is None else left or 'nothing'} |"
                )
    return table


def not_as_expected(row: Row, runs: Path) -> Iterator[str]:
    """Runs whose verdict is not the expected one, whose agreement is open, or that left something."""
    for seed in row.each_seed:
        report = row.report(runs, seed)
        name = row.folder(runs, seed).name
        if report is None:
            yield f"{name} (not run)"
        elif report["verdict"] != report["expect_verdict"]:
            yield f"{name} ({report['verdict']})"
        elif row.seeds and report["agreement_overall"] not in ("consistent", "inconsistent"):
            yield f"{name} (agreement {report['agreement_overall']})"
        elif row.left_behind(runs, seed):
            yield f"{name} (left {row.left_behind(runs, seed)} things behind)"


def by_fault(report: Report) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each class of faults that took effect: what was seen, and what was predicted of it."""
    observed, predicted = report["observed"] or {}, report["predicted"] or {}
    for fault_class, seen in (observed.get("by_fault") or {}).items():
        if seen["effective"]:  # else outages of no fault
            yield fault_class, seen, (predicted.get("by_fault") or {}).get(fault_class) or {}


def agreement(report: Report, fault_class: str) -> str:
    """Of the primary service's downtime by this class, else of the share of faults that clients noticed."""
    mine = [each for each in report["agreement"] if each["class"] == fault_class and each["service"] == report["judged"]]
    found = {each["measure"]: each["verdict"] for each in mine}
    return found.get("downtime") or found.get("share") or "–"


def _missing(row: Row) -> str:
    return f"| `{row.experiment}` | {row.runtime} | not run here yet | | | | | | | | |"


def lines(row: Row, report: Report) -> Iterator[str]:
    """One table row for each fault class of the judged service."""
    observed, predicted = report["observed"] or {}, report["predicted"] or {}
    expected = " (expected)" if report["expect_verdict"] == report["verdict"] != "pass" else ""
    for fault_class, seen, told in by_fault(report):
        yield (
            f"| `{row.experiment}` | {row.runtime} | {fault_class} | {seen['effective']} | {seconds(seen['recovery_s'])} "
            f"| {seconds(told.get('recovery_s'))} | {percent(observed.get('availability'))} | {percent(predicted.get('availability'))} "
            f"| {lost(report)} | {agreement(report, fault_class)} | {report['verdict']}{expected} |"
        )


def section(target: str, rows: list[Row], runs: Path) -> Iterator[str]:
    """Settings, phases, and why the figures are what they are."""
    yield ""
    yield f"## {target}"
    for row in rows:
        reports = [report for seed in row.each_seed if (report := row.report(runs, seed)) is not None]
        yield ""
        yield f"**{row.experiment}**, {row.runtime}. {reports[0]['question'] if reports else 'Not run yet.'}"
        yield ""
        if row.settings:
            yield f"- Settings: {row.settings}."
        for report in reports:
            seed = f"Seed {report['seed']}: " if row.seeds else ""
            observed, predicted = report["observed"] or {}, report["predicted"] or {}
            phases = mean_phases(report)
            told = f"; phases of the outages, on average: {phases}" if phases else ""
            yield f"- {seed}MTTR {seconds(observed.get('mttr_s'))}, predicted {seconds(predicted.get('mttr_s'))}{told}."
            if report["verdict"] == "unknown" and report["reasons"]:
                yield f"- **{seed}not to be relied on:** {str(report['reasons'][0]).splitlines()[0][:200].rstrip(': ')}."
            if report["verdict"] == report["expect_verdict"] == "fail":
                missed = [f"{each['name']} {each['want']}" for each in report["objectives"] if each["verdict"] == "fail"]
                yield f"- Fails as expected, by: {', '.join(missed)}."
        for note in row.notes.strip().splitlines():
            yield f"- {note.strip()}"


def mean_phases(report: Report) -> str:
    """Observed seconds a phase, over all outages of the judged service that a fault opened; what the model says in brackets."""
    sums: dict[str, list[float]] = {}
    outages = [each for each in (report["observed"] or {}).get("outages", []) if each["faults"]]
    for outage in outages:
        for phase, times in outage["phases"].items():
            entry = sums.setdefault(phase, [0.0, 0.0, 0])
            if times.get("observed_s") is not None:
                entry[0] += times["observed_s"]
            if times.get("predicted_s") is not None:
                entry[1] += times["predicted_s"]
                entry[2] += 1
    if not outages:
        return ""
    parts = []
    for phase, (seen_s, told_s, told) in sums.items():
        model = f" ({show_s(told_s / told)})" if told else ""
        parts.append(f"{phase} {show_s(seen_s / len(outages))}{model}")
    return ", ".join(parts)


def lost(report: Report) -> str:
    """Acknowledged writes that were lost, of how many; a dash where nobody looked."""
    for objective in report["objectives"]:
        seen = objective.get("observed") or {}
        if objective["name"] == "lost_writes" and seen.get("value") is not None:
            return f"{seen['value']:.0f} of {seen['n']:,}"
    return "–"


def seconds(estimate: dict[str, Any] | None) -> str:
    """Value and interval."""
    if not estimate or (estimate.get("value") is None and estimate.get("low") is None):
        return "–"
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if low is None or high is None:
        return show_s(value)
    return f"{show_s(value)} ({show_s(low)} to {show_s(high)})"


def percent(estimate: dict[str, Any] | None) -> str:
    """As percent, with two digits of the rest."""
    return "–" if not estimate or estimate.get("value") is None else f"{estimate['value'] * 100:.4g} %"


def show_s(value: float | None) -> str:
    """Milliseconds below one second."""
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.3g} s"
