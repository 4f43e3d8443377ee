"""One run in one environment: carried out from its shell, then held against what is on the engine, and what the replica wrote down."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench import edges
from bench.engines.environments import Shell
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_harness, ensure_target
from chaos.engine.leftovers import NODE, ROLE
from chaos.experiment.target.load import load_target
from chaos.history import observations
from chaos.history.events import RunStarted, TrafficStarted
from chaos.history.folder import RunFolder
from chaos.measure import slots as timeline_slots
from tests.support.paths import ROOT

EXPERIMENTS: Final = {
    "quickstart": ROOT / "experiments" / "quickstart.yaml",
    "partition": Path(__file__).with_name("partition.yaml"),
    "edges": Path(__file__).with_name("edges.yaml"),
}
EDGES: Final = "edges"
RATE_PER_S: Final = 200.0
TRUTH: Final = "/var/lib/metronome/truth.jsonl"
SAMPLE_S: Final = 0.5
OUTCOME: Final = "outcome.json"
ENDS_WITHIN_S: Final = 60.0
KILLED_WITHIN_S: Final = 10.0
LOOK_S: Final = 0.05


class Outcome(msgspec.Struct):
    """What is kept of a run, beside its run folder."""

    status: int
    verdict: str
    agreement: str
    left: list[str]
    """What is on the engine that was not there before."""
    took_s: float
    engine: str
    elsewhere: bool
    first_good_s: float | None = None
    """From the start of the command to the first good answer; images are there."""
    said: str = ""
    """The last words of a run that ended with an error."""
    edges: int = 0
    within: int = 0
    """Edges within one slot of the truth."""
    flagged: int = 0
    """Edges beside which a slot is missing: the report gives them as a range."""
    worst_slots: float = 0.0
    missed: int = 0
    invented: int = 0


def carry_out(shell: Shell, name: str, seed: int, folder: Path, through: Sequence[str]) -> Outcome:
    """The experiment of that name. ``through``: a command that each run is started by, such as one that waits for a quiet machine."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(EXPERIMENTS[name], folder / "experiment.yaml")
    shell.own(folder)
    words = ["run", "experiment.yaml", "--runtime", "docker", "--seed", str(seed), "--folder", "run", "-q"]
    environment = shell.environment | {"NINES_STATE": str(folder / "state"), "NINES_HISTORY": "off"}
    with connect(shell.engine, checked=False) as engine:
        facts = engine.facts
    before = on_engine(shell.engine)
    with contextlib.ExitStack() as stack:
        if name == EDGES:
            stack.enter_context(truth_kept(shell.engine, folder / "truth.jsonl"))
        began_s, began_at_s = time.monotonic(), time.time()
        done = ended([*through, *shell.wrap([sys.executable, "-m", "chaos", *words])], folder, environment)
        took_s = time.monotonic() - began_s
    report = _report(folder / "run" / "report.json")
    known = f"{facts.product} {facts.version}, API {facts.api}, {facts.storage}, cgroup v{facts.cgroup}"
    outcome = Outcome(
        done.returncode, str(report.get("verdict", "none")), str(report.get("agreement_overall", "none")),
        sorted(on_engine(shell.engine) - before), took_s, known, bool(facts.elsewhere), said=done.stderr[-2000:] if done.returncode else "",
    )  # fmt: skip
    if report:
        outcome.first_good_s = _first_good_s(RunFolder(folder / "run"), began_at_s)
    if name == EDGES and report:
        _hold_against_truth(outcome, folder)
    (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    return outcome


def ended(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The command, when it has ended. If we are to end first, so is it: what it had started goes before its engine does."""
    # A group of its own: what wraps the command may pass no signal on. As a file its words fill no pipe while nobody reads.
    with (folder / "stderr").open("w+", encoding="utf-8") as err, subprocess.Popen(
        words, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True
    ) as process:  # fmt: skip
        try:
            process.wait()
        except BaseException:
            _end(process)
            raise
        err.seek(0)
        return subprocess.CompletedProcess(words, process.returncode, "", err.read())


def _end(process: subprocess.Popen[bytes]) -> None:
    """As by Ctrl-C; what does not end in time is killed."""
    for number, within_s in ((signal.SIGINT, ENDS_WITHIN_S), (signal.SIGKILL, KILLED_WITHIN_S)):
        until_s = time.monotonic() + within_s
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < until_s:
                process.poll()  # one that is dead and not waited for is still of the group
                os.killpg(process.pid, 0)
                time.sleep(LOOK_S)


def warm(shell: Shell) -> None:
    """Its images are there, so that no run makes one."""
    with connect(shell.engine, checked=False) as engine:
        ensure_harness(engine)
        for target in ("replicated_kv", "metronome"):
            ensure_target(engine, load_target(target, beside=ROOT), "data")


def _first_good_s(run: RunFolder, began_at_s: float) -> float | None:
    """By the wall clock, which is the same in all namespaces: the first row says when it was written, by both clocks."""
    started = next(row for row in run.rows() if isinstance(row, RunStarted))
    records = observations.read(run.path / "observations.bin")
    good = records["done"][records["outcome"] == observations.Outcome.OK]
    if not len(good):
        return None
    return datetime.fromisoformat(started.started_at).timestamp() + (int(good.min()) - started.at_ns) / 1e9 - began_at_s


def on_engine(host: str) -> set[str]:
    """Containers, networks and volumes, by names that do not change by themselves."""
    with connect(host, checked=False) as engine:
        api = engine.client.api
        found = {f"container {each['Names'][0]}" for each in api.containers(all=True)}
        found |= {f"network {each['Name']}" for each in api.networks()}
        return found | {f"volume {each['Name']}" for each in api.volumes()["Volumes"] or ()}


def _report(path: Path) -> dict[str, object]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        return {}


# --- the truth ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def truth_kept(host: str, path: Path) -> Iterator[None]:
    """The replica's log, fetched from its container again and again while that is there: the last one stays."""
    over = threading.Event()

    def fetch() -> None:
        from docker.errors import DockerException

        with connect(host, checked=False) as engine:
            api = engine.client.api
            while not over.wait(SAMPLE_S):
                with contextlib.suppress(DockerException, tarfile.TarError, KeyError, OSError):
                    (made,) = api.containers(filters={"label": [f"{ROLE}=system", f"{NODE}=n1"]}) or [None]
                    if made is None:
                        continue
                    stream, _ = api.get_archive(made["Id"], TRUTH)
                    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                        file = archive.extractfile("truth.jsonl")
                        if file is not None:
                            path.write_bytes(file.read())

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _hold_against_truth(outcome: Outcome, folder: Path) -> None:
    run = RunFolder(folder / "run")
    started = next(row for row in run.rows() if isinstance(row, TrafficStarted))
    slots = timeline_slots.lay_out(
        observations.read(run.path / "observations.bin"), operation=0, start_ns=started.start_ns, rate_per_s=RATE_PER_S,
        deadline_s=edges.TIMEOUT_S, limit=round(started.duration_s * RATE_PER_S) + 2, promised=None,
    )  # fmt: skip
    seen = timeline_slots.find_outages(slots, edges.OPENS, edges.CLOSES, 0.0)
    truth_s = (edges.truth_of(folder) - started.start_ns) / 1e9
    whole = (truth_s[:, 0] > 0) & (truth_s[:, 1] < started.duration_s - edges.TAIL_S)
    found = edges.compare("refuse", slots, seen, truth_s[whole], 0.0)
    errors = np.array([abs(edge.error) for edge in found.starts + found.ends])
    outcome.edges, outcome.within = len(errors), int(np.sum(errors <= 1.0))
    outcome.worst_slots = float(errors.max()) if len(errors) else 0.0
    outcome.flagged = sum(abs(edge.error) > 1.0 and not edge.whole for edge in found.starts + found.ends)
    outcome.missed, outcome.invented = found.missed, found.invented
