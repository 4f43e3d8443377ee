"""The faults by stream toxics on stubs: which toxics they order, what a link must show, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.core.values import Cut, Link, Passage, RoundTrip, Toxic, Victims
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.streams import Down, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Fault, Scene
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.capable import why
from tests.support.samples import sample_target

LINK = Link("n1", "n2")
OTHER = Link("n1", "n3")
ON_LINK = Victims(links=(LINK, OTHER))


class StreamNet(StubNet):
    """Does with a link what its toxics ask; ``deaf`` does nothing, ``half`` leaves the second link alone."""

    def __init__(self, *, deaf: bool = False, half: bool = False) -> None:
        super().__init__(deaf=deaf)
        self.half = half
        self.frozen = False

    def active(self, link: Link) -> list[Any]:
        return [rule for rule in self.rules if rule.link == link and not self.deaf and not (self.half and link == OTHER)]

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        for rule in self.active(link):
            if isinstance(rule, Cut):
                return RoundTrip(None, "refused")
            if rule.type in {"timeout", "reset_peer"}:
                return RoundTrip(None, "timed out" if rule.type == "timeout" else "reset")
        return RoundTrip(0.001)

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        if self.frozen:
            raise EnvironmentUnusable("frozen", how="thaw it")
        count, pieces, last_s, late_s = size_bytes, 1, 0.001, 0.0
        for rule in self.active(link):
            if rule.stream != stream:
                continue
            match rule.type:
                case "bandwidth":
                    last_s = size_bytes / (rule.attributes["rate"] * 1000)
                case "slow_close":
                    late_s = rule.attributes["delay"] / 1e3
                case "limit_data":
                    count = min(count, int(rule.attributes["bytes"]))
                case "slicer":
                    pieces = round(size_bytes / rule.attributes["average_size"])
                    last_s = pieces * rule.attributes["delay"] / 1e6
        return Passage("closed", count, pieces, last_s, last_s + late_s, late_s)


FAULTS: list[Fault] = [
    Bandwidth(rate_bytes_per_s=50_000), Bandwidth(rate_bytes_per_s=50_000, stream="both"), SlowClose(delay_s=0.5),
    LimitData(bytes_bytes=100), Slicer(), Timeout(), ResetPeer(timeout_s=0.1), Down(),
]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the undo log of a test lies."""
    return tmp_path / "undo.jsonl"


def scene(log: Path, net: StubNet) -> Scene:
    """Three well nodes and this net."""
    return Scene(cluster=StubCluster([StubNode(name) for name in ("n1", "n2", "n3")], net), clock=ManualClock(), undo=UndoLog(log))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_in_force_inside_and_gone_after(fault: Fault, log: Path) -> None:
    """Its own look tells in from out, on every link."""
    with fault.inject(scene(log, StreamNet()), ON_LINK) as effect:
        assert len(pending(log)) == 1
        evidence = effect.gone()
        assert not evidence.ok
        assert str(LINK) in evidence.why
        assert str(OTHER) in evidence.why
        assert effect.before != effect.during
    assert effect.healed_at_ns is not None
    assert effect.gone().ok
    assert pending(log) == []


@pytest.mark.parametrize("net", [StreamNet(deaf=True), StreamNet(half=True)], ids=["none", "one"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_link_that_shows_nothing_is_told_by_name(fault: Fault, net: StreamNet, log: Path) -> None:
    """All must be harmed, or nothing is; then nothing is left to undo either."""
    with pytest.raises(FaultNotEffective, match=str(OTHER)), fault.inject(scene(log, net), ON_LINK):
        pytest.fail("it must not come to be in force")
    assert net.rules == []
    assert pending(log) == []


def test_a_server_that_does_not_answer_is_no_proof(log: Path) -> None:
    """Neither of the effect, nor of its end; the end is asked for again."""
    net = StreamNet()
    with Bandwidth(rate_bytes_per_s=50_000).inject(scene(log, net), ON_LINK) as effect:
        pass
    net.frozen = True
    assert not effect.gone().ok
    assert "could not be measured: frozen" in effect.gone().why
    stage = scene(log, net)
    with pytest.raises(FaultNotEffective, match="frozen"), Bandwidth(rate_bytes_per_s=50_000).inject(stage, ON_LINK):
        pytest.fail("it must not come to be in force")
    assert pending(log) == []
    net.frozen = False
    assert effect.gone().ok


def test_by_chance_a_look_proves_nothing(log: Path) -> None:
    """With a toxicity below 100 % the figures stand as they are."""
    with Bandwidth(rate_bytes_per_s=50_000, toxicity=0.5).inject(scene(log, StreamNet(deaf=True)), ON_LINK) as effect:
        assert effect.during[f"{LINK}.downstream_rate_bytes_per_s"] == effect.before[f"{LINK}.downstream_rate_bytes_per_s"]


def test_a_link_that_was_dead_before_need_not_live_after(log: Path) -> None:
    """Another fault may hold it."""
    net = StreamNet()
    with net.layer([Toxic(OTHER, "timeout", {"timeout": 0.0})]):
        held = list(net.rules)
        with Timeout().inject(scene(log, net), ON_LINK) as effect:
            pass
        net.rules = held
        assert effect.gone().ok


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Bandwidth(rate_bytes_per_s=50_000), ("bandwidth", {"rate": 50.0})),
        (SlowClose(delay_s=0.5), ("slow_close", {"delay": 500.0})),
        (Timeout(timeout_s=2.0), ("timeout", {"timeout": 2000.0})),
        (ResetPeer(timeout_s=0.1), ("reset_peer", {"timeout": 100.0})),
        (Slicer(average_size_bytes=64, size_variation_bytes=8, delay_s=0.002),
         ("slicer", {"average_size": 64.0, "size_variation": 8.0, "delay": 2000.0})),
        (LimitData(bytes_bytes=100), ("limit_data", {"bytes": 100.0})),
    ],
    ids=str,
)  # fmt: skip
def test_units_are_those_of_the_server(fault: Any, expected: tuple[str, dict[str, float]]) -> None:
    """KB/s of 1,000 bytes, ms, and µs for the slicer."""
    rules = fault.rules(Victims(links=(LINK,)), ())
    assert [(rule.type, rule.attributes) for rule in rules] == [expected]


def test_both_streams_are_two_toxics() -> None:
    """Each in its direction."""
    rules = Slicer(stream="both", existing="cut").rules(Victims(links=(LINK,)), ())
    assert [(rule.stream, rule.existing) for rule in rules] == [("downstream", "cut"), ("upstream", "cut")]


@pytest.mark.parametrize(
    "make",
    [lambda: Bandwidth(rate_bytes_per_s=999.0), lambda: Slicer(average_size_bytes=0), lambda: Slicer(size_variation_bytes=64),
     lambda: Slicer(delay_s=0.0)],
)  # fmt: skip
def test_what_would_be_nothing_or_everything_is_refused(make: Callable[[], object]) -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match=r"'delay'|KB/s|'size_variation'"):
        make()


def test_virtual_links_carry_no_bytes() -> None:
    """Only what a round trip shows can be done in virtual time."""
    target = sample_target()
    assert "bytes" in why(Bandwidth(rate_bytes_per_s=5e4), "fake", target)
    assert "bytes" in why(Slicer(), "fake", target)
    assert "bytes" in why(LimitData(bytes_bytes=1), "fake", target)
    assert why(Timeout(), "fake", target) == ""
    assert why(Timeout(timeout_s=1.0), "fake", target)
    assert why(ResetPeer(), "fake", target) == ""
    assert why(Down(), "fake", target) == ""
