"""Many lives of one fleet, spread over processes or a Dask cluster. The same seed gives the same lives, wherever they are lived.

Replication k draws from a stream of its own (``SeedSequence(seed, spawn_key=(k,))``), so neither the number of workers nor who is faster
changes a figure. Workers need Nines and nothing else; one with a C compiler compiles the loop for itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import numpy as np

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.fleet import YEAR_S, Fleet
from chaos.predict.fleet import life, native, tables
from chaos.predict.fleet.state import CAUSES, CHANGES, MOST, Model, State

TASKS_A_WORKER: Final = 4
"""So many at least, where there are enough replications: who is slower gets fewer."""
_CONNECT_S: Final = 10


class Life(msgspec.Struct, frozen=True):
    """What one replication came to. ``outages`` and ``lost_s``: of each service, of each of ``CAUSES``; times in s."""

    number: int
    changes: int
    outages: tuple[tuple[int, ...], ...]
    lost_s: tuple[tuple[float, ...], ...]
    longest_s: tuple[float, ...]
    windows: tuple[int, ...]
    windows_met: tuple[int, ...]
    level_s: tuple[float, ...]
    """With more groups down than each of ``tables.SHARES`` of all."""
    most_down: int
    events: tuple[int, ...]


def lives(fleet: Fleet, numbers: Sequence[int], python: bool = False) -> list[Life]:
    """These replications, one after the other; compiled where that is possible, or as asked by Python itself."""
    model = tables.model_of(fleet)
    run = live_python if python or why_slow() else native.live
    return [_one(fleet, model, number, run) for number in numbers]


def why_slow() -> str:
    """Why the compiled loop cannot be had here; empty if it can."""
    try:
        native.load()
    except native.Unavailable as error:
        return str(error)
    return ""


def _one(fleet: Fleet, model: Model, number: int, run: Callable[[Model, State, np.random.Generator, float], None]) -> Life:
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(fleet.seed, spawn_key=(number,))))
    state = tables.start_of(fleet, model)
    run(model, state, rng, fleet.years * YEAR_S)
    shape = (len(model.size), len(CAUSES))
    return Life(
        number=number,
        changes=int(state.ints[CHANGES]),
        outages=tuple(tuple(row) for row in np.reshape(state.outages, shape).tolist()),
        lost_s=tuple(tuple(row) for row in np.reshape(state.lost_s, shape).tolist()),
        longest_s=tuple(map(float, state.longest_s)),
        windows=tuple(map(int, state.windows)),
        windows_met=tuple(map(int, state.windows_met)),
        level_s=tuple(map(float, state.level_s)),
        most_down=int(state.ints[MOST]),
        events=tuple(map(int, state.events)),
    )


def live_python(model: Model, state: State, rng: np.random.Generator, horizon_s: float) -> None:
    """``life.live`` with lists in place of arrays, and what came of it in the arrays."""
    lists = State(*(each.tolist() for each in state))
    life.live(Model(*(each.tolist() if isinstance(each, np.ndarray) else each for each in model)), lists, rng, horizon_s)
    for array, found in zip(state, lists, strict=True):
        array[:] = found


# --- spread ------------------------------------------------------------------------------------------------------------


def all_lives(fleet: Fleet, pool: Executor | None = None, workers: int = 1, told: Callable[[int], None] = lambda _: None) -> list[Life]:
    """All replications, in their order; ``told`` hears after each task how many are done."""
    numbers = range(fleet.replications)
    size = max(1, -(-len(numbers) // (workers * TASKS_A_WORKER)))
    tasks = [tuple(numbers[at : at + size]) for at in range(0, len(numbers), size)]
    found: list[Life] = []
    if pool is None:
        for task in tasks:
            found += lives(fleet, task)
            told(len(found))
        return found
    waiting = [pool.submit(lives, fleet, task) for task in tasks]
    try:
        for done in as_completed(waiting):
            found += done.result()
            told(len(found))
    except BaseException:
        for each in waiting:
            each.cancel()
        raise
    return sorted(found, key=lambda each: each.number)


@contextmanager
def processes(count: int) -> Iterator[tuple[Executor | None, int]]:
    """A pool of so many processes of this machine; none for one."""
    if count == 1:
        yield None, 1
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    why_slow()  # compiled once, before all of them find that it is not there
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield pool, count


@contextmanager
def dask(address: str) -> Iterator[tuple[Executor | None, int]]:
    """The workers of a Dask cluster; ``EnvironmentUnusable`` if there are none."""
    try:
        distributed: Any = importlib.import_module("distributed")  # its types say less than they promise
    except ImportError as error:
        raise EnvironmentUnusable("the Dask client is not installed", how="pip install 'chaos-nines[dask]'") from error
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise EnvironmentUnusable(f"no Dask scheduler answers at {address}: {error}", how="an address like tcp://host:8786") from error
    with client:
        workers = sum(client.nthreads().values())
        if workers == 0:
            raise EnvironmentUnusable(f"the Dask cluster at {address} has no workers", how=f"dask worker {address}")
        yield client.get_executor(pure=False), workers
