"""Quickstart, a host's loss of power and a host's partition on three Docker hosts: how each run ends, and what it leaves behind.

    python -m bench.hosts                          five seeds of each, then the table (root; about half an hour)
    python -m bench.hosts --only partition --seeds 1
    python -m bench.hosts --outside                the command stands on none of the hosts: the harness travels to the first
    python -m bench.hosts --through 'nice -n -5'   start each run by this command
    python -m bench.hosts --table-only             run nothing

The hosts are namespaces of this machine with an engine each (tests/support/hosts.py), started once for all runs. A probe of the bench's own
asks the nodes of the host that goes: a second table says how far from it Nines' instants are. Run folders are kept in runs/hosts;
``--again`` carries out those anew in which the machine was too busy (``unknown``). Exit status 1 if any run did not end with 0 and a
decided agreement, or left anything behind.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import yaml

from bench.engines.carried_out import ended
from bench.hosts.instants import Edge, Probe, edges
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_harness, ensure_target
from chaos.experiment.target.load import load_target
from chaos.history.folder import RunFolder
from tests.support import hosts
from tests.support.hosts import Rack
from tests.support.paths import ROOT

HERE: Final = Path(__file__).parent
EXPERIMENTS: Final = ("quickstart", "power_off", "partition")
OUTCOME: Final = "outcome.json"
GONE_WITHIN_S: Final = 20.0
STRUCK: Final = "b"
"""The host that goes."""
PORT: Final = 7000
"""Of the nodes, for clients."""
DECIDED: Final = ("consistent", "inconsistent")


class Outcome(msgspec.Struct):
    """What is kept of a run, beside its run folder."""

    status: int
    verdict: str
    agreement: str
    left: list[str]
    """On any host."""
    took_s: float
    said: str = ""
    """The last words of a run that did not end with 0."""
    clock_bound_ms: float | None = None
    """As the report prints it."""
    edges: list[Edge] = []
    """Instants of faults on a whole host, held against the probe."""

    def __str__(self) -> str:
        return f"exit {self.status}, {self.verdict}, {self.agreement}, {len(self.left)} left, {self.took_s:.0f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed by seed, so that a table of what there is can be made at any time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "hosts")
    parser.add_argument("--only", default=",".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--through", type=shlex.split, default=[])
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("NINES_TEST_HOSTS_FOLDER") or "/var/tmp/nines-hosts"))
    for flag in ("--outside", "--again", "--table-only"):
        parser.add_argument(flag, action="store_true")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the hosts end with their block
    names, runs = asked.only.split(","), asked.runs.resolve() / ("outside" if asked.outside else "on-the-first")
    due = [
        (name, seed)
        for seed in range(1, asked.seeds + 1)
        for name in names
        if not asked.table_only and is_due(kept(runs, name, seed), again=asked.again)
    ]
    if due and not hosts.may():
        print("this machine cannot have hosts: root, dockerd, unshare, nsenter, nftables, iproute2", file=sys.stderr)
        return 5
    if due:
        with hosts.running(asked.folder) as rack:
            warm(rack)
            for name, seed in due:
                outcome = carry_out(rack, name, seed, runs / f"{name}-{seed}", asked)
                print(f"{name} {seed}: {outcome}", file=sys.stderr, flush=True)
    lines, wrong = table(runs, names, asked.seeds)
    print("\n".join([*lines, "", *instants(runs, names, asked.seeds)]))
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


def is_due(found: Outcome | None, *, again: bool) -> bool:
    """Whether a run is still to be carried out."""
    return found is None or (again and found.verdict == "unknown")


def warm(rack: Rack) -> None:
    """The first host's engine has the images; from here there is a way to packages, from the hosts there is none."""
    with connect(rack.socket(rack.names[0]), checked=False) as engine:
        ensure_harness(engine)
        target = load_target("replicated_kv", beside=ROOT)
        for part in target.parts:
            ensure_target(engine, target, part)


