"""A run on an engine that is elsewhere, from here: what it needs goes there, its rows come as they happen, its folder comes back.

    images made through the engine's API -> harness started beside the engine -> ticket, target -> rows ... -> run folder

What is decided about the run (its plan) and what is thought about it (its judgement) stays here. The run itself, and every instant that
is measured, are on the engine's machine and its one clock.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from chaos.core import errors
from chaos.core.errors import EnvironmentUnusable, Interrupted, NinesError
from chaos.elsewhere import archive, in_cluster, own_in_cluster
from chaos.elsewhere.channel import Beside, Channel, HarnessGone, Where, discard, used
from chaos.elsewhere.frames import (
    ANSWER,
    DATA,
    END,
    ERRAND,
    KEPT,
    NOTE,
    OBEYED,
    QUESTION,
    ROW,
    SHOWN,
    WHOLE,
    Answer,
    End,
    Ticket,
)
from chaos.elsewhere.hosts import Hosts, await_ended, close_doors
from chaos.elsewhere.signals import Signals, obeyed_at_once
from chaos.engine import networks
from chaos.engine.connection import BESIDE, Engine, answers, connect, require_age
from chaos.engine.images import foreign
from chaos.engine.images.beside import ensure_beside
from chaos.engine.images.build import Note, quiet
from chaos.engine.images.ensure import ensure_base, ensure_clients, ensure_harness, ensure_target
from chaos.engine.limits import require_limits
from chaos.experiment import probe_options
from chaos.experiment.target.spec import Target
from chaos.history.events import Row, RunEnded
from chaos.history.folder import RunFolder
from chaos.kube.api import Api
from chaos.plan.plan import Plan
from chaos.registry import runs as registry
from chaos.runtimes.base.libraries import libraries
from chaos.runtimes.base.machines.errands import paid
from chaos.runtimes.base.machines.orders import Obeyed, Order, RunsErrands
from chaos.runtimes.docker.supplies import supplies, tools_image

if TYPE_CHECKING:
    pass

TARGET: Final = "target"
"""The folder of the target, among what is sent along."""
PLAN: Final = "plan.json"
Decide = Callable[[], tuple[bool, str]]


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


def carry_out(
    far: object,
    plan: Plan,
    target: Target,
    ordered: bytes,
    folder: RunFolder,
    live: Callable[[Row], None] | None,
    decide: Decide | None,
    note: Note = quiet,
) -> list[Row]:
    """Run it there; ``ordered`` is the JSON of all three. Returns the rows that are not in the history, as ``run_plan`` does.

    Raises what the run raised there. ``EnvironmentUnusable`` if the harness or the way to it is lost: what was measured is fetched later.
    """
    refuse_what_stays(plan)
    with _stand(far, plan, target, folder, note) as stand:
        ticket = _ticket(stand, "run", plan, target, ordered, folder, note)
        ticket = msgspec.structs.replace(ticket, decides=decide is not None)
        with _on_hosts(stand, ticket, plan, folder, note) as ticket:
            end = _with_folder(stand, ticket, target, folder, lambda channel: Reader(channel, folder.path, live, decide))
    raise_of(end)
    return [msgspec.json.decode(row, type=Row) for row in end.unwritten]


def hold(far: object, plan: Plan, target: Target, ordered: bytes, folder: RunFolder, show: Callable[[str], None], note: Note) -> int:
    """A cluster that is up there until this command ends; the exit status. Its folder comes back, as that of a run."""
    if plan.experiment.cluster.hosts:
        raise EnvironmentUnusable("a cluster on several hosts is held on its first host only", how="run 'nines up' on that host")
    with _stand(far, plan, target, folder, note, held=True) as stand:
        ticket = _ticket(stand, "up", plan, target, ordered, folder, note)
        end = _with_folder(stand, ticket, target, folder, lambda channel: Reader(channel, folder.path, show=show, note=note))
    raise_of(end)
    return end.status


@contextmanager
def _on_hosts(stand: Stand, ticket: Ticket, plan: Plan, folder: RunFolder, note: Note) -> Iterator[Ticket]:
    """Of a run on several hosts: with its doors in the ticket, and somebody who runs its errands. It is registered here, with all engines,
    so that it is found from here whatever becomes of this command and of the harness."""
    specs = plan.experiment.cluster.hosts
    if not specs:
        yield ticket
        return
    assert isinstance(stand, Beside), "hosts have engines"
    hosts = Hosts(specs, folder)
    with hosts.open(stand.engine, ticket.images["harness"], note) as doors:
        first, *further = (spec.engine for spec in specs.values())
        with registry.claim(folder.run, folder.path, plan.runtime, engine=first, further=tuple(further)) as claim:
            claim.begins()
            stand.errands = hosts
            with paid(hosts.errands, claim):
                yield msgspec.structs.replace(ticket, doors=doors)
            left = _left(folder)
            if left:
                claim.abandon("; ".join(left))
            else:
                claim.proven_gone()


def _left(folder: RunFolder) -> list[str]:
    """What the run could not remove, by its own last word; what it was refused for was found before there was anything."""
    ended = next((row for row in reversed(folder.rows()) if isinstance(row, RunEnded)), None) if folder.history.exists() else None
    return [] if ended is None else ended.left


@contextmanager
def _stand(far: object, plan: Plan, target: Target, folder: RunFolder, note: Note, *, held: bool = False) -> Iterator[Stand]:
    """By what is far: a cluster's API server, or a Docker engine. ``held``: for faults by hand, until somebody ends it."""
    if isinstance(far, Api):
        made = (
            own_in_cluster.standing(far, plan, target, folder, note, held=held)
            if plan.experiment.cluster.attach is None
            else in_cluster.standing(far, plan, folder, note, held=held)
        )
        with obeyed_at_once(), made as there:
            yield there
        return
    assert isinstance(far, Engine)
    with standing(far, note, foreign.used(plan)) as beside:
        yield beside


