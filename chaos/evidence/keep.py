"""Each judged run is entered into the history. That must not cost a run its verdict: what keeps it from being entered is told, no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaos.core.errors import NinesError
from chaos.evidence.rows import rows_of
from chaos.evidence.store import Store, usual_path
from chaos.results.report import Report


def keep(report: Report, folder: Path, tell: Callable[[str], None], history: Path | None = None) -> bool:
    """Enter it into ``history`` (None: the usual one); whether it was. ``tell`` hears why not."""
    path = usual_path() if history is None else history
    if path is None:
        return False
    try:
        with Store(path, create=True) as store:
            store.record(*rows_of(report, str(folder.absolute())))
    except NinesError as error:
        tell(f"this run is not in the history: {error}\n  'nines runs --add {folder}' enters it later")
        return False
    return True
