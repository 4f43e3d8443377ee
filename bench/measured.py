"""docs/measured.md: every shipped target against its leader kill and its known weakness, observed beside predicted.

    python -m bench.measured                      run all that has no run folder yet, then write the page
    python -m bench.measured --runs DIR           where run folders are kept (default: runs/measured)
    python -m bench.measured --only redis         experiments whose name holds this text; the others' run folders are used as they are
    python -m bench.measured --page-only          run nothing

An experiment that was run already is not run again: delete its folder, or name it with ``--again``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "measured.md"
NOTES: Final = Path(__file__).with_name("measured.yaml")
Report = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the page; 1 if a run did not come to the verdict that its experiment expects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "measured")
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page-only", action="store_true")
    asked = parser.parse_args(arguments)
    rows = yaml.safe_load(NOTES.read_text(encoding="utf-8"))["rows"]
    failed = []
    for row in rows:
        folder = asked.runs / row["run"]
        if not asked.page_only and asked.only in row["run"] and (asked.again or not (folder / "report.json").exists()):
            failed += [row["run"]] if run(row, folder) else []
    PAGE.write_text("\n".join(page(rows, asked.runs)), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}" + (f"; not as expected: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def run(row: dict[str, str], folder: Path) -> bool:
    """Carry out one experiment; true if its verdict was not the expected one."""
    command = [sys.executable, "-m", "chaos", "run", f"experiments/{row['file']}", "--runtime", row["runtime"], "--folder", str(folder)]
    print(" ".join(command[2:]), flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode != 0


# --- the page ------------------------------------------------------------------------------------------------------------


def page(rows: list[dict[str, str]], runs: Path) -> Iterator[str]:
    """All of it: a table of what was done, a section a target with phases and explanations."""
    found = {row["run"]: report for row in rows if (report := read(runs / row["run"])) is not None}
    yield "# Measured: the shipped systems"
    yield ""
    yield "What clients saw of real systems when something broke, beside what the models predicted. `make measured` makes this page;"
    yield "each row is one run of the experiment named in it. Recovery and MTTR have 95 % intervals; *n* faults took effect."
    yield "The machine had two cores and did other work meanwhile: some tens of milliseconds are noise."
    yield ""
    yield "| experiment | runtime | fault | n | recovery seen | predicted | availability | predicted | writes lost | agreement | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if row["run"] in found:
            yield from lines(row, found[row["run"]])
        else:
            yield f"| `{row['file'].removesuffix('.yaml')}` | {row['runtime']} | not run here yet | | | | | | | | |"
    yield ""
    yield "*Recovery*: from the effect until clients are served again, zeros included. *Writes lost*: acknowledged, and gone in the end"
    yield "(only where the experiment checks data). A verdict *fail* in brackets was expected: the experiment shows a weakness."
    for target in dict.fromkeys(row["target"] for row in rows):
        yield from section(target, [row for row in rows if row["target"] == target], found)


def lines(row: dict[str, str], report: Report) -> Iterator[str]:
    """One table row for each fault class of the judged service."""
    observed, predicted = report["observed"] or {}, report["predicted"] or {}
    expected = " (expected)" if report["expect_verdict"] == report["verdict"] != "pass" else ""
    name = f"`{row['file'].removesuffix('.yaml')}`"
    for fault_class, seen in (observed.get("by_fault") or {}).items():
        if not seen["effective"]:  # outages of no fault
            continue
        told = (predicted.get("by_fault") or {}).get(fault_class) or {}
        agreement = next(
            (each["verdict"] for each in report["agreement"] if each["class"] == fault_class and each["measure"] in ("downtime", "share")),
            "–",
        )
        yield (
            f"| {name} | {row['runtime']} | {fault_class} | {seen['effective']} | {seconds(seen['recovery_s'])} "
            f"| {seconds(told.get('recovery_s'))} "
            f"| {percent(observed.get('availability'))} | {percent(predicted.get('availability'))} | {lost(report)} | {agreement} "
            f"| {report['verdict']}{expected} |"
        )


def section(target: str, rows: list[dict[str, str]], found: dict[str, Report]) -> Iterator[str]:
    """Settings, phases, and why the figures are what they are."""
    yield ""
    yield f"## {target}"
    for row in rows:
        report = found.get(row["run"])
        yield ""
        yield f"**{row['file'].removesuffix('.yaml')}**, {row['runtime']}. {report['question'] if report else 'Not run yet.'}"
        if report:
            settings = row.get("settings", "")
            yield ""
            if settings:
                yield f"- Settings: {settings}"
            observed, predicted = report["observed"] or {}, report["predicted"] or {}
            yield f"- MTTR {seconds(observed.get('mttr_s'))}, predicted {seconds(predicted.get('mttr_s'))}."
            if report["verdict"] == "unknown" and report["reasons"]:
                yield f"- **Not to be relied on:** {str(report['reasons'][0]).splitlines()[0][:200].rstrip(': ')}."
            phases = mean_phases(report)
            if phases:
                yield f"- Phases of the outages, on average: {phases}."
        for note in row.get("notes", "").strip().splitlines():
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
    data = (report["observed"] or {}).get("data") or {}
    if data.get("lost") is not None:
        return f"{data['lost']} of {data.get('acknowledged') or '?'}"
    for check in (report.get("data") or {}).get("checks", []) if isinstance(report.get("data"), dict) else []:
        if check.get("name") == "lost_writes" and check.get("count") is not None:
            return f"{check['count']} of {check.get('examined', '?')}"
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


def read(folder: Path) -> Report | None:
    """The report of a run, if there is one."""
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
