"""Building and pulling images through the engine's API, one builder at a time per tag, whatever else runs on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import system
from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.errors import translated, unusable

Note = Callable[[str], None]

LABEL: Final = "nines.image"
OURS: Final = "nines-"
"""How the names begin that Nines gives to what it builds for itself; a user's own name is his."""
"""On every image we made: ``base``, ``harness`` or ``target``."""
PULL_TIMEOUT_S: Final = 120.0
"""Of one silence of the engine, not of the whole pull."""
BUILD_TIMEOUT_S: Final = 600.0
_TAIL: Final = 12
KEEP: Final = 6
"""So many versions of one image stay, the newest; others are removed when one is added."""
WANTED_FOR_S: Final = 3600.0
"""Who asked for an image may take so long to make a container of it; from then on the container holds it."""
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
SENT: Final = "NINES_IMAGES"
"""In the environment of a harness that was sent: names of images that are on the engine, by what they are for, as JSON."""
_SKIPPED_FOLDERS: Final = ("__pycache__",)


class Entry(msgspec.Struct, frozen=True):
    """One file of a build context."""

    name: str
    data: bytes
    mode: int = 0o644


class Recipe(msgspec.Struct, frozen=True):
    """What is built: the tag tells the content, so equal recipes are built once."""

    tag: str
    dockerfile: str
    entries: tuple[Entry, ...]
    purpose: str
    args: dict[str, str] = {}


def sent(part: str) -> str | None:
    """The name of an image that whoever sent this harness to stand beside the engine has made there; None if nobody did."""
    said = os.environ.get(SENT)
    return msgspec.json.decode(said, type=dict[str, str]).get(part) if said else None


def quiet(_: str) -> None:
    """For callers that show no progress."""


def cache_dir() -> Path:
    """Where locks, downloads and bootstrapped systems are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nines"


def digest(*parts: bytes | str) -> str:
    """Twelve hexadecimal digits for some content; lengths go in, so that no two lists of parts look alike."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:12]


def fingerprint(entries: Iterable[Entry]) -> str:
    """The digest of a build context."""
    return digest(*(piece for entry in entries for piece in (entry.name, f"{entry.mode:o}", entry.data)))


def folder_entries(folder: Path, prefix: str = "", suffixes: tuple[str, ...] = ()) -> tuple[Entry, ...]:
    """The files of a folder, sorted, without hidden ones, caches and byte code; only those with a suffix, if any is named."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in parts) or path.suffix == ".pyc" or not path.is_file():
            continue
        if suffixes and path.suffix not in suffixes:
            continue
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        found.append(Entry("/".join((prefix, *parts)) if prefix else "/".join(parts), path.read_bytes(), mode))
    return tuple(found)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Exclusive on this machine and for this user; the lock goes with the process, however it ends."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name.replace('/', '_').replace(':', '_')}.lock").open("w") as lock:
        system.lock(lock)
        yield


# --- the engine's part -------------------------------------------------------------------------------------------------


def image_id(engine: Engine, reference: str) -> str | None:
    """The id of an image that the engine has; None if it has none of that name."""
    from docker.errors import ImageNotFound

    with translated(f"looking for the image {reference}"):
        try:
            return str(engine.client.images.get(reference).id)
        except ImageNotFound:
            return None


def pull(engine: Engine, reference: str, note: Note) -> str:
    """The id of an image, pulled if it is missing."""
    with one_at_a_time(f"pull-{reference}"):
        found = image_id(engine, reference)
        if found is not None:
            return found
        note(f"pulling {reference}")
        with closing(engine.patient(PULL_TIMEOUT_S)) as client, translated(f"pulling the image {reference}"):
            return str(client.images.pull(*_name_and_tag(reference)).id)


def _name_and_tag(reference: str) -> tuple[str, str]:
    from docker.utils import parse_repository_tag

    name, tag = parse_repository_tag(reference)
    return name, tag or "latest"


def build(engine: Engine, recipe: Recipe, note: Note) -> str:
    """Build it, if no image of that tag is there; returns the tag. The network is the host's: package mirrors are reached as from here."""
    with one_at_a_time(recipe.tag):
        if image_id(engine, recipe.tag) is None:
            note(f"building {recipe.tag}")
            _build(engine, recipe)
    return recipe.tag


