"""``nines fetch``: what was measured by a run beside an engine elsewhere, whose command here is gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli.output import note, show
from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable

if TYPE_CHECKING:
    from chaos.history.folder import RunFolder


def fetch(arguments: argparse.Namespace) -> int:
    """Bring its folder here and judge it; without a name: list the runs that wait."""
    from chaos.cli import there
    from chaos.history.folder import RunFolder

    if not there.is_used():
        raise EnvironmentUnusable(
            "nothing of ours is kept beside the engine", how="DOCKER_HOST must lead to the engine of that run; run folders of an engine"
            " on this machine are here already",
        )  # fmt: skip
    from chaos.elsewhere import travel

    if arguments.run is None:
        travel.fetch("", Path(), show)
        return 0
    run = Path(arguments.run).name
    folder = RunFolder(Path(arguments.folder) if arguments.folder else Path("runs") / run)
    if folder.history.exists():
        raise BadInput(f"{folder.path} holds what a run measured already", right="another folder: --folder DIR")
    if not travel.fetch(run, folder.path, show):
        raise EnvironmentUnusable("nothing of ours is kept beside the engine", how="DOCKER_HOST must lead to the engine of that run")
    note(f"{run} is in {folder.path}")
    _judge(folder)
    return 0


def _judge(folder: RunFolder) -> None:
    """Its reports, where there is enough to judge."""
    from chaos.api import keep_evidence
    from chaos.report.build import from_folder, write
    from chaos.report.headline import line

    try:
        report = from_folder(folder)
    except HistoryUnreadable as error:
        note(f"there is nothing to judge: {error}")
        return
    write(report, folder)
    keep_evidence(report, folder)
    show(line(report))
