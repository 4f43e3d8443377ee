"""What the runs came to, as one table: each environment beside the plain engine."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.engines.carried_out import EDGES, OUTCOME, Outcome
from bench.engines.environments import ENVIRONMENTS, Environment

PLAIN: Final = ENVIRONMENTS[0].name
EXPERIMENTS: Final = ("quickstart", "partition")
DECIDED: Final = ("consistent", "inconsistent")
HEAD: Final = (
    "| engine | quickstart | partition | left behind | outage edges within a slot | to the first good request |\n|---|---|---|---|---|---|"
)


def in_short(done: Outcome) -> str:
    """One run on one line."""
    told = f"exit {done.status}, {done.verdict}, {done.agreement}, {len(done.left)} left, {done.took_s:.0f} s"
    if done.edges:
        told += f", edges {done.within} of {done.edges}, {done.flagged} flagged, worst {done.worst_slots:.2f}"
    return told


def made(chosen: Sequence[Environment], runs: Path, seeds: int) -> tuple[list[str], list[str]]:
    """The lines of the table; and what is not as it is to be."""
    lines, wrong = HEAD.splitlines(), []
    for environment in chosen:
        found = {(name, seed): outcome(runs, environment.name, name, seed) for name in EXPERIMENTS for seed in range(1, seeds + 1)}
        there = {key: kept for key, kept in found.items() if kept is not None}
        edge = outcome(runs, environment.name, EDGES, 1)
        all_runs = [*there.values(), *([edge] if edge is not None else [])]
        left = sorted({thing for each in all_runs for thing in each.left})
        cells = [_runs([there[key] for key in there if key[0] == name]) for name in EXPERIMENTS]
        lines.append("| " + " | ".join([environment.called, *cells, _left(all_runs, left), _edges(edge), _first_good(all_runs)]) + " |")
        wrong += [f"{environment.name}: {name} with seed {seed} was not run" for (name, seed), kept in found.items() if kept is None]
        for (name, seed), kept in there.items():
            plain = outcome(runs, PLAIN, name, seed)
            if kept.status != 0 or kept.agreement not in DECIDED or (plain is not None and plain.verdict != kept.verdict):
                wrong.append(f"{environment.name}: {name} with seed {seed}: {in_short(kept)}")
        wrong += [f"{environment.name}: left behind: {', '.join(left)}"] * bool(left)
        if edge is not None and (edge.within + edge.flagged < edge.edges or edge.missed or edge.invented or not edge.edges):
            wrong.append(f"{environment.name}: edges: {in_short(edge)}, {edge.missed} missed, {edge.invented} invented")
    return lines, wrong


def outcome(runs: Path, environment: str, name: str, seed: int) -> Outcome | None:
    """What is kept of a run."""
    try:
        return msgspec.json.decode((runs / environment / f"{name}-{seed}" / OUTCOME).read_bytes(), type=Outcome)
    except FileNotFoundError:
        return None


def _runs(outcomes: Sequence[Outcome]) -> str:
    """Alike runs are counted together; those whose assumptions failed (late requests, on a busy machine) apart."""
    valid = [each for each in outcomes if each.verdict != "unknown"]
    counted = Counter(f"exit {each.status}, {each.verdict}, {each.agreement}" for each in valid)
    told = [f"{count} of {len(outcomes)}: {what}" for what, count in counted.items()]
    told += [f"{len(outcomes) - len(valid)} of {len(outcomes)}: not valid"] * (len(valid) < len(outcomes))
    return "; ".join(told) or "not run"


def _left(outcomes: Sequence[Outcome], left: Sequence[str]) -> str:
    if not outcomes:
        return ""
    return ", ".join(left) if left else f"nothing in {len(outcomes)} runs"


def _first_good(outcomes: Sequence[Outcome]) -> str:
    """Of all runs of this environment."""
    found = [each.first_good_s for each in outcomes if each.first_good_s is not None]
    return f"{statistics.median(found):.1f} s (median of {len(found)})" if found else ""


def _edges(done: Outcome | None) -> str:
    if done is None:
        return "not run"
    told = f"{done.within} of {done.edges}, worst {done.worst_slots:.2f}"
    told += f"; {done.flagged} flagged, beside a missing slot" if done.flagged else ""
    return told + (f"; {done.missed} missed, {done.invented} invented" if done.missed or done.invented else "")
