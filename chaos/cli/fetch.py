"""``nines fetch``: what was measured by a run beside an engine elsewhere, whose command here is gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli.output import note, show
from chaos.core.errors import EnvironmentUnusable, HistoryUnreadable

if TYPE_CHECKING:
    from chaos.history.folder import RunFolder


def fetch(arguments: argparse.Namespace) -> int:
    """Bring its folder here and judge it; without a name: list the runs that wait."""
    from chaos.cli import there
    from chaos.history.folder import RunFolder

    if arguments.run is not None and _from_cluster(arguments):
        return 0
    if arguments.run is None and _list_clusters() and not there.is_used():
        return 0
    if not there.is_used():
        there.require_named()
        raise EnvironmentUnusable(
            "nothing of ours is kept beside the engine", how="DOCKER_HOST must lead to the engine of that run; run folders of an engine"
            " on this machine are here already",
        )  # fmt: skip
    from chaos.elsewhere import verbs

    if arguments.run is None:
        waiting: list[str] = []
        verbs.fetch("", Path(), waiting.append)
        if not waiting:
            note("No run waits beside the engine.")
        for line in waiting:
            show(line)
        return 0
    run = Path(arguments.run).name
    folder = RunFolder(Path(arguments.folder) if arguments.folder else Path("runs") / run)
    folder.refuse_held()
    if not verbs.fetch(run, folder.path, show):
        raise EnvironmentUnusable("nothing of ours is kept beside the engine", how="DOCKER_HOST must lead to the engine of that run")
    note(f"{run} is in {folder.path}")
    _judge(folder)
    return 0


def _from_cluster(arguments: argparse.Namespace) -> bool:
    """Of a run in a Kubernetes cluster, as the registry here knows it; false for any other."""
    from chaos.elsewhere import in_cluster, verbs
    from chaos.history.folder import RunFolder

    run = Path(arguments.run).name
    if not in_cluster.known(run):
        return False
    folder = RunFolder(Path(arguments.folder) if arguments.folder else Path("runs") / run)
    folder.refuse_held()
    stand = in_cluster.fetchable(run)
    verbs.fetch_from(stand, run, folder.path, show)
    note(f"{run} is in {folder.path}; 'nines heal' removes what is left of it in the cluster")
    _judge(folder)
    return True


def _list_clusters() -> bool:
    """Runs in clusters whose command is gone; whether there are any."""
    from chaos.elsewhere import in_cluster

    names = in_cluster.waiting()
    for name in names:
        show(name)
    return bool(names)


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
