"""Every toxic on replicated_kv in containers: put in force, measured inside the node's own namespace, and gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text, perform
from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link, Victims
from chaos.engine import leftovers as leftovers_docker
from chaos.engine import packet_rules as engine_packets
from chaos.engine.connection import Engine
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.latency import Latency
from chaos.faults.partition import Partition
from chaos.faults.streams import Down, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from chaos.history.events import Looked, PhaseBegun
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog, pending
from chaos.plugin import Deployment, Effect, Fault, Gauge, Scene
from chaos.runtimes.docker.runtime import DockerRuntime

FILE = Path("experiment.yaml")
CLIENT, PEER = Link(CLIENTS, "n2"), Link("n1", "n2")
ON_BOTH = Victims(links=(CLIENT, PEER))
GONE_WITHIN_S = 10.0
SILENT_S = 0.3
TRIES = 5
"""On a machine that is busy a figure is read late: once it must be as it is on a calm one."""

ON_LINKS = """
experiment: toxics
question: Is each harm in force that is asked for?
cluster:
  target: replicated_kv
  nodes: 3
  dns: {balancer: health-checked, ttl: 1s, check: {what: ready, every: 100ms, timeout: 200ms}}
traffic: {operations: {write: 20/s}}
baseline: 1s
faults:
  - {name: from-clients, latency: {latency: 50ms}, target: {link: "clients -> n2"}, at: 1s, for: 1s}
  - {name: of-a-peer, bandwidth: {rate: 20KB/s}, target: {link: "n1 -> n2"}, at: 6s, for: 1s}
  - {name: to-clients, partition: {}, target: {link: "n2 <-> clients"}, at: 11s, for: 1s}
  - {name: from-checks, partition: {include: [clients, dns]}, target: n2, at: 16s, for: 1s}
settle: 2s
seed: 1
"""

LOOKING = """
experiment: looking
question: Can what clients see be looked at while it goes on?
cluster:
  target: replicated_kv
  nodes: 3
  dns: {balancer: health-checked, ttl: 1s, check: {what: ready, every: 100ms, timeout: 200ms}}
traffic: {operations: {write: 50/s}, client: {timeout: 250ms, deadline: 600ms}}
baseline: 1s
faults:
  - {name: kill-leader, kill: {}, target: leader, at: 500ms, for: 500ms}
