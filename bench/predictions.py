"""Seconds lost as predicted and as seen: every kind of fault that is predicted, ten faults each, two client policies, each runtime.

    python -m bench.predictions [--runtime local|docker|fake]... [--kinds kill,dns-down...] [--policies retry,once] [--faults 10]
                                [--keep DIR] [--json] [--quick]

To reach: seen and predicted within 2.5 standard errors of the predicted sum (the spread of one fault by the model, times the root
of their number). More is a defect of the model or of what does the harm. A run whose assumptions failed shows nothing of either.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import runs
from chaos.history.events import TrafficStarted
from chaos.history.folder import RunFolder
from chaos.judge import early_stop as deciding
from chaos.judge.model_inputs import facts_of
from chaos.measure import timeline
from chaos.predict.run import draws

BY_NAME_ONLY = True
ERRORS = 2.5
SLOTS = 1.0
"""A sum that no slot separates from the predicted one is not off, however small its spread: so many slots a fault."""
POLICIES: dict[str, dict[str, Any]] = {
    "retry": {"timeout": "250ms", "attempts": 2, "other_address": True, "deadline": "600ms", "resolve": "ttl"},
    "plain": {"timeout": "250ms", "attempts": 1, "other_address": False, "deadline": "250ms", "resolve": "per-request"},
}
NODE = {"any": 1}
KINDS: dict[str, dict[str, Any]] = {
    "kill-leader": {"kill": {}, "target": "leader"},
    "kill-any": {"kill": {}, "target": NODE},
    "kill-follower": {"kill": {}, "target": {"any": 1, "role": "followers"}},
    "stop-leader": {"stop": {}, "target": "leader"},
    "restart-leader": {"restart": {}, "target": "leader"},
    "rolling": {"restart": {"order": "rolling"}, "target": {"any": 3}, "for": "7s"},
    "leader-last": {"restart": {"order": "leader-last"}, "target": {"any": 3}, "for": "7s"},
    "remove-leader": {"remove": {}, "target": "leader"},
    "power_off-leader": {"power_off": {}, "target": "leader"},
    "pause-leader": {"pause": {}, "target": "leader"},
    "partition-leader": {"partition": {}, "target": "leader"},
    "rejecting-leader": {"partition": {"behavior": "reject"}, "target": "leader"},
    "latency-leader": {"latency": {"latency": "40ms"}, "target": {"link": "leader <-> any"}},
    "dns-down": {"dns": {"mode": "down"}},
    "dns-refused": {"dns": {"mode": "refused"}},
    "dns-slow": {"dns": {"mode": "slow", "delay": "700ms"}},
    "dns-servfail": {"dns": {"mode": "servfail"}},
    "dns-nxdomain": {"dns": {"mode": "nxdomain"}},
    "dns-wrong": {"dns": {"mode": "wrong"}},
}
QUICK = ("kill-leader", "dns-down")


@dataclass(frozen=True)
class Found:
    """One run."""

    kind: str
    runtime: str
    policy: str
    faults: int = 0
    predicted_s: float = math.nan
    seen_s: float = math.nan
    error_s: float = math.nan
    slot_s: float = 0.0
    why: str = ""

    @property
    def errors(self) -> float:
        """How many standard errors apart."""
        off_s = abs(self.seen_s - self.predicted_s)
        return 0.0 if off_s <= SLOTS * self.slot_s * self.faults else off_s / max(self.error_s, 1e-9)

    @property
    def row(self) -> runs.Row:
        """For the table."""
        said = self.why or f"predicted {self.predicted_s:.2f} s, seen {self.seen_s:.2f} s: {self.errors:.1f} standard errors"
        title = f"{self.kind}, {self.runtime}, {self.policy}, {self.faults} faults"
        return runs.Row(title, f"within {ERRORS}", said, "", not self.why and self.errors <= ERRORS)


def text(kind: str, policy: str, faults: int) -> str:
    """The experiment, as JSON, which is YAML."""
    fault = {"name": "harm", "for": "2s", **KINDS[kind]}
    apart_s = float(str(fault["for"]).removesuffix("s")) + 4.0
    whole = {
        "experiment": f"{kind}-{policy}".replace("_", "-"),
        "question": "Does it cost what is predicted?",
        "cluster": {
            "target": "replicated_kv", "nodes": 3,
            "dns": {"balancer": "health-checked", "ttl": "1s",
                    "check": {"what": "ready", "every": "100ms", "timeout": "200ms", "fall": 2, "rise": 2}},
        },
        "traffic": {"operations": {"write": "50/s", "read": "50/s"}, "client": POLICIES[policy], "judge": "write"},
        "baseline": "3s", "faults": [{**fault, "every": f"{apart_s:g}s", "times": faults}], "settle": "4s", "limits": {"nodes_down": 1},
        "seed": 1 + zlib.crc32(f"{kind} {policy}".encode()) % 1000,
    }  # fmt: skip
    return json.dumps(whole, indent=1)


def one(kind: str, runtime: str, policy: str, faults: int, folder: Path) -> Found:
    """Run it as a user does, then take both figures from what it left."""
    folder.mkdir(parents=True)
    file = folder / "x.yaml"
    file.write_text(text(kind, policy, faults), encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", runtime, "--folder", str(folder / "run"), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = folder / "run" / "report.json"
    if not report.exists():
        return Found(kind, runtime, policy, why=" ".join((done.stderr or done.stdout).strip().splitlines()[:2]))
    failed = [check["name"] for check in json.loads(report.read_text(encoding="utf-8"))["checks"] if check["verdict"] == "fail"]
    found = compared(kind, runtime, policy, folder / "run")
    return Found(kind, runtime, policy, found.faults, why=f"assumptions failed: {', '.join(failed)}") if failed else found


def compared(kind: str, runtime: str, policy: str, folder: Path) -> Found:
    """Seconds of outage of the judged service after all faults, beside the sum that the model draws for the same faults."""
    left = RunFolder(folder)
    rows = left.read_history().rows
    start_ns = next(row.start_ns for row in rows if isinstance(row, TrafficStarted))
    plan = deciding.as_run(left.read_plan(), rows, start_ns)
    seen = timeline.build(plan, rows, left.read_observations())
    service = seen.services[plan.judge]
    owned = service.by_fault()
    facts = facts_of(plan, seen)
    mean_s = variance = 0.0
    expected = draws(plan, facts, plan.judge)
    for each in facts.classes:
        if each.fault_class not in expected:
            return Found(kind, runtime, policy, each.count, why="not predicted")
        downtime_s = expected[each.fault_class].downtime_s
        mean_s += each.count * float(downtime_s.mean())
        variance += each.count * float(downtime_s.var())
    lost_s = math.fsum(service.visible_s(outage) for trial in seen.trials for outage in trial.outages(owned))
    return Found(kind, runtime, policy, len(seen.trials), mean_s, lost_s, math.sqrt(variance), service.rule.slot_s)


def main(argv: list[str] | None = None) -> int:
    """Run what was asked for, print the table; 1 if a mean is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", action="append", choices=("local", "docker", "fake"))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args(argv)
    kinds = QUICK if told.quick else told.kinds.split(",")
    found = []
    with tempfile.TemporaryDirectory() as made:
        root = told.keep or Path(made)
        for runtime in told.runtime or ["local"]:
            for kind in kinds:
                for policy in told.policies.split(","):
                    found.append(one(kind, runtime, policy, 3 if told.quick else told.faults, root / f"{kind}-{runtime}-{policy}"))
                    print(f"{found[-1].row.figure}: {found[-1].row.got}", file=sys.stderr, flush=True)
    return runs.show([runs.machine(), *(each.row for each in found)], as_json=told.json)


if __name__ == "__main__":
    sys.exit(main())