def _with_folder(beside: Stand, ticket: Ticket, target: Target, folder: RunFolder, reader: Callable[[Channel], Reader]) -> End:
    """The same, for what fills a run folder: if it could not be sent at the end (we slept, the harness died), it is fetched."""
    try:
        end = _done(beside, ticket, target, reader)
    except KeyboardInterrupt:
        raise Interrupted(
            signal.SIGINT, f"interrupted; the run beside the engine rolls back and ends by itself\n  then: nines fetch {folder.run}"
        ) from None
    except HarnessGone as gone:
        if not _fetched(beside, folder):
            raise
        raise EnvironmentUnusable(
            gone.what, how=f"what was measured until then is in {folder.path}; 'nines leftovers' says what is left of the run"
        ) from gone
    if end.waits and not _fetched(beside, folder):
        raise EnvironmentUnusable(
            "the run has ended beside the engine, and its folder could not be brought here", how=f"nines fetch {folder.run}"
        )
    return _as_here(end, beside.where.run(folder.run), folder.path)


def _as_here(end: End, there: str, here: Path) -> End:
    """What it says of files in the run folder, by the names that they have now."""
    return msgspec.structs.replace(end, message=end.message.replace(there, str(here)), how=end.how.replace(there, str(here)))


def _fetched(beside: Stand, folder: RunFolder) -> bool:
    ticket = Ticket(do="fetch", run=folder.run, folder=beside.where.run(folder.run))
    try:
        return not _done(beside, ticket, None, lambda channel: Reader(channel, folder.path)).error
    except EnvironmentUnusable:
        return False  # the caller says what to do


def _done(beside: Stand, ticket: Ticket, target: Target | None, reader: Callable[[Channel], Reader]) -> End:
    """Have it done, with the signals that come meanwhile passed on; the volume goes when nothing is kept in it any more."""
    inputs = {TARGET: Path(target.folder)} if target is not None and target.folder else {}
    with Signals() as signals, beside.doing(ticket, inputs) as channel:
        reading = reader(channel)
        reading.errands = beside.errands
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


def refuse_what_stays(plan: Plan) -> None:
    """``EnvironmentUnusable`` for what an experiment asks of the machine where the command is, while the run is elsewhere."""
    if plan.experiment.abort_if.command is not None:
        raise EnvironmentUnusable(
            "abort_if: {command: ...} is a program of this machine, and the run goes on beside an engine that is elsewhere",
            how="use another abort_if condition, or run Nines on the engine's own machine",
        )
    until = plan.experiment.settle_until
    if until is not None and until.command is not None:
        raise EnvironmentUnusable(
            "settle: {until: {command: ...}} is a program of this machine, and the run goes on beside an engine that is elsewhere",
            how="use 'http' or 'service', or run Nines on the engine's own machine",
        )


def _ticket(stand: Stand, do: str, plan: Plan, target: Target, ordered: bytes, folder: RunFolder, note: Note) -> Ticket:
    environment = probe_options.secrets((kind.options for kind in plan.operations.values()), target.folder)
    images: dict[str, str] = {}
    if isinstance(stand, Beside):
        images, environment = _images(stand.engine, plan, target, note), environment | _settings()
    return Ticket(
        do=do, run=folder.run, folder=stand.where.run(folder.run), inputs=stand.where.inputs(folder.run),
        ordered=msgspec.Raw(ordered), images=images, environment=environment,
    )  # fmt: skip


def _images(engine: Engine, plan: Plan, target: Target, note: Note) -> dict[str, str]:
    require_limits(engine.facts, plan.experiment.cluster.resources)
    images = {"base": ensure_base(engine, note), "harness": ensure_harness(engine, note)}
    images["clients"] = ensure_clients(engine, images["harness"], libraries(target, plan), note, foreign.used(plan, ("probes",)))
    if plan.experiment.cluster.attach is None:
        images |= {f"target {part}": ensure_target(engine, target, part, note) for part in {node.part for node in plan.nodes}}
    if supplies(plan).tools:
        images["tools"] = tools_image(engine, note)
    return images


