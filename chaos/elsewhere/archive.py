"""Folders as tar archives, to be sent piece by piece. What is unpacked comes from another machine, so it may only hold plain files."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from chaos.elsewhere.frames import PIECE_BYTES

_SKIPPED: Final = ("__pycache__",)
_DRAFT: Final = ".draft"
HISTORY_NAME: Final = "history.jsonl"
"""By which a folder is known to hold a run."""
_LEFT_OUT: Final = (".reserve", ".taken")
"""Space that a run keeps for its reports, and a mark of ours."""


class _Pieces(io.RawIOBase):
    """A file that hands on what is written to it."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        for start in range(0, len(view), PIECE_BYTES):
            self._take(bytes(view[start : start + PIECE_BYTES]))
        return len(view)


def pack(folders: Mapping[str, Path], take: Callable[[bytes], None]) -> None:
    """Every folder below its name, in pieces. A file that grows meanwhile is taken as long as it was when it was met."""
    with tarfile.open(fileobj=_Pieces(take), mode="w|", bufsize=PIECE_BYTES) as archive:
        for name, folder in folders.items():
            for path, inside in _files(folder, name):
                try:
                    file = path.open("rb")
                except FileNotFoundError:
                    continue  # a draft that has just become the file itself
                with file:
                    info = tarfile.TarInfo(inside)
                    stat = os.fstat(file.fileno())
                    info.size, info.mode, info.mtime = stat.st_size, stat.st_mode & 0o777, int(stat.st_mtime)
                    archive.addfile(info, file)


def _files(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_symlink() or not path.is_file() or any(part in _SKIPPED for part in parts) or path.name in _LEFT_OUT:
            continue
        if path.name.endswith(_DRAFT):
            continue
        yield path, "/".join((name, *parts)) if name else "/".join(parts)


class _Reader(io.RawIOBase):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def unpack(pieces: Iterable[bytes], folder: Path, ours: Collection[str] = ()) -> None:
    """Into that folder; its history bears its name once all is there. ``tarfile.TarError`` for what is no archive of plain files below it.

    ``ours``: names that are not taken from there.

    Not by ``TarFile.extract``: its filters came with Python 3.11.4, and Debian 12 has 3.11.2.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drafts: list[Path] = []
    with tarfile.open(fileobj=io.BufferedReader(_Reader(pieces)), mode="r|") as archive:
        for member in archive:
            path = _inside(folder, member)
            if path.relative_to(folder).as_posix().casefold() in ours:  # some disks tell no PLAN.json from plan.json
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or path.parent.resolve() != folder.resolve().joinpath(*path.relative_to(folder).parts[:-1]):
                raise tarfile.ExtractError(f"{member.name} is a link here")
            if member.name == HISTORY_NAME:
                path = path.with_name(f"{HISTORY_NAME}{_DRAFT}")
                drafts.append(path)
            content = archive.extractfile(member)
            assert content is not None, "a plain file has a content"
            with content, os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, member.mode & 0o777), "wb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(member.mode & 0o777)
    for path in drafts:
        path.replace(path.with_name(HISTORY_NAME))


def _inside(folder: Path, member: tarfile.TarInfo) -> Path:
    """Where a member goes; a name that leads out of the folder, on any system, is refused."""
    parts = PurePosixPath(member.name).parts
    if not member.isfile():
        raise tarfile.ExtractError(f"{member.name} is no plain file")
    if not parts or ".." in parts or parts[0] == "/" or any(letter in member.name for letter in "\\:\0"):
        raise tarfile.ExtractError(f"'{member.name}' is no name below the folder")
    return folder.joinpath(*parts)


def sync(folder: Path) -> None:
    """All that is in the folder, onto the disk: its other copy is about to be removed."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
