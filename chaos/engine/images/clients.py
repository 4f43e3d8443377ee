"""The image of the probers of a target whose drivers use client libraries: the harness's own, with these packages beside."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from chaos.core.packages import versions_of
from chaos.engine.connection import Engine
from chaos.engine.images.build import KEEP, Note, Recipe, build, digest, image_id, prune, want
from chaos.engine.images.harness import python_of, site_entries

REPOSITORY: Final = "nines-clients"


def ensure_clients(engine: Engine, harness: str, libraries: Sequence[str], note: Note) -> str:
    """The name of the image; the tag changes exactly when that of the harness or a package does.

    ``EnvironmentUnusable`` if a package is not installed here: its version here is the one that clients have there.
    """
    dockerfile = (files("chaos") / "docker_files" / "clients.Dockerfile").read_text(encoding="utf-8")
    tag = f"{REPOSITORY}:{digest(dockerfile, image_id(engine, harness) or '', *versions_of(libraries))}"
    want(tag)
    if image_id(engine, tag) is None:
        entries = site_entries(python_of(engine, harness), note, libraries)
        build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="clients", args={"HARNESS": harness}), note)
        prune(engine, "clients", REPOSITORY, KEEP)
    return tag
