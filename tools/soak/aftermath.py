"""What must hold after a run was struck, by how it ended; and that everything is as it was before it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tools.soak.blows import SIGNALS
from tools.soak.look import Look, differences, listeners, look, processes
from tools.soak.trial import Trial, wait

HELPERS = {"prober", "dns", "watch"}
"""Our own helper processes end by themselves, soon after their harness."""
HELPERS_WITHIN_S = 10.0


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