settle: 2s
seed: 1
objectives: {mttr: {is: "<= 60s", basis: claim}}
"""


class Stage:
    """One cluster for all tests, and its undo log."""

    def __init__(self, scene: Scene, log: Path) -> None:
        self.scene = scene
        self.log = log

    def wait_gone(self, effect: Effect) -> None:
        """Until it says so, some seconds at most."""
        clock = self.scene.clock
        limit_ns = clock.now_ns() + to_ns(GONE_WITHIN_S)
        while not (evidence := effect.gone()).ok:
            assert clock.now_ns() < limit_ns, evidence.why
            clock.wait_until_ns(clock.now_ns() + to_ns(0.02))
        assert pending(self.log) == []

    def answered(self, *ends: tuple[str, str]) -> bool:
        """Whether questions on all of these links are answered."""
        return all(self.scene.cluster.net.measure(Link(*each), GONE_WITHIN_S).error is None for each in ends)

    def silent(self, *ends: tuple[str, str]) -> bool:
        """Whether none of them is."""
        return all(self.scene.cluster.net.measure(Link(*each), SILENT_S).error == "timed out" for each in ends)


@pytest.fixture(scope="module")
def stage(docker_host: str, harness_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """replicated_kv with proxies in two of its links."""
    folder = tmp_path_factory.mktemp("toxics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NINES_STATE", str(folder / "state"))
        ordered = order_text(ON_LINKS, FILE, runtime="docker")
        run = folder / f"toxics-{os.getpid()}"
        run.mkdir()
        clock = MonotonicClock()
        deployment = Deployment(run=run.name, folder=run, plan=ordered.plan, target=ordered.target)
        with DockerRuntime().up(deployment, lambda _: None, clock) as cluster:
            log = run / "undo.jsonl"
            yield Stage(Scene(cluster=cluster, clock=clock, undo=UndoLog(log)), log)


def harmed(stage: Stage, fault: Fault, victims: Victims = ON_BOTH) -> Effect:
    """In force, then taken back and proven gone."""
    with fault.inject(stage.scene, victims) as effect:
        assert len(pending(stage.log)) >= 1
    stage.wait_gone(effect)
    return effect


@pytest.mark.parametrize("existing", ["keep", "cut"])
@pytest.mark.parametrize(
    ("fault", "figures"),
    [
        (Latency(latency_s=0.05, stream="both"), {}),
        (Bandwidth(rate_bytes_per_s=20_000, stream="both"), {"downstream_rate_bytes_per_s": 20_000, "upstream_rate_bytes_per_s": 20_000}),
        (SlowClose(delay_s=0.2, stream="upstream"), {"upstream_close_s": 0.2}),
        (LimitData(bytes_bytes=5_000, stream="both"), {"upstream_bytes": 5_000, "downstream_bytes": 5_000}),
        (Timeout(stream="upstream"), {"rtt_s": None, "error": "timed out"}),
        (ResetPeer(timeout_s=0.1), {"rtt_s": None, "error": "reset"}),
        (Slicer(average_size_bytes=100, delay_s=0.002, stream="upstream"), {}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_toxics_do_what_they_say(stage: Stage, fault: Fault, figures: dict[str, float | str | None], existing: str) -> None:
    """On a link of clients and on one of peers, the achieved figure is the one that was asked for."""
    changed: Fault = msgspec.structs.replace(fault, existing=existing)  # type: ignore[type-var]
    found: list[dict[str, object]] = []
    for _ in range(TRIES):
        effect = harmed(stage, changed)
        found.append({f"{link}.{figure}": effect.during[f"{link}.{figure}"] for link in (CLIENT, PEER) for figure in figures})
        wrong = [name for name, seen in found[-1].items() if not as_asked(seen, figures[name.rpartition(".")[2]])]
        if not wrong:
            return
        assert all(isinstance(found[-1][name], float | int) for name in wrong), found[-1]
    pytest.fail(f"asked for {figures}, found {found}")


def as_asked(seen: object, asked: float | str | None) -> bool:
    """A figure to 15 %, a word as it is."""
    return bool(seen == (pytest.approx(asked, rel=0.15) if isinstance(asked, float | int) else asked))


def test_down_refuses_by_packets(stage: Stage) -> None:
    """No proxy is needed for it: on a link with one and on one without."""
    bare = Link("n3", "n1")
    effect = harmed(stage, Down(), Victims(links=(CLIENT, bare)))
    assert [effect.during[f"{link}.error"] for link in (CLIENT, bare)] == ["refused", "refused"]
    assert "nftables" in effect.mechanism


def test_several_toxics_on_one_link_all_act(stage: Stage) -> None:
    """Slow, thin and sliced at once; each is gone when it is left, and the others are not."""
    one = Victims(links=(CLIENT,))
    rate, rtt = f"{CLIENT}.downstream_rate_bytes_per_s", f"{CLIENT}.rtt_s"
    with Latency(latency_s=0.1).inject(stage.scene, one), Bandwidth(rate_bytes_per_s=50_000).inject(stage.scene, one) as thin:
        with Slicer(average_size_bytes=100, delay_s=0.002).inject(stage.scene, one) as sliced:
            assert isinstance(sliced.during[rtt], float)
            assert sliced.during[rtt] >= 0.1
        assert sliced.gone().ok
        # The gauge's connection is late by the latency as well, once.
        assert isinstance(thin.during[rate], float)
        assert 10_000 <= thin.during[rate] <= 51_000
    stage.wait_gone(thin)


def test_bytes_are_measured_only_where_a_proxy_stands(stage: Stage) -> None:
    """On another link it is refused, with what to do."""
    net = stage.scene.cluster.net
    assert isinstance(net, Gauge)
    with pytest.raises(CapabilityMissing, match="n3 -> n1"):
        net.passage(Link("n3", "n1"), "downstream", 1000, 1.0)


def test_a_partition_of_clients_and_checks(stage: Stage) -> None:
    """Clients and the name server lose the node; its peers, and all other nodes, do not."""
    partition = Partition(include=("clients", "dns"))
    with partition.inject(stage.scene, Victims(nodes=("n2",))) as effect:
        assert stage.silent((CLIENTS, "n2"), (DNS, "n2"))
        assert stage.answered(("n1", "n2"), (CLIENTS, "n1"), (DNS, "n1"), ("n2", "n1"))
    stage.wait_gone(effect)


@pytest.mark.parametrize("links", [(CLIENT,), (Link("n2", CLIENTS),), (CLIENT, Link("n2", CLIENTS))], ids=["there", "back", "both"])
def test_links_of_clients_are_directed(stage: Stage, links: tuple[Link, ...]) -> None:
    """Packets to the clients are answers to them: the question that proves the cut is theirs, and nobody else's is touched."""
    with Partition().inject(stage.scene, Victims(links=links)) as effect:
        assert {effect.during[f"{link}.error"] for link in links} == {"timed out"}
        assert stage.answered((CLIENTS, "n1"), (DNS, "n2"), ("n2", "n1"))
    stage.wait_gone(effect)


def test_only_harmed_links_are_instrumented() -> None:
    """What is cut by packet rules has no proxy in it, and the prediction is told so."""
    plan = order_text(ON_LINKS, FILE, runtime="docker").plan
    assert plan.proxied == (CLIENT, PEER)
    assert Link(DNS, "n2") in plan.links


def test_a_kernel_without_packet_rules_is_told_before_anything_starts(
    docker_host: str, harness_image: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that it does not know stands for all that it does not know: exit 5, its own words, and what would help."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(engine_packets, "RULES", "add rule inet nowhere out drop")
    folder = RunFolder(tmp_path / f"bare-{os.getpid()}")
    with pytest.raises(EnvironmentUnusable, match=r"packets cannot be dropped inside containers .*Error: .*No such file") as raised:
        perform(order_text(ON_LINKS, FILE, runtime="docker"), folder)
    assert raised.value.exit_code == 5
    assert "modprobe" in (raised.value.how or "")
    assert leftovers_docker.things(engine.client.api, folder.path.name) == []


def test_a_run_is_looked_at_while_it_goes_on(docker_host: str, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first round the records of the prober are there to be judged: what is said counts its fault and its outage."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    folder = RunFolder(tmp_path / f"looking-{os.getpid()}")
    report = perform(order_text(LOOKING, FILE, runtime="docker", longest_s=7.5), folder)
    rows = folder.rows()
    (look,) = [row for row in rows if isinstance(row, Looked)]
    stopping = next(row for row in rows if isinstance(row, PhaseBegun) and row.phase == "stopping")
    assert look.at_ns < stopping.at_ns
    assert look.said.startswith("after 1 faults mttr: unknown")
    assert report.exit_code == 3
