"""One run, how it is ended, and what must hold afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.soak.engine import SYSTEM, OwnEngine, freeze_all
from tools.soak.kinds import FAULT_S, ROOT, Example
from tools.soak.look import Look, blocks, differences, listeners, look, processes

WITHIN_S = {"local": 120.0, "docker": 240.0}
RUN_S = {"local": 7.0, "docker": 14.0}
"""About how long an undisturbed run lasts."""
HELPERS = {"prober", "dns", "watch"}
"""Our own helper processes end by themselves, soon after their harness."""
HELPERS_WITHIN_S = 10.0
FROZEN_S = 8.0
"""The longest that the engine does not answer, where it goes on before the harness has given up."""
CAPABILITY = 5


@dataclass
class Trial:
    """One run, and what was wrong with its end."""

    way: str
    example: Example
    runtime: str
    folder: Path
    engine: OwnEngine | None = None
    instant: str = ""
    struck: int = 0
    """What was frozen, restarted or removed meanwhile."""
    killed: bool = False
    """The harness was ended by SIGKILL."""
    status: int | None = None
    refused: str = ""
    """Why it did not start at all: this machine cannot do it."""
    troubles: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Its own state folder; our package wherever it stands."""
        host = {"DOCKER_HOST": self.engine.host} if self.engine is not None else {}
        return {**os.environ, **host, "NINES_STATE": str(self.state), "PYTHONPATH": str(ROOT)}

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> Path:
        return self.folder / "soak-run"

    @property
    def within_s(self) -> float:
        return WITHIN_S[self.runtime]

    def nines(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        command = [sys.executable, "-m", "chaos", *map(str, words)]
        try:
            return subprocess.run(
                command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=self.within_s, check=False
            )
        except subprocess.TimeoutExpired:
            self.wrong(f"'nines {words[0]}' had not ended after {self.within_s:g} s")
            return subprocess.CompletedProcess(command, -1, "", "")

    def wrong(self, what: str) -> None:
        self.troubles.append(what)

    def expect(self, done: subprocess.CompletedProcess[str], *statuses: int) -> None:
        """A command must end so, and never with a traceback."""
        if done.returncode not in statuses or "Traceback" in done.stderr:
            said = " / ".join(done.stderr.strip().splitlines()[-3:]) or "nothing said"
            self.wrong(f"'nines {done.args[3]}' ended with {done.returncode}, not {' or '.join(map(str, statuses))}: {said}")

    def happened(self, tag: str) -> bool:
        """Whether the history holds such a row."""
        path = self.run / "history.jsonl"
        return path.exists() and f'"{tag}"'.encode() in path.read_bytes()


def wait(until: Callable[[], bool], within_s: float) -> bool:
    """Whether it came to be so in time."""
    end_s = time.monotonic() + within_s
    while not until():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.005)
    return True


def carry_out(trial: Trial, draw: random.Random) -> None:
    """Start a run, end it at some instant, look at what is left."""
    trial.folder.mkdir(parents=True)
    (trial.folder / "soak.yaml").write_text(trial.example.text(draw.randrange(1000)), encoding="utf-8")
    before = look(trial.engine)
    held: list[int] = []
    bridges: set[str] = set()
    with (trial.folder / "stdout").open("wb") as out, (trial.folder / "stderr").open("wb") as err:
        command = [sys.executable, "-m", "chaos", "run", "soak.yaml", "--runtime", trial.runtime, "--folder", str(trial.run), "--json"]
        harness = subprocess.Popen(command, env=trial.env, cwd=trial.folder, stdout=out, stderr=err, start_new_session=True)
        try:
            await_instant(trial, harness, draw)
            held = blocks(trial.state)
            bridges = trial.engine.bridges_of(trial.state) if trial.engine is not None else set()
            strike(trial, harness, draw)
            trial.status = harness.wait(trial.within_s)
        except subprocess.TimeoutExpired:
            trial.wrong(f"it had not ended after {trial.within_s:g} s")
        finally:
            if harness.poll() is None:
                harness.kill()
                harness.wait()
                trial.killed = True
            if trial.engine is not None and trial.way != "engine":
                trial.engine.thaw()
    said = (trial.folder / "stderr").read_text(encoding="utf-8", errors="replace")
    if "bug in Nines" in said or "Traceback" in said or trial.status == 70:
        trial.wrong(f"a bug: {said.strip().splitlines()[-2:]}")
    if trial.status == CAPABILITY and not trial.happened("fault_asked"):
        trial.refused = next((line for line in said.splitlines() if line.strip()), "")
    look_after(trial)
    look_around(trial, held, bridges, before)


