#!/usr/bin/env python3
"""Ends runs on this machine at random instants, in every way and in every fault kind, and looks whether anything is left behind.

    tools/soak.py [--count 40] [--seed 1] [--ways kill,int,term,twice,frozen] [--kinds kill,pause,...] [--keep]

    kill    SIGKILL: what is left is listed, a next run refuses (5), heal removes it; then processes, loopback and state are as before
    int     SIGINT, or SIGTERM: the run heals, is judged and leaves nothing (130, 143)
    twice   both, in quick succession: the second changes nothing
    frozen  Toxiproxy is stopped (SIGSTOP) while a fault is in its hands: healed all the same, or told as 6, never silent

Two instants in three lie within the fault, one anywhere in the run. What is looked at is the kernel's word (``/proc``), not ours. Each
run has a state folder of its own, so that other runs on the machine are not disturbed. Exit 1 if anything was wrong.
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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WITHIN_S = 120.0
FAULT_S = 2.0
HELPERS = {"prober", "dns", "watch"}
"""Our own helper processes end by themselves, soon after their harness."""
HELPERS_WITHIN_S = 10.0
WAYS = ("kill", "kill", "int", "kill", "term", "kill", "twice", "frozen")
"""In this order, again and again: SIGKILL is the hardest, so it comes most often."""
FIELDS = {
    "latency": "{latency: 50ms}", "bandwidth": "{rate: 50KB/s}", "slow_close": "{delay: 500ms}", "limit_data": "{bytes: 100B}",
    "dns": "{mode: servfail}",
}  # fmt: skip
"""What a kind cannot do without."""
TARGETS = {"nodes": ", target: leader", "links": ', target: {link: "leader <-> any"}', "": ""}
"""By what a kind is done to."""

EXPERIMENT = """\
experiment: soak
question: Does a run that is cut short leave anything that nobody finds?
cluster: {{target: replicated_kv, nodes: 3}}
traffic: {{operations: {{write: 50/s}}, judge: write}}
baseline: 1s
faults:
  - {{name: harm, {kind}: {fields}{target}, at: 200ms, for: {fault_s:g}s}}
settle: 5s
seed: {seed}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of fault; ``to``: nodes, links, or nobody; ``by_proxy``: it is in Toxiproxy's hands here."""

    name: str
    to: str
    by_proxy: bool


@dataclass
class Trial:
    """One run, and what was wrong with its end."""

    way: str
    kind: Kind
    folder: Path
    instant: str = ""
    struck: int = 0
    """Processes that were frozen."""
    status: int | None = None
    troubles: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Its own state folder; our package wherever it stands."""
        return {**os.environ, "NINES_STATE": str(self.state), "PYTHONPATH": str(ROOT)}

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> Path:
        return self.folder / "soak-run"

    def nines(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "chaos", *map(str, words)],
            env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=WITHIN_S, check=False,
        )  # fmt: skip

    def wrong(self, what: str) -> None:
        self.troubles.append(what)

    def expect(self, done: subprocess.CompletedProcess[str], *statuses: int) -> None:
        """A command must end so, and never with a traceback."""
        if done.returncode not in statuses or "Traceback" in done.stderr:
            said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            self.wrong(f"'nines {done.args[3]}' ended with {done.returncode}, not {' or '.join(map(str, statuses))}: {said}")


# --- the kernel's word -------------------------------------------------------------------------------------------------


def processes(trial: Trial) -> dict[int, str]:
    """Pid -> node or role, of every live process that this run started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            pairs = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or is another user's
        env = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        if state not in "ZX" and env.get(b"NINES_STATE") == str(trial.state).encode() and b"NINES_NODE" in env:
            found[int(entry.name)] = env[b"NINES_NODE"].decode()
    return found


def listeners(block: int) -> list[str]:
    """Bound sockets on 127.<block>.*.*, TCP and UDP."""
    found = []
    for table, listening in (("tcp", "0A"), ("udp", "07")):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            number, _, port = fields[1].partition(":")
            octets = [int(number[place : place + 2], 16) for place in (6, 4, 2, 0)]
            if fields[3] == listening and octets[:2] == [127, block]:
                found.append(f"{'.'.join(map(str, octets))}:{int(port, 16)}/{table}")
    return found


def blocks(trial: Trial) -> list[int]:
    """The blocks of loopback addresses that its state folder holds."""
    folder = trial.state / "blocks"
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def wait(until: Callable[[], bool], within_s: float) -> bool:
    """Whether it came to be so in time."""
    end_s = time.monotonic() + within_s
    while not until():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.005)
    return True


