"""The images of a run: the base, the harness's own, and each part's. Made or pulled only where they are missing.

    base      chaos/engine/images/base.py      nines-base:bookworm-<hash>
    harness   chaos/engine/images/harness.py   nines-harness:<version>-<hash>
    clients   chaos/engine/images/clients.py   nines-clients:<hash>, only for a target whose drivers use client libraries
    plugins   chaos/engine/images/foreign.py   nines-plugins:<hash>, only for probes of other packages, and for all that travels with them
    target    here                      what target.yaml names, or nines-target-<name>:<hash> from the target's Dockerfile

A tag carries the hash of everything that went in, so nothing is ever built twice, nor used stale. ``note`` hears what takes time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.images import base as images_base
from chaos.engine.images import beside as images_beside
from chaos.engine.images import clients as images_clients
from chaos.engine.images import foreign as images_foreign
from chaos.engine.images import harness as images_harness
from chaos.engine.images.build import (
    KEEP,
    Note,
    Recipe,
    build,
    digest,
    fingerprint,
    folder_entries,
    image_id,
    prune,
    pull,
    quiet,
    sent,
    want,
)
from chaos.experiment.target.spec import Target

AGENT: Final = ("python3", "-I", "-S", "/opt/nines/agent/agent.py")
"""The command of the node agent in the harness image; isolated, since it runs beside whatever the node is given."""
GUEST: Final = ("python3", "-I", "-S", "/opt/nines/agent/agent_guest.py")
"""The same as a guest of a container that is not ours."""
TOXIPROXY: Final = "/usr/local/bin/toxiproxy-server"
_USES_BASE: Final = re.compile(r"^\s*ARG\s+BASE\b", re.MULTILINE | re.IGNORECASE)


def ensure_base(engine: Engine, note: Note = quiet) -> str:
    """The base image's name; the image is there."""
    return sent("base") or images_base.ensure_base(engine, note)


def ensure_harness(engine: Engine, note: Note = quiet) -> str:
    """The name of the image that holds agent, prober and name server of this very version."""
    return sent("harness") or images_harness.ensure_harness(engine, ensure_base(engine, note), note)


def ensure_clients(engine: Engine, harness: str, libraries: Sequence[str], note: Note = quiet, plugins: Sequence[str] = ()) -> str:
    """The name of the probers' image: the harness's own, or one with client libraries of drivers, and with packages that bring probes."""
    if not libraries and not plugins:
        return harness
    found = sent("clients")
    if found:
        return found
    if not plugins:
        return images_clients.ensure_clients(engine, harness, libraries, note)
    return images_foreign.ensure_plugins(engine, images_beside.ensure_beside(engine, harness, note), plugins, note, libraries)


def ensure_target(engine: Engine, target: Target, part: str, note: Note = quiet) -> str:
    """The name of the image of a part: pulled if ``image:`` names one, else built from the Dockerfile in ``build:``.

    The Dockerfile may begin with ``ARG BASE`` and ``FROM ${BASE}``: it then stands on our base image.
    """
    found = sent(f"target {part}")
    if found:
        return found
    form = target.parts[part].docker
    if form is None or not (form.image or form.build):
        raise CapabilityMissing(
            f"the part '{part}' of the target '{target.name}' has no form for Docker",
            how="give it docker: {build: .} or docker: {image: ...}",
        )
    if form.image:
        pull(engine, form.image, note)
        return form.image
    folder = (Path(target.folder) / str(form.build)).resolve()
    try:
        dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentUnusable(
            f"the part '{part}' of the target '{target.name}' is to be built, but {folder}/Dockerfile cannot be read ({error.strerror})",
            how="write one, or name an image: docker: {image: ...}",
        ) from error
    entries = tuple(entry for entry in folder_entries(folder) if entry.name != "Dockerfile")
    args = {"BASE": ensure_base(engine, note)} if _USES_BASE.search(dockerfile) else {}
    on = image_id(engine, args["BASE"]) if args else ""
    name = re.sub(r"[^a-z0-9]+", "-", target.name.lower()).strip("-")
    tag = f"nines-target-{name}:{digest(dockerfile, on or '', fingerprint(entries))}"
    want(tag)
    if image_id(engine, tag) is None:
        build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="target", args=args), note)
        prune(engine, "target", f"nines-target-{name}", KEEP)
    return tag
