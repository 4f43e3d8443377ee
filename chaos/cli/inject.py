"""Faults by hand: ``nines up`` holds a cluster, ``nines inject`` breaks it, ``nines status`` says what is up, ``nines down`` ends it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, show, show_json, show_table
from chaos.core import units
from chaos.core.errors import BadInput, Interrupted

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.history.events import Row
    from chaos.history.folder import RunFolder
    from chaos.run.manual.injection import ByHand
    from chaos.run.manual.socket import HandOrder, Refusal
    from chaos.run.signals import Interruption

_NO_NODE: Final = "the name service"
"""What a fault without a node hits."""
ELSEWHERE: Final = "beside the engine"
"""Where a run folder is that the machine of the engine has: its path there says nothing here."""
_STATUS: Final = {"healed": "rolled back", "failed": "not effective", "leftover": "LEFT OVER"}
"""What came of a fault, for people."""

# --- a cluster of ours -------------------------------------------------------------------------------------------------


def up(arguments: argparse.Namespace) -> int:
    """Bring an experiment's cluster up without faults or traffic, and hold it until Ctrl-C or ``nines down``."""
    from contextlib import ExitStack

    from chaos.api import engine_elsewhere, new_folder, order
    from chaos.history.folder import RunFolder

    ordered = order(Path(arguments.file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
    if ordered.plan.virtual:
        raise BadInput(f"the runtime '{ordered.plan.runtime}' cannot hold a cluster", right="--runtime local or docker")
    folder = RunFolder(Path(arguments.folder)) if arguments.folder else new_folder(ordered.experiment.name)
    with ExitStack() as stack:
        far = engine_elsewhere(ordered.plan, stack)
        if far is None:
            return hold(ordered, folder)
        from msgspec import json

        from chaos.elsewhere import travel

        return travel.hold(far, ordered.plan, ordered.target, json.encode(ordered), folder, show, note)


def hold(ordered: Ordered, folder: RunFolder, found: Ordered | None = None) -> int:
    """Until a signal comes, or part of the harness dies; the exit status.

    ``found``: the same with the files that it names where they are now, for the planning of faults by hand.
    """
    from chaos.cli.manual_orders import planned, prepared
    from chaos.core import plugins as tables
    from chaos.core.clock import MonotonicClock
    from chaos.run.leftovers import refuse_leftovers
    from chaos.run.manual.session import serve, standing
    from chaos.run.manual.socket import Refusal
    from chaos.run.signals import Interruption

    refuse_leftovers()
    run, interruption = folder.run, Interruption()
    runtime, clock = tables.find("runtimes", ordered.plan.runtime)(), MonotonicClock()

    def said(what: ByHand | Refusal) -> None:
        if isinstance(what, Refusal):
            note(f"refused: {what.refused}")
        else:
            note(f"{what.fault} on {', '.join(what.target) or 'no node'}: {_STATUS.get(what.status, what.status)} {what.reason}".rstrip())

    note(f"{run}: starting {len(ordered.plan.nodes)} nodes of {ordered.plan.experiment.cluster.target} on '{ordered.plan.runtime}'")
    try:
        with (
            interruption.watched(),
            standing(prepared(ordered), ordered.target, ordered.text, folder, runtime, clock, interruption) as there,
        ):
            note(f"{run} is up. Inject a fault: nines inject pause --to n1 --for 10s --run {run}. Stop: Ctrl-C or nines down {run}")
            show(run)
            serve(there, run, lambda hand: planned(found or ordered, hand), said)
    except Interrupted as error:
        return 128 + error.signal_number
    return 0


def down(arguments: argparse.Namespace) -> int:
    """End a cluster that is up, and wait until all of it is removed."""
    from chaos.cli.machine import ended, kept

    done = ended(arguments)
    if isinstance(done, int):
        return done
    note(f"{done.run} is down; {kept(done, 'history')}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """What goes on on this machine: runs that are measured, and clusters that are held for faults by hand."""
    from chaos.cli import in_pods, there
    from chaos.kube.standing import Whereabouts
    from chaos.registry import runs as registry
    from chaos.run.manual.socket import socket_of
    from chaos.run.stop import active

    state = registry.state_dir()
    rows = []
    for record in active():
        takes = any(each["takes_orders"] for each in in_pods.rows_of(record)) if Whereabouts.is_one(record.engine) else (
            socket_of(state, record.run).exists()
        )  # fmt: skip
        rows.append({"run": record.run, "runtime": record.runtime, "takes_orders": takes, "pid": record.pid, "folder": record.folder})
    rows += [{**row, "folder": None} for row in there.answer(["status"]) or []]  # its folder is one of another machine
    with there.unseen("what goes on there is not known"):
        there.require_named()
    if arguments.json:
        show_json(rows)
    elif rows:
        shown = [
            [str(row["run"]), str(row["runtime"]), "yes" if row["takes_orders"] else "no (a measured run)", str(row["folder"] or ELSEWHERE)]
            for row in rows
        ]
        show_table(["run", "runtime", "nines inject", "folder"], shown)
    else:
        note("No runs in progress.")
    return 0


# --- one fault ---------------------------------------------------------------------------------------------------------


def inject(arguments: argparse.Namespace) -> int:
    """Do one fault, heal it at its limit, say what came of it."""
    from msgspec import to_builtins

    from chaos.cli import in_pods
    from chaos.cli.manual_orders import written
    from chaos.run.manual.client import send
    from chaos.run.signals import Interruption

    ways = [arguments.attach is not None, arguments.compose is not None, arguments.kubernetes is not None]
    if sum([*ways, arguments.run is not None]) > 1:
        raise BadInput("--run, --attach, --compose and --kubernetes exclude each other", right="one of them")
    hand = written(arguments.fault, arguments.to, arguments.lasts, arguments.set)
    if arguments.kubernetes is not None and not in_pods.are_here():
        return in_pods.attached(arguments, hand, _without_folder(arguments.argv))
    status = None if arguments.kubernetes is not None else _elsewhere(arguments, attaches=any(ways))
    if status is not None:
        return status
    interruption = Interruption()
    containers: dict[str, str] = {}
    if any(ways):
        done, containers = _attached(arguments, hand, interruption)
    else:
        done = send(arguments.run, hand, interruption, _steps({}, quiet=arguments.json))
    if arguments.json:
        show_json(to_builtins(done) | {"containers": containers})
    else:
        show(_told(done, containers))
    if done.exit_code == 0 and interruption.signal_number is not None:
        return 128 + interruption.signal_number
    return done.exit_code


def _elsewhere(arguments: argparse.Namespace, *, attaches: bool) -> int | None:
    """By a harness beside the engine, if that is elsewhere: the exit status. None if it is to be done here."""
    from chaos.cli import in_pods, there
    from chaos.kube.standing import Whereabouts
    from chaos.run.stop import active

    if not attaches:
        here = [
            record for record in active() if arguments.run in (None, record.run) or Path(record.folder) == Path(arguments.run).absolute()
        ]
        if len(here) == 1 and Whereabouts.is_one(here[0].engine):
            return in_pods.relay(here[0], _without(arguments.argv, "--run"))
        return None if here else there.relay(arguments.argv)
    from chaos.engine.connection import BESIDE, connect

    if os.environ.get(BESIDE):
        return None
    with connect(checked=False) as engine:
        if not engine.facts.elsewhere:
            return None
    from chaos.api import new_folder
    from chaos.cli.manual_orders import NAME
    from chaos.history.folder import RunFolder

    if not arguments.yes and sys.stdin.isatty():
        raise BadInput("beside an engine that is elsewhere nobody can be asked whether to inject the fault", right="--yes")
    argv = _without_folder(arguments.argv)
    if arguments.compose is not None and Path(arguments.compose).is_file():
        from chaos.experiment.compose.project import compose_project

        argv[argv.index(arguments.compose)] = compose_project(Path(arguments.compose), os.environ)
    folder = RunFolder(Path(arguments.folder)) if arguments.folder else new_folder(NAME)
    return there.relay(argv, folder)


def _without_folder(argv: Sequence[str]) -> list[str]:
    """The folder here means nothing there."""
    return _without(argv, "--folder")


def _without(argv: Sequence[str], option: str) -> list[str]:
    """Where it means nothing, or is known."""
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == option:
            next(words, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def _attached(arguments: argparse.Namespace, hand: HandOrder, interruption: Interruption) -> tuple[ByHand, dict[str, str]]:
    """By ourselves, on what runs already; and which container each node is."""
    from chaos.api import new_folder
    from chaos.cli.in_pods import spec_of
    from chaos.cli.manual_orders import attached
    from chaos.core.clock import MonotonicClock
    from chaos.core.values import CLIENTS
    from chaos.history.folder import RunFolder
    from chaos.plan.capabilities import runtime_of
    from chaos.report.format import victims
    from chaos.run.leftovers import refuse_leftovers
    from chaos.run.manual.session import standing

    ordered = attached(
        hand,
        label=arguments.attach,
        compose=arguments.compose,
        services=arguments.service,
        ask=arguments.ask,
        send=arguments.send,
        expect=arguments.expect,
        ports=arguments.port,
        network=arguments.network,
        pods=None if arguments.kubernetes is None else spec_of(arguments.kubernetes, ""),
    )
    refuse_leftovers()
    folder = RunFolder(Path(arguments.folder)) if arguments.folder else new_folder(ordered.experiment.name)
    note(
        f"attaching to {len(ordered.plan.nodes)} containers" + ("" if arguments.kubernetes else f"; the injection log is in {folder.path}")
    )
    cut = [str(link) for link in ordered.plan.proxied or () if link.source != CLIENTS]
    if cut:
        note(f"open connections on {', '.join(cut)} are cut now, and again at the end")
    runtime = runtime_of(ordered.plan.runtime).by_hand()
    with (
        interruption.watched(),
        standing(ordered.plan, ordered.target, ordered.text, folder, runtime, MonotonicClock(), interruption) as there,
    ):
        containers = dict(runtime.called(folder.path))
        for node, container in containers.items():
            note(f"{node} is {container}")
        ask = not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty()

        def confirm(targets: Sequence[str]) -> None:
            if ask:
                _confirm(f"{hand.kind} on {victims(targets, containers)} for {hand.lasts}")

        steps = _steps(containers, quiet=arguments.json)
        return there.inject(ordered.plan, steps, confirm=confirm), containers


def _confirm(what: str) -> None:
    """``BadInput`` unless the person at the terminal agrees."""
    sys.stderr.write(f"{what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInput("not confirmed: no fault was injected", right="answer y, or --yes")


def _steps(containers: dict[str, str], *, quiet: bool) -> Callable[[Row], None]:
    """Progress, as it happens."""
    from chaos.history.events import FaultAsked, FaultEffective, FaultGone, FaultHealed
    from chaos.report.format import victims

    def told(row: Row) -> None:
        if quiet:
            return
        match row:
            case FaultAsked():
                note(f"injecting  {row.kind} on {victims(row.target, containers) or _NO_NODE}")
            case FaultEffective():
                note(f"in force   {row.mechanism}")
            case FaultHealed():
                note("rolled back")
            case FaultGone():
                note("verified: the fault is gone")

    return told


def _told(done: ByHand, containers: dict[str, str]) -> str:
    """Every figure before, during and after, and the times."""
    from chaos.core.escaping import terminal
    from chaos.report.format import victims
    from chaos.report.table import make, text

    names = list(dict.fromkeys([*done.before, *done.during, *done.after]))
    rows = [[units.show(name, 0.0)[0], *(_figure(figures, name) for figures in (done.before, done.during, done.after))] for name in names]
    times = [("in force", done.effective_s), ("rolled back", done.healed_s), ("verified as gone", done.gone_s)]
    when = ", ".join(f"{word} after {at_s:.3f} s" for word, at_s in times if at_s is not None)
    came = _STATUS.get(done.status, done.status) + (f", {done.reason}" if done.reason else "")
    head = f"{done.fault} on {victims(done.target, containers) or _NO_NODE}: {came}"
    parts = [head, f"by {done.mechanism}" if done.mechanism else "", when]
    shown = text(make("", ["measured", "before", "during", "after"], rows))
    return "\n".join([terminal(part) for part in parts if part] + (["", shown] if shown else []))


def _figure(figures: dict[str, float | str | None], name: str) -> str:
    from chaos.report.format import figure

    if name not in figures:
        return ""
    return figure(figures[name], name)
