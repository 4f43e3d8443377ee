"""Tests on a real Kubernetes, which is built and started for them: ``make test-kubernetes``. Root, Go for the first build, minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from chaos.engine import private
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_base
from tests.support.kubernetes import session_cluster
from tools.kubernetes.cluster import Cluster

HERE = "tests/kubernetes/"
LIMIT_S = 1200.0
IMAGE = "nines.test/chaos-nines:1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of them belongs to the core suite."""
    for item in items:
        if item.nodeid.startswith(HERE):
            item.add_marker("kubernetes")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three nodes, n1 to n3."""
    with session_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """An engine that images are made on."""
    with private.private_engine(private.folder_of(), lambda text: print(text, file=sys.stderr)) as host:
        patch = pytest.MonkeyPatch()
        patch.setenv("DOCKER_HOST", host)
        yield host
        patch.undo()


@pytest.fixture(scope="session")
def base_image(cluster: Cluster, docker_host: str) -> str:
    """The name of the base image of containers, on every node: Debian with a whole python3."""
    with connect(docker_host) as engine:
        name = ensure_base(engine, lambda text: print(text, file=sys.stderr))
    cluster.load(name)
    return name


@pytest.fixture(scope="session")
def nines_image(cluster: Cluster, docker_host: str) -> str:
    """Nines itself as an image, on every node."""
    subprocess.run(
        [sys.executable, "-m", "chaos", "image", "--tag", IMAGE], check=True, timeout=900, env={**os.environ, "DOCKER_HOST": docker_host}
    )
    cluster.load(IMAGE)
    return IMAGE