class Reader:
    """Takes what comes from there: rows, notes, text, archives, questions, errands."""

    errands: RunsErrands | None = None

    def __init__(
        self, channel: Channel, folder: Path, live: Callable[[Row], None] | None = None, decide: Decide | None = None,
        show: Callable[[str], None] = quiet, note: Note = quiet,
    ) -> None:  # fmt: skip
        self._channel = channel
        self._folder = folder
        self._live = live
        self._decide = decide
        self._show = show
        self._note = note

    def _obeyed(self, obeyed: Obeyed) -> None:
        self._channel.send(OBEYED, msgspec.json.encode(obeyed))

    def until_end(self, idle: Callable[[], None] = lambda: None) -> End:
        """The last frame. An archive goes into the folder, and the other side is told when it is there."""
        frames = self._channel.receive(idle)
        for kind, payload in frames:
            if kind == END:
                return msgspec.json.decode(payload, type=End)
            if kind == DATA:
                self._keep(payload, frames)
            else:
                self._other(kind, payload)
        raise AssertionError("unreachable: the last frame is an end")

    def _keep(self, first: bytes, frames: Iterator[tuple[bytes, bytes]]) -> None:
        def pieces() -> Iterator[bytes]:
            yield first
            for kind, payload in frames:
                if kind == WHOLE:
                    return
                if kind == DATA:
                    yield payload
                else:
                    self._other(kind, payload)

        # Heal runs the commands of the plan that is here: they are to be those of whoever wrote the experiment, whatever comes from there.
        ours = [PLAN] if (self._folder / PLAN).exists() else []
        archive.unpack(pieces(), self._folder, ours)
        archive.sync(self._folder)
        self._channel.send(KEPT)

    def _other(self, kind: bytes, payload: bytes) -> None:
        if kind == ROW and self._live is not None:
            self._live(msgspec.json.decode(payload, type=Row))
        elif kind == NOTE:
            self._note(payload.decode().rstrip("\n"))
        elif kind == SHOWN:
            self._show(payload.decode())
        elif kind == ERRAND:
            order = msgspec.json.decode(payload, type=Order)
            if self.errands is None:
                self._obeyed(Obeyed(order.number, "nothing is done to machines from here"))
            else:
                self.errands.do(order, self._obeyed)
        elif kind == QUESTION:
            assert self._decide is not None, "a run that does not stop early asks nothing"
            self._channel.send(ANSWER, msgspec.json.encode(Answer(*self._decide())))


def raise_of(end: End) -> None:
    """The error that it ended with there, as if it had been raised here."""
    if not end.error:
        return
    kind = getattr(errors, end.error, None)
    if not (isinstance(kind, type) and issubclass(kind, NinesError)):
        raise RuntimeError(f"the harness beside the engine failed:\n{end.message}")
    if issubclass(kind, EnvironmentUnusable):
        raise kind(end.message, how=end.how)
    if issubclass(kind, Interrupted):
        raise Interrupted(end.status - 128)
    raise kind(end.message)


# --- other verbs -------------------------------------------------------------------------------------------------------


def relay(argv: Sequence[str], show: Callable[[str], None], note: Note, folder: RunFolder | None = None) -> int | None:
    """A verb of the command line, done beside the engine; its exit status. None where no harness of ours ever stood there.

    ``folder``: the verb does something that is noted in such a folder, which then comes back.
    """
    with _far() as engine:
        if engine is None or (folder is None and not used(engine)):
            return None
        with standing(engine, packages=foreign.able()) as beside:
            ticket = Ticket(do="verb", argv=tuple(argv), environment=_settings())
            if folder is not None:
                ticket = msgspec.structs.replace(
                    ticket, run=folder.run, folder=beside.where.run(folder.run), images={"harness": ensure_harness(engine)}
                )
            end = _done(beside, ticket, None, lambda channel: Reader(channel, folder.path if folder else Path(), show=show, note=note))
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
            end = _done(beside, ticket, None, lambda channel: Reader(channel, folder, show=show))
    raise_of(end)
    return True


def verb(stand: Stand, argv: Sequence[str], show: Callable[[str], None], note: Note, folder: RunFolder | None = None) -> int:
    """A verb of the command line, done by a harness there; its exit status. ``folder``: comes back with what was noted."""
    ticket = Ticket(do="verb", argv=tuple(argv))
    if folder is not None:
        ticket = msgspec.structs.replace(ticket, run=folder.run, folder=stand.where.run(folder.run))
    end = _done(stand, ticket, None, lambda channel: Reader(channel, folder.path if folder else Path(), show=show, note=note))
    raise_of(end)
    return end.status


def fetch_from(stand: Stand, run: str, folder: Path, show: Callable[[str], None]) -> None:
    """The same from where the run is known to stand."""
    ticket = Ticket(do="fetch", run=run, folder=stand.where.run(run))
    raise_of(_done(stand, ticket, None, lambda channel: Reader(channel, folder, show=show)))


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
                ticket = Ticket(do="verb", argv=("heal",), environment=_settings(), doors=doors)
                end = _done(beside, ticket, None, lambda channel: Reader(channel, Path(), show=said.append, note=said.append))
            if not folder.history.exists():
                _fetched(beside, folder)
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


def _settings() -> dict[str, str]:
    return {networks.SETTING: os.environ[networks.SETTING]} if networks.SETTING in os.environ else {}
