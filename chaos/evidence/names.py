"""What names a run: its folder, ``latest``, its name, or the begin of either that no other run has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput
from chaos.core.plugins import suggest
from chaos.evidence.store import open_usual

LATEST: Final = "latest"
FOLDER: Final = Path("runs")
_PLAN: Final = "plan.json"
_SHOWN: Final = 5


def run_folder(word: str) -> Path:
    """The folder of the run that is meant. ``BadInput`` where none is, or several."""
    path = Path(word)
    if path.is_dir() or len(path.parts) > 1:
        return path
    known = _known()
    if word == LATEST:
        if not known:
            raise BadInput("there is no run here yet", right="nines run FILE.yaml makes one, or name a run folder")
        return max(known, key=lambda folder: known[folder])
    exact = [folder for folder in known if folder.name == word]
    found = exact or [folder for folder in known if folder.name.startswith(word)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadInput(f"there is no run '{word}'", right=_like(word, [folder.name for folder in known]))
    newest = sorted(found, key=lambda folder: known[folder], reverse=True)
    names = ", ".join(folder.name for folder in newest[:_SHOWN])
    more = f" and {len(newest) - _SHOWN} more" if len(newest) > _SHOWN else ""
    raise BadInput(f"'{word}' may be any of {len(found)} runs: {names}{more}", right="more letters of its name, or latest")


def _like(word: str, names: list[str]) -> str:
    if not names:
        return "the folder of a run; there is none under runs/"
    near = suggest(word, names)
    return near if near.startswith("did you mean") else "'nines runs' lists them"


def _known() -> dict[Path, float]:
    """Folder -> when its run began, of all that are here: in ``runs``, and in the history where the folder is still there."""
    found: dict[Path, float] = {}
    if FOLDER.is_dir():
        with os.scandir(FOLDER) as entries:
            for entry in entries:
                try:
                    found[Path(entry.path)] = (Path(entry.path) / _PLAN).stat().st_mtime
                except OSError:
                    continue  # no run folder
    here = {folder.absolute() for folder in found}
    store = open_usual()
    if store is not None:
        with store:
            for folder, started_s in store.folders():
                if Path(folder) not in here and (Path(folder) / _PLAN).is_file():
                    found[Path(folder)] = started_s
    return found
