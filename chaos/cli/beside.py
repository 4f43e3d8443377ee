"""The door of a harness that was sent to stand beside an engine: ``python -m chaos.cli.beside``, started by ``chaos.elsewhere.beside``.

It hears what to do on its standard input and says on its standard output what comes of it, in frames. What it does there is what the same
verbs do here; when its input ends or falls silent it rolls back what it did, keeps what was measured, and ends.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput, EnvironmentUnusable, Interrupted, NinesError
from chaos.elsewhere import archive
from chaos.elsewhere.beside import OTHER_ENGINE, identity
from chaos.elsewhere.frames import END, FOUND, LOST_AFTER_S, NOTE, ROW, SHOWN, TICKET, End, Ticket
from chaos.elsewhere.lifeline import Lifeline, Lost
from chaos.elsewhere.stand import TARGET
from chaos.engine.ways.dial import Dialler, Door

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.history.folder import RunFolder
    from chaos.runtimes.base.machines.orders import AtHome

TICKET_WITHIN_S: Final = 30.0
KEPT_WITHIN_S: Final = 60.0
TESTS_END_WITHIN_S: Final = 30.0
TAKEN: Final = ".taken"
"""In a run folder that is there already, and stays here since a heal needs it."""
HISTORY: Final = "history.jsonl"


def main() -> int:
    """Whatever happens, the last frame says how it ended."""
    line = Lifeline()
    try:
        ticket = _ticket(line)
        if ticket is None:
            return 0
        end = _done(line, ticket)
    except Lost:
        return 0
    except KeyboardInterrupt:
        end = End(130, error=Interrupted.__name__, message="interrupted", empty=_nothing_kept())
    line.send(END, msgspec.json.encode(end))
    line.end()
    return 0


def _ticket(line: Lifeline) -> Ticket | None:
    """What is to be done; None where another engine than the one that is meant answers here."""
    from chaos.engine.connection import connect

    kind, payload = line.next(TICKET_WITHIN_S)
    assert kind == TICKET, "the first frame is the ticket"
    ticket = msgspec.json.decode(payload, type=Ticket)
    if ticket.engine:
        try:
            with connect(checked=False) as engine:
                found = identity(engine)
        except EnvironmentUnusable as error:
            found = error.what
        if found != ticket.engine:
            line.send(END, msgspec.json.encode(End(5, error=OTHER_ENGINE, message=found)))
            line.end()
            return None
    line.send(FOUND)
    os.environ.update(ticket.environment)
    os.environ["NINES_IMAGES"] = msgspec.json.encode(ticket.images).decode()
    return ticket


@contextlib.contextmanager
def _dialled(line: Lifeline, ticket: Ticket) -> Iterator[AtHome]:
    """The engines of all hosts are reached by their addresses; yields who does something to machines, where this harness came from."""
    if not ticket.doors:
        yield lambda do, host: line.errand(do, host).said
        return

    def at_home(do: str, host: str) -> str:
        obeyed = line.errand(do, host)
        if obeyed.door is not None:
            dialler.change(host, obeyed.door)
        return obeyed.said

    with contextlib.closing(Dialler(ticket.doors, os.environ["DOCKER_HOST"])) as dialler, dialler.known():
        yield at_home


def _done(line: Lifeline, ticket: Ticket) -> End:
    """By its verb; every error becomes the end that tells of it."""
    verbs: dict[str, Callable[[Lifeline, Ticket], End]] = {"up": _up, "verb": _verb, "tests": _tests, "fetch": _fetch}
    try:
        _take_inputs(line, ticket)
        with _dialled(line, ticket) as at_home:
            end = _run(line, ticket, at_home) if ticket.do == "run" else verbs[ticket.do](line, ticket)
    except NinesError as error:
        end = _failed(error)
    except Exception:
        end = End(70, error="Bug", message=traceback.format_exc())
    finally:
        if ticket.inputs:
            shutil.rmtree(ticket.inputs, ignore_errors=True)
    return msgspec.structs.replace(end, empty=_nothing_kept())


def _take_inputs(line: Lifeline, ticket: Ticket) -> None:
    pieces = line.pieces(LOST_AFTER_S)
    if ticket.inputs:
        archive.unpack(pieces, Path(ticket.inputs))
    else:
        for _ in pieces:
            continue  # an empty archive


def _failed(error: NinesError) -> End:
    name = type(error).__name__
    if isinstance(error, Interrupted):
        return End(128 + error.signal_number, error=name, message=str(error))
    if isinstance(error, EnvironmentUnusable):
        return End(error.exit_code, error=name, message=error.what, how=error.how)
    return End(error.exit_code, error=name, message=str(error))


def _run(line: Lifeline, ticket: Ticket, at_home: AtHome) -> End:
    """A whole run; its folder goes there whatever came of it, and from here once it is there."""
    from chaos.api import ready
    from chaos.core import plugins as tables
    from chaos.core.clock import MonotonicClock
    from chaos.run.run import run_plan

    ordered, folder = _ordered(ticket), _folder(ticket)

    def act() -> End:
        ready(ordered, folder)
        runtime = tables.find("runtimes", ordered.plan.runtime)()
        runtime.at_home = at_home
        unwritten = run_plan(
            ordered.plan, ordered.target, ordered.text, folder, runtime, MonotonicClock(),
            lambda row: line.send(ROW, msgspec.json.encode(row)), (lambda: line.decide(folder.path)) if ticket.decides else None,
        )  # fmt: skip
        return End(0, unwritten=tuple(msgspec.Raw(msgspec.json.encode(row)) for row in unwritten))

    return _with_folder(line, ticket, act)


def _up(line: Lifeline, ticket: Ticket) -> End:
    """A cluster that is held until the command there ends, or is told to end it."""
    from chaos.cli.inject import hold

    ordered = _ordered(ticket)

    def act() -> End:
        with _spoken(line):
            return End(hold(ordered, _folder(ticket), _found(ordered)))

    return _with_folder(line, ticket, act)


def _tests(line: Lifeline, ticket: Ticket) -> End:
    """pytest in the place of a run: a process of its own, with all that this one has. What it says is shown."""
    try:
        from chaos.testing.travelled import ORDERED, TRAVELLED
        from chaos.testing.travelling import RESULTS
    except ImportError as error:  # the small image beside a Docker engine
        raise EnvironmentUnusable(
            f"tests cannot be carried out here: {error}", how="an image of the whole of Nines ('nines image')"
        ) from error

    ordered, folder = _ordered(ticket), _folder(ticket).path

    def act() -> End:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ORDERED).write_bytes(msgspec.json.encode(ordered))
        command = [sys.executable, "-m", "pytest", *ticket.argv, "--junitxml", str(folder / RESULTS), "--rootdir", str(folder)]
        tests = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=folder, env={**os.environ, TRAVELLED: str(folder)},
        )  # fmt: skip
        assert tests.stdout is not None
        try:
            for text in tests.stdout:
                line.send(SHOWN, text.encode())
            return End(tests.wait())
        except BaseException:
            tests.send_signal(signal.SIGINT)  # its fixtures take back what they did
            tests.wait(TESTS_END_WITHIN_S)
            raise
        finally:
            tests.kill()
            tests.wait()

    return _with_folder(line, ticket, act)


def _ordered(ticket: Ticket) -> Ordered:
    """With the target where it was put here."""
    from chaos.api import Ordered

    ordered = msgspec.json.decode(ticket.ordered, type=Ordered)
    if ticket.doors:
        ordered = _addressed(ordered, ticket.doors)
    if not ordered.target.folder:
        return ordered
    target = msgspec.structs.replace(ordered.target, folder=f"{ticket.inputs}/{TARGET}")
    return msgspec.structs.replace(ordered, target=target)


def _addressed(ordered: Ordered, doors: Mapping[str, Door]) -> Ordered:
    """With the address of each host, which only the command's own settings may tell."""
    from chaos.elsewhere.hosts import filled

    replace, experiment = msgspec.structs.replace, ordered.plan.experiment
    cluster = replace(experiment.cluster, hosts=filled(experiment.cluster.hosts, doors))
    return replace(ordered, plan=replace(ordered.plan, experiment=replace(experiment, cluster=cluster)))


