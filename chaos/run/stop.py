"""Asking a run that goes on, in another terminal or job, to end: it heals, saves and judges what it has, as after a Ctrl-C.

The harness is the process that the run's record names, and only that very one is signalled: its number may have gone to another
process since. A run whose harness is gone is a leftover, and not ended but healed.
"""

from __future__ import annotations

import signal
from pathlib import Path

from chaos.core.clock import Clock, MonotonicClock, to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.registry.runs import RunRecord

LOOK_EVERY_S = 0.05


def active(state: Path | None = None) -> list[RunRecord]:
    """The runs whose harness lives."""
    return [record for record in registry.records(state) if not record.stale]


def stop_run(word: str, within_s: float, state: Path | None = None, clock: Clock | None = None) -> RunRecord:
    """End the run of that name or in that folder (SIGTERM to its harness) and wait until all that it had started is removed.

    ``BadInput`` if there is no such run; ``EnvironmentUnusable`` if it has not ended ``within_s``.
    """
    clock = clock or MonotonicClock()
    running = active(state)
    found = next((record for record in running if record.run == word or Path(record.folder) == Path(word).absolute()), None)
    if found is None:
        raise BadInput(f"no run '{word}' goes on", right=_choice([record.run for record in running], registry.stale(state)))
    if not proc.send(found.harness, signal.SIGTERM):
        raise BadInput(f"the harness of '{found.run}' has just ended", right="'nines leftovers' says whether it left anything")
    until_ns = clock.now_ns() + to_ns(within_s)
    while any(record.run == found.run and not record.stale for record in registry.records(state)):
        if clock.now_ns() >= until_ns:
            raise EnvironmentUnusable(
                f"{found.run} was asked to end {within_s:g} s ago and has not yet removed all it started",
                how="wait, or look into its folder",
            )
        clock.wait_until_ns(clock.now_ns() + to_ns(LOOK_EVERY_S))
    return found


def _choice(running: list[str], stale: list[RunRecord]) -> str:
    if running:
        return f"one of: {', '.join(running)}"
    return "nothing goes on; 'nines heal' sees to what crashed runs left" if stale else "nothing goes on"
