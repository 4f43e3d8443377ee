"""The engine of the Docker suite: the one that answers, else a private one that lives as long as the suite."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine import private as private_engine
from chaos.engine.connection import Engine, connect
from chaos.engine.limits import why
from tests.support.needs import need

HERE = "tests/docker/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need an engine: ``-m "not docker"`` leaves them out."""
    for item in items:
        if item.nodeid.startswith(HERE):
            item.add_marker("docker")


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """Where an engine is that will do; ``DOCKER_HOST`` names it, for this process and its children."""
    with contextlib.ExitStack() as stack:
        host = _host(stack)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DOCKER_HOST", host)
        yield host


def _host(stack: contextlib.ExitStack) -> str:
    try:
        with connect() as there:
            return there.facts.host
    except EnvironmentUnusable as error:
        need("a Docker engine", private_engine.may(), str(error))
    folder = private_engine.folder_of()
    return stack.enter_context(private_engine.private_engine(folder, lambda text: print(text, file=sys.stderr)))


@pytest.fixture(scope="session")
def engine(docker_host: str) -> Iterator[Engine]:
    """A connection to it."""
    with connect(docker_host) as there:
        yield there


@pytest.fixture
def limits(engine: Engine) -> None:
    """Only for an engine that can limit processor time and memory."""
    if engine.facts.unlimited:
        pytest.skip(f"the engine cannot limit {' and '.join(engine.facts.unlimited)}: {why(engine.facts)}")


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """The base image, made if need be (about 20 s, once)."""
    from chaos.engine.images.ensure import ensure_base

    return ensure_base(engine)


@pytest.fixture(scope="session")
def harness_image(engine: Engine) -> str:
    """The harness's own image, of the code that is tested."""
    from chaos.engine.images.ensure import ensure_harness

    return ensure_harness(engine)


@pytest.fixture
def state(harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of the test's own; the image is there, so nothing waits for it."""
    assert harness_image
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"
