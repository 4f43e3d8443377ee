"""Disks that fill up, vanish or turn read-only while a run goes on: what is wrong in one line, and space that is kept for the last words.

A run folder's history and undo log always have space ahead of their end (fallocate(2) with FALLOC_FL_KEEP_SIZE: blocks that are theirs and
that nobody else can take), so that what must still be written when the disk is full is written. Where the file system has no such call
the files simply grow, and a write that fails is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Final

from chaos.core.system import is_root
from chaos.core.units import show_bytes

_KEEP_SIZE: Final = 0x01
"""``FALLOC_FL_KEEP_SIZE`` of linux/falloc.h."""
LEAST_FREE_BYTES: Final = 500_000
"""With less than this a disk counts as full: the nodes' logs are on it too, and a system whose log cannot be written is not measured."""
SAYS: Final = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full: the quota is used up",
    errno.EFBIG: "takes no larger file (see 'ulimit -f')",
    errno.EROFS: "is read-only",
    errno.EIO: "has an input/output error",
    errno.ENOENT: "is gone",
    errno.ENOTDIR: "is gone",
    errno.ESTALE: "is gone",
    errno.ENOTCONN: "is gone",
    errno.EACCES: "may not be written",
    errno.EPERM: "may not be written",
}
"""What an error of a write says of the disk or of the folder."""
_OF_DISKS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def why(error: OSError, path: Path) -> str:
    """One line for a write to ``path`` that failed: ``the disk /mnt/small is full (60MB): history.jsonl could not be written``."""
    code = error.errno or 0
    folder = path if path.is_dir() else path.parent
    what = f"the disk {_named(folder)}" if code in _OF_DISKS else f"the file {path}" if code == errno.EFBIG else f"the folder {folder}"
    return f"{what} {SAYS.get(code, error.strerror or str(error))}: {path.name} could not be written"


def of_storage(error: BaseException) -> bool:
    """Whether a disk, and no bug, is the reason: only what no missing file of ours could be mistaken for."""
    return isinstance(error, OSError) and error.errno in _OF_DISKS | {errno.EFBIG}


def trouble_of(folder: Path) -> str:
    """What is wrong with the disk of that folder now, in one line; empty if it takes what is written."""
    if sys.platform == "win32":
        return "" if folder.is_dir() else f"the folder {folder} {SAYS[errno.ENOENT]}"
    try:
        seen = os.statvfs(folder)
    except OSError as error:
        return f"the folder {folder} {SAYS.get(error.errno or 0, error.strerror)}"
    if seen.f_flag & os.ST_RDONLY:
        return f"the disk {_named(folder)} is read-only"
    free = (seen.f_bfree if is_root() else seen.f_bavail) * seen.f_frsize
    if seen.f_blocks and free < LEAST_FREE_BYTES:
        return f"the disk {_named(folder)} is full ({show_bytes(free)} of {show_bytes(seen.f_blocks * seen.f_frsize)} are free)"
    return f"the disk {_named(folder)} is full: no file can be made on it" if seen.f_files and not seen.f_ffree else ""


def _named(folder: Path) -> str:
    """The mount point that the folder is on."""
    here = folder.absolute()
    while not os.path.ismount(here) and here != here.parent:
        here = here.parent
    return str(here)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def keep_ahead(fd: int, ahead_bytes: int) -> int:
    """Let that file have so much space beyond its end; how far it reaches, 0 where the file system cannot. ``OSError``: there is none."""
    size = os.fstat(fd).st_size
    fallocate = getattr(_libc(), "fallocate", None) if sys.platform == "linux" else None
    if fallocate is None:
        return 0
    if fallocate(fd, _KEEP_SIZE, ctypes.c_longlong(size), ctypes.c_longlong(ahead_bytes)) == 0:
        return size + ahead_bytes
    code = ctypes.get_errno()
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        raise OSError(code, os.strerror(code))
    return 0


class Ahead:
    """A file that is only appended to, with space kept beyond its end. Nothing is torn: a row is written whole or not at all."""

    def __init__(self, fd: int, path: Path, ahead_bytes: int) -> None:
        self.fd = fd
        self.trouble = ""
        """The first thing that was wrong, in one line; rows may still have been written after it."""
        self._path = path
        self._ahead_bytes = ahead_bytes
        self._size = os.fstat(fd).st_size
        self._reaches = 0
        self._reserve()

    def append(self, data: bytes) -> bool:
        """Whether all of it was written; if not, the file ends as before. Never raises for what is wrong with a disk."""
        if self._reaches and self._size + len(data) + self._ahead_bytes // 2 > self._reaches:
            self._reserve()
        try:
            written = os.write(self.fd, data)
            while written < len(data):
                written += os.write(self.fd, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self._size)
            self.trouble = self.trouble or why(error, self._path)
            return False
        self._size += len(data)
        return True

    def close(self) -> None:
        """On the disk when it returns, without the space that was kept."""
        try:
            os.ftruncate(self.fd, self._size)
            os.fsync(self.fd)
        except OSError as error:
            self.trouble = self.trouble or why(error, self._path)
        os.close(self.fd)

    def _reserve(self) -> None:
        try:
            self._reaches = keep_ahead(self.fd, self._ahead_bytes)
        except OSError as error:
            self.trouble = self.trouble or why(error, self._path)
            self._reaches = 0
