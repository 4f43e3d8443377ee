"""The image of the tools that some faults need inside a node: stress-ng and libfaketime, taken from the packages of the base's Debian.

It is made only for a plan that has such a fault, once; ``runtimes/docker/supplies.py`` brings its one folder into the nodes.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.images.build import KEEP, Note, Recipe, build, digest, image_id, prune, sent

REPOSITORY: Final = "nines-tools"
FOLDER: Final = "/.nines"
"""Where they are in the image, and in a node."""
LIBRARIES: Final = f"{FOLDER}/lib"
LOADER: Final = f"{FOLDER}/nines-tool"
"""The loader of their own libraries. It is what the kernel starts, so its name is that of each of their processes: ours are told by it."""
STRESS: Final = (LOADER, "--library-path", LIBRARIES, f"{FOLDER}/stress-ng")
"""How stress-ng is started in any image, whatever its C library."""
FAKETIME_THREADS: Final = f"{LIBRARIES}/libfaketimeMT.so.1"
"""To be preloaded: libfaketime for programs with threads."""


def ensure_tools(engine: Engine, base: str, note: Note) -> str:
    """The name of the image; the tag changes exactly when its recipe or the base does."""
    found = sent("tools")
    if found:
        return found
    dockerfile = (files("chaos") / "docker_files" / "tools.Dockerfile").read_text(encoding="utf-8")
    tag = f"{REPOSITORY}:{digest(dockerfile, image_id(engine, base) or '')}"
    if image_id(engine, tag) is not None:
        return tag
    try:
        build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=(), purpose="tools", args={"BASE": base}), note)
    except EnvironmentUnusable as error:
        raise EnvironmentUnusable(
            f"the tools that a fault of this plan needs (stress-ng, libfaketime) could not be made: {error.what}",
            how="the base image must be a Debian or Ubuntu one whose package mirrors can be reached: see NINES_BASE_IMAGE; or leave out the"
            " faults cpu, memory, io and clock",
        ) from error
    prune(engine, "tools", REPOSITORY, KEEP)
    return tag
