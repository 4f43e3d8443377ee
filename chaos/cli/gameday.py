"""``nines gameday``: a terminal of a game day. The run goes on in a process of its own; this one shows it, and writes down what people say.

    nines gameday X.yaml            start one, and lead it          nines gameday --resume [RUN]   a terminal on one that goes on
    nines gameday --review RUN      write the review again

Closing a terminal changes nothing: the run holds where it is, and ``--resume`` opens another. Several may be open at once, each with its
own ``--who``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, show
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.units import WrongUnit, duration_s

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.history.folder import RunFolder
    from chaos.history.people import GameDay
    from chaos.plan.plan import Plan

STARTS_WITHIN_S: Final = 30.0
LOG: Final = "gameday.log"
REVIEW: Final = "review"
HOST: Final = "--as-host"


def gameday(arguments: argparse.Namespace) -> int:
    """Start, resume or review one; the exit status of a game day is that of its run."""
    if sum((arguments.file is not None, arguments.resume is not None, arguments.review is not None)) != 1:
        raise BadInput("a game day is started, resumed or reviewed", right="nines gameday FILE.yaml, or --resume [RUN], or --review RUN")
    if arguments.as_host is not None:
        return _host(arguments)
    if arguments.review is not None:
        return _review(Path(arguments.review))
    folder = _resumed(arguments.resume) if arguments.file is None else _started(arguments)
    from chaos.cli.gameday_terminal import Terminal

    left = Terminal(folder, arguments.who or _me(), sys.stdin, sys.stdout).lead()
    if left:
        note(f"the run goes on; open it again with: nines gameday --resume {folder.path}")
        return 0
    return _ended(folder)


def _me() -> str:
    from chaos.core.system import user_name

    return os.environ.get("SUDO_USER") or user_name()


def _most_s(text: str) -> float:
    try:
        return duration_s(text)
    except WrongUnit as error:
        raise BadInput(f"--most: {error}") from None


# --- the process of the run ------------------------------------------------------------------------------------------------


def _started(arguments: argparse.Namespace) -> RunFolder:
    """Check all that can be checked here, then start the process of the run, which no terminal ends."""
    from chaos.api import new_folder, ready
    from chaos.history.folder import RunFolder

    ordered = _ordered(arguments)
    folder = new_folder(ordered.experiment.name) if arguments.folder is None else RunFolder(Path(arguments.folder))
    folder.refuse_held()
    ready(ordered, folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "chaos", *arguments.argv, "--seed", str(ordered.plan.seed), HOST, str(folder.path.absolute())]
    with (folder.path / LOG).open("wb") as log:
        host = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    note(f"{ordered.experiment.name}: a game day in {folder.path}; the run is process {host.pid}")
    until_s = time.monotonic() + STARTS_WITHIN_S
    while _state(folder) is None:
        if host.poll() is not None:
            said = (folder.path / LOG).read_text(encoding="utf-8", errors="replace").strip()
            raise EnvironmentUnusable(f"the run did not start: {said[-1000:] or f'exit status {host.returncode}'}", how="nines doctor")
        if time.monotonic() > until_s:
            break
        time.sleep(0.05)
    return folder


def _ordered(arguments: argparse.Namespace) -> Ordered:
    from chaos.api import order

    ordered = order(Path(arguments.file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
    if ordered.plan.virtual:
        raise BadInput("a game day takes real time, and this runtime has none", right="--runtime local or docker")
    if not ordered.plan.windows:
        raise BadInput("there is no step: the experiment injects no fault", right="plan a fault")
    return ordered


def _host(arguments: argparse.Namespace) -> int:
    """The process of the run: it hears people by their file, and writes reports and review at the end."""
    import msgspec

    from chaos.api import perform
    from chaos.history.folder import RunFolder
    from chaos.report.build import exit_status
    from chaos.run.people import People, led

    ordered = _ordered(arguments)
    plan = led(ordered.plan, _most_s(arguments.most))
    folder = RunFolder(Path(arguments.as_host))
    steps = _steps(ordered.plan)
    report = perform(msgspec.structs.replace(ordered, plan=plan), folder, people=People(plan, folder.path, steps))
    _write_review(folder)
    return exit_status(report)


def _steps(plan: Plan) -> list[str]:
    """A step in words: its faults, whom they strike, how long."""
    from chaos.report.pages.runbook import steps
    from chaos.run.people import entries

    rows = {window.id: row for window, row in zip(plan.windows, steps(plan, None), strict=True)}
    return ["; then ".join(f"{rows[each.id].fault} on {rows[each.id].target}, {rows[each.id].lasts}" for each in entry)
            for entry in entries(plan)]  # fmt: skip


# --- a terminal ------------------------------------------------------------------------------------------------------------


def _state(folder: RunFolder) -> GameDay | None:
    from chaos.history import people

    return people.read_state(folder.path)


def _resumed(word: str) -> RunFolder:
    """The run of that name or folder; without a word the only one that goes on."""
    from chaos.history import people
    from chaos.history.folder import RunFolder
    from chaos.registry import runs as registry

    if word:
        known = [record.folder for record in registry.records() if record.run == word]
        folder = RunFolder(Path(known[0] if known else word))
        if people.read_state(folder.path) is None:
            raise BadInput(f"{folder.path} is no game day", right="its run folder, or its name (nines status)")
        return folder
    going = [record for record in registry.records() if not record.stale and people.read_state(Path(record.folder)) is not None]
    if len(going) != 1:
        named = ", ".join(record.run for record in going) or "none goes on"
        raise BadInput("which game day?", right=f"nines gameday --resume RUN ({named})")
    return RunFolder(Path(going[0].folder))


def _ended(folder: RunFolder) -> int:
    """The verdict, and where the review is."""
    from chaos.report.build import exit_status, read_or_judge
    from chaos.report.headline import line

    report = read_or_judge(folder)
    _write_review(folder)  # once more: people may have said something while the run ended
    show(line(report))
    for suffix in ("md", "html"):
        show(f"review: {folder.path / f'{REVIEW}.{suffix}'}")
    return exit_status(report)


def _review(path: Path) -> int:
    """From the files alone: people may have said more since the run ended."""
    from chaos.history.folder import RunFolder

    folder = RunFolder(path)
    show(_write_review(folder))
    return 0


def _write_review(folder: RunFolder) -> str:
    from chaos.core.files import write_atomically
    from chaos.history import people
    from chaos.report.build import read_or_judge
    from chaos.report.pages.as_html import html
    from chaos.report.pages.review import render

    report = read_or_judge(folder)
    text = render(report, folder.rows(), people.read(folder.path))
    write_atomically(folder.path / f"{REVIEW}.md", text.encode())
    write_atomically(folder.path / f"{REVIEW}.html", html(f"Game-day review: {report.experiment}", text).encode())
    return text
