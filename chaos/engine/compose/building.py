"""The image of a service that says ``build``, built as the docker command would: context, Dockerfile, arguments, stage."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from chaos.core.errors import BadInput, CapabilityMissing
from chaos.engine.compose.translate import PLUGIN
from chaos.engine.connection import Engine
from chaos.engine.errors import translated, unusable
from chaos.engine.images.build import BUILD_TIMEOUT_S, Note
from chaos.experiment.compose.merging import pairs

_READ: Final = frozenset({"context", "dockerfile", "dockerfile_inline", "args", "target", "labels", "network", "pull"})
_LAST_LINES: Final = 12


def build_context(engine: Engine, build: Mapping[str, Any], tag: str, service: str, note: Note) -> str:
    """The tag of the built image. ``EnvironmentUnusable`` with the last lines of a build that failed."""
    for key in build:
        if key not in _READ:
            raise CapabilityMissing(f"'build.{key}' of the service '{service}' is not read by Nines itself", how=PLUGIN)
    context = str(build.get("context") or ".")
    if build.get("dockerfile_inline") or "://" in context or not Path(context).is_dir():
        what = "an inline Dockerfile" if build.get("dockerfile_inline") else f"the context '{context}'"
        if "://" in context or build.get("dockerfile_inline"):
            raise CapabilityMissing(f"{what} of the service '{service}' is not built by Nines itself", how=PLUGIN)
        raise BadInput(f"{what} of the service '{service}' is no folder", right="build: ./folder")
    note(f"building {tag} for '{service}'")
    doing, said = f"building the image of '{service}'", list[str]()
    args = {name: "" if value is None else str(value) for name, value in pairs(build.get("args")).items()}
    with closing(engine.patient(BUILD_TIMEOUT_S)) as client, translated(doing):
        for line in client.api.build(
            path=context, dockerfile=build.get("dockerfile") or "Dockerfile", tag=tag, buildargs=args, target=build.get("target") or "",
            network_mode=build.get("network"), rm=True, forcerm=True, decode=True,
        ):  # fmt: skip
            said += [text for text in str(line.get("stream", "")).splitlines() if text.strip()]
            if "error" in line:
                error = unusable(doing, str(line["error"]).strip())
                error.what = "\n  | ".join([error.what, *said[-_LAST_LINES:]])
                raise error
    return tag
