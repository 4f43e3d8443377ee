"""A node's disks of limited size: how much is free and whether they can be written, ballast that fills them, read-only, and empty.

Ballast is an open file without a name: no program finds it in the node's folder, and it is gone with us, however we end.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

Message = dict[str, Any]

PAGE: Final = 4096
PIECE: Final = 1024 * 1024
MS_RDONLY: Final = 1
MS_REMOUNT: Final = 32


class Agent(Protocol):
    """What of the agent is needed here."""

    def later(self, number: object, work: Callable[[], Message]) -> None:
        """In a thread."""
        ...


_ballast: dict[str, int] = {}
"""Folder -> the open file that fills it."""
_locked: set[str] = set()


def do_room(_agent: object, command: Message) -> Message:
    """How big a folder's disk is, how much of it is free, how long a small synchronous write takes, or why it fails."""
    folder = command["folder"]
    room = os.statvfs(folder)
    began_s = time.monotonic()
    error = _attempt(folder)
    took_s = time.monotonic() - began_s
    return {
        "result": {
            "size_bytes": room.f_blocks * room.f_frsize, "free_bytes": room.f_bavail * room.f_frsize,
            "write_error": error, "write_s": None if error else took_s,
        }
    }  # fmt: skip


def _attempt(folder: str) -> str:
    """A real write, durable, into a file without a name; empty if it succeeds, else the name of the error (``ENOSPC``)."""
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    try:
        os.write(file, bytes(PAGE))
        os.fsync(file)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        os.close(file)
    return ""


def do_fill(agent: Agent, command: Message) -> None:
    """Lay ``bytes`` on a folder's disk, or as much as makes that ``share`` of it taken: 1 is to the last page."""
    agent.later(command["id"], lambda: _fill(command["folder"], command["share"], command["bytes"]))


def _fill(folder: str, share: float | None, size_bytes: int | None) -> Message:
    if folder in _ballast:
        raise ValueError(f"{folder} is being filled already")
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    _ballast[folder] = file
    room = os.statvfs(folder)
    free_bytes = room.f_bavail * room.f_frsize
    wanted = size_bytes if share is None else free_bytes - round(room.f_blocks * room.f_frsize * (1 - share))
    laid = max(0, min(wanted or 0, free_bytes))
    try:
        if laid:
            os.posix_fallocate(file, 0, laid)
    except OSError as error:
        # The system wrote meanwhile: what is left then is filled piece by piece.
        if error.errno != errno.ENOSPC:
            raise
    if share == 1:
        laid = _to_the_last_page(file)
    return {"result": {"laid_bytes": laid}}


def _to_the_last_page(file: int) -> int:
    size = os.fstat(file).st_size
    for piece in (PIECE, PAGE):
        while True:
            try:
                os.posix_fallocate(file, size, piece)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
            size += piece
    return size


def do_free(_agent: object, command: Message) -> Message:
    """Take the ballast away."""
    _free(command["folder"])
    return {"result": {}}


def _free(folder: str) -> None:
    file = _ballast.pop(folder, None)
    if file is not None:
        os.close(file)


def do_lock(agent: Agent, command: Message) -> None:
    """Remount a folder's disk read-only. The kernel refuses while any file on it is open for writing: ``busy`` is then yes."""

    def lock() -> Message:
        busy = _remount(command["folder"], MS_RDONLY)
        if not busy:
            _locked.add(command["folder"])
        return {"result": {"busy": "yes" if busy else ""}}

    agent.later(command["id"], lock)


def do_unlock(agent: Agent, command: Message) -> None:
    """Remount a folder's disk for reading and writing."""

    def unlock() -> Message:
        _unlock(command["folder"])
        return {"result": {}}

    agent.later(command["id"], unlock)


def _unlock(folder: str) -> None:
    if folder in _locked:
        _remount(folder, 0)
        _locked.discard(folder)


def _remount(folder: str, flags: int) -> bool:
    """True if it is busy. By the system call itself: a program of ours would look like one of the system's."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, folder.encode(), None, ctypes.c_ulong(MS_REMOUNT | flags), None) == 0:
        return False
    number = ctypes.get_errno()
    if number == errno.EBUSY:
        return True
    raise OSError(number, os.strerror(number), folder)


def do_empty(_agent: object, command: Message) -> Message:
    """Delete all that stands in the folders, as if their disks were new."""
    for folder in command["folders"]:
        for path in Path(folder).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return {"result": {}}


def heal(_agent: object) -> list[str]:
    """No ballast, every disk writable."""
    problems: list[str] = []
    for what, held, undo in (("ballast on", list(_ballast), _free), ("read-only", list(_locked), _unlock)):
        for folder in held:
            try:
                undo(folder)
            except OSError as error:
                problems.append(f"{what} {folder}: {error}")
    return problems
