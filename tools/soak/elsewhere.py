"""Runs on an engine that is elsewhere, whose command goes away: is all healed there without it? ``python -m tools.soak.elsewhere``.

    python -m tools.soak.elsewhere [--count 40] [--at-once 3] [--seed 1] [--ways kill,cut,sleep] [--kinds kill,pause,...]

    kill    SIGKILL to the command
    cut     what the command and the engine say to each other gets lost from then on; no connection is closed
    sleep   the command is stopped for 30 s (SIGSTOP), as a machine that sleeps; then it goes on

Each fault would last for two minutes, so that nothing but the harness there ends it. Measured: from the blow until the fault was gone, by
the run's own history, whose clock is the engine's, 100,000 s ahead; and until nothing of the run was on the engine. Allowed are the 15 s
that agents wait. Afterwards ``nines fetch`` must bring the folder (a command that wakes up brings it by itself), with every request until
then, and the engine must be empty. Needs root, for the engine in namespaces of its own. Exit 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.core import plugins as tables
from chaos.core.errors import NinesError
from chaos.elsewhere.beside import discard
from chaos.engine.connection import Engine, connect
from chaos.engine.images.build import quiet
from chaos.engine.images.ensure import ensure_base, ensure_harness, ensure_target
from chaos.engine.images.tools import ensure_tools
from chaos.experiment.target.load import load_target
from chaos.history import observations
from chaos.history.events import FaultEffective, FaultGone, RunEnded
from chaos.history.folder import RunFolder
from tests.support import engine_elsewhere
from tools.soak.kinds import ROOT, Example, examples
from tools.soak.relay import Relay
from tools.soak.trial import wait

WAYS: Final = ("kill", "cut", "sleep")
AGENTS_S: Final = 15.0
"""So long an agent waits for its harness."""
ASLEEP_S: Final = 30.0
FAULT_S: Final = 120.0
BEGUN_WITHIN_S: Final = 240.0
GONE_WITHIN_S: Final = 60.0
ENDS_WITHIN_S: Final = 120.0
FIRST_WORDS: Final = '"fault_effective"'


@dataclass
class Trial:
    """One run, and what was found."""

    number: int
    way: str
    example: Example
    folder: Path
    host: str
    after_s: float
    """From the fault's effect to the blow."""
    healed_s: float | None = None
    gone_s: float | None = None
    refused: str = ""
    """Why there was nothing to heal: this machine cannot do it, or is too busy."""
    troubles: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"away{self.number}"

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {"NINES_STATE": str(self.folder / "state"), "NINES_HISTORY": "off", "DOCKER_HOST": self.host}

    def nines(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command to its end, by the engine's own socket."""
        command = [sys.executable, "-m", "chaos", *words]
        return subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=ENDS_WITHIN_S)

    def __str__(self) -> str:
        def seconds(value: float | None) -> str:
            return "-" if value is None else f"{value:.1f} s"

        said = "; ".join(self.troubles) or (f"refused: {self.refused}" if self.refused else "ok")
        healed = f"healed after {seconds(self.healed_s)}, nothing left after {seconds(self.gone_s)}"
        return f"{self.number:3} {self.way:6} {self.example.kind:12} {self.after_s:4.1f} s into the fault; {healed}; {said}"


def carry_out(trial: Trial, runs: Path) -> None:
    """``runs``: where harnesses beside the engine keep their folders, as this machine's disk has it."""
    trial.folder.mkdir(parents=True)
    (trial.folder / "away.yaml").write_text(trial.example.text(trial.number, for_s=FAULT_S), encoding="utf-8")
    with Relay(Path(trial.host.removeprefix("unix://")), trial.folder / "s") as relay:
        command = [sys.executable, "-m", "chaos", "run", "away.yaml", "--runtime", "docker", "--folder", trial.name, "-q"]
        env = trial.env | {"DOCKER_HOST": f"unix://{relay.path}"}
        with (trial.folder / "said").open("wb") as said:
            process = subprocess.Popen(command, cwd=trial.folder, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            wait(lambda: _begun(runs, trial.name) or process.poll() is not None, BEGUN_WITHIN_S)
            if not _begun(runs, trial.name):
                said = (trial.folder / "said").read_text(encoding="utf-8", errors="replace").strip()
                trial.refused = f"no fault took effect: {said[-200:]}"
                process.send_signal(signal.SIGINT)
                process.wait(ENDS_WITHIN_S)
                return
            time.sleep(trial.after_s)
            _strike(trial, process, relay)
        finally:
            process.kill()
            process.wait()


def _begun(runs: Path, name: str) -> bool:
    return any(FIRST_WORDS in path.read_text(encoding="utf-8", errors="replace") for path in runs.glob(f"{name}-*/history.jsonl"))


def _strike(trial: Trial, process: subprocess.Popen[bytes], relay: Relay) -> None:
    struck_s = time.monotonic()
    if trial.way == "cut":
        relay.lose_everything()
    else:
        process.send_signal(signal.SIGKILL if trial.way == "kill" else signal.SIGSTOP)
    with connect(trial.host, checked=False) as engine:
        if wait(lambda: not _things(engine, trial.name), GONE_WITHIN_S):
            trial.gone_s = time.monotonic() - struck_s
        else:
            trial.troubles.append(f"still there: {_things(engine, trial.name)}")
    if trial.way == "sleep":
        time.sleep(max(0.0, ASLEEP_S - (time.monotonic() - struck_s)))
        process.send_signal(signal.SIGCONT)
        if process.wait(ENDS_WITHIN_S) != 128 + signal.SIGINT:
            trial.troubles.append(f"the command that woke up ended with {process.returncode}")
    else:
        process.kill()
        process.wait()
        _fetch(trial)
    _look_into(trial, struck_s)


def _things(engine: Engine, name: str) -> list[str]:
    """Containers and networks of the run."""
    found = [str(each["Names"][0]) for each in engine.client.api.containers(all=True)]
    found += [str(each["Name"]) for each in engine.client.api.networks()]
    return [each for each in found if f"-{name}-" in each]


def _fetch(trial: Trial) -> None:
    listed = trial.nines("fetch")
    waits = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith(f"{trial.name}-")]
    if listed.returncode or len(waits) != 1:
        trial.troubles.append(f"'nines fetch' ended with {listed.returncode} and lists {waits}: {listed.stderr.strip()[-200:]}")
        return
    shutil.rmtree(trial.folder / trial.name, ignore_errors=True)
    fetched = trial.nines("fetch", waits[0], "--folder", trial.name)
    if fetched.returncode:
        trial.troubles.append(f"'nines fetch {waits[0]}' ended with {fetched.returncode}: {fetched.stderr.strip()[-200:]}")


