"""docs/kubernetes.md's table of runs: two experiments on a real Kubernetes of three machines, seed by seed.

    python -m bench.kubernetes                run what has no outcome yet, then print the table
    python -m bench.kubernetes --only pods    one experiment alone (quickstart, pods)
    python -m bench.kubernetes --again        also what was not valid, since the machine was too busy
    python -m bench.kubernetes --table-only   run nothing

The quickstart runs on nodes that Nines starts (``runtime: kubernetes``); ``pods`` on three replicas of a store that somebody else started,
made anew for each run, since kubelet remembers deaths. Run folders are kept in runs/kubernetes. It needs root and Go, as `make
test-kubernetes`, and three minutes a run. Exit status 1 if a run was not valid or not as predicted, or the cluster is not as before.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.kubernetes.carried_out import OUTCOME, Outcome, carry_out
from tests.support.kubernetes import get, namespace, until
from tests.support.paths import ROOT
from tools.kubernetes import cluster as clusters
from tools.kubernetes.cluster import Cluster
from tools.kubernetes.places import layout
from tools.kubernetes.supply import supply

IMAGE: Final = "nines.test/chaos-nines:bench"
EXPERIMENTS: Final = {"quickstart": ROOT / "experiments" / "quickstart.yaml", "pods": Path(__file__).with_name("store.yaml")}
STORE: Final = ROOT / "tests" / "kubernetes" / "store.yaml"
SPACE: Final = "shop"
READY_S: Final = 180.0
HEAD: Final = (
    "| experiment | seed | exit | verdict | as predicted | MTTR predicted | MTTR seen | outages after faults | cluster as before |"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, then the table; 1 if something is not as it is to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "kubernetes")
    parser.add_argument("--only", default=",".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    asked = parser.parse_args(arguments)
    runs, names = asked.runs.resolve(), asked.only.split(",")
    wanted = [(name, seed) for name in names for seed in range(1, asked.seeds + 1)]
    due = [each for each in wanted if _is_due(_outcome(runs, *each), again=asked.again)]
    if due and not asked.table_only:
        with clusters.running(layout(), 3, _note) as cluster:
            base, target = supply(cluster, IMAGE, "replicated_kv", os.environ, _note)
            environment = {"NINES_KUBERNETES_IMAGE": IMAGE, "NINES_KUBERNETES_TARGET_IMAGE": target}
            for name, seed in due:
                with _store(cluster, base) if name == "pods" else contextlib.nullcontext():
                    words = ["--runtime", "kubernetes"] if name == "quickstart" else []
                    outcome = carry_out(cluster, EXPERIMENTS[name], seed, runs / f"{name}-{seed}", words, environment)
                _note(_row(name, seed, outcome))
    kept = {each: _outcome(runs, *each) for each in wanted}
    print(HEAD + "\n" + "|---" * HEAD.count(" |") + "|")
    print("\n".join(_row(*each, outcome) for each, outcome in kept.items()))
    return 0 if all(each is not None and _as_it_is_to_be(each) for each in kept.values()) else 1


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _is_due(kept: Outcome | None, *, again: bool) -> bool:
    return kept is None or (again and kept.verdict in ("unknown", "none"))


def _as_it_is_to_be(done: Outcome) -> bool:
    return done.status == 0 and done.agreement == "consistent" and not done.changed


def _outcome(runs: Path, name: str, seed: int) -> Outcome | None:
    try:
        return msgspec.json.decode((runs / f"{name}-{seed}" / OUTCOME).read_bytes(), type=Outcome)
    except FileNotFoundError:
        return None


def _row(name: str, seed: int, done: Outcome | None) -> str:
    if done is None:
        return f"| {name} | {seed} | not run | | | | | | |"
    cells = (
        name, seed, done.status, done.verdict, done.agreement, _seconds(done.mttr_predicted_s), _seconds(done.mttr_seen_s),
        f"{done.outages} of {done.faults}", "; ".join(done.changed) or "yes",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


@contextlib.contextmanager
def _store(cluster: Cluster, base: str) -> Iterator[None]:
    """Three replicas that never died."""
    words = STORE.read_text(encoding="utf-8").replace("nines-base:IMAGE", base)
    with namespace(cluster, SPACE):
        cluster.kubectl("apply", "-f", "-", text=words)
        until(lambda: get(cluster, SPACE, "statefulset", "store")["status"].get("readyReplicas") == 3, READY_S, "three ready pods")
        yield


if __name__ == "__main__":
    sys.exit(main())
