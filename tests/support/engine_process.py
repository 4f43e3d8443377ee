"""An engine that a test starts: a process in a session of its own, until it answers; ended after the block, with what it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.engine.connection import answers

START_S: Final = 60.0
STOP_S: Final = 30.0
_LOOK_S: Final = 0.1
_LAST_WORDS: Final = 2000


@contextlib.contextmanager
def answering(
    command: Sequence[str], host: str, folder: Path, pid_file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """``DOCKER_HOST`` of what this command starts; its words go to ``log`` in the folder. ``RuntimeError`` with the last of them.

    ``pid_file``: where the engine writes its own number, if the command is only what has started it.
    """
    if answers({"DOCKER_HOST": host}):
        raise RuntimeError(f"an engine runs in {folder} already: end it, or name another folder by its NINES_ENGINE_... variable")
    for path in (Path(host.removeprefix("unix://")), pid_file):
        if path is not None:
            path.unlink(missing_ok=True)
    log = folder / "log"
    with log.open("ab") as words:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True
        )
    try:
        until_s = time.monotonic() + START_S
        while not answers({"DOCKER_HOST": host}):
            if process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"the engine in {folder} did not start: {log.read_text(errors='replace')[-_LAST_WORDS:]}")
            time.sleep(_LOOK_S)
        yield host
    finally:
        with contextlib.suppress(OSError, ValueError):
            engine = int(pid_file.read_text(encoding="ascii")) if pid_file else process.pid
            # The file of an engine that has ended may name what has its number by now.
            if os.getsid(engine) == process.pid:
                os.kill(engine, signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _end_group(process.pid)


def _end_group(leader: int) -> None:
    """Podman of an ordinary user serves by a child, which outlives the one that was ended."""
    with contextlib.suppress(ProcessLookupError):
        for sent in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(leader, sent)
            until_s = time.monotonic() + STOP_S
            while time.monotonic() < until_s:
                os.killpg(leader, 0)
                time.sleep(_LOOK_S)