def _look_into(trial: Trial, struck_s: float) -> None:
    """What came back: whole, healed in time, and with what was measured until then."""
    folder = trial.folder / trial.name
    try:
        rows = RunFolder(folder).rows()
        slots = len(observations.read(folder / "observations.bin"))
    except (NinesError, OSError) as error:
        trial.troubles.append(f"no run folder came: {error}")
        return
    ended = rows[-1]
    if not isinstance(ended, RunEnded) or ended.left:
        trial.troubles.append(f"the last row is {ended}")
    gone = [row.at_ns for row in rows if isinstance(row, FaultGone)]
    begun = [row.at_ns for row in rows if isinstance(row, FaultEffective)]
    if gone:
        trial.healed_s = max(gone) / 1e9 - engine_elsewhere.AHEAD_S - struck_s
    if len(gone) != len(begun) or trial.healed_s is None or trial.healed_s > AGENTS_S:
        trial.troubles.append(f"{len(gone)} of {len(begun)} faults were seen to be gone, the last after {trial.healed_s} s")
    if not slots or not (folder / "report.json").exists():
        trial.troubles.append(f"{slots} requests, and {'a' if (folder / 'report.json').exists() else 'no'} report")


def _warm(engine: Engine) -> None:
    target = load_target("replicated_kv", beside=ROOT)
    ensure_harness(engine)
    ensure_tools(engine, ensure_base(engine), quiet)
    for part in target.parts:
        ensure_target(engine, target, part)


def main() -> int:
    """Prints a line for each trial and what they come to; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--kinds", default="")
    asked = parser.parse_args()
    draw = random.Random(asked.seed)  # noqa: S311 - instants, no secrets
    able, _ = examples("docker", asked.kinds.split(",") if asked.kinds else tables.names("faults"))
    kinds = sorted(able)
    ways = asked.ways.split(",")
    scratch = Path(tempfile.mkdtemp(prefix="nines-away-"))
    with engine_elsewhere.running() as host, connect(host, checked=False) as engine:
        discard(engine)
        _warm(engine)
        runs = Path(engine.facts.data_root) / "volumes" / "nines-beside" / "_data" / "runs"
        done = _all(
            asked, scratch, host, runs, lambda number: (ways[number % len(ways)], draw.choice(able[kinds[number % len(kinds)]]), draw)
        )
        left = [name for name in _everything(engine) if name not in ("network bridge", "network host", "network none")]
    told = [trial for trial in done if not trial.refused]
    good = [trial for trial in told if not trial.troubles]
    for way in ways:
        mine = [trial for trial in told if trial.way == way]
        healed = [trial.healed_s for trial in mine if trial.healed_s is not None]
        gone = [trial.gone_s for trial in mine if trial.gone_s is not None]
        fine = sum(not trial.troubles for trial in mine)
        worst = f"healed after {max(healed, default=0.0):.1f} s at worst, nothing left after {max(gone, default=0.0):.1f} s"
        print(f"{way}: {fine} of {len(mine)}; {worst}")
    print(f"{len(good)} of {len(told)} were healed in time and came back whole; left on the engine: {', '.join(left) or 'nothing'}")
    if len(good) == len(told) and not left:
        shutil.rmtree(scratch)
        return 0
    print(f"the folders are in {scratch}", file=sys.stderr)
    return 1


def _everything(engine: Engine) -> list[str]:
    api = engine.client.api
    found = [f"container {each['Names'][0]}" for each in api.containers(all=True)] + [f"network {each['Name']}" for each in api.networks()]
    return found + [f"volume {each['Name']}" for each in api.volumes()["Volumes"] or ()]


def _all(
    asked: argparse.Namespace, scratch: Path, host: str, runs: Path, pick: Callable[[int], tuple[str, Example, random.Random]]
) -> list[Trial]:
    """So many that could be carried out; what this machine cannot do is replaced by the next kind."""
    done: list[Trial] = []

    def one(trial: Trial) -> Trial:
        try:
            carry_out(trial, runs)
        except Exception as error:
            trial.troubles.append(f"{type(error).__name__}: {error}")
        print(trial, flush=True)
        return trial

    number = 0
    with ThreadPoolExecutor(asked.at_once) as pool:
        while (missing := asked.count - sum(not trial.refused for trial in done)) > 0:
            trials = []
            for _ in range(missing):
                way, example, draw = pick(number)
                number += 1
                trials.append(Trial(number, way, example, scratch / str(number), host, draw.uniform(0.2, 5.0)))
            done += pool.map(one, trials)
    return done


if __name__ == "__main__":
    raise SystemExit(main())