# --- the instant and the blow ------------------------------------------------------------------------------------------


def await_instant(trial: Trial, harness: subprocess.Popen[bytes], draw: random.Random) -> None:
    """Either anywhere in the run, or within the fault."""
    during = trial.way in {"frozen", "engine", "restarted", "removed"}
    if not during and draw.random() < 1 / 3:
        delay_s = draw.uniform(0.0, RUN_S[trial.runtime])
        trial.instant = f"{delay_s:.2f} s after the start"
    else:
        row = "fault_effective" if during else "fault_asked"
        wait(lambda: trial.happened(row) or harness.poll() is not None, 90.0)
        delay_s = draw.uniform(0.0, FAULT_S / 2 if during else FAULT_S * 1.3)
        trial.instant = f"{delay_s:.2f} s after {row}"
    wait(lambda: harness.poll() is not None, delay_s)


SIGNALS = {
    "kill": [signal.SIGKILL], "int": [signal.SIGINT], "term": [signal.SIGTERM], "twice": [signal.SIGTERM, signal.SIGINT],
}  # fmt: skip


def strike(trial: Trial, harness: subprocess.Popen[bytes], draw: random.Random) -> None:
    """End it, or what it relies on."""
    if harness.poll() is not None:
        return
    if trial.way == "frozen":
        trial.struck = freeze_all(toxiproxies(trial))
    elif trial.way == "engine":
        freeze_engine(trial, harness, draw)
    elif trial.way in {"restarted", "removed"}:
        disturb(trial, draw)
        if draw.random() < 2 / 3:
            wait(lambda: harness.poll() is not None, draw.uniform(0.0, 0.5))
            trial.killed = harness.poll() is None
            harness.send_signal(signal.SIGKILL)
    else:
        numbers = SIGNALS[trial.way]
        trial.killed = trial.way == "kill"
        for number in numbers:
            harness.send_signal(number)
            if number is not numbers[-1]:
                time.sleep(draw.uniform(0.0, 0.3))


def toxiproxies(trial: Trial) -> list[int]:
    """The servers of this run."""
    if trial.engine is not None:
        return trial.engine.toxiproxies(trial.state)
    return [pid for pid, node in processes(trial.state).items() if node == "toxiproxy"]


def disturb(trial: Trial, draw: random.Random) -> None:
    """Somebody else restarts or removes a node meanwhile, or its agent with it."""
    if trial.engine is None:
        nodes = [pid for pid, node in processes(trial.state).items() if node.startswith("n") and node[1:].isdigit()]
        if nodes:
            os.kill(draw.choice(nodes), signal.SIGKILL)
            trial.struck = 1
        return
    role = SYSTEM if trial.way == "restarted" or draw.random() < 2 / 3 else "agent"
    found = sorted(trial.engine.containers(trial.state, role).items())
    if not found:
        return
    _, container = draw.choice(found)
    trial.struck = 1
    try:
        (trial.engine.restart if trial.way == "restarted" else trial.engine.remove)(container)
    except Exception as error:
        # It may just be dying; what the run makes of it is what counts.
        trial.instant += f", {trial.way} at the same time ({type(error).__name__})"


def freeze_engine(trial: Trial, harness: subprocess.Popen[bytes], draw: random.Random) -> None:
    """The engine answers nobody for a while: it goes on by itself before the harness has ended, or only after it was killed."""
    assert trial.engine is not None
    trial.engine.freeze()
    trial.struck = 1
    if draw.random() < 1 / 2:
        trial.killed = True
        harness.send_signal(signal.SIGKILL)
        trial.instant += ", frozen, then SIGKILL"
        return
    lasting_s = draw.uniform(0.5, FROZEN_S)
    trial.instant += f", frozen for {lasting_s:.1f} s, SIGTERM"
    harness.send_signal(signal.SIGTERM)
    threading.Timer(lasting_s, trial.engine.thaw).start()


# --- what must hold ----------------------------------------------------------------------------------------------------


def look_after(trial: Trial) -> None:
    """By how it was ended."""
    if trial.killed:
        if trial.way == "engine":
            while_frozen(trial)
        after_kill(trial)
    elif trial.way in SIGNALS:
        after_signal(trial)
    else:
        after_trouble(trial)


