"""Compose itself, where it is installed: the plugin of the docker command, or ``docker-compose``.

It is asked what a project's files come to, and told to bring the project up and to take it down; all by its documented commands.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.experiment.compose.project import Project, Service

WAYS: Final = (("docker", "compose"), ("docker-compose",))
ASK_S: Final = 20.0
UP_S: Final = 900.0
"""Images may have to be pulled or built."""
DOWN_S: Final = 120.0
_FIRST: Final = "1."
"""The first Compose, written in Python, which is no longer kept and has no such form of its configuration."""
_LAST_LINES: Final = 8


@functools.cache
def compose_command() -> tuple[str, ...]:
    """How Compose (2 or newer) is called here; empty if it is not installed."""
    for words in WAYS:
        try:
            said = subprocess.run([*words, "version", "--short"], capture_output=True, text=True, timeout=ASK_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = said.stdout.strip().lstrip("v")
        if said.returncode == 0 and not version.startswith(_FIRST):
            return words
    return ()


def asked(
    command: Sequence[str], given: Sequence[Path], environ: Mapping[str, str], *, profiles: Collection[str] = (), name: str = ""
) -> Project:
    """What Compose makes of the files. ``BadInput`` with its own words if it refuses them."""
    words = [*command, *_options(given, profiles, name), "config", "--format", "json"]
    said = _run(words, ASK_S, environ)
    if said.returncode != 0:
        raise BadInput(f"docker compose refuses the project: {_end(said.stderr)}", right="'docker compose config' shows the same")
    found: dict[str, Any] = json.loads(said.stdout)
    files = tuple(given) or (Path(),)
    return Project(
        name=str(found["name"]),
        folder=files[0] if files[0].is_dir() else files[0].parent,
        files=files,
        services={key: Service(key, body) for key, body in (found.get("services") or {}).items()},
        networks=found.get("networks") or {},
        volumes=found.get("volumes") or {},
    )


def bring_up(command: Sequence[str], project: Project, environ: Mapping[str, str], profiles: Collection[str]) -> None:
    """All services, in the background. ``EnvironmentUnusable`` with Compose's last words."""
    words = [*command, *_options(project.files, profiles, project.name), "up", "--detach", "--quiet-pull"]
    said = _run(words, UP_S, environ)
    if said.returncode != 0:
        raise EnvironmentUnusable(
            f"docker compose could not bring '{project.name}' up: {_end(said.stderr)}", how="bring it up by hand first"
        )


def take_down(command: Sequence[str], project: Project, environ: Mapping[str, str], profiles: Collection[str]) -> None:
    """Containers and networks; volumes stay. ``EnvironmentUnusable`` with Compose's last words."""
    words = [*command, *_options(project.files, profiles, project.name), "down", "--remove-orphans"]
    said = _run(words, DOWN_S, environ)
    if said.returncode != 0:
        raise EnvironmentUnusable(f"docker compose could not take '{project.name}' down: {_end(said.stderr)}", how="docker compose down")


def _options(files: Sequence[Path], profiles: Collection[str], name: str) -> list[str]:
    """A folder alone is left to Compose to look through; so are the overrides beside a file with a usual name."""
    words: list[str] = []
    if len(files) == 1 and files[0].is_dir():
        words += ["--project-directory", str(files[0])] if files[0] != Path() else []
    else:
        words += [word for file in files for word in ("--file", str(file))]
    words += [word for profile in profiles for word in ("--profile", profile)]
    return words + (["--project-name", name] if name else [])


def _run(words: Sequence[str], within_s: float, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=within_s, check=False, stdin=subprocess.DEVNULL, env=env)
    except subprocess.TimeoutExpired:
        raise EnvironmentUnusable(f"'{' '.join(words)}' did not end within {within_s:g} s", how="try it by hand") from None


def _end(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return "; ".join(lines[-_LAST_LINES:]) or "it said nothing"