def _found(ordered: Ordered) -> Ordered:
    """With the files that the experiment's text names where they are here: a fault by hand is planned from the text."""
    import yaml

    document = yaml.safe_load(ordered.text)
    if ordered.target.folder:
        document["cluster"]["target"] = ordered.target.folder
    attach = ordered.experiment.cluster.attach
    if attach is not None and attach.project:
        document["cluster"]["attach"]["compose"] = attach.project
    return msgspec.structs.replace(ordered, text=yaml.safe_dump(document, sort_keys=False))


def _folder(ticket: Ticket) -> RunFolder:
    from chaos.history.folder import RunFolder

    folder = RunFolder(Path(ticket.folder))
    folder.run = ticket.run
    return folder


def _with_folder(line: Lifeline, ticket: Ticket, act: Callable[[], End]) -> End:
    """Whatever comes of it, what was measured goes there."""
    try:
        end = act()
    except NinesError as error:
        end = _failed(error)
    except Exception:
        end = End(70, error="Bug", message=traceback.format_exc())
    return _hand_over(line, Path(ticket.folder), ticket.run, end)


def _fetch(line: Lifeline, ticket: Ticket) -> End:
    """The folder of a run whose command is gone."""
    from chaos.run.stop import active

    if not ticket.run:
        return _list_kept(line, Path(ticket.folder))
    folder = Path(ticket.folder)
    if any(record.run == ticket.run for record in active()):
        raise BadInput(f"'{ticket.run}' goes on", right=f"wait for its end, or: nines stop {ticket.run}")
    if not folder.is_dir():
        kept = sorted(each.name for each in folder.parent.iterdir()) if folder.parent.is_dir() else []
        right = f"one of: {', '.join(kept)}" if kept else "nothing waits to be fetched"
        raise BadInput(f"no run '{ticket.run}' is kept beside the engine", right=right)
    return _hand_over(line, folder, ticket.run, End(0))


