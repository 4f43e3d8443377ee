"""Runs on pods whose command, harness or both are killed: is all as before? ``python -m tools.soak.kubernetes``.

    python -m tools.soak.kubernetes [--count 40] [--first 1] [--seed 1] [--ways command,harness,both,pod] [--kinds kill,pause,...]
    python -m tools.soak.kubernetes --ours    on pods that the run starts (``runtime: kubernetes``), not on a stranger's

    command   SIGKILL to the command on the user's side
    harness   SIGKILL to the harness in its pod
    both      first the one, then the other
    pod       the harness's pod is deleted, at once

Two instants in three lie within the fault, one anywhere in the run. Then agents have their 15 s, or ``nines heal`` comes at once (drawn).
What is looked at is the API server's word (all objects of all namespaces, without their status), and the kernel's: packet rules and
queues in the networks of the stranger's pods, frozen processes, loads. Pods that a fault killed or deleted must serve again. Needs root:
the cluster is that of $NINES_KUBERNETES, or one that is started for it (tools/kubernetes). Exit 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.kubernetes import cluster as clusters
from tools.kubernetes.cluster import Cluster
from tools.kubernetes.places import layout
from tools.kubernetes.supply import supply
from tools.soak.kinds import ROOT
from tools.soak.pods_look import Look, differences, look, started_by
from tools.soak.trial import wait

WAYS: Final = ("command", "harness", "both", "pod")
FAULTS: Final = {
    "kill": "kill: {recovery: policy}, target: any",
    "pause": "pause: {}, target: any",
    "partition": "partition: {}, target: any",
    "loss": "loss: {percent: 50%}, target: {link: clients -> any}",
    "latency": "latency: {latency: 100ms}, target: {link: clients -> any}",
    "delete": "delete: {forced: true}, target: any",
    "dns": "dns: {mode: servfail}",
    "cpu": "cpu: {}, target: any",
    "memory": "memory: {percent: 60%, recovery: policy}, target: any",
    "io": "io: {}, target: any",
}  # fmt: skip
OURS: Final = {
    "kill": "kill: {}, target: leader",
    "policy": "kill: {recovery: policy}, target: any",
    "pause": "pause: {}, target: any",
    "partition": "partition: {}, target: any",
    "loss": "loss: {percent: 50%}, target: {link: clients -> any}",
    "latency": "latency: {latency: 100ms}, target: {link: clients -> any}",
    "power_off": "power_off: {}, target: any",
    "dns": "dns: {mode: servfail}",
}
"""Faults on pods that the run starts."""
ENDED_BY_ITSELF: Final = (0, 3)
"""Exit statuses of a run that nobody cut short: its verdict may be unknown on a busy machine. Any other one proves nothing."""
FAULT_S: Final = 6.0
RUN_S: Final = 25.0
"""About how long a run lasts."""
EXPERIMENT: Final = """
experiment: soak
question: Does a run that is cut short leave anything that nobody finds?
cluster: {{attach: {{kubernetes: {{namespace: {space}, service: store}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 10/s}}}}}}
baseline: 1s
faults: [{{name: harm, {fault}, at: [500ms], for: {lasts:g}s}}]
settle: 5s
"""
EXPERIMENT_OF_OURS: Final = """
experiment: soak
question: Does a run that is cut short leave anything that nobody finds?
cluster: {{target: replicated_kv, nodes: 3, runtime: kubernetes, kubernetes: {{namespace: {space}}}}}
traffic: {{operations: {{write: 10/s, read: 10/s}}, judge: write}}
baseline: 1s
faults: [{{name: harm, {fault}, at: [500ms], for: {lasts:g}s}}]
settle: 5s
"""
BEGUN_WITHIN_S: Final = 150.0
AGENTS_S: Final = 25.0
"""The 15 s that an agent waits for its harness, and what a busy machine adds."""
SAME_WITHIN_S: Final = 120.0
"""Kubelet starts a container again after ten seconds or so, and a readiness probe has to see it."""
HEALS_WITHIN_S: Final = 240.0
READY_WITHIN_S: Final = 180.0
HARNESS: Final = "chaos.cli.beside"
IMAGE: Final = "nines.test/chaos-nines:soak"


@dataclass
class Trial:
    """One run, and what was found."""

    number: int
    way: str
    kind: str
    folder: Path
    env: dict[str, str]
    instant: str = ""
    troubles: list[str] = field(default_factory=list)

    def nines(self, *words: str, statuses: tuple[int, ...] = (0,)) -> str:
        """One command to its end; what it printed."""
        command = [sys.executable, "-m", "chaos", *words]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=HEALS_WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            self.troubles.append(f"'nines {words[0]}' had not ended after {HEALS_WITHIN_S:g} s")
            return ""
        if done.returncode not in statuses or "Traceback" in done.stderr:
            said = " / ".join((done.stdout + done.stderr).strip().splitlines()[-4:])
            self.troubles.append(f"'nines {' '.join(words)}' ended with {done.returncode}: {said}")
        return done.stdout


class Soak:
    """The trials, one after the other."""

    def __init__(self, arguments: argparse.Namespace, cluster: Cluster, space: str, env: dict[str, str], scratch: Path) -> None:
        self.cluster = cluster
        self.space = space
        self.env = env
        self.scratch = scratch
        self.draw = random.Random(arguments.seed)  # noqa: S311 - instants, no secrets
        self.ways = arguments.ways.split(",")
        self.ours = arguments.ours
        self.faults = OURS if arguments.ours else FAULTS
        self.kinds = arguments.kinds.split(",") if arguments.kinds else list(self.faults)
        self.counts: Counter[tuple[str, bool]] = Counter()

    def one(self, number: int) -> bool:
        """Whether all was as before."""
        if (number - 1) % len(self.kinds) == 0:
            self.draw.shuffle(self.kinds)
        kind, way = self.kinds[(number - 1) % len(self.kinds)], self.ways[(number - 1) % len(self.ways)]
        folder = self.scratch / f"trial-{number}-{kind}"
        folder.mkdir()
        trial = Trial(number, way, kind, folder, self.env | {"NINES_STATE": str(folder / "state")})
        words_of = EXPERIMENT_OF_OURS if self.ours else EXPERIMENT
        (folder / "soak.yaml").write_text(words_of.format(space=self.space, fault=self.faults[kind], lasts=FAULT_S), encoding="utf-8")
        if not self.ours:
            self._fresh()
        before, began_s = look(self.cluster, self.space), time.monotonic()
        with (folder / "said").open("wb") as said:
            words = [sys.executable, "-m", "tools.soak.pods_command", "soak.yaml", "run"]
            command = subprocess.Popen(words, cwd=folder, env=trial.env, stdout=said, stderr=said)
            try:
                self._await_instant(trial, command)
                self._strike(trial, command)
            finally:
                command.kill()
                command.wait()
        self._look_after(trial, before)
        said_text = "; ".join(trial.troubles) or "ok"
        took_s = time.monotonic() - began_s
        print(f"{number:3} {way:8} {kind:10} {trial.instant:36} {took_s:4.0f} s  {said_text}", flush=True)
        self.counts[way, not trial.troubles] += 1
        return not trial.troubles

    def _fresh(self) -> None:
        """Pods that kubelet does not make wait: it remembers deaths for ten minutes."""
        pods = json.loads(self.cluster.kubectl("get", "pods", "-n", self.space, "-o", "json"))["items"]
        states = {each["metadata"]["name"]: each["status"].get("containerStatuses", []) for each in pods}
        died = [name for name, each in states.items() if any(state["restartCount"] for state in each)]
        if died:
            self.cluster.kubectl("delete", "pod", "-n", self.space, "--grace-period=0", "--force", *died)
        await_ready(self.cluster, self.space)

    def _await_instant(self, trial: Trial, command: subprocess.Popen[bytes]) -> None:
        """Either anywhere in the run, or within the fault."""
        if self.draw.random() < 1 / 3:
            delay_s = self.draw.uniform(0.0, RUN_S)
            trial.instant = f"{delay_s:.1f} s after the start"
        else:
            wait(lambda: command.poll() is not None or _asked(trial), BEGUN_WITHIN_S)
            delay_s = self.draw.uniform(0.0, FAULT_S * 1.3)
            trial.instant = f"{delay_s:.1f} s after the fault was asked"
        wait(lambda: command.poll() is not None, delay_s)
        if command.poll() is not None:
            trial.instant += f" (over: {command.returncode})"
            if command.returncode not in ENDED_BY_ITSELF:
                trial.troubles.append(
                    f"the command had ended with {command.returncode} before anything was killed; its words are in 'said'"
                )

    def _strike(self, trial: Trial, command: subprocess.Popen[bytes]) -> None:
        harness = self._harness()
        if trial.way in ("command", "both"):
            command.kill()
        if trial.way in ("harness", "both") and harness is not None:
            for pid in started_by(harness["metadata"]["uid"], HARNESS):
                os.kill(pid, signal.SIGKILL)
        if trial.way == "pod" and harness is not None:
            name = harness["metadata"]["name"]
            self.cluster.kubectl("delete", "pod", "-n", self.space, "--grace-period=0", "--force", "--ignore-not-found", name)
        if trial.way in ("harness", "pod"):
            try:
                command.wait(HEALS_WITHIN_S)
            except subprocess.TimeoutExpired:
                trial.troubles.append(f"the command had not ended {HEALS_WITHIN_S:g} s after its harness")

    def _harness(self) -> dict[str, Any] | None:
        pods = json.loads(self.cluster.kubectl("get", "pods", "-n", self.space, "-l", "nines.role=harness", "-o", "json"))["items"]
        return pods[0] if pods else None

    def _look_after(self, trial: Trial, before: Look) -> None:
        if self.draw.random() < 1 / 2:
            wait(lambda: False, AGENTS_S)
            trial.instant += ", by itself"
            now = look(self.cluster, self.space)
            rules = [pod for pod, found in now.networks.items() if "nines" in found]
            if rules or now.troubled:
                trial.troubles.append(f"{AGENTS_S:g} s later, without heal: rules in {rules}, {now.troubled}")
        listed = trial.nines("leftovers", "--json", statuses=(0, 5))
        trial.nines("heal")
        if json.loads(trial.nines("leftovers", "--json") or "[]"):
            trial.troubles.append(f"still listed; before heal: {listed.strip()}")
        found: list[str] = []

        def same() -> bool:
            found[:] = differences(before, look(self.cluster, self.space))
            return not found

        if not wait(same, SAME_WITHIN_S):
            trial.troubles += found


def _asked(trial: Trial) -> bool:
    """By the rows that have come; the history itself is in the cluster."""
    return "FaultAsked" in (trial.folder / "said").read_text(encoding="utf-8", errors="replace")


def await_ready(cluster: Cluster, space: str) -> None:
    """Three pods that serve."""

    def ready() -> bool:
        found = json.loads(cluster.kubectl("get", "statefulset", "-n", space, "store", "-o", "json"))["status"]
        pods = json.loads(cluster.kubectl("get", "pods", "-n", space, "-o", "json"))["items"]
        return found.get("readyReplicas") == 3 and all("deletionTimestamp" not in each["metadata"] for each in pods)

    if not wait(ready, READY_WITHIN_S):
        raise SystemExit(f"the pods of the stranger in {space} do not become ready")


def main() -> int:
    """Prints a line for each trial, and how many of them left everything as it was; 1 if any did not."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak.kubernetes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--first", type=int, default=1, help="number of the first trial, to go on where a former soak ended")
    parser.add_argument("--seed", type=int, default=1, help="of kinds and instants")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--ours", action="store_true", help="on pods that the run starts")
    parser.add_argument("--kinds", default="", help=f"of: {', '.join(FAULTS)}; with --ours: {', '.join(OURS)}; all unless told")
    parser.add_argument("--space", default="soak", help="a namespace for the pods, made and removed")
    parser.add_argument("--within", type=float, default=float("inf"), metavar="SECONDS", help="begin no trial after so long")
    arguments = parser.parse_args()
    scratch, began_s = Path(tempfile.mkdtemp(prefix="nines-soak-")), time.monotonic()
    with clusters.running(layout(), 3, _note) as cluster:
        env = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        env |= {"KUBECONFIG": str(cluster.layout.kubeconfig), "PYTHONPATH": str(ROOT), "HOME": str(scratch), "NINES_HISTORY": "off"}
        env.setdefault("NINES_KUBERNETES_IMAGE", IMAGE)
        base, target = supply(cluster, env["NINES_KUBERNETES_IMAGE"], "replicated_kv", env, _note)
        env["NINES_KUBERNETES_TARGET_IMAGE"] = target
        words = (ROOT / "tests" / "kubernetes" / "store.yaml").read_text(encoding="utf-8")
        words = words.replace("nines-base:IMAGE", base).replace("namespace: shop", f"namespace: {arguments.space}")
        words = words.replace("metadata: {name: shop}", f"metadata: {{name: {arguments.space}}}")
        if arguments.ours:
            cluster.kubectl("create", "namespace", arguments.space)
        else:
            cluster.kubectl("apply", "-f", "-", text=words)
        soak, done = Soak(arguments, cluster, arguments.space, env, scratch), 0
        try:
            for number in range(arguments.first, arguments.first + arguments.count):
                if time.monotonic() - began_s > arguments.within:
                    break
                soak.one(number)
                done += 1
        finally:
            cluster.kubectl("delete", "namespace", arguments.space, "--wait=true", "--timeout=300s", timeout_s=330)
    good = sum(count for (_, well), count in soak.counts.items() if well)
    print(", ".join(f"{way}: {soak.counts[way, True]} of {soak.counts[way, True] + soak.counts[way, False]}" for way in soak.ways))
    if good == done:
        shutil.rmtree(scratch)
    else:
        print(f"the folders are in {scratch}", file=sys.stderr)
    print(f"{good} of {done}: everything as before")
    return 0 if good == done else 1


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
