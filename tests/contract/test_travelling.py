"""The contract of a runtime whose harness travels: carried out by a harness next door, told here as it ended there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.plan.plan import Plan
from chaos.plugin import Deployment
from chaos.runtimes.fake.runtime import FakeRuntime
from chaos.testing.travelling import TravellingContract, carry_out
from tests.support.echo_deployment import echo_deployment, echo_plan
from tests.support.travelling import NextDoor

RUN = "contract"
MODULE = """
import pytest
from chaos.core.capabilities import Capability
from chaos.testing import travelled
from chaos.testing.runtimes import RuntimeContract

class TestOdd(RuntimeContract):
    @pytest.fixture
    def stage(self, request):
        return travelled.stage(request.node.name)

    def test_up_is_whole(self, stage):
        stage.require(Capability.STREAMS)

    def test_logs_are_kept(self, stage):
        with stage.cluster() as cluster:
            assert sorted(cluster.nodes) == ["n1", "n2"]

    def test_traffic_ends_early(self, stage):
        with travelled.limited(0.05):
            while True:
                pass
"""


@contextmanager
def away(top: Path, path: str = "") -> Iterator[None]:
    """The fake runtime's harness goes next door; there it stays."""

    @classmethod  # type: ignore[misc]
    @contextmanager
    def elsewhere(_runtime: type[FakeRuntime], _plan: Plan) -> Iterator[NextDoor]:
        yield NextDoor(top, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeRuntime, "elsewhere", elsewhere)
        patch.setenv("NINES_STATE", str(top / "here"))
        yield


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Of the echo target, which goes along."""
    top = tmp_path_factory.mktemp("away")
    with away(top / "there"):
        yield echo_deployment(top / RUN, echo_plan("fake"))


class TestNextDoor(TravellingContract):
    """All of it, in virtual time."""


def test_each_test_ends_here_as_it_did_there(tmp_path: Path) -> None:
    """With the values of an assertion, the runtime's words for what it lacks, and the limit of time; what each wrote is here."""
    (tmp_path / "test_odd.py").write_text(MODULE, encoding="utf-8")
    deployment = echo_deployment(tmp_path / RUN, echo_plan("fake"))
    names = ["test_up_is_whole", "test_logs_are_kept", "test_traffic_ends_early", "test_stamps_of_a_node_are_in_order"]
    with away(tmp_path / "there", str(tmp_path)):
        found, said = carry_out(deployment, "test_odd", "TestOdd", names)
    assert {name: outcome.kind for name, outcome in found.items()} == {
        "test_up_is_whole": "skipped", "test_logs_are_kept": "failed", "test_traffic_ends_early": "failed",
        "test_stamps_of_a_node_are_in_order": "passed",
    }, said  # fmt: skip
    assert found["test_up_is_whole"].text == "the runtime 'fake' lacks 'streams': virtual links carry no bytes"
    assert "['n1', 'n2', 'n3']" in found["test_logs_are_kept"].text
    assert "not ended within 0.05 s" in found["test_traffic_ends_early"].text
    (log,) = (deployment.folder / "test_logs_are_kept").glob("contract-*/logs/n1.log")
    assert log.stat().st_size > 0
    assert list((tmp_path / "there" / "runs").iterdir()) == []


def test_a_module_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By pytest's own words."""
    with away(tmp_path / "there"):
        found, said = carry_out(echo_deployment(tmp_path / RUN, echo_plan("fake")), "nobody_wrote_this", "TestIt", ["test_it"])
    assert found == {}
    assert "nobody_wrote_this" in said
