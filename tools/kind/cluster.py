"""A cluster of kind on a private engine, for one block: the engine, the node image on it, the machines, and all of it gone afterwards.

kind's containers are privileged: Docker gives them every capability that there is, also one that this machine's root lacks (a container's
root often lacks CAP_SYS_RESOURCE), and runc then refuses. So a ``runc`` that takes out what cannot be given stands first on the PATH of
the engine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine import private
from chaos.engine.connection import connect
from chaos.engine.errors import translated
from chaos.engine.images import debian
from chaos.engine.images.build import Note, cache_dir, image_id
from tools.kind import image, programs
from tools.kubernetes import programs as kubernetes

RUNC: Final = Path(__file__).parent / "runc.py"
CREATE_S: Final = 480.0
CALL_S: Final = 300.0
READY: Final = "200s"
CHANGES: Final = ('ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "ENV container=docker")
"""What is said of an image whose file system alone is imported."""


class Kind(msgspec.Struct, frozen=True):
    """A cluster that is up."""

    docker_host: str
    kubeconfig: Path
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of commands on the user's side: kind, kubectl, and an engine to load images from."""
        path = os.pathsep.join([str(self.programs), str(kubernetes.folder()), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "DOCKER_HOST": self.docker_host, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, text: str | None = None, timeout_s: float = CALL_S) -> str:
        """What kubectl printed."""
        return self.call("kubectl", *arguments, text=text, timeout_s=timeout_s)

    def call(self, *command: str, text: str | None = None, timeout_s: float = CALL_S) -> str:
        """What a program says; ``EnvironmentUnusable`` with what it said when it failed."""
        try:
            done = subprocess.run(
                command, env=self.environment, input=text, capture_output=True, text=True, timeout=timeout_s, check=True
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"{' '.join(command)}: {last_words(error)}", how="the engine's log, and 'docker logs' of its machines"
            ) from error
        return done.stdout


def may() -> bool:
    """Whether this machine can have one: root, Go or the programs, Docker's command."""
    return os.geteuid() == 0 and private.may() and kubernetes.may() and shutil.which("docker") is not None and debian.may_install()


@contextlib.contextmanager
def running(config: str, note: Note, folder: Path | None = None) -> Iterator[Kind]:
    """A cluster by this configuration of kind. The engine, its machines and the kubeconfig end with the block; images stay."""
    with prepared(note, folder) as found:
        note("kind create cluster")
        found.call("kind", "create", "cluster", "--config", "-", "--wait", READY, text=config, timeout_s=CREATE_S)
        yield found


@contextlib.contextmanager
def prepared(note: Note, folder: Path | None = None) -> Iterator[Kind]:
    """An engine with the node image, and a ``kind`` that takes that image for its clusters: 'kind create cluster' does the rest. All of it
    ends with the block."""
    where = folder or cache_dir() / "engine-kind"
    archive, tools = image.ensure(note), programs.ensure(note)
    with _capable(where), private.private_engine(where, note) as host:
        found = Kind(host, where / "kubeconfig", _with_our_image(where / "user", tools))
        _import(host, archive, note)
        try:
            yield found
        finally:
            found.call("kind", "delete", "cluster")
            found.kubeconfig.unlink(missing_ok=True)


def _with_our_image(folder: Path, tools: Path) -> Path:
    """Where the user's programs are. What kind would take by default is in a registry."""
    folder.mkdir(parents=True, exist_ok=True)
    wrapped = folder / "kind"
    create = f'exec {tools / "kind"} "$@" --image {image.name()}'
    wrapped.write_text(f'#!/bin/sh\n[ "$1 $2" != "create cluster" ] || {create}\nexec {tools / "kind"} "$@"\n', encoding="utf-8")
    wrapped.chmod(0o755)
    return folder


@contextlib.contextmanager
def _capable(folder: Path) -> Iterator[None]:
    """While the block lasts, an engine that is started takes that runc."""
    programs_of_engine = folder / "bin"
    programs_of_engine.mkdir(parents=True, exist_ok=True)
    real = shutil.which("runc")
    if real is None:
        raise EnvironmentUnusable("runc is not installed", how="apt-get install runc")
    wrapped = programs_of_engine / "runc"
    wrapped.write_text(f'#!/bin/sh\nexec python3 -I -S {RUNC} {real} "$@"\n', encoding="utf-8")
    wrapped.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{programs_of_engine}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _import(host: str, archive: Path, note: Note) -> None:
    name, _, tag = image.name().partition(":")
    with connect(host) as engine:
        if image_id(engine, image.name()) is not None:
            return
        note("importing kind's node image")
        with contextlib.closing(engine.patient(CREATE_S)) as client, translated("importing kind's node image"):
            client.api.import_image_from_file(str(archive), repository=name, tag=tag, changes=list(CHANGES))