def carry_out(rack: Rack, name: str, seed: int, folder: Path, asked: argparse.Namespace) -> Outcome:
    """One run, from the first host or from none of them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(written(rack, name), encoding="utf-8")
    words = [sys.executable, "-m", "chaos", "run", "experiment.yaml", "--seed", str(seed), "--folder", "run", "-q"]
    environment = os.environ | {"NINES_STATE": str(folder / "state"), "NINES_HISTORY": "off", "PYTHONPATH": str(ROOT)}
    began_s = time.monotonic()
    with Probe(rack, STRUCK, PORT, folder) as probe:
        started = words if asked.outside else rack.inside(rack.names[0], *words, folder=folder)
        done = ended([*asked.through, *started], folder, environment)
    took_s = time.monotonic() - began_s
    report = folder / "run" / "report.json"
    found = dict(msgspec.json.decode(report.read_bytes())) if report.exists() else {}
    outcome = Outcome(
        done.returncode, str(found.get("verdict", "none")), str(found.get("agreement_overall", "none")), left(rack), took_s,
        said=done.stderr[-2000:] if done.returncode else "", clock_bound_ms=_bound_ms(found),
        edges=edges(RunFolder(folder / "run").rows(), probe.seen, name) if report.exists() and name != "quickstart" else [],
    )  # fmt: skip
    (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    return outcome


def _bound_ms(report: dict[str, object]) -> float | None:
    bound_s = report.get("clock_bound_s")
    return bound_s * 1e3 if isinstance(bound_s, float) else None


def written(rack: Rack, name: str) -> str:
    """The experiment on these hosts: each is given by the socket that all namespaces see, with its address."""
    switch = f"{sys.executable} -m tests.support.hosts"
    spec = {
        each: {"engine": rack.socket(each), "address": rack.address(each)}
        | ({"power_off": f"{switch} off {each} {rack.folder}", "power_on": f"{switch} on {each} {rack.folder}"} if number else {})
        for number, each in enumerate(rack.names)
    }
    if name != "quickstart":
        text = (HERE / f"{name}.yaml").read_text(encoding="utf-8")
        return text.replace("  hosts: {hosts}\n", f"  hosts: {msgspec.json.encode(spec).decode()}\n")
    document = yaml.safe_load((ROOT / "experiments" / "quickstart.yaml").read_text(encoding="utf-8"))
    document["cluster"] |= {"runtime": "docker", "hosts": spec}
    return yaml.safe_dump(document, sort_keys=False)


def left(rack: Rack) -> list[str]:
    """What is on the hosts once the kernel has had its time for interfaces of processes that are gone."""
    until_s = time.monotonic() + GONE_WITHIN_S
    while (found := [f"{name}: {each}" for name in rack.names for each in hosts.left_on(rack, name)]) and time.monotonic() < until_s:
        time.sleep(0.2)
    return found


# --- the table ---------------------------------------------------------------------------------------------------------


def kept(runs: Path, name: str, seed: int) -> Outcome | None:
    """What is known of a run."""
    try:
        return msgspec.json.decode((runs / f"{name}-{seed}" / OUTCOME).read_bytes(), type=Outcome)
    except FileNotFoundError:
        return None


def table(runs: Path, names: Sequence[str], seeds: int) -> tuple[list[str], list[str]]:
    """A line a run; and what is not as it is to be."""
    lines = ["| experiment | seed | exit | verdict | agreement | left behind | seconds |", "|---|---|---|---|---|---|---|"]
    wrong = []
    for name in names:
        for seed in range(1, seeds + 1):
            found = kept(runs, name, seed)
            if found is None:
                wrong.append(f"{name} with seed {seed} was not run")
                continue
            there = ", ".join(found.left) or "nothing"
            lines.append(f"| {name} | {seed} | {found.status} | {found.verdict} | {found.agreement} | {there} | {found.took_s:.0f} |")
            if found.status or found.left or found.agreement not in DECIDED:
                wrong.append(f"{name} with seed {seed}: {found} {found.said}")
    return lines, wrong


def instants(runs: Path, names: Sequence[str], seeds: int) -> list[str]:
    """A line an experiment and kind of edge: Nines' instants beside the probe's, and how many lie within the clock bound of their run."""
    lines = ["| experiment | edge | instants | within the clock bound | furthest off | questions apart | bound |", "|---" * 7 + "|"]
    for name in names:
        found = [(each, run) for seed in range(1, seeds + 1) if (run := kept(runs, name, seed)) is not None for each in run.edges]
        for edge in sorted({each.edge for each, _ in found}):
            own = [(each, run.clock_bound_ms or 0.0) for each, run in found if each.edge == edge]
            within = sum(abs(each.late_ms) <= bound_ms for each, bound_ms in own)
            worst_ms = max((each.late_ms for each, _ in own), key=abs)
            apart_ms = max(each.apart_ms for each, _ in own)
            bounds = f"{min(bound for _, bound in own):.2g} to {max(bound for _, bound in own):.2g} ms"
            lines.append(f"| {name} | {edge} | {len(own)} | {within} | {worst_ms:+.2f} ms | {apart_ms:.1f} ms | {bounds} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
