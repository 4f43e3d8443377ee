"""The engines, each as the tests start it, and the shell from which the command is called there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import msgspec

from chaos.engine import private
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_base
from chaos.net.toxiproxy.program import find
from tests.support import engine_elsewhere, engine_podman, engine_rootless, ordinary_user
from tests.support.engine_transports import SSHD, certificates, ssh_before, tls_before
from tests.support.job import job
from tests.support.paths import ROOT
from tools import current_engine

MOUNTED: Final = "/var/run/docker.sock"
TLS_PORT: Final = 2376


class Shell(msgspec.Struct):
    """From where the command is called."""

    engine: str
    """Where this benchmark itself finds the engine, to read the replica's log and to see what is left."""
    environment: dict[str, str]
    wrap: Callable[[list[str]], list[str]] = list
    own: Callable[[Path], object] = lambda folder: folder
    """Gives a folder to whoever calls the command."""


class Environment(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    called: str
    start: Callable[[], AbstractContextManager[Shell]]
    may: Callable[[], bool]


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _shell(host: str, **variables: str) -> Shell:
    return Shell(host, os.environ | {"DOCKER_HOST": host} | variables)


@contextlib.contextmanager
def _here() -> Iterator[Shell]:
    with private.private_engine(private.folder_of(), _note) as host:
        yield _shell(host)


@contextlib.contextmanager
def _current() -> Iterator[Shell]:
    with current_engine.running(_note) as host:
        yield _shell(host)


@contextlib.contextmanager
def _elsewhere() -> Iterator[Shell]:
    with engine_elsewhere.running() as host:
        yield _shell(host)


@contextlib.contextmanager
def _ssh() -> Iterator[Shell]:
    with _scratch() as folder, engine_elsewhere.running() as host, ssh_before(host.removeprefix("unix://"), folder) as (where, path):
        yield Shell(host, os.environ | {"DOCKER_HOST": where, "PATH": path})


@contextlib.contextmanager
def _tls() -> Iterator[Shell]:
    with _scratch() as folder, engine_elsewhere.running() as host:
        certificates(folder)
        with tls_before(host.removeprefix("unix://"), folder) as port:
            by_tls = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
            yield Shell(host, os.environ | by_tls)


@contextlib.contextmanager
def _rootless() -> Iterator[Shell]:
    with engine_rootless.running() as host:
        yield _of_user(host, engine_rootless.environment())


@contextlib.contextmanager
def _podman() -> Iterator[Shell]:
    with engine_podman.running() as host:
        yield _shell(host)


@contextlib.contextmanager
def _podman_rootless() -> Iterator[Shell]:
    with engine_podman.running(rootless=True) as host:
        yield _of_user(host, engine_podman.environment())


def _of_user(host: str, environment: Mapping[str, str]) -> Shell:
    path = ":".join([str(ROOT), *filter(None, sys.path)])
    own = {"DOCKER_HOST": host, "NINES_TOXIPROXY": find(build=True).path, "PYTHONPATH": path}
    return Shell(host, {**environment, **own}, lambda words: ordinary_user.as_user(*words), ordinary_user.own)


@contextlib.contextmanager
def _mounted() -> Iterator[Shell]:
    """The socket alone, at its usual place, in a job's container without any network."""
    with engine_elsewhere.running() as host:
        _ensure_base(host)
        with job({host.removeprefix("unix://"): MOUNTED}) as container:
            yield Shell(host, _without_engine(), container.command)


@contextlib.contextmanager
def _docker_in_docker() -> Iterator[Shell]:
    """As the image docker:dind starts it, and as GitLab's documentation has the job's variables."""
    shared = engine_elsewhere.folder() / "shared" / "certs"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    certificates(shared, "subjectAltName=DNS:docker,DNS:localhost")
    pems = {"--tlscacert": "ca", "--tlscert": "server", "--tlskey": "server-key"}
    options = [word for option, name in pems.items() for word in (option, f"/mnt/certs/{name}.pem")]
    with _scratch() as folder, engine_elsewhere.running(["--host", f"tcp://0.0.0.0:{TLS_PORT}", "--tlsverify", *options]) as host:
        _ensure_base(host)
        (folder / "client").mkdir()
        by_tls = {"DOCKER_HOST": f"tcp://docker:{TLS_PORT}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder / "client")}
        with job({str(shared): str(folder / "client")}, engine_elsewhere.pid(), folder / "hosts") as container:
            yield Shell(host, _without_engine() | by_tls, container.command)


def _ensure_base(host: str) -> None:
    """The job's network leads to no mirror of packages."""
    with connect(host, checked=False) as engine:
        ensure_base(engine, _note)


def _without_engine() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")} | {
        "NINES_TOXIPROXY": find(build=True).path
    }


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with ExitStack() as stack:
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nines-engines-")))


ENVIRONMENTS: Final = (
    Environment("here", "Docker 20.10 here", _here, private.may),
    Environment("current", "current Docker here (29 line, cgroup v2)", _current, current_engine.may),
    Environment("elsewhere", "elsewhere: own namespaces, clock 100,000 s ahead", _elsewhere, engine_elsewhere.may),
    Environment("ssh", "the same by `ssh://`", _ssh, lambda: engine_elsewhere.may() and SSHD.exists()),
    Environment("tls", "the same by `tcp://` with TLS", _tls, engine_elsewhere.may),
    Environment("mounted", "its socket mounted into a job", _mounted, engine_elsewhere.may),
    Environment("dind", "docker-in-docker, as a job's service", _docker_in_docker, engine_elsewhere.may),
    Environment("rootless", "Docker 20.10, rootless", _rootless, engine_rootless.may),
    Environment("podman", "Podman 4.3, root", _podman, engine_podman.may),
    Environment("podman-rootless", "Podman 4.3, rootless", _podman_rootless, lambda: engine_podman.may(rootless=True)),
)  # fmt: skip