def named(engine: Engine, image: str, name: str) -> str:
    """The same image under another name as well, which it takes from any other."""
    repository, _, tag = name.rpartition(":")
    if not repository or "/" in tag:
        repository, tag = name, "latest"
    with translated(f"naming the image {name}"):
        engine.client.api.tag(image, repository, tag, force=True)
    return name


def _build(engine: Engine, recipe: Recipe) -> None:
    doing = f"building the image {recipe.tag}"
    tail: list[str] = []
    with closing(engine.patient(BUILD_TIMEOUT_S)) as client, translated(doing):
        for line in client.api.build(
            fileobj=context(recipe),
            custom_context=True,
            tag=recipe.tag,
            buildargs={**recipe.args, **{name: os.environ[name] for name in _PROXIES if name in os.environ}},
            labels={LABEL: recipe.purpose},
            network_mode=None if engine.facts.own_users else "host",  # which such an engine refuses
            rm=True,
            forcerm=True,
            decode=True,
        ):
            tail += [text for text in str(line.get("stream", "")).splitlines() if text.strip()]
            if "error" in line:
                raise _failed(doing, str(line["error"]), tail)


def _failed(doing: str, said: str, tail: list[str]) -> EnvironmentUnusable:
    error = unusable(doing, said.strip())
    return EnvironmentUnusable("\n  | ".join([error.what, *tail[-_TAIL:]]), how=error.how)


def context(recipe: Recipe) -> io.BytesIO:
    """The build context as a tar archive that is the same, byte by byte, for the same content: the engine's cache goes by it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in (Entry("Dockerfile", recipe.dockerfile.encode()), *recipe.entries):
            info = tarfile.TarInfo(entry.name)
            info.size, info.mode = len(entry.data), entry.mode
            archive.addfile(info, io.BytesIO(entry.data))
    out.seek(0)
    return out


def want(tag: str) -> None:
    """Somebody is about to make containers of it: another run's ``prune`` must not take it away before."""
    mark = _mark(tag)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _mark(tag: str) -> Path:
    return cache_dir() / "wanted" / digest(tag)


def _is_wanted(tag: str) -> bool:
    try:
        return time.time() - _mark(tag).stat().st_mtime < WANTED_FOR_S
    except FileNotFoundError:
        return False


def prune(engine: Engine, purpose: str, repository: str, keep: int) -> list[str]:
    """Remove our own images of one kind but the newest ``keep``; one that a container uses, or somebody is about to use, stays. Those that
    were removed."""
    from docker.errors import APIError

    removed = []
    with translated(f"listing images of {repository}"):
        images = engine.client.api.images(filters={"label": f"{LABEL}={purpose}", "reference": repository})
        used = {container["ImageID"] for container in engine.client.api.containers(all=True)}
        for image in sorted(images, key=lambda each: -int(each["Created"]))[keep:]:
            for tag in image.get("RepoTags") or ():
                if image["Id"] in used or _is_wanted(tag):
                    continue
                try:
                    engine.client.api.remove_image(tag)
                    removed.append(tag)
                except APIError as error:
                    if error.status_code not in (404, 409):  # gone already, or in use
                        raise
                _mark(tag).unlink(missing_ok=True)
    return removed


def prune_all(engine: Engine) -> list[str]:
    """Of each kind that Nines built for itself, all but the newest: those of other versions. What was removed."""
    with translated("listing the images of Nines"):
        images = engine.client.api.images(filters={"label": LABEL})
    kinds = {
        (str((image.get("Labels") or {}).get(LABEL)), tag.rpartition(":")[0])
        for image in images
        for tag in image.get("RepoTags") or ()
        if tag.startswith(OURS)
    }
    return [tag for purpose, repository in sorted(kinds) for tag in prune(engine, purpose, repository, keep=1)]