def _list_kept(line: Lifeline, runs: Path) -> End:
    from chaos.run.stop import active

    going = {record.run for record in active()}
    for name in sorted(each.name for each in runs.iterdir()) if runs.is_dir() else ():
        line.send(SHOWN, f"{name}{' (it goes on)' if name in going else ''}\n".encode())
    return End(0)


def _hand_over(line: Lifeline, folder: Path, run: str, end: End) -> End:
    """The folder goes there, and is removed here once it is there; not while a heal still needs it."""
    from chaos.registry import runs as registry

    if not folder.is_dir():
        return end
    if line.lost.is_set():
        return msgspec.structs.replace(end, waits=True)
    line.archive({"": folder})
    kept = line.kept(KEPT_WITHIN_S)
    if kept and any(record.run == run for record in registry.records()):
        (folder / TAKEN).touch()
    elif kept:
        shutil.rmtree(folder, ignore_errors=True)
    return msgspec.structs.replace(end, waits=not kept)


def _nothing_kept() -> bool:
    """Neither a run folder that nobody has fetched, nor a record of a run. What a dead harness left here goes now, once it is healed."""
    from chaos.registry import runs as registry

    state = registry.state_dir()
    known = {record.run for record in registry.records()}
    for folder in (state.parent / "runs").glob("*"):
        if folder.name not in known and (folder / HISTORY).exists():
            shutil.rmtree(state.parent / "in" / folder.name, ignore_errors=True)
            if (folder / TAKEN).exists():
                shutil.rmtree(folder, ignore_errors=True)
    return not any(folder.is_dir() and any(folder.iterdir()) for folder in (state.parent / "runs", state.parent / "in", state / "runs"))


# --- other verbs -------------------------------------------------------------------------------------------------------


class _Spoken(io.TextIOBase):
    """A stream whose text goes there."""

    def __init__(self, line: Lifeline, kind: bytes) -> None:
        self._line = line
        self._kind = kind
        self._text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Whole lines go at once, as one."""
        whole, newline, self._text = (self._text + text).rpartition("\n")
        if newline:
            self._line.send(self._kind, f"{whole}\n".encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """What is no whole line yet goes as well."""
        if self._text:
            self._line.send(self._kind, self._text.encode(errors="replace"))
            self._text = ""


@contextlib.contextmanager
def _spoken(line: Lifeline) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Spoken(line, SHOWN), _Spoken(line, NOTE)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _verb(line: Lifeline, ticket: Ticket) -> End:
    """One of the command line, with its words."""
    from chaos.cli.main import main as nines

    argv = list(ticket.argv)
    if not ticket.folder:
        with _spoken(line):
            return End(nines(argv))

    def act() -> End:
        with _spoken(line):
            return End(nines([*argv, "--folder", ticket.folder]))

    return _with_folder(line, ticket, act)


if __name__ == "__main__":
    sys.exit(main())