def after_kill(trial: Trial) -> None:
    """Listed, refused, healed; and what was recorded can be judged, but never passes."""
    was_over = trial.happened("run_ended")
    wait(lambda: not HELPERS & set(processes(trial.state).values()), HELPERS_WITHIN_S)
    alive = processes(trial.state)
    if HELPERS & set(alive.values()):
        trial.wrong(f"helpers outlive their harness: {alive}")
    listed = trial.nines("leftovers", "--json")
    trial.expect(listed, 0, 5)
    told = {item["detail"] for item in json.loads(listed.stdout or "[]")}
    unlisted = {pid: node for pid, node in alive.items() if f"pid {pid}" not in told}
    if unlisted:
        trial.wrong(f"alive and not listed: {unlisted}")
    if listed.returncode == 5:
        refused = trial.nines("run", "soak.yaml", "--runtime", trial.runtime, "--folder", "second", "--quiet")
        trial.expect(refused, 5)
        if "nines heal" not in refused.stderr:
            trial.wrong("the refusal does not say how to go on")
    trial.expect(trial.nines("heal"), 0)
    if (trial.run / "plan.json").exists():
        judged = trial.nines("judge", trial.run, "--json")
        trial.expect(judged, *((0, 1, 3, 6) if was_over else (3, 6)))


def while_frozen(trial: Trial) -> None:
    """An engine that cannot be asked is told of, not passed over; afterwards it goes on."""
    assert trial.engine is not None
    listed = trial.nines("leftovers", "--json")
    trial.expect(listed, 5)
    healed = trial.nines("heal")
    trial.expect(healed, 6)
    trial.engine.thaw()


def after_signal(trial: Trial) -> None:
    """Nothing is left, and the exit status says what it was; a signal to Python before it runs our code is Python's own affair."""
    # Two that arrive together are handled in the order of their numbers.
    interrupted, terminated = (130, -signal.SIGINT), (143, -signal.SIGTERM)
    # One that was to be killed and had ended before: over, or refused.
    expected = {"int": interrupted, "term": terminated, "twice": terminated + interrupted, "kill": (0,)}[trial.way]
    over = trial.status in (0, 1, 3) and trial.happened("run_ended")
    if trial.status not in expected and not over and not trial.refused:
        trial.wrong(f"it ended with {trial.status}, not {expected[0]}")


def after_trouble(trial: Trial) -> None:
    """Either every fault was healed all the same, or exit 6 tells of it and what is left is listed; then heal removes it."""
    if trial.status == 6:
        trial.nines("heal")
        return
    if not trial.struck or trial.refused:
        return
    if trial.way == "engine" and trial.status in (143, -signal.SIGTERM):
        return  # what it left, if anything, is seen below
    try:
        report = json.loads((trial.folder / "stdout").read_text(encoding="utf-8"))
        statuses = {fault["id"]: fault["status"] for fault in report["faults"]}
    except (json.JSONDecodeError, KeyError):
        statuses = {"": "no report"}
    if set(statuses.values()) - {"healed", "failed", "skipped"}:
        trial.wrong(f"it ended with {trial.status}, and its faults are {statuses}")


def look_around(trial: Trial, held: list[int], bridges: set[str], before: Look) -> None:
    """Processes, loopback, the state folder, and all that is on the engine are as before."""
    trial.expect(trial.nines("leftovers"), 0)
    alive = processes(trial.state)
    if alive:
        trial.wrong(f"still alive: {alive}")
    for block in held:
        if listeners(block):
            trial.wrong(f"still bound: {listeners(block)}")
    there = {name for name in bridges if Path("/sys/class/net", name).exists()}
    if there:
        trial.wrong(f"bridges are still there: {sorted(there)}")
    kept = sorted(str(path.relative_to(trial.state)) for path in trial.state.rglob("*") if path.is_file())
    if {path for path in kept if not path.startswith("engines")} - {"heal.lock"}:
        trial.wrong(f"still in the state folder: {kept}")
    # The engine takes containers' processes and mounts away a moment after it says that they are gone.
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(before, look(trial.engine))
        return not found

    if not wait(same, 5.0):
        trial.troubles += found
    if trial.troubles:
        trial.nines("heal")
    for pid in processes(trial.state):
        os.kill(pid, signal.SIGKILL)
