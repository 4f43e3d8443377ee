"""What is put into a container before it starts: a target's files, and whose they are."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.errors import translated

if TYPE_CHECKING:
    from docker.api import APIClient

Owner = tuple[int, int]
"""A user's number and the number of its first group."""


def archive(files: Mapping[str, str], owner: Owner = (0, 0)) -> bytes:
    """A tar of these files and the folders that they stand in, readable by all."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        folders = {str(parent) for name in files for parent in PurePosixPath(name).parents if str(parent) != "."}
        for folder in sorted(folders):
            tar.addfile(_folder(folder, owner))
        for name, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            entry.uid, entry.gid = owner
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def own_folders(api: APIClient, container: str, folders: Sequence[str], owner: Owner) -> None:
    """Give data folders to a user: each is a volume, which belongs to root where the image has no such folder."""
    for folder in folders:
        path = PurePosixPath(folder)
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            tar.addfile(_folder(path.name, owner))
        with translated(f"giving the folder {folder} to its user"):
            api.put_archive(container, str(path.parent), made.getvalue())


def ids_of(api: APIClient, container: str, user: str) -> Owner:
    """The numbers of a user of the container's image; ``EnvironmentUnusable`` if the image has no such user."""
    if user.isdecimal():
        return int(user), int(user)
    for line in _read(api, container, "/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[0] == user and fields[2].isdecimal() and fields[3].isdecimal():
            return int(fields[2]), int(fields[3])
    raise EnvironmentUnusable(f"the image has no user '{user}'", how="create the user in the Dockerfile of the target, or leave 'user' out")


def _read(api: APIClient, container: str, path: str) -> str:
    with translated(f"reading {path} of an image"):
        pieces, _ = api.get_archive(container, path)
        packed = io.BytesIO(b"".join(pieces))
    with tarfile.open(fileobj=packed) as tar:
        member = next((each for each in tar.getmembers() if each.isfile()), None)
        found = None if member is None else tar.extractfile(member)
        return "" if found is None else found.read().decode("utf-8", "replace")


def _folder(name: str, owner: Owner) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    entry.uid, entry.gid = owner
    return entry
