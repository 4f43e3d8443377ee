"""A command inside a container of a run, with a limit in time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.engine.errors import translated

if TYPE_CHECKING:
    from docker.api import APIClient


def run_in(api: APIClient, container: str, words: Sequence[str], log: Path, *, user: str, within_s: float) -> str:
    """How it failed, else empty. What it says goes to the log as it comes; a command that is late ends with its container."""
    with translated(f"the command '{' '.join(words)}'"):
        execution = str(api.exec_create(container, list(words), user=user)["Id"])
        said = api.exec_start(execution, stream=True)

    def keep() -> None:
        with log.open("ab", buffering=0) as file:
            for piece in said:
                file.write(piece)

    # The engine sends nothing for as long as the command says nothing, so only another thread can wait for both.
    reader = threading.Thread(target=keep, name="init step", daemon=True)
    reader.start()
    reader.join(within_s)
    if reader.is_alive():
        return f"did not end within {within_s:g} s"
    with translated(f"the end of '{' '.join(words)}'"):
        code = api.exec_inspect(execution)["ExitCode"]
    return f"failed: exit status {code}" if code != 0 else ""
