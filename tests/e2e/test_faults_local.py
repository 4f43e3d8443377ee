"""Each family of faults on real processes, through the real Toxiproxy: in force inside, measured, gone after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from chaos.core.values import CLIENTS, Link, Status, Victims
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.dns import Dns
from chaos.faults.partition import Partition
from chaos.faults.remove import Remove
from chaos.faults.restart import Restart
from chaos.faults.stop import Stop
from chaos.faults.streams import Down, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from chaos.history.events import DnsChanged, NodeChanged
from chaos.plan.shapes import bridge, ring
from chaos.plugin import Effect, Fault
from chaos.runtimes.local.runtime import LocalRuntime
from chaos.testing.stage import Stage, staged
from tests.support.echo_deployment import PEERS, echo_deployment, echo_plan, need_toxiproxy

pytestmark = pytest.mark.e2e
LINK = Link(CLIENTS, "n1")
OTHER = Link("n2", "n3")
ON_LINKS = Victims(links=(LINK, OTHER))
TIMES = 10
WITHIN_S = 60.0
SILENT_S = 0.2
CHECKED_S = (0.6, 6.0)
"""So long checks have the time to find a node dead; the second one on a machine that is busy."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The echo cluster with proxies in some links."""
    need_toxiproxy()
    folder = tmp_path_factory.mktemp("faults") / "faults-local"
    with staged(LocalRuntime(), echo_deployment(folder, echo_plan("local", (LINK, *PEERS)))) as up:
        yield up


def harmed(stage: Stage, fault: Fault, victims: Victims = ON_LINKS) -> Effect:
    """In force, then taken back and proven gone."""
    with stage.harmed(fault, victims) as effect:
        pass
    return effect


def as_asked(stage: Stage, fault: Fault, figure: str, asked: float, before: float | None = None) -> None:
    """Within 10 % on a link of clients and on one of peers, in one of many times: a busy machine reads late. ``before``: more than that."""
    found = []
    for _ in range(TIMES):
        effect = harmed(stage, fault)
        found.append([effect.during[f"{link}.{figure}"] for link in (LINK, OTHER)])
        unharmed = before is None or all(effect.before[f"{link}.{figure}"] > before for link in (LINK, OTHER))
        if unharmed and found[-1] == pytest.approx([asked, asked], rel=0.1):
            return
    pytest.fail(f"{figure} was {found}, not {asked}")


@pytest.mark.parametrize("rate", [20_000, 1_000_000])
@pytest.mark.parametrize("stream", ["downstream", "upstream"])
def test_bandwidth_is_what_was_asked(stage: Stage, rate: int, stream: str) -> None:
    """Timed through the toxics that are in force."""
    fault = Bandwidth(rate_bytes_per_s=rate, stream=stream)  # type: ignore[arg-type]
    as_asked(stage, fault, f"{stream}_rate_bytes_per_s", rate, before=1.5 * rate)


@pytest.mark.parametrize(
    ("fault", "figure", "asked"),
    [
        (SlowClose(delay_s=0.2), "downstream_close_s", 0.2),
        (SlowClose(delay_s=0.2, stream="upstream"), "upstream_close_s", 0.2),
        (LimitData(bytes_bytes=5_000, stream="both"), "upstream_bytes", 5_000),
        (Timeout(), "rtt_s", None),
        (Timeout(timeout_s=0.1, stream="upstream"), "rtt_s", None),
        (ResetPeer(), "error", "reset"),
        (ResetPeer(timeout_s=0.1, stream="upstream", existing="cut"), "error", "reset"),
        (Down(), "error", "refused"),
    ],
    ids=str,
)
def test_toxics_do_what_they_say(stage: Stage, fault: Fault, figure: str, asked: float | str | None) -> None:
    """The achieved figure on both links is the one that was asked for."""
    if isinstance(asked, float | int):
        as_asked(stage, fault, figure, asked)
        return
    effect = harmed(stage, fault)
    assert [effect.during[f"{link}.{figure}"] for link in (LINK, OTHER)] == [asked, asked]


def test_a_slicer_slices(stage: Stage) -> None:
    """What left in one piece comes in many, each after a pause."""
    effect = harmed(stage, Slicer(average_size_bytes=100, delay_s=0.002))
    assert effect.before[f"{LINK}.downstream_pieces"] == 1
    assert effect.during[f"{LINK}.downstream_pieces"] >= 10


def test_two_toxics_on_one_link_both_act(stage: Stage) -> None:
    """The slower of two limits is the one that is measured, and it is gone when it is left."""
    one = Victims(links=(LINK,))
    with Bandwidth(rate_bytes_per_s=1_000_000).inject(stage.scene, one):
        with Bandwidth(rate_bytes_per_s=100_000).inject(stage.scene, one) as inner:
            assert 0 < inner.during[f"{LINK}.downstream_rate_bytes_per_s"] < 110_000
        assert 110_000 < inner.gone().figures[f"{LINK}.downstream_rate_bytes_per_s"] < 1_100_000


