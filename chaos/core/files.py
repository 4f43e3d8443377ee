"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from chaos.core.system import PLAIN_BYTES


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """All of it or nothing, durable when it returns.

    The draft is a new file of a name that nobody could guess, and takes the other's place in one move: a symbolic link of that name is
    replaced, never followed. A run folder may come from a stranger. The writer's pid in it tells a draft that nobody will finish.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}.draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN_BYTES, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
