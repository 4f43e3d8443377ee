"""Edges of outages on metronome, beside its truth log: the measuring chain (prober, records, edge rule) against a known answer.

    python -m bench.edges [--json] [--quick]

About 100 outages of 20 ms to 3 s at each rate, a quarter each for refuse, reset, error and hang (time-out 100 ms, from due time).
To reach: at 200 slots a second every start and end within one slot; at 1,000 a second 99 %, the rest touched by missing slots; mean
error within 0.1 slot of zero; none missed, none invented. Errors are in slots, measured minus true: a positive one is late.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.servers import runs
from chaos.experiment.traffic import ClientPolicy
from chaos.measure import slots as timeline_slots

TARGET = Path(__file__).resolve().parents[1] / "targets" / "metronome"
MANNERS = ("refuse", "reset", "error", "hang")
PORT = 7000
OPENS = CLOSES = 2
TIMEOUT_S = 0.1
TAIL_S = 0.3
"""Outages that end later than this before the end of the traffic are not judged: their end may not have been seen."""


@dataclass
class Edge:
    """One edge: its error in slots, and whether the slots on both sides of it were neighbours (no missing slot between)."""

    error: float
    whole: bool


@dataclass
class Found:
    """What one run showed beside the truth."""

    manner: str
    starts: list[Edge]
    ends: list[Edge]
    missed: int
    invented: int
    missing_slots: int
    slots: int
    late_s: float
    """How late the slots that count were sent, on average: edges are early by this and by the way to the replica."""


@contextmanager
def metronome(manner: str, address: str, folder: Path, epoch_ns: int, seed: int) -> Iterator[None]:
    """One replica on its beat; on the core that the prober does not use."""
    options = {
        "node": "n1", "address": address, "port": PORT, "data": folder, "manner": manner, "seed": seed, "epoch-ns": epoch_ns,
        "down-min": "20ms", "down-max": "3s", "up-min": "200ms", "up-max": "600ms",
    }  # fmt: skip
    command = [sys.executable, "-E", "-s", "-S", str(TARGET / "serve.py")]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen(runs.on_core(1, command), stdout=subprocess.PIPE, start_new_session=True)
    try:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"the metronome at {address} does not start")
        yield
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def truth_of(folder: Path) -> NDArray[np.float64]:
    """Rows of (down, up) in ns; an outage that was open at the end is left out."""
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    return np.array([(row["down_ns"], row["up_ns"]) for row in rows if row["up_ns"] is not None], dtype=np.float64).reshape(-1, 2)


def measure(manner: str, number: int, rate_per_s: float, duration_s: float, folder: Path) -> Found:
    """One run of the prober against one manner."""
    folder.mkdir()
    address = f"127.8.{number}.1"
    client = ClientPolicy(timeout_s=TIMEOUT_S, attempts=1, deadline_s=TIMEOUT_S)
    wanted = msgspec.structs.replace(runs.spec(folder, (address, PORT), rate_per_s, duration_s, client), duration_s=duration_s)
    with metronome(manner, address, folder, wanted.start_ns, number):
        result = runs.probe(folder, wanted)
    slots = timeline_slots.lay_out(
        result.records, operation=0, start_ns=wanted.start_ns, rate_per_s=rate_per_s, deadline_s=TIMEOUT_S,
        limit=round(duration_s * rate_per_s) + 2, promised=None,
    )  # fmt: skip
    edges = timeline_slots.find_outages(slots, OPENS, CLOSES, 0.0)
    truth_s = (truth_of(folder) - wanted.start_ns) / 1e9
    late_ns = result.records["sent"] - result.records["due"]
    counted = (result.records["sent"] > 0) & (late_ns <= 0.5e9 / rate_per_s)
    return compare(manner, slots, edges, truth_s[truth_s[:, 1] < duration_s - TAIL_S], float(np.mean(late_ns[counted])) / 1e9)


def compare(manner: str, slots: timeline_slots.Slots, edges: timeline_slots.Edges, truth_s: NDArray[np.float64], late_s: float) -> Found:
    """Pair every true outage with the measured one that overlaps it."""
    starts: list[Edge] = []
    ends: list[Edge] = []
    taken: set[int] = set()
    slot_s = slots.slot_s
    for down_s, up_s in truth_s:
        overlapping = np.flatnonzero((edges.first_bad_s < up_s + slot_s) & (edges.last_bad_s > down_s - slot_s))
        free = [int(place) for place in overlapping if int(place) not in taken]
        if not free:
            continue
        place = free[0]
        taken.add(place)
        gap_s = edges.first_bad_s[place] - edges.last_good_s[place]
        starts.append(Edge(float(edges.start_s[place] - down_s) / slot_s, bool(gap_s < 1.5 * slot_s)))
        gap_s = edges.first_good_s[place] - edges.last_bad_s[place]
        ends.append(Edge(float(edges.end_s[place] - up_s) / slot_s, bool(gap_s < 1.5 * slot_s)))
    last_s = truth_s[-1, 1] if len(truth_s) else 0.0
    invented = sum(1 for place in range(len(edges)) if place not in taken and edges.first_bad_s[place] < last_s)
    missing = int(np.sum(slots.state == timeline_slots.MISSING))
    return Found(manner, starts, ends, len(truth_s) - len(starts), invented, missing, len(slots.state), late_s)


def table(rate_per_s: float, share: float, found: list[Found]) -> tuple[str, list[runs.Row]]:
    """What one rate showed, in short, and its rows."""
    at = f"{rate_per_s:,.0f} slots/s"
    edges = [edge for one in found for edge in one.starts + one.ends]
    within = [abs(edge.error) <= 1.0 for edge in edges]
    flagged = sum(1 for edge, good in zip(edges, within, strict=True) if not good and not edge.whole)
    unflagged = len(edges) - sum(within) - flagged
    outages = len(edges) // 2
    missing = sum(one.missing_slots for one in found) / max(1, sum(one.slots for one in found))
    got = sum(within) / max(1, len(edges))
    short = f"at {rate_per_s:,.0f}: {got:.2%} of {len(edges)} edges"
    rows = [
        runs.Row(
            f"{at}: edges within 1 slot", f"{share:.0%}, rest flagged", f"{got:.2%}",
            f"{outages} outages, {flagged} edges flagged, {unflagged} not; {missing:.2%} of slots missing",
            got >= share and unflagged == 0,
        )
    ]  # fmt: skip
    for word, chosen in (("start", [one.starts for one in found]), ("end", [one.ends for one in found])):
        # An edge under missing slots says so itself; the bias is that of the edges that claim to be exact.
        errors = np.array([edge.error for each in chosen for edge in each if edge.whole])
        means = {one.manner: np.mean([edge.error for edge in each]) for one, each in zip(found, chosen, strict=True) if each}
        by = ", ".join(f"{manner} {mean:+.3f}" for manner, mean in means.items())
        mean = float(np.mean(errors)) if len(errors) else 0.0
        rows.append(runs.Row(f"{at}: mean error of {word}s, slots", "within 0.1 of 0", f"{mean:+.3f}", by, abs(mean) <= 0.1))
        short += f", {word}s {mean:+.3f}"
    missed, invented = sum(one.missed for one in found), sum(one.invented for one in found)
    late = float(np.mean([one.late_s for one in found])) * rate_per_s
    rows.append(runs.Row(f"{at}: slots sent late by, mean", "", f"{late:.3f} slots", f"{late / rate_per_s * 1e6:.0f} µs"))
    rows.append(runs.Row(f"{at}: outages missed, invented", "0, 0", f"{missed}, {invented}", "", missed == invented == 0))
    return f"{short}; {missed} missed, {invented} invented", rows


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    duration_s = 8.0 if chosen.quick else 24.0
    short: list[str] = []
    rows: list[runs.Row] = []
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        for rate_per_s, share, at_once in ((200.0, 1.0, 4), (1000.0, 0.99, 1)):
            # Probers share one core: at the higher rate they would make each other late.
            with ThreadPoolExecutor(at_once) as pool:
                jobs = [
                    pool.submit(measure, manner, number, rate_per_s, duration_s, Path(name) / f"{manner}-{rate_per_s:.0f}")
                    for number, manner in enumerate(MANNERS, 1)
                ]
                said, found = table(rate_per_s, share, [job.result() for job in jobs])
            short.append(said)
            rows += found
    reach = "within 1 slot: all at 200 slots/s, 99 % at 1,000 (the rest flagged); mean error within 0.1 slot; none missed or invented"
    shown = runs.folded("outage edges on metronome", reach, "; ".join(short), "its truth log", rows)
    return runs.show([*shown, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