@pytest.mark.parametrize(
    ("victims", "cut", "whole"),
    [
        (Victims(groups=(("n1", "n3"), ("n2",)), role="halves"), {"n1 -> n2", "n2 -> n3"}, {"n1 -> n3", "n3 -> n1"}),
        (Victims(links=bridge(["n2", "n1", "n3"]), role="bridge"), {"n2 -> n3", "n3 -> n2"}, {"n1 -> n2", "n2 -> n1", "n3 -> n1"}),
        (Victims(links=ring(["n1", "n2", "n3"]), role="ring"), {"n2 -> n1", "n3 -> n2", "n1 -> n3"}, {"n1 -> n2", "n2 -> n3", "n3 -> n1"}),
    ],
    ids=["halves", "bridge", "ring"],
)
def test_shapes_cut_what_they_name(stage: Stage, victims: Victims, cut: set[str], whole: set[str]) -> None:
    """Questions pass on exactly the links that the shape leaves."""
    shape: Literal["halves", "bridge", "ring"] = victims.role  # type: ignore[assignment]
    with Partition(shape=shape).inject(stage.scene, victims) as effect:
        net = stage.scene.cluster.net
        passing = {str(link) for link in PEERS if net.measure(link, WITHIN_S if str(link) in whole else SILENT_S).rtt_s is not None}
        assert not cut & passing
        assert whole <= passing
    stage.wait_gone(effect)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Dns(mode="down"), None),
        (Dns(mode="refused"), None),
        (Dns(mode="slow", delay_s=0.2), "NOERROR"),
        (Dns(mode="servfail"), "SERVFAIL"),
        (Dns(mode="nxdomain"), "NXDOMAIN"),
        (Dns(mode="wrong"), "NOERROR"),
        (Dns(mode="missing", record="n2"), "NOERROR"),
        (Dns(mode="ttl", ttl_s=60), "NOERROR"),
    ],
    ids=str,
)
def test_the_name_service_does_wrong(stage: Stage, fault: Dns, answer: str | None) -> None:
    """A look-up shows it; afterwards the name is what it was."""
    effect = harmed(stage, fault, Victims(role=fault.mode))
    assert effect.during["name.answer"] == answer
    assert effect.gone().figures["name.addresses"] == effect.before["name.addresses"]
    assert effect.gone().figures["name.ttl_s"] == effect.before["name.ttl_s"]
    if fault.mode == "slow":
        assert effect.during["name.rtt_s"] >= 0.2
    if fault.mode == "ttl":
        assert effect.during["name.ttl_s"] == 60


def test_a_stale_set_holds_a_dead_node_until_it_is_over(stage: Stage) -> None:
    """Its checks find it dead all the while, and the set is right at once afterwards."""
    names = stage.scene.cluster.names
    whole = names.look_up(WITHIN_S).addresses
    whys = []
    for checked_s in CHECKED_S:
        begun = len(stage.rows)
        with Dns(mode="stale").inject(stage.scene, Victims(role="stale")) as effect:
            stage.scene.cluster.nodes["n3"].kill(9)
            stage.let_pass(checked_s)
            assert names.look_up(WITHIN_S).addresses == whole
            assert not [row for row in stage.rows[begun:] if isinstance(row, DnsChanged)]
        stage.wait(lambda: len(names.look_up(WITHIN_S).addresses) == 2)
        stage.wait(lambda begun=begun: any(isinstance(row, DnsChanged) for row in stage.rows[begun:]))  # type: ignore[misc]
        whys.append(next(row.why for row in stage.rows[begun:] if isinstance(row, DnsChanged)))
        stage.scene.cluster.nodes["n3"].start()
        stage.wait_gone(effect)
        stage.wait(lambda: names.look_up(WITHIN_S).addresses == whole)
        if whys[-1] == "no longer held still":
            return
    pytest.fail(f"the set was right only after further checks: {whys}")


def test_stop_is_gentle(stage: Stage) -> None:
    """It ends of SIGTERM within its grace; it answers again afterwards."""
    effect = harmed(stage, Stop(), Victims(nodes=("n2",)))
    assert effect.mechanism == "SIGTERM"
    assert effect.during["n2.process"] == Status.DOWN
    assert stage.scene.cluster.broken() is None


def test_stop_of_a_node_that_does_not_listen_ends_in_a_kill(stage: Stage) -> None:
    """A frozen process does not act on SIGTERM: after the grace it is killed, and no death is a surprise."""
    node = stage.scene.cluster.nodes["n2"]
    begun = len(stage.changes_of("n2"))
    node.pause()
    effect = harmed(stage, Stop(grace_s=0.3), Victims(nodes=("n2",)))
    assert effect.mechanism == "SIGTERM; SIGKILL after 0.3 s to n2"
    took_s = effect.during["n2.took_s"]
    assert isinstance(took_s, float)
    assert took_s >= 0.3
    assert [row.cause for row in stage.changes_of("n2")[begun:] if row.status == "down"] == [""]


def test_a_rolling_restart_takes_one_after_the_other(stage: Stage) -> None:
    """Never are two of them down at once, and each has begun anew."""
    begun = len(stage.rows)
    with Restart(gap_s=0.1).inject(stage.scene, Victims(nodes=("n1", "n2", "n3"))) as effect:
        assert effect.step is not None
        while (again_ns := effect.step()) is not None:
            stage.scene.clock.wait_until_ns(again_ns)
    stage.wait_gone(effect)
    changes = [(row.node, str(row.status)) for row in stage.rows[begun:] if isinstance(row, NodeChanged)]
    assert changes == [(node, status) for node in ("n1", "n2", "n3") for status in ("down", "up")]


def test_remove_takes_the_data_with_it(stage: Stage) -> None:
    """What lay in its folder is gone when it comes back; without ``volumes`` it stays."""
    folder = stage.folder / "nodes" / "n1"
    for volumes in (False, True):
        (folder / "written").write_text("by the node", encoding="utf-8")
        harmed(stage, Remove(volumes=volumes), Victims(nodes=("n1",)))
        assert (folder / "written").exists() is not volumes
