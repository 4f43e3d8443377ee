"""A project that runs: found running, or brought up for as long as it is tried, and taken down again.

One that ran before is left as it was. One of which only a part runs is refused: what is then ours to take down could not be told.
What is brought up is noted on disk first, so that ``nines heal`` or the next ``nines try`` takes it down if this one is killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.core.files import write_atomically
from chaos.engine.compose import command as compose
from chaos.engine.compose.start import ONEOFF, PROJECT, SERVICE, Starter
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.experiment.compose.project import Project, read_project
from chaos.history.undo import shielded
from chaos.registry import processes
from chaos.registry import runs as registry

if TYPE_CHECKING:
    from docker.api import APIClient

Note = Callable[[str], None]
OWN: Final = "by Nines itself"


class Files(msgspec.Struct, frozen=True):
    """What the command line says of a project's files."""

    given: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    name: str = ""

    @property
    def paths(self) -> list[Path]:
        """The files; none for those that Compose finds by itself."""
        return [Path(each) for each in self.given]


class Record(msgspec.Struct, frozen=True):
    """Of a project that was brought up: by whom, and how it is taken down."""

    project: str
    harness: processes.Identity
    files: Files
    folder: str
    command: tuple[str, ...]
    volumes: tuple[str, ...]
    """Those that were there before."""


def read(files: Files, command: Sequence[str], environ: Mapping[str, str], folder: str = "") -> Project:
    """The project, by Compose's own word where that is installed."""
    if command:
        return compose.asked(command, files.paths, environ, profiles=files.profiles, name=files.name)
    return read_project(files.paths, environ, profiles=files.profiles, name=files.name, folder=folder)


@contextmanager
def standing(
    engine: Engine, project: Project, files: Files, services: Collection[str], command: Sequence[str], clock: Clock, note: Note
) -> Iterator[bool]:
    """It runs inside; whether it ran before. ``NotHealed`` if something that was brought up is still there afterwards."""
    api = engine.client.api
    _take_down_remains(engine, project.name, clock, note)
    there = containers_of(api, project.name)
    running = {each["Labels"][SERVICE] for each in there if each["State"] in ("running", "paused")}
    missing = [service for service in services if service not in running]
    if there and missing:
        raise EnvironmentUnusable(
            f"the project '{project.name}' is there in part: no container of {', '.join(missing)} runs",
            how=f"docker compose -p {project.name} up --detach, or down",
        )
    if there:
        note(f"{project.name} runs already: attaching")
        yield True
        return
    record = Record(project.name, processes.own_identity(), files, str(Path.cwd()), tuple(command), tuple(_volumes(api, project.name)))
    path = _path(project.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.encode(record))
    note(f"bringing {project.name} up {'by ' + ' '.join(command) if command else OWN}")
    try:
        if command:
            compose.bring_up(command, project, os.environ, files.profiles)
        else:
            Starter(engine, project, clock, note).up()
        yield False
    finally:
        with shielded():
            note(f"taking {project.name} down")
            _take_down(engine, project, record, clock)
            path.unlink()


def containers_of(api: APIClient, project: str) -> list[dict[str, Any]]:
    """All containers of the project, but those of ``docker compose run``."""
    with translated(f"looking for containers of the project {project}"):
        listed: list[dict[str, Any]] = api.containers(all=True, filters={"label": [f"{PROJECT}={project}"]})
    return [each for each in listed if each["Labels"].get(ONEOFF) != "True" and SERVICE in each["Labels"]]


def remains() -> list[Record]:
    """Of tries whose process is gone."""
    folder = registry.state_dir() / registry.TRIES
    found = [msgspec.json.decode(path.read_bytes(), type=Record) for path in sorted(folder.glob("*.json"))]
    return [record for record in found if not processes.alive(record.harness)]


def heal(engine: Engine, clock: Clock, note: Note) -> list[str]:
    """Take down what such tries brought up; the names of the projects."""
    found = remains()
    for record in found:
        note(f"taking {record.project} down, which a killed nines try had brought up")
        where = Path.cwd()
        os.chdir(record.folder)
        try:
            _take_down(engine, read(record.files, record.command, os.environ), record, clock)
        finally:
            os.chdir(where)
        _path(record.project).unlink(missing_ok=True)
    return [record.project for record in found]


def _take_down_remains(engine: Engine, project: str, clock: Clock, note: Note) -> None:
    if any(record.project == project for record in remains()):
        heal(engine, clock, note)


def _take_down(engine: Engine, project: Project, record: Record, clock: Clock) -> None:
    """And the volumes that were not there before."""
    api = engine.client.api
    if record.command:
        compose.take_down(record.command, project, os.environ, record.files.profiles)
        with translated(f"removing volumes of {project.name}"):
            for volume in _volumes(api, project.name):
                if volume not in record.volumes:
                    api.remove_volume(volume, force=True)
    else:
        Starter(engine, project, clock).down()
    left = containers_of(api, project.name)
    if left:
        names = ", ".join(str(each["Names"][0]).lstrip("/") for each in left)
        raise NotHealed(f"the project '{project.name}' was brought up by nines try, and is still there: {names}")


def _volumes(api: APIClient, project: str) -> list[str]:
    with translated(f"looking for volumes of the project {project}"):
        return [str(each["Name"]) for each in api.volumes(filters={"label": [f"{PROJECT}={project}"]})["Volumes"] or ()]


def _path(project: str) -> Path:
    return registry.state_dir() / registry.TRIES / f"{project}.json"