# --- one trial ---------------------------------------------------------------------------------------------------------


def carry_out(trial: Trial, draw: random.Random) -> None:
    """Start a run, end it at some instant, look at what is left."""
    trial.folder.mkdir(parents=True)
    file = trial.folder / "soak.yaml"
    text = experiment(trial.kind, draw.randrange(1000))
    file.write_text(text, encoding="utf-8")
    with (trial.folder / "stdout").open("wb") as out, (trial.folder / "stderr").open("wb") as err:
        command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", "local", "--folder", str(trial.run), "--json"]
        harness = subprocess.Popen(command, env=trial.env, cwd=trial.folder, stdout=out, stderr=err, start_new_session=True)
        try:
            await_instant(trial, harness, draw)
            held = blocks(trial)
            strike(trial, harness, draw)
            trial.status = harness.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            trial.wrong(f"it had not ended after {WITHIN_S:g} s")
        finally:
            if harness.poll() is None:
                harness.kill()
                harness.wait()
    said = (trial.folder / "stderr").read_text(encoding="utf-8", errors="replace")
    if "bug in Nines" in said or trial.status == 70:
        trial.wrong(f"a bug: {said.strip().splitlines()[-2:]}")
    {"kill": after_kill, "frozen": after_frozen}.get(trial.way, after_signal)(trial)
    look_around(trial, held)


def happened(trial: Trial, tag: str) -> bool:
    """Whether the history holds such a row."""
    path = trial.run / "history.jsonl"
    return path.exists() and f'"{tag}"'.encode() in path.read_bytes()


def await_instant(trial: Trial, harness: subprocess.Popen[bytes], draw: random.Random) -> None:
    """Either anywhere in the run, or within the fault."""
    if trial.way != "frozen" and draw.random() < 1 / 3:
        delay_s = draw.uniform(0.0, 7.0)
        trial.instant = f"{delay_s:.2f} s after the start"
    else:
        row = "fault_effective" if trial.way == "frozen" else "fault_asked"
        wait(lambda: happened(trial, row) or harness.poll() is not None, 60.0)
        delay_s = draw.uniform(0.0, FAULT_S / 2 if trial.way == "frozen" else FAULT_S * 1.3)
        trial.instant = f"{delay_s:.2f} s after {row}"
    wait(lambda: harness.poll() is not None, delay_s)


def strike(trial: Trial, harness: subprocess.Popen[bytes], draw: random.Random) -> None:
    """End it, or what it relies on."""
    if trial.way == "frozen":
        for pid, node in processes(trial).items():
            if node == "toxiproxy":
                os.kill(pid, signal.SIGSTOP)
                trial.struck += 1
        return
    numbers = {
        "kill": [signal.SIGKILL], "int": [signal.SIGINT], "term": [signal.SIGTERM], "twice": [signal.SIGTERM, signal.SIGINT],
    }[trial.way]  # fmt: skip
    for number in numbers:
        harness.send_signal(number)
        if number is not numbers[-1]:
            time.sleep(draw.uniform(0.0, 0.3))


def after_kill(trial: Trial) -> None:
    """Listed, refused, healed; and what was recorded can be judged, but never passes."""
    was_over = happened(trial, "run_ended")
    wait(lambda: not HELPERS & set(processes(trial).values()), HELPERS_WITHIN_S)
    alive = processes(trial)
    if HELPERS & set(alive.values()):
        trial.wrong(f"helpers outlive their harness: {alive}")
    listed = trial.nines("leftovers", "--json")
    trial.expect(listed, 0, 5)
    told = {item["detail"] for item in json.loads(listed.stdout or "[]")}
    unlisted = {pid: node for pid, node in alive.items() if f"pid {pid}" not in told}
    if unlisted:
        trial.wrong(f"alive and not listed: {unlisted}")
    if listed.returncode == 5:
        refused = trial.nines("run", "soak.yaml", "--runtime", "local", "--folder", "second", "--quiet")
        trial.expect(refused, 5)
        if "nines heal" not in refused.stderr:
            trial.wrong("the refusal does not say how to go on")
    trial.expect(trial.nines("heal"), 0)
    if (trial.run / "plan.json").exists():
        judged = trial.nines("judge", trial.run, "--json")
        trial.expect(judged, *((0, 1, 3, 6) if was_over else (3, 6)))


