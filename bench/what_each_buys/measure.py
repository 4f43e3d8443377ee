"""One run for each variant and seed, as a user would start it, and the figures that it left in its ``report.json``."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import t

from bench.what_each_buys.mechanisms import Mechanism, Variant, experiment

SURE = 0.975
SHORT_S = 0.01
FORGIVEN = {"probe resolution", "all planned faults effective"}
"""Not held against a run: what is shorter than two requests counts as the nothing that clients saw of it, and a fault that was skipped
only makes fewer of them."""


@dataclass(frozen=True)
class Found:
    """Of one variant, for each fault: seconds without service, or writes lost. ``why``: no figure, and the reason."""

    variant: str
    seen: tuple[float, ...] = ()
    predicted: float | None = None
    agreement: str = ""
    phases: str = ""
    """Where the seconds went: seen, and in brackets predicted."""
    why: str = ""
    between: tuple[float, float] | None = None
    """What is predicted where the model gives no more than a range."""

    @property
    def mean(self) -> float | None:
        """None without any fault."""
        return sum(self.seen) / len(self.seen) if self.seen else None

    @property
    def around(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean, by Student's t; None for fewer than two faults, or for equal ones."""
        n = len(self.seen)
        if n < 2 or self.mean is None:
            return None
        deviation = math.sqrt(sum((each - self.mean) ** 2 for each in self.seen) / (n - 1))
        half = float(t.ppf(SURE, n - 1)) * deviation / math.sqrt(n)
        return max(0.0, self.mean - half), self.mean + half


def found(mechanism: Mechanism, variant: Variant, folder: Path, *, lacks: str = "") -> Found:
    """Run what has not been run in this folder before; ``lacks``: why it cannot be run here."""
    if lacks:
        return Found(variant.name, why=lacks)
    reports = []
    for seed in range(1, variant.seeds + 1):
        report = _run(mechanism, variant, seed, folder / f"{mechanism.key}-{mechanism.variants.index(variant) + 1}-{seed}")
        if isinstance(report, str):
            return Found(variant.name, why=report)
        reports.append(report)
    failed = sorted({check["name"] for report in reports for check in report["checks"] if check["verdict"] == "fail"} - FORGIVEN)
    if failed:
        return Found(variant.name, why=f"the run shows nothing: {', '.join(failed)}")
    return _lost(variant, reports) if mechanism.loses_writes else _time(mechanism, variant, reports)


def _run(mechanism: Mechanism, variant: Variant, seed: int, folder: Path) -> dict[str, Any] | str:
    left = folder / "run" / "report.json"
    if not left.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        file = folder / "experiment.yaml"
        file.write_text(json.dumps(experiment(mechanism, variant), indent=1), encoding="utf-8")
        command = [sys.executable, "-m", "chaos", "run", str(file), "--seed", str(seed), "--folder", str(folder / "run"), "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not left.exists():
            return " ".join((done.stderr or done.stdout).strip().splitlines()[:2])
    report: dict[str, Any] = json.loads(left.read_text(encoding="utf-8"))
    return report


def _time(mechanism: Mechanism, variant: Variant, reports: list[dict[str, Any]]) -> Found:
    seen, predicted, faults, parts = [], 0.0, 0, []
    verdicts: list[str] = []
    for report in reports:
        judged = report["judged"]
        observed = report["observed"]["services"][judged] if report["observed"].get("services") else report["observed"]
        tries = [each for each in observed["trials"] if mechanism.fault in ("", each["class"])]
        seen += [each["outage_s"] for each in tries if each["outage_s"] is not None]
        before = len(verdicts)
        for each in report["agreement"]:
            counts = mechanism.fault or each["class"]
            if each["measure"] == "downtime" and each["service"] == judged and each["class"] == counts and each["class"]:
                predicted += each["predicted"] or 0.0
                faults += sum(one["class"] == each["class"] for one in tries)
                verdicts.append(each["verdict"])
        classes = {each["class"] for each in tries}
        if len(classes) > 1 and not mechanism.fault:  # of each there are few; what is said of the whole run counts
            whole = (each for each in report["agreement"] if (each["service"], each["measure"], each["class"]) == (judged, "downtime", ""))
            verdicts[before:] = [each["verdict"] for each in whole]
        parts += [each["phases"] for each in observed["outages"] if each["phases"]]
    if not faults:
        predicted, faults = _unnoticed(mechanism, reports)
    agreement = next((word for word in ("inconsistent", "inconclusive", "consistent") if word in verdicts), "")
    return Found(variant.name, tuple(seen), predicted / faults if faults else None, agreement, _phases(parts))


def _unnoticed(mechanism: Mechanism, reports: list[dict[str, Any]]) -> tuple[float, int]:
    """What is predicted where nothing was held against it, as clients are to notice next to nothing: the sum over the reports."""
    found = [report["predicted"]["services"][report["judged"]]["by_fault"] for report in reports if report["predicted"]]
    means = [each["recovery_s"]["value"] for by_fault in found for name, each in by_fault.items() if mechanism.fault in ("", name)]
    told = [mean_s for mean_s in means if mean_s is not None]
    return sum(told), len(told)


def _phases(parts: list[dict[str, dict[str, float | None]]]) -> str:
    """Means over all outages that were cut into phases; phases of less than 10 ms on both sides are left out."""
    told = []
    for name in dict.fromkeys(name for part in parts for name in part):
        seen_s, model_s = (
            sum((part.get(name) or {}).get(key) or 0.0 for part in parts) / len(parts) for key in ("observed_s", "predicted_s")
        )
        if max(seen_s, model_s) >= SHORT_S:
            told.append(f"{name} {seen_s * 1e3:.0f} ms ({model_s * 1e3:.0f} ms)")
    return ", ".join(told)


def _lost(variant: Variant, reports: list[dict[str, Any]]) -> Found:
    """Acknowledged writes that are gone, by the checks of data; shared out over the faults of each run."""
    seen, predicted, between = [], None, None
    for report in reports:
        checks = {check["name"]: check for check in (report.get("data") or {}).get("checks", ())}
        if "lost_writes" not in checks:
            return Found(variant.name, why="the run has no figure of lost writes")
        effective = max(1, len(report["observed"]["trials"]))
        seen += [float(checks["lost_writes"]["count"]) / effective] * effective
        by_fault = report["predicted"]["services"][report["judged"]]["by_fault"] if report["predicted"] else {}
        ranges = [each["lost_writes"] for each in by_fault.values() if each.get("lost_writes")]
        if ranges:
            predicted = ranges[0]["value"]
            between = (ranges[0]["low"], ranges[0]["high"]) if predicted is None and ranges[0]["high"] is not None else None
    return Found(variant.name, tuple(seen), predicted, between=between)
