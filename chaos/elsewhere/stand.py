"""Where harnesses are sent to, and one of them from its ticket to its end; what it filled is brought here, if need be by another one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from chaos.core.errors import EnvironmentUnusable, Interrupted
from chaos.elsewhere.beside import Beside, discard
from chaos.elsewhere.channel import Channel, HarnessGone
from chaos.elsewhere.frames import End, Ticket
from chaos.elsewhere.place import Where
from chaos.elsewhere.reader import Reader
from chaos.elsewhere.signals import Signals
from chaos.engine import networks
from chaos.engine.connection import Engine, require_age
from chaos.engine.images import foreign
from chaos.engine.images.beside import ensure_beside
from chaos.engine.images.build import Note, quiet
from chaos.engine.images.ensure import ensure_harness
from chaos.experiment.target.spec import Target
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.runtimes.base.machines.orders import RunsErrands

TARGET: Final = "target"
"""The folder of the target, among what is sent along."""


class Stand(Protocol):
    """Where harnesses are sent to: beside an engine, or into a cluster."""

    where: Where

    @property
    def errands(self) -> RunsErrands | None:
        """None where nothing is done to machines."""
        ...

    def doing(self, ticket: Ticket, inputs: Mapping[str, Path] | None = None) -> AbstractContextManager[Channel]:
        """A harness that has this ticket and these inputs; it is gone after the block."""
        ...


@runtime_checkable
class Destination(Protocol):
    """What ``Runtime.elsewhere`` of a foreign runtime may lead to."""

    def standing(self, plan: Plan, target: Target, folder: RunFolder, note: Note, *, held: bool = False) -> AbstractContextManager[Stand]:
        """What this run needs there, while it stands; refused before anything is made where it could not be done."""
        ...


def with_folder(beside: Stand, ticket: Ticket, target: Target, folder: RunFolder, reader: Callable[[Channel], Reader]) -> End:
    """The same, for what fills a run folder: if it could not be sent at the end (we slept, the harness died), it is fetched."""
    try:
        end = done(beside, ticket, target, reader)
    except KeyboardInterrupt:
        raise Interrupted(
            signal.SIGINT, f"interrupted; the run beside the engine rolls back and ends by itself\n  then: nines fetch {folder.run}"
        ) from None
    except HarnessGone as gone:
        if not fetched(beside, folder):
            raise
        raise EnvironmentUnusable(
            gone.what, how=f"what was measured until then is in {folder.path}; 'nines leftovers' says what is left of the run"
        ) from gone
    if end.waits and not fetched(beside, folder):
        raise EnvironmentUnusable(
            "the run has ended beside the engine, and its folder could not be brought here", how=f"nines fetch {folder.run}"
        )
    return as_here(end, beside.where.run(folder.run), folder.path)


def as_here(end: End, there: str, here: Path) -> End:
    """What it says of files in the run folder, by the names that they have now."""
    return msgspec.structs.replace(end, message=end.message.replace(there, str(here)), how=end.how.replace(there, str(here)))


def fetched(beside: Stand, folder: RunFolder) -> bool:
    ticket = Ticket(do="fetch", run=folder.run, folder=beside.where.run(folder.run))
    try:
        return not done(beside, ticket, None, lambda channel: Reader(channel, folder.path)).error
    except EnvironmentUnusable:
        return False  # the caller says what to do


def done(beside: Stand, ticket: Ticket, target: Target | None, reader: Callable[[Channel], Reader]) -> End:
    """Have it done, with the signals that come meanwhile passed on; the volume goes when nothing is kept in it any more."""
    inputs = {TARGET: Path(target.folder)} if target is not None and target.folder else {}
    with Signals() as signals, beside.doing(ticket, inputs) as channel:
        reading = reader(channel)
        reading.errands = beside.errands
        reading.there = ticket.folder if ticket.run else ""
        end = reading.until_end(lambda: signals.pass_on(channel))
    if end.empty and isinstance(beside, Beside):
        discard(beside.engine)
    return end


@contextmanager
def standing(engine: Engine, note: Note = quiet, packages: Sequence[str] = ()) -> Iterator[Beside]:
    """Harnesses beside this engine: refused where none can stand, with their image made; ``packages`` bring plug-ins."""
    require_age(engine.facts)
    image = ensure_beside(engine, ensure_harness(engine, note), note)
    if packages:
        image = foreign.ensure_plugins(engine, image, packages, note)
    with Beside(engine, image) as beside:
        yield beside


def settings() -> dict[str, str]:
    """Of this command, for a harness that acts in its place."""
    return {networks.SETTING: os.environ[networks.SETTING]} if networks.SETTING in os.environ else {}
