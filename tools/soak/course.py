"""The course of one trial: a run is started, ended at some instant, and what is left of it looked at."""

from __future__ import annotations

import random
import subprocess
import sys

from tools.soak.aftermath import look_after, look_around
from tools.soak.blows import await_instant, strike
from tools.soak.look import blocks, look
from tools.soak.trial import Trial

CAPABILITY = 5


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
        # Before its refusal it has said where it runs.
        trial.refused = next((line.removeprefix("nines: ") for line in said.splitlines() if line.startswith("nines: ")), said.strip())
    look_after(trial)
    look_around(trial, held, bridges, before)
