"""What a crashed run left on engines, and its removal; and containers that are not ours, given back as they were.

The latter live on, so what was done to them does not go away with the run's things. They are found again by the keys that the run wrote
into its folder before it did anything, and given back by a fresh guest in each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.core.clock import MonotonicClock
from chaos.core.errors import EnvironmentUnusable, NinesError, NotHealed
from chaos.engine import leftovers as on_engine
from chaos.engine.connection import BESIDE, answers
from chaos.engine.leftovers import HARNESS, STATE
from chaos.experiment.hosts import HostSpec
from chaos.history.owed import FILE, POWER_ON, Owed, alone, note, owed, paid
from chaos.plugin import CrashedRun, Left
from chaos.registry import runs as registry
from chaos.runtimes.docker.hosts.power import await_engine

ENGINE: Final = "engine"
"""One that cannot be asked what a run left there."""
START: Final = "start"
"""The undo of whatever stopped a node."""


def leftovers(crashed: Sequence[CrashedRun], state: Path, *, thorough: bool) -> list[Left]:
    """On the engines of these runs; ``thorough``: on every engine that runs of this state folder ever used."""
    found: list[Left] = []
    runs = {each.run for each in crashed}
    needed = {place for each in crashed for place in each.places}
    for host in sorted(needed | registry.engines(state) if thorough else needed):
        try:
            things = on_engine.left(host, state, runs, must_answer=host in needed)
        except EnvironmentUnusable as error:
            found += [Left(each.run, ENGINE, host, host, error.what) for each in crashed if host in each.places]
            continue
        found += [Left(thing.run, thing.kind, thing.name, host) for thing in things]
    for run in crashed:
        known = [subject for action, subject in run.undone if action == POWER_ON]  # told by its undo already
        found += [Left(run.run, POWER_ON, host) for host in _owed(run) if host not in known]
    return found


def heal(run: CrashedRun, left: Sequence[Left], state: Path) -> list[tuple[Left | None, str]]:
    """What could not be removed, and why; containers of others once nothing of ours is left."""
    logs = run.folder / "logs" if run.folder is not None else None
    failures: list[tuple[Left | None, str]] = []
    problems = power_on(run)
    for host in sorted({thing.where for thing in left if thing.where}):
        try:
            reasons = on_engine.heal(host, run.run, logs)
        except EnvironmentUnusable as error:
            failures += [(thing, error.what) for thing in left if thing.where == host]
            continue
        failures += [(Left(run.run, kind, name, host), why) for kind, name, why in reasons]
    if problems:
        return [*failures, (None, "; ".join(problems))]
    if failures or not attached(run):
        return failures
    try:
        problems = give_back(run, state)
    except EnvironmentUnusable as error:
        problems = [error.what]
    return [(None, "; ".join(problems))] if problems else []


def power_on(run: CrashedRun) -> list[str]:
    """Hosts that this run had switched off, by the commands that it noted or planned; what could not be switched on. Safe to repeat."""
    hosts = [*(subject for action, subject in run.undone if action == POWER_ON), *_owed(run)]
    if not hosts or run.folder is None:
        return []
    from chaos.history.folder import RunFolder

    try:
        specs = RunFolder(run.folder).read_plan().experiment.cluster.hosts
    except NinesError as error:
        return [f"host {', '.join(hosts)} is off, and the plan that says how it is switched on cannot be read: {error}"]
    problems = []
    with alone(run.folder):  # its keeper may be at it
        for host in dict.fromkeys(hosts):
            try:
                _switch_on(run.folder, host, specs[host])
            except NotHealed as error:
                problems.append(str(error))
    return problems


def _switch_on(folder: Path, host: str, spec: HostSpec) -> None:
    """Unless it is on, or a keeper has switched it on and it boots. ``NotHealed`` if it does not come back."""
    debt = next((each for each in owed(folder) if (each.do, each.host) == (POWER_ON, host)), None)
    if answers({"DOCKER_HOST": spec.engine}):
        if debt is not None:
            note(folder, Owed(POWER_ON, host, paid=True))
        return
    if os.environ.get(BESIDE):
        raise NotHealed(f"host '{host}' is off; its command is on the machine where the run was begun: run 'nines heal' there")
    if debt is not None or not (folder / FILE).exists():
        said = paid(folder, debt or Owed(POWER_ON, host, spec.power_on))
        if said:
            raise NotHealed(said)
    await_engine(host, spec)


def _owed(run: CrashedRun) -> list[str]:
    """Hosts that its keeper had switched off."""
    return [each.host for each in owed(run.folder) if each.do == POWER_ON] if run.folder is not None else []


def attached(run: CrashedRun) -> bool:
    """Whether this run had come to containers that are not ours."""
    from chaos.runtimes.docker.attach.find import FILE

    return bool(run.where) and run.folder is not None and (run.folder / FILE).exists()


def give_back(run: CrashedRun, state: Path) -> list[str]:
    """No rule, nothing frozen, and what it had stopped started again; what could not be taken back. Safe to repeat."""
    from chaos.engine.connection import connect
    from chaos.engine.images.ensure import ensure_harness
    from chaos.runtimes.docker.attach import find as docker_attach_find
    from chaos.runtimes.docker.attach import give_back as docker_attach_back
    from chaos.runtimes.docker.containers import Containers

    assert run.folder is not None
    keys = docker_attach_find.read_keys(run.folder)
    stopped = frozenset(subject for action, subject in run.undone if action == START)
    with connect(run.where, checked=False) as engine:
        containers = Containers(engine, run.run, {STATE: str(state), HARNESS: run.harness})
        return docker_attach_back.give_back(containers, keys, ensure_harness(engine), stopped, MonotonicClock())
