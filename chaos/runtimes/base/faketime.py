"""Where libfaketime is on this machine, and whether a program that is here can use it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from chaos.agent.agent_parts.clock import why_not

PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
NAME: Final = "libfaketimeMT.so.1"
"""The one for programs with threads; it serves all others as well."""
HOW: Final = "install libfaketime (apt-get install libfaketime), or use the runtime 'docker'"


def find(places: Iterable[str] = PLACES) -> Path | None:
    """The library; None if it is not installed."""
    for place in places:
        for folder in sorted(Path("/").glob(place.lstrip("/"))):
            if (folder / NAME).is_file():
                return folder / NAME
    return None


def refusal(command: str) -> str:
    """Why the program behind that word (a path, or a name on PATH) cannot be given another time; empty if it may, or is not here."""
    path = shutil.which(command)
    try:
        return why_not(Path(path)) if path else ""
    except OSError:
        return ""  # what cannot be read is asked again when it runs
