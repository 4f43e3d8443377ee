"""One run on a cluster, and what the API server tells of all that stands there, before and after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.support.kubernetes import changed, standing
from tests.support.paths import ROOT
from tools.kubernetes.cluster import Cluster

OUTCOME: Final = "outcome.json"
LIMIT_S: Final = 600.0
SETTLED_S: Final = 90.0
"""What the garbage collector and kubelet may take to remove what belonged to a Job."""


class Outcome(msgspec.Struct):
    """What is kept of a run, beside its run folder."""

    status: int
    verdict: str
    agreement: str
    changed: list[str]
    """Objects that are not as before the run: made, gone, or with another specification."""
    took_s: float
    faults: int = 0
    outages: int = 0
    mttr_predicted_s: float | None = None
    mttr_seen_s: float | None = None
    said: str = ""
    """The last words of a run that ended with an error."""


def carry_out(cluster: Cluster, experiment: Path, seed: int, folder: Path, words: list[str], environment: dict[str, str]) -> Outcome:
    """``words``: further ones of ``nines run``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(experiment, folder / "experiment.yaml")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    env = kept | {"KUBECONFIG": str(cluster.layout.kubeconfig), "NINES_STATE": str(folder / "state"), "NINES_HISTORY": "off"} | environment
    before = standing(cluster)
    began_s = time.monotonic()
    command = [sys.executable, "-m", "chaos", "run", "experiment.yaml", "--seed", str(seed), "--folder", "run", "-q", *words]
    done = subprocess.run(
        command, cwd=folder, env=env | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=LIMIT_S,
    )  # fmt: skip
    took_s = time.monotonic() - began_s
    outcome = Outcome(
        done.returncode, "none", "none", changed(cluster, before, SETTLED_S), took_s, said=done.stderr[-2000:] if done.returncode else ""
    )
    _tell(outcome, folder / "run" / "report.json")
    (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    return outcome


class _Value(msgspec.Struct):
    value: float | None = None


class _Figures(msgspec.Struct):
    mttr_s: _Value | None = None


class _Fault(msgspec.Struct):
    effective_at_s: float | None
    outage_ids: list[str]


class _Report(msgspec.Struct):
    """What is read of a report."""

    verdict: str
    agreement_overall: str
    faults: list[_Fault]
    observed: _Figures | None = None
    predicted: _Figures | None = None


def _tell(outcome: Outcome, path: Path) -> None:
    try:
        report = msgspec.json.decode(path.read_bytes(), type=_Report)
    except FileNotFoundError:
        return
    outcome.verdict, outcome.agreement = report.verdict, report.agreement_overall
    effective = [fault for fault in report.faults if fault.effective_at_s is not None]
    outcome.faults, outcome.outages = len(effective), sum(bool(fault.outage_ids) for fault in effective)
    outcome.mttr_seen_s, outcome.mttr_predicted_s = _mttr_s(report.observed), _mttr_s(report.predicted)


def _mttr_s(figures: _Figures | None) -> float | None:
    return figures.mttr_s.value if figures is not None and figures.mttr_s is not None else None
