"""Predictions held against real runs: each kind of fault on the leader and on a follower, as many faults as ``nines plan`` asks for.

    python -m bench.agreement_real [--runtime local] [--targets replicated_kv,etcd] [--kinds kill,pause,partition,latency]
                                   [--roles leader,follower] [--seeds 2] [--first 1] [--most 16] [--keep DIR] [--json] [--quick]

An experiment of one fault class is written for each; ``nines plan --json`` says how many faults show agreement with a chance of 80 %
(at least ``LEAST``, at most ``--most``); then it is run as a user runs it, and the figures come from the ``report.json`` that it prints.
To reach: at least 80 % of the runs consistent; for each that is not, the phase that is farthest off is named. A run whose assumptions
failed (slots missing on a busy machine, a fault that did not take) shows nothing of the prediction and is counted apart.
Nothing is fitted: the parameters are the targets' own, the same for all runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.servers import runs

BY_NAME_ONLY = True
CONSISTENT = 0.8
LEAST, MOST = 4, 16
RUNTIMES, TARGETS = ("local", "docker"), ("replicated_kv", "etcd")
KINDS, ROLES = ("kill", "pause", "partition", "latency"), ("leader", "follower")
TARGET = {"leader": "leader", "follower": {"any": 1, "role": "followers"}}
CHECK = {
    "replicated_kv": {"what": "ready", "every": "100ms", "timeout": "200ms", "fall": 2, "rise": 2},
    # Not 'ready': etcd calls itself unhealthy while there is no leader, and the name would lose every address at once.
    "etcd": {"what": "/version"},
}
RATE = {"replicated_kv": "100/s", "etcd": "50/s"}
LASTS_S = {"kill": 2.0, "pause": 2.5, "partition": 3.0, "latency": 3.0}
"""How long a fault lasts; for etcd longer than its longest election, else healing comes before anybody has noticed."""
ETCD_LONGER_S = 1.0
APART_S = {"replicated_kv": 5.0, "etcd": 8.0}
"""From a fault's end to the next one's beginning: it must have settled by then."""
FIELDS: dict[str, dict[str, Any]] = {
    "kill": {"recovery": "restart"}, "pause": {}, "partition": {"shape": "isolate"}, "latency": {"latency": "40ms"},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One fault class on one target."""

    target: str
    kind: str
    role: str
    runtime: str

    @property
    def name(self) -> str:
        return f"{self.target} {self.kind}/{self.role}"

    def text(self, faults: int) -> str:
        """Its experiment, as JSON, which is YAML."""
        lasts_s = LASTS_S[self.kind] + (ETCD_LONGER_S if self.target == "etcd" else 0.0)
        fault = {
            "name": "harm", self.kind: FIELDS[self.kind], "target": self._victim(), "every": f"{lasts_s + APART_S[self.target]:g}s",
            "for": f"{lasts_s:g}s", "times": faults,
        }  # fmt: skip
        whole = {
            "experiment": f"{self.target}-{self.kind}-{self.role}".replace("_", "-"),
            "question": "Does it last as long as predicted?",
            "cluster": {
                "target": self.target, "nodes": 3, "dns": {"balancer": "health-checked", "ttl": "1s", "check": CHECK[self.target]},
            },
            "traffic": {
                "operations": {"write": RATE[self.target], "read": RATE[self.target]},
                "client": {"timeout": "250ms", "attempts": 2, "other_address": True, "deadline": "600ms", "resolve": "ttl"},
                "judge": "write",
            },
            "baseline": "3s",
            "faults": [fault],
            "settle": "10s",
            "limits": {"nodes_down": 1},
        }  # fmt: skip
        return json.dumps(whole, indent=1)

    def _victim(self) -> object:
        if self.kind != "latency":
            return TARGET[self.role]
        # A link has one node at each end, so that followers are met from the leader's side.
        if self.target == "etcd" and self.runtime == "local":
            return {"link": f"clients -> {'leader' if self.role == 'leader' else 'followers'}"}
        return {"link": "leader <-> any" if self.role == "leader" else "clients -> followers"}