def after_signal(trial: Trial) -> None:
    """Nothing is left, and the exit status says what it was; a signal to Python before it runs our code is Python's own affair."""
    # Two that arrive together are handled in the order of their numbers.
    interrupted, terminated = (130, -signal.SIGINT), (143, -signal.SIGTERM)
    expected = {"int": interrupted, "term": terminated, "twice": terminated + interrupted}[trial.way]
    over = trial.status in (0, 1, 3) and happened(trial, "run_ended")
    if trial.status not in expected and not over:
        trial.wrong(f"it ended with {trial.status}, not {expected[0]}")


def after_frozen(trial: Trial) -> None:
    """Either the fault was healed all the same, or exit 6 tells of it."""
    if trial.status == 6 or not trial.struck:
        return
    try:
        report = json.loads((trial.folder / "stdout").read_text(encoding="utf-8"))
        statuses = {fault["id"]: fault["status"] for fault in report["faults"]}
    except (json.JSONDecodeError, KeyError):
        statuses = {"": "no report"}
    if set(statuses.values()) != {"healed"}:
        trial.wrong(f"it ended with {trial.status}, and its faults are {statuses}")


def look_around(trial: Trial, held: list[int]) -> None:
    """Processes, loopback and the state folder are as before."""
    trial.expect(trial.nines("leftovers"), 0)
    alive = processes(trial)
    if alive:
        trial.wrong(f"still alive: {alive}")
    for block in held:
        if listeners(block):
            trial.wrong(f"still bound: {listeners(block)}")
    kept = sorted(str(path.relative_to(trial.state)) for path in trial.state.rglob("*") if path.is_file())
    if set(kept) - {"heal.lock"}:
        trial.wrong(f"still in the state folder: {kept}")
    if trial.troubles:
        trial.nines("heal")
    for pid in processes(trial):
        os.kill(pid, signal.SIGKILL)


# --- all of them -------------------------------------------------------------------------------------------------------


def experiment(kind: Kind, seed: int) -> str:
    """Its file."""
    return EXPERIMENT.format(kind=kind.name, fields=FIELDS.get(kind.name, "{}"), target=TARGETS[kind.to], fault_s=FAULT_S, seed=seed)


def possible(kinds: list[Kind], scratch: Path) -> list[Kind]:
    """The kinds that plain processes can do at all, by the word of ``nines plan``."""
    found = []
    for kind in kinds:
        trial = Trial("plan", kind, scratch / f"plan-{kind.name}")
        trial.folder.mkdir()
        text = experiment(kind, 1)
        (trial.folder / "soak.yaml").write_text(text, encoding="utf-8")
        done = trial.nines("plan", "soak.yaml", "--runtime", "local")
        if done.returncode == 0:
            found.append(kind)
        else:
            print(f"left out: {kind.name}: {done.stderr.strip().splitlines()[0]}", file=sys.stderr)
    return found


def known_kinds() -> list[Kind]:
    """Every fault kind in the table, and whether nodes or links are its victims."""
    code = "from chaos import tables\nfor name in tables.FAULTS: print(name, *tables.find('faults', name).takes)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    words = [line.split() for line in done.stdout.splitlines()]
    return [Kind(name, "nodes" if "nodes" in takes else "links" if "links" in takes else "", "links" in takes) for name, *takes in words]


def main() -> int:
    """Prints a line for each trial; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1, help="of the instants; the runs themselves are as fast as the machine")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--kinds", default="", help="of: those in chaos/tables.py; all that the runtime can do unless told")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all trials, not only of failed ones")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)  # noqa: S311 - instants, no secrets
    scratch = Path(tempfile.mkdtemp(prefix="nines-soak-"))
    ways = arguments.ways.split(",")
    wanted = arguments.kinds.split(",") if arguments.kinds else [kind.name for kind in known_kinds()]
    kinds = possible([kind for kind in known_kinds() if kind.name in wanted], scratch)
    proxied = [kind for kind in kinds if kind.by_proxy]
    bad = 0
    for number in range(arguments.count):
        way = ways[number % len(ways)]
        able = proxied if way == "frozen" else kinds
        if not able:
            continue
        trial = Trial(way, draw.choice(able), scratch / f"trial-{number + 1}")
        carry_out(trial, draw)
        bad += bool(trial.troubles)
        print(
            f"{number + 1:3} {way:6} {trial.kind.name:10} {trial.instant:32} exit {trial.status}  {'; '.join(trial.troubles) or 'ok'}",
            flush=True,
        )
        if not trial.troubles and not arguments.keep:
            shutil.rmtree(trial.folder)
    if not bad and not arguments.keep:
        shutil.rmtree(scratch)
    else:
        print(f"the folders are in {scratch}", file=sys.stderr)
    print(f"{arguments.count - bad} of {arguments.count} ended as they should")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
