"""The contract of runtimes on pods of ours: carried out in the pod of a harness, with its account and its rights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from chaos.plugin import Deployment
from chaos.testing.travelling import TravellingContract
from tests.kubernetes.test_kubernetes_attach import settings
from tests.kubernetes.test_kubernetes_own import standing
from tests.support.echo_deployment import ECHO, echo_deployment, echo_plan
from tools.kubernetes.cluster import Cluster

ECHO_IMAGE: Final = "nines.test/echo:1"


@pytest.fixture(scope="module")
def echo_image(cluster: Cluster, docker_host: str) -> str:
    """What the nodes run in, on every machine."""
    command = [sys.executable, "-m", "chaos", "image", "--target", str(ECHO), "--tag", ECHO_IMAGE]
    subprocess.run(command, check=True, timeout=900)
    cluster.load(ECHO_IMAGE)
    return ECHO_IMAGE


@pytest.fixture(scope="module")
def deployment(cluster: Cluster, nines_image: str, echo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Three pods of the echo target, in a namespace of their own; afterwards the whole cluster is as before."""
    top = tmp_path_factory.mktemp("contract")
    before = standing(cluster)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(cluster, nines_image, top).items():
            patch.setenv(name, value)
        patch.setenv("NINES_KUBERNETES_TARGET_IMAGE", echo_image)
        patch.setenv("NINES_STATE", str(top / "state"))
        yield echo_deployment(Path(top) / "contract", echo_plan("kubernetes"))
    assert standing(cluster) == before


class TestOnPodsOfOurs(TravellingContract):
    """All of it."""
