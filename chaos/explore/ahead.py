"""Drawn schedules run one after the other, or, in virtual time, spread over the cores; always given back in the order drawn.

The same seed gives the same schedules and the same runs, whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import rng
from chaos.explore.draw import Bounds, draw
from chaos.explore.menu import Menu
from chaos.explore.schedule import Schedule
from chaos.explore.trial import Bench, Tried

AHEAD: Final = 4
"""Runs that wait for each process: it is never idle while the results are looked at."""

MOST_SEED: Final = 10**9


class Drawn(msgspec.Struct, frozen=True):
    """One schedule that was drawn and run. ``seed``: of its run."""

    number: int
    schedule: Schedule
    seed: int
    tried: Tried


class Source(msgspec.Struct, frozen=True):
    """Where schedules come from: all that one number is turned into a run with."""

    bench: Bench
    menu: Menu
    bounds: Bounds
    seed: int

    def seed_of(self, *names: str | int) -> int:
        """Of one run; small enough to be written in a file."""
        return rng.derive(self.seed, *names) % MOST_SEED

    def run(self, number: int, folder: Path) -> Drawn:
        """Draw the ``number``-th schedule and run it."""
        schedule = draw(self.seed, number, self.menu, self.bounds, lambda each: self.bench.planned(each, self.seed))
        seed = self.seed_of("run", number)
        return Drawn(number, schedule, seed, self.bench.tried(schedule, seed, folder))


def one_by_one(source: Source, folder: Path) -> Generator[Drawn, None, None]:
    """Without end."""
    number = 0
    while True:
        yield source.run(number, folder / f"{number:05}")
        number += 1


def spread(source: Source, folder: Path, jobs: int) -> Generator[Drawn, None, None]:
    """The same by ``jobs`` processes, for runs that need no machine of their own. Close the iterator to end them."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_keep, initargs=(source,)) as pool:
        waiting: deque[Future[Drawn]] = deque()
        number = 0
        try:
            while True:
                while len(waiting) < jobs * AHEAD:
                    waiting.append(pool.submit(_run, number, str(folder)))
                    number += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_source: Source | None = None
"""Of this process, if it is one of those that ``spread`` started."""


def _keep(source: Source) -> None:
    global _source  # noqa: PLW0603 - a process of a pool is handed its data once
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the business of the process that waits for this one
    _source = source


def _run(number: int, folder: str) -> Drawn:
    assert _source is not None
    return _source.run(number, Path(folder) / f"{number:05}")
