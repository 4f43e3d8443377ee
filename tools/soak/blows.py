"""When a run is struck, and how: by signals, or by what becomes of the things that it relies on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time

from tools.soak.engine import SYSTEM, freeze_all
from tools.soak.kinds import FAULT_S
from tools.soak.look import processes
from tools.soak.trial import Trial, wait

RUN_S = {"local": 7.0, "docker": 14.0}
"""About how long an undisturbed run lasts."""
FROZEN_S = 8.0
"""The longest that the engine does not answer, where it goes on before the harness has given up."""
SIGNALS = {
    "kill": [signal.SIGKILL], "int": [signal.SIGINT], "term": [signal.SIGTERM], "twice": [signal.SIGTERM, signal.SIGINT],
}  # fmt: skip


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
