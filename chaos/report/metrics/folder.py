"""The metrics of a run folder: of a run that goes on, that ended, or that was judged."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chaos.history.folder import RunFolder, plain
from chaos.report.metrics.families import RunMetrics
from chaos.report.metrics.progress import FolderFollower
from chaos.results.report import Report


def metrics_of(folder: RunFolder) -> RunMetrics:
    """As the folder is now. ``HistoryUnreadable`` where it is no run folder."""
    return following(folder)()


def following(folder: RunFolder) -> Callable[[], RunMetrics]:
    """Asked again and again, it reads only what came since; the report's figures are there once the run is judged."""
    plan = folder.read_plan()
    follower = FolderFollower(folder.history)
    return lambda: RunMetrics(plan, follower.now(), report_of(folder))


def report_of(folder: RunFolder) -> Report | None:
    """None while there is none, and for one of a version that this one cannot read."""
    if not folder.report.exists():
        return None
    try:
        return msgspec.json.decode(plain(folder.report).read_bytes(), type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