@dataclass
class Found:
    """What the table needs of one run."""

    case: Case
    seed: int
    faults: int = 0
    agreement: str = "no report"
    reason: str = ""
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    sound: bool = True
    """Every assumption held: else what it shows says nothing of the prediction."""
    off: str = ""
    """The phase that is farthest from its prediction."""


def plan(file: Path, case: Case) -> tuple[dict[str, Any] | None, str]:
    """``nines plan --json``, or why it cannot be planned."""
    command = [sys.executable, "-m", "chaos", "plan", str(file), "--runtime", case.runtime, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, " ".join(line.strip() for line in done.stderr.strip().splitlines()[:2])
    found: dict[str, Any] = json.loads(done.stdout)
    return found, ""


def faults_needed(case: Case, folder: Path, most: int) -> tuple[int, str]:
    """As many as show agreement with a chance of 80 %, by the plan's own word; 0 and the reason if it cannot be done here."""
    count = LEAST
    file = folder / "plan.yaml"
    file.write_text(case.text(most), encoding="utf-8")
    planned, why = plan(file, case)
    if planned is None:
        return 0, why
    agreed = (planned["power"] or {}).get("agreement")
    if agreed is not None and agreed["faults_needed"] is not None:
        count = max(count, agreed["faults_needed"])
    elif agreed is not None:
        count = most
    return min(count, most), "" if agreed is not None else f"the plan says nothing of agreement: {planned['power_reason']}"


def one(case: Case, seed: int, faults: int, folder: Path) -> Found:
    """Run it, as a process."""
    folder.mkdir(parents=True)
    file = folder / "experiment.yaml"
    file.write_text(case.text(faults), encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", str(file), "--seed", str(seed), "--runtime", case.runtime, "--json", "--folder",
               str(folder / "run")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NINES_STATE": str(folder / "state")})
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Found(case, seed, faults, reason=" / ".join(done.stderr.strip().splitlines()[-3:]))
    found = Found(case, seed, faults, report["agreement_overall"] or "no agreement", "; ".join(report["reasons"]))
    found.classes = held(report)
    found.off = farthest(report)
    failed = [f"{check['name']}: {check['detail']}" for check in report["checks"] if check["verdict"] == "fail"]
    if failed:
        found.reason, found.sound = "; ".join(failed), False
    return found


def held(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Class -> the mean recovery and the share that clients noticed, predicted and observed."""
    predicted, observed = report["predicted"]["by_fault"], (report["observed"] or {}).get("by_fault", {})
    found = {}
    for name, seen in observed.items():
        foreseen = predicted.get(name)
        if foreseen is None:
            continue
        found[name] = {
            "recovery": (foreseen["recovery_s"]["value"], seen["recovery_s"]["value"]),
            "share": (foreseen["share"]["value"], seen["share"]),
        }
    return found


def farthest(report: dict[str, Any]) -> str:
    """The phase whose mean over the outages differs most from what was predicted."""
    sums: dict[str, list[float]] = {}
    outages = (report["observed"] or {}).get("outages", [])
    for outage in outages:
        for name, phase in outage["phases"].items():
            each = sums.setdefault(name, [0.0, 0.0])
            each[0] += phase["predicted_s"] or 0.0
            each[1] += phase["observed_s"] or 0.0
    if not sums:
        return ""
    count = len(outages)
    name, (foreseen, seen) = max(sums.items(), key=lambda item: abs(item[1][0] - item[1][1]))
    return f"{name}: {foreseen / count * 1e3:.0f} ms predicted, {seen / count * 1e3:.0f} observed"


def row(found: Found) -> runs.Row:
    """One line of the table; on its own none of them misses anything."""
    case = found.case
    said = [
        f"{name}: recovery {number(each['recovery'][0])} s, share {number(each['share'][0])}" for name, each in found.classes.items()
    ]  # fmt: skip
    seen = [f"{number(each['recovery'][1])} s, {number(each['share'][1])}" for each in found.classes.values()]
    off = f"; farthest off: {found.off}" if found.off and found.agreement != "consistent" else ""
    why = f"; {found.reason}" if found.reason and (not found.sound or found.agreement != "consistent") else ""
    return runs.Row(
        f"{case.name}, seed {found.seed}, {found.faults} faults", "; ".join(said), "; ".join(seen), f"{found.agreement}{off}{why}"
    )


def number(value: object) -> str:
    """A figure, or a dash where there is none."""
    if isinstance(value, dict):
        value = value.get("value")
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def rows(found: list[Found], left_out: dict[str, str], runtime: str) -> list[runs.Row]:
    """The share that is consistent, then each run; what could not be done is told."""
    words = [each.agreement for each in found if each.sound]
    share = words.count("consistent") / len(words) if words else 0.0
    unsound = len(found) - len(words)
    told = f"; {unsound} more failed their own assumptions and count for nothing" if unsound else ""
    head = runs.Row(
        f"predictions on {len(words)} real runs ({runtime})",
        f"at least {CONSISTENT:.0%} consistent",
        f"{share:.0%}: {', '.join(f'{word} {words.count(word)}' for word in dict.fromkeys(words))}{told}",
        "predicted beside observed below",
        share >= CONSISTENT and unsound <= (1 - CONSISTENT) * len(found),
    )
    return [head, *map(row, found), *(runs.Row(name, "", "not done", why) for name, why in left_out.items())]


def words(text: str, known: tuple[str, ...]) -> list[str]:
    """A list with commas; ``argparse`` names the first that is none."""
    found = text.split(",")
    unknown = [word for word in found if word not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(known)}")
    return found


def options(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", default="local", choices=RUNTIMES)
    parser.add_argument("--targets", type=lambda text: words(text, TARGETS), default=list(TARGETS))
    parser.add_argument("--kinds", type=lambda text: words(text, KINDS), default=list(KINDS))
    parser.add_argument("--roles", type=lambda text: words(text, ROLES), default=list(ROLES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--most", type=int, default=MOST, help="faults a run, whatever the plan asks for")
    parser.add_argument("--keep", type=Path, help="put the runs there instead of into a folder that is removed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one seed, replicated_kv alone, leader alone")
    chosen = parser.parse_args(argv)
    if chosen.quick:
        chosen.seeds, chosen.targets, chosen.roles = 1, ["replicated_kv"], ["leader"]
    return chosen


def measure(chosen: argparse.Namespace, scratch: Path) -> list[runs.Row]:
    """All of it; progress on standard error."""
    found: list[Found] = []
    left_out: dict[str, str] = {}
    for target in chosen.targets:
        for kind in chosen.kinds:
            for role in chosen.roles:
                case = Case(target, kind, role, chosen.runtime)
                faults, why = faults_needed(case, scratch, chosen.most)
                if not faults:
                    left_out[case.name] = why
                    print(f"{case.name}: not done: {why}", file=sys.stderr)
                    continue
                for seed in range(chosen.first, chosen.first + chosen.seeds):
                    found.append(one(case, seed, faults, scratch / f"{target}-{kind}-{role}-{seed}"))
                    told = row(found[-1])
                    print(f"{told.figure}: {told.reach} | {told.got} | {told.beside}", file=sys.stderr, flush=True)
    return rows(found, left_out, chosen.runtime)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if too few runs were consistent."""
    chosen = options(argv)
    if chosen.keep is not None:
        chosen.keep.mkdir(parents=True, exist_ok=True)
        table = measure(chosen, chosen.keep)
    else:
        with tempfile.TemporaryDirectory(prefix="nines-bench-") as scratch:
            table = measure(chosen, Path(scratch))
    return runs.show([*table, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
