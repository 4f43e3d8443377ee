"""Verbs of the command line that are done by a harness elsewhere, and what a crashed run has kept there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chaos.elsewhere.beside import used
from chaos.elsewhere.frames import Ticket
from chaos.elsewhere.hosts import Hosts, await_ended, close_doors
from chaos.elsewhere.reader import Reader, raise_of
from chaos.elsewhere.stand import Stand, done, fetched, settings, standing
from chaos.engine.connection import BESIDE, Engine, answers, connect
from chaos.engine.images import foreign
from chaos.engine.images.build import Note, quiet
from chaos.engine.images.ensure import ensure_harness
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan


def relay(argv: Sequence[str], show: Callable[[str], None], note: Note, folder: RunFolder | None = None) -> int | None:
    """A verb of the command line, done beside the engine; its exit status. None where no harness of ours ever stood there.

    ``folder``: the verb does something that is noted in such a folder, which then comes back.
    """
    with _far() as engine:
        if engine is None or (folder is None and not used(engine)):
            return None
        with standing(engine, packages=foreign.able()) as beside:
            ticket = Ticket(do="verb", argv=tuple(argv), environment=settings())
            if folder is not None:
                ticket = msgspec.structs.replace(
                    ticket, run=folder.run, folder=beside.where.run(folder.run), images={"harness": ensure_harness(engine)}
                )
            end = done(beside, ticket, None, lambda channel: Reader(channel, folder.path if folder else Path(), show=show, note=note))
    raise_of(end)
    return end.status


def fetch(run: str, folder: Path, show: Callable[[str], None]) -> bool:
    """The folder of a run whose command is gone, brought here. False where no harness of ours ever stood beside the engine.

    Without a name: the names of those that wait are shown.
    """
    with _far() as engine:
        if engine is None or not used(engine):
            return False
        with standing(engine) as beside:
            ticket = Ticket(do="fetch", run=run, folder=beside.where.run(run))
            end = done(beside, ticket, None, lambda channel: Reader(channel, folder, show=show))
    raise_of(end)
    return True


def verb(stand: Stand, argv: Sequence[str], show: Callable[[str], None], note: Note, folder: RunFolder | None = None) -> int:
    """A verb of the command line, done by a harness there; its exit status. ``folder``: comes back with what was noted."""
    ticket = Ticket(do="verb", argv=tuple(argv))
    if folder is not None:
        ticket = msgspec.structs.replace(ticket, run=folder.run, folder=stand.where.run(folder.run))
    end = done(stand, ticket, None, lambda channel: Reader(channel, folder.path if folder else Path(), show=show, note=note))
    raise_of(end)
    return end.status


def fetch_from(stand: Stand, run: str, folder: Path, show: Callable[[str], None]) -> None:
    """The same from where the run is known to stand."""
    ticket = Ticket(do="fetch", run=run, folder=stand.where.run(run))
    raise_of(done(stand, ticket, None, lambda channel: Reader(channel, folder, show=show)))


def healed_on_hosts(plan: Plan, folder: RunFolder, note: Note = quiet) -> str:
    """Nothing is left of this run on its engines: so its harness's own record beside the first one goes as well, and what it measured comes
    here. What is in the way of that, else empty."""
    specs = plan.experiment.cluster.hosts
    first = next(iter(specs.values()))
    close_doors(specs, folder.run)
    with connect(first.engine, checked=False) as engine:
        if not engine.facts.elsewhere or not used(engine):
            return ""
        with standing(engine) as beside:
            hosts, said = Hosts(specs, folder), [""]
            with hosts.open(engine, ensure_harness(engine), note) as doors:
                ticket = Ticket(do="verb", argv=("heal",), environment=settings(), doors=doors)
                end = done(beside, ticket, None, lambda channel: Reader(channel, Path(), show=said.append, note=said.append))
            if not folder.history.exists():
                fetched(beside, folder)
    return end.message if end.error else "".join(said) if end.status else ""


def await_harness(plan: Plan, run: str) -> None:
    """Beside the first host: it rolls back by itself when its command is gone. ``EnvironmentUnusable`` if it does not end."""
    first = next(iter(plan.experiment.cluster.hosts.values()))
    if not answers({"DOCKER_HOST": first.engine}):
        return  # whoever heals says so
    with connect(first.engine, checked=False) as engine:
        await_ended(engine, run)


@contextmanager
def _far() -> Iterator[Engine | None]:
    """The engine that the docker command would use, if it is elsewhere and something of ours may be there; None else, and quickly."""
    if os.environ.get(BESIDE) or not answers():
        yield None
        return
    with connect(checked=False) as engine:
        yield engine if engine.facts.elsewhere else None
