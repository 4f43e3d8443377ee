"""Nines itself as an image: the package, what it needs and the shipped targets, on the image of its helpers.

What the package needs is read from its own metadata, with what these packages need in turn; nothing is downloaded inside the build.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.images.build import BUILD_TIMEOUT_S, Entry, Note, Recipe, build, folder_entries
from chaos.engine.images.ensure import ensure_harness
from chaos.engine.images.harness import python_of, site_entries

PACKAGE: Final = "chaos-nines"
NAME: Final = "chaos-nines"
"""What the image is called, where nobody says."""
STREAMS: Final = "websocket-client"
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_KEPT: Final = (".py", ".yaml", ".yml", ".j2", ".css", ".js", ".svg", ".json", ".Dockerfile", ".txt", ".typed")


def build_whole(engine: Engine, tag: str, note: Note, libraries: Sequence[str] = ()) -> str:
    """Build it under that tag, also over one that is there; ``libraries``: packages that drivers of targets import."""
    harness = ensure_harness(engine, note)
    here = Path(__file__).parents[2]
    targets = next((folder for folder in (here.parent / "targets", here / "_shipped" / "targets") if folder.is_dir()), None)
    entries = (
        *site_entries(python_of(engine, harness), note, list(dict.fromkeys((*needs(), *in_cluster(note), *libraries)))),
        *metadata_entries(),
        *(entry for entry in folder_entries(here, "chaos") if entry.name.endswith(_KEPT)),
        *(folder_entries(targets, "targets") if targets is not None else ()),
    )
    dockerfile = (files("chaos") / "docker_files" / "nines.Dockerfile").read_text(encoding="utf-8")
    recipe = Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="nines", args={"HARNESS": harness})
    with_tag(engine, tag)
    return build(engine, recipe, note)


def in_cluster(note: Note) -> tuple[str, ...]:
    """What a harness in a Kubernetes cluster needs beside: the streams of pods. Left out, and said so, where it is not installed."""
    try:
        importlib.metadata.distribution(STREAMS)
    except importlib.metadata.PackageNotFoundError:
        note("this image will not do for Kubernetes: pip install 'chaos-nines[kubernetes]', then build it again")
        return ()
    return (STREAMS,)


def with_tag(engine: Engine, tag: str) -> None:
    """An older image of that name loses the name, so that the new one is built."""
    from docker.errors import ImageNotFound

    from chaos.engine.errors import translated

    # Its layers go with it, which takes an engine with much to do longer than any question.
    with closing(engine.patient(BUILD_TIMEOUT_S)) as client, translated(f"replacing the image {tag}"):
        try:
            client.api.remove_image(tag, force=True)
        except ImageNotFound:
            return


def needs(package: str = PACKAGE, known: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of all packages that this one needs without its extras, each once."""
    found = list(known)
    for requirement in importlib.metadata.requires(package) or ():
        words, _, marker = requirement.partition(";")
        name = _REQUIREMENT.match(words.strip())
        if name is None or (marker and not _holds(marker)) or name[0].lower() in found:
            continue
        found.append(name[0].lower())
        found = list(needs(name[0], tuple(found)))
    return tuple(found)


def _holds(marker: str) -> bool:
    """Whether a requirement's condition holds for the image: Linux, this Python, no extra."""
    if "extra" in marker:
        return False
    try:
        from packaging.markers import Marker  # of pytest's own needs
    except ImportError:
        raise EnvironmentUnusable("the package 'packaging' is missing", how="pip install packaging") from None
    return bool(Marker(marker).evaluate({"extra": ""}))


def metadata_entries() -> tuple[Entry, ...]:
    """What says that the package is installed, and its version."""
    distribution = importlib.metadata.distribution(PACKAGE)
    folder = f"site/{PACKAGE.replace('-', '_')}-{distribution.version}.dist-info"
    texts = {name: distribution.read_text(name) for name in ("METADATA", "entry_points.txt")}
    return tuple(Entry(f"{folder}/{name}", text.encode()) for name, text in texts.items() if text)
