"""``nines try``: a first verdict on a Compose project, with no YAML of ours; and ``nines init --compose``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli.output import note, show, show_json
from chaos.core.errors import BadInput
from chaos.core.units import WrongUnit, ratio

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.tryout.trying import Found, Wanted


def try_it(arguments: argparse.Namespace) -> int:
    """Attach to the project or bring it up, run the first experiment, say what to fix."""
    from chaos.core.clock import MonotonicClock
    from chaos.engine.connection import connect
    from chaos.run.signals import Interruption
    from chaos.tryout.trying import tried

    wanted = wanted_of(arguments)
    if arguments.save and Path(arguments.save).exists():
        raise BadInput(f"{arguments.save} exists", right="choose another file name")
    if arguments.kubernetes is not None:
        from chaos.tryout import pods

        return pods.tried(
            arguments.kubernetes, arguments.context, wanted,
            lambda found, ordered: _carry(arguments, found, ordered), lambda found: _alone(arguments, found),
        )  # fmt: skip
    interruption = Interruption()
    with connect(checked=False) as engine, interruption.watched():
        return tried(
            engine,
            wanted,
            MonotonicClock(),
            note,
            lambda found, ordered: _carry(arguments, found, ordered),
            lambda found: _alone(arguments, found),
        )


def wanted_of(arguments: argparse.Namespace) -> Wanted:
    """What the command line says."""
    from chaos.tryout.standing import Files
    from chaos.tryout.trying import Wanted

    given = [*([arguments.compose_file] if arguments.compose_file else []), *arguments.also]
    try:
        availability = ratio(arguments.availability)
    except WrongUnit as error:
        raise BadInput(f"--availability: {error}", right="99%") from None
    return Wanted(
        files=Files(tuple(given), tuple(arguments.profile), arguments.project_name or ""),
        services=tuple(arguments.service),
        probe=arguments.probe,
        send=arguments.send or "",
        expect=arguments.expect or "",
        network=arguments.network or "",
        availability=availability,
        times=1 if arguments.quick else 2,
        seed=getattr(arguments, "seed", None),
        command=shlex.join(["nines", *arguments.argv]),
    )


def first_file(arguments: argparse.Namespace) -> int:
    """``nines init --compose``: the commented experiment, from the files alone."""
    from chaos.tryout.trying import from_file

    path = Path(arguments.file)
    if path.exists():
        raise BadInput(f"{path} exists", right="choose another file name")
    arguments.compose_file = arguments.compose
    found = from_file(wanted_of(arguments), path.stem, os.environ)
    _save(path, found.text)
    note(f"Wrote {path}. Next: bring the project up, then nines plan {path} and nines run {path}")
    return 0


def _carry(arguments: argparse.Namespace, found: Found, ordered: Ordered) -> int:
    """As ``nines run`` would, with a page of its own."""
    from chaos.api import new_folder, perform
    from chaos.cli.progress import Live
    from chaos.cli.run import followed
    from chaos.history.folder import RunFolder
    from chaos.report.build import exit_status
    from chaos.tryout.page import page
    from chaos.tryout.trying import advice

    if arguments.save:
        _save(Path(arguments.save), found.text)
        note(f"the experiment is in {arguments.save}")
    folder = RunFolder(Path(arguments.folder)) if arguments.folder else new_folder(ordered.experiment.name)
    services = ", ".join(found.facts.services)
    note(f"{found.facts.nodes} {found.facts.thing}s of {services}; {ordered.plan.duration_s:.0f} s, into {folder.path}")
    live = Live(ordered.plan, sys.stderr)
    with live.ticking():
        report = perform(ordered, folder, followed(live))
    fix = advice(found, report)
    if arguments.json:
        show_json({"report": report, "fix": fix})
    else:
        again = (
            f"Again    nines run {arguments.save}"
            if arguments.save
            else "Again    the same command; --save first.yaml keeps the experiment"
        )
        show(page(report, found.seen, fix, again))
    return exit_status(report)


def _alone(arguments: argparse.Namespace, found: Found) -> None:
    from chaos.tryout.page import told
    from chaos.tryout.trying import advice

    if arguments.save:
        _save(Path(arguments.save), found.text)
    fix = advice(found, None)
    services, thing = ", ".join(found.facts.services), found.facts.thing
    if arguments.json:
        show_json({"report": None, "fix": fix})
        return
    show(
        "\n".join(
            [
                f"NOT TRIED  {found.name}: {services} has one {thing}, and the last one is never harmed.",
                "",
                *told("What to fix", fix),
            ]
        )
    )


def _save(path: Path, text: str) -> None:
    from chaos.cli.output import put

    put(text, str(path))
