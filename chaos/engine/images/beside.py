"""The image of the harness itself, for an engine that is elsewhere: what agent and prober need, and what speaks to the engine."""

from __future__ import annotations

import importlib.metadata
from importlib.resources import files
from pathlib import Path
from typing import Final

from chaos.engine.connection import Engine
from chaos.engine.images.build import KEEP, Note, Recipe, build, digest, fingerprint, folder_entries, image_id, prune, want
from chaos.engine.images.harness import python_of, site_entries

REPOSITORY: Final = "nines-beside"
NEEDS: Final = (
    "docker",
    "requests",
    "urllib3",
    "idna",
    "certifi",
    "charset-normalizer",
    "pyyaml",
    "tabulate",
    "toxiproxy-python",
    "future",
)
"""What runs an experiment beside what its helpers need. Judging stays where the command is: no numpy, no scipy."""


def ensure_beside(engine: Engine, harness: str, note: Note) -> str:
    """The name of the image; the tag changes exactly when that of the harness or a package does."""
    dockerfile = (files("chaos") / "docker_files" / "beside.Dockerfile").read_text(encoding="utf-8")
    code = folder_entries(Path(__file__).parents[2], "chaos", (".py",))
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in NEEDS]
    tag = f"{REPOSITORY}:{digest(dockerfile, image_id(engine, harness) or '', fingerprint(code), *versions)}"
    want(tag)
    if image_id(engine, tag) is None:
        entries = (*site_entries(python_of(engine, harness), note, NEEDS), *code)
        build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="beside", args={"HARNESS": harness}), note)
        prune(engine, "beside", REPOSITORY, KEEP)
    return tag
