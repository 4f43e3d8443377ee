"""The docker runtime: what every runtime must do, and what only this one does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from chaos.errors import CapabilityMissing
from chaos.kinds import Cut, Link, Toxic
from chaos.runtimes.docker import DockerRuntime

CONTRACT = Path(__file__).parent.parent / "contract"
sys.path.insert(0, str(CONTRACT))

import test_runtimes as contract  # noqa: E402 - found only now


class DockerStage(contract.Stage):
    """The contract's stage, in containers."""

    def __init__(self, folder: Path) -> None:
        super().__init__("docker", folder)
        self.runtime = DockerRuntime()


@pytest.fixture
def stage(docker_host: str, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerStage:
    """The docker runtime, with a registry of its own."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    return DockerStage(tmp_path / f"contract-docker-{os.getpid()}-{tmp_path.name}")


class TestDocker(contract.TestEveryRuntime):
    """The contract, where packets take the place of proxies in a cut."""

    def test_what_a_proxy_cannot_do_is_refused(self, stage: DockerStage) -> None:
        """A toxic on a link that the plan does not name: refused, with nothing put in force; a cut of one needs no proxy."""
        with stage.cluster((contract.LINK,)) as cluster:
            toxic = Toxic(contract.OTHER, "latency", {"latency": 10.0, "jitter": 0.0})
            with pytest.raises(CapabilityMissing), cluster.net.layer([Cut(contract.LINK), toxic]):
                pytest.fail("the layer was entered")
            assert contract.rtt_s(cluster, contract.LINK) > 0
            with cluster.net.layer([Cut(contract.OTHER)]):
                assert cluster.net.measure(contract.OTHER, 0.2).rtt_s is None
            assert contract.rtt_s(cluster, contract.OTHER) > 0

    def test_cut_hides_latency_and_leaves_it(self, stage: DockerStage) -> None:
        """A cut takes packets, so answers the other way go with it; other links do not, and the latency is there when it is gone."""
        third = Link("n3", "n2")
        with stage.cluster(contract.PEERS) as cluster, cluster.net.layer([Toxic(contract.LINK, "latency", {"latency": 60.0, "jitter": 0.0})]):
            with cluster.net.layer([Cut(contract.LINK)]):
                assert cluster.net.measure(contract.LINK, 0.2).error == "timed out"
                assert cluster.net.measure(contract.OTHER, 0.2).error == "timed out"
                assert contract.rtt_s(cluster, third) < 0.055
            assert contract.rtt_s(cluster, contract.LINK) > 0.055
