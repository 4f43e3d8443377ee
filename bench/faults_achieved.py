"""What faults achieve on either runtime: asked, measured from outside, how soon, how often of so many tries.

``replicated_kv`` with three nodes. A try counts if the fault proved its effect and, once taken back, that it is gone. To reach: every
try; bandwidth within 10 %; delays within 0.5 ms + 2 %; a loss within the range that chance leaves it (binomial, 99 %).
``faults_local`` and ``faults_docker`` show it as rows of ``make bench``, ``achieved`` writes the page of the docs.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.servers import runs
from chaos.api import order_text
from chaos.core import plugins as tables
from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.values import CLIENTS, LEADER, VOTING, Link, Victims
from chaos.faults.bandwidth import Bandwidth
from chaos.faults.dns import Dns
from chaos.faults.kill import Kill
from chaos.faults.latency import Latency
from chaos.faults.partition import Partition
from chaos.faults.pause import Pause
from chaos.faults.remove import Remove
from chaos.faults.restart import Restart
from chaos.faults.stop import Stop
from chaos.faults.streams import Down, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from chaos.history.events import Row
from chaos.history.undo import UndoLog
from chaos.plan.shapes import bridge, halves, ring
from chaos.plugin import Deployment, Effect, Fault, Scene

NODES = ["n1", "n2", "n3"]
EXPERIMENT = """\
experiment: faults
question: What does each kind of fault achieve?
cluster: {target: replicated_kv, nodes: 3, dns: {check: {every: 100ms}}}
traffic: {operations: {write: 10/s}}
baseline: 1s
faults:
  - {partition: {}, target: {any: 1}, at: 1s, for: 1s}
  - {latency: {latency: 1ms}, target: {link: "clients -> n1"}, at: 20s, for: 1s}
  - {latency: {latency: 1ms}, target: {link: "n1 -> n2"}, at: 40s, for: 1s}
settle: 10s
"""
"""Not its schedule is used, but its links: what faults may come to harm is prepared."""
LATENCIES_MS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500)
RATES_KB_S = (10, 100, 1_000, 10_000)
LOSSES = (0.01, 0.05, 0.1, 0.25, 0.5)
LINK, PEERS = Link(CLIENTS, "n1"), Link("n1", "n2")
LINKS = Victims(links=(LINK, PEERS))
ONE = Victims(nodes=("n2",))
Figure = Callable[[Effect], list[float]]


def of(name: str, scale: float = 1.0) -> Figure:
    """That figure of both links, less what it was before where that is a round trip."""

    def read(effect: Effect) -> list[float]:
        found = []
        for link in LINKS.links:
            during, before = effect.during[f"{link}.{name}"], effect.before[f"{link}.{name}"]
            assert isinstance(during, float)
            found.append((during - (before if name == "rtt_s" and isinstance(before, float) else 0.0)) * scale)
        return found

    return read


def name_rtt(effect: Effect) -> list[float]:
    """How late an answer of the name server was, in ms."""
    found = effect.during["name.rtt_s"]
    assert isinstance(found, float)
    return [found * 1e3]


def _between(low: float | str | None, value: float, high: float | str | None) -> bool:
    assert isinstance(low, float)
    assert isinstance(high, float)
    return low <= value <= high


class Case:
    """One kind: how it is done, and the figure that is held against what was asked."""

    def __init__(self, what: str, fault: Fault, victims: Victims, asked: float = 0.0, figure: Figure | None = None, unit: str = "") -> None:
        self.what = what
        self.fault = fault
        self.victims = victims
        self.asked = asked
        self.figure = figure
        self.unit = unit

    def near(self, found: float) -> bool:
        """Within what is to be reached: 10 % of a rate, 0.5 ms + 2 % of a delay, a count exactly; chance is judged try by try."""
        if self.unit == "%":
            return True
        margin = {"KB/s": 0.1 * self.asked, "ms": 0.5 + 0.02 * self.asked}.get(self.unit, 0.0)
        return abs(found - self.asked) <= margin

    def unlikely(self, effect: Effect) -> str:
        """The links whose loss chance does not explain."""
        if self.unit != "%":
            return ""
        bounds = {name.removesuffix("_low"): low for name, low in effect.during.items() if name.endswith(".lost_low")}
        wrong = [name for name, low in bounds.items() if not _between(low, self.asked / 100, effect.during[f"{name}_high"])]
        return f"not within the 99 % that chance leaves: {', '.join(wrong)}" if wrong else ""


def loss(effect: Effect) -> list[float]:
    """The share that was lost on each link, in %."""
    return [share * 100 for name, share in effect.during.items() if name.endswith(".lost") and isinstance(share, float)]


def cases(runtime: str) -> list[Case]:
    """All that can be done there, with the figures that have one."""
    found = [
        Case(f"bandwidth {rate:g} KB/s, {stream}", Bandwidth(rate_bytes_per_s=rate * 1e3, stream=stream), LINKS, rate,
             of(f"{stream}_rate_bytes_per_s", 1e-3), "KB/s")
        for rate in RATES_KB_S for stream in ("downstream", "upstream")
    ]  # fmt: skip
    found += [Case(f"latency {ms} ms", Latency(latency_s=ms / 1e3), LINKS, ms, of("rtt_s", 1e3), "ms") for ms in LATENCIES_MS]
    found += [Case(f"slow_close {ms} ms", SlowClose(delay_s=ms / 1e3), LINKS, ms, of("downstream_close_s", 1e3), "ms") for ms in (50, 500)]
    found += [
        Case("limit_data 5000 B", LimitData(bytes_bytes=5000), LINKS, 5000, of("downstream_bytes"), "B"),
        Case("slicer 100 B, 1 ms: round trip gains", Slicer(average_size_bytes=100), LINKS),
        Case("timeout", Timeout(), LINKS),
        Case("reset_peer", ResetPeer(), LINKS),
        Case("down", Down(), LINKS),
        Case("partition isolate", Partition(), ONE),
        Case("partition halves", Partition(shape="halves"), Victims(groups=halves(["n2", "n3", "n1"]), role="halves")),
        Case("partition bridge", Partition(shape="bridge"), Victims(links=bridge(NODES), role="bridge")),
        Case("partition ring", Partition(shape="ring"), Victims(links=ring(NODES), role="ring")),
        Case("dns slow 300 ms", Dns(mode="slow", delay_s=0.3), Victims(role="slow"), 300, name_rtt, "ms"),
    ]
    plain: list[Dns] = [Dns(mode="down"), Dns(mode="servfail"), Dns(mode="nxdomain"), Dns(mode="stale"), Dns(mode="wrong")]
    plain += [Dns(mode="missing", record="n2"), Dns(mode="ttl", ttl_s=60.0)]
    found += [Case(f"dns {fault.mode}", fault, Victims(role=fault.mode)) for fault in plain]
    found += [
        Case("kill", Kill(), ONE), Case("pause", Pause(), ONE), Case("stop", Stop(), ONE), Case("remove", Remove(), ONE),
        Case("restart, rolling over 3", Restart(), Victims(nodes=tuple(NODES))),
        Case("restart, 2 together", Restart(order="together"), Victims(nodes=("n2", "n3"))),
    ]  # fmt: skip
    if runtime != "local":
        kind = tables.find("faults", "loss")
        found += [Case(f"loss {share:.0%}", kind(percent=share), Victims(links=(PEERS,)), share * 100, loss, "%") for share in LOSSES]
        found.append(Case("power_off", tables.find("faults", "power_off")(), ONE))
    return found


@contextmanager
def stage(runtime: str) -> Iterator[Scene]:
    """The cluster, with proxies in the links that are harmed."""
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as where:
        os.environ["NINES_STATE"] = f"{where}/state"
        ordered = order_text(EXPERIMENT, Path(where) / "faults.yaml", runtime=runtime)
        folder = Path(where) / "run"
        folder.mkdir()
        clock, rows = MonotonicClock(), list[Row]()
        deployment = Deployment(run=f"bench-{os.getpid()}", folder=folder, plan=ordered.plan, target=ordered.target)
        with tables.find("runtimes", runtime)().up(deployment, rows.append, clock) as cluster:
            yield Scene(cluster=cluster, clock=clock, undo=UndoLog(folder / "undo.jsonl"))


def until(scene: Scene, holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Wait for it."""
    limit_ns = scene.clock.now_ns() + to_ns(within_s)
    while not holds():
        if scene.clock.now_ns() >= limit_ns:
            return False
        scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(0.02))
    return True


def settled(scene: Scene) -> bool:
    """All vote, one leads."""
    roles = scene.cluster.roles()
    return all(VOTING in held for held in roles.values()) and sum(LEADER in held for held in roles.values()) == 1


class Tried:
    """All tries of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.onsets_s: list[float] = []
        self.figures: list[float] = []
        self.unlikely: list[str] = []
        self.failures: list[str] = []
        self.mechanism = ""

    @property
    def reached(self) -> bool:
        """Every try took, and what was achieved is what was asked. One in a hundred samples is outside by chance alone."""
        middle = statistics.median(self.figures) if self.figures else self.case.asked
        return not self.failures and self.case.near(middle) and len(self.unlikely) <= 1


def one_try(scene: Scene, case: Case, tried: Tried) -> None:
    """Do it, look, take it back. Raises if it did not take or is not gone."""
    assert until(scene, lambda: settled(scene)), "the cluster did not settle"
    asked_ns = scene.clock.now_ns()
    with case.fault.inject(scene, case.victims) as effect:
        figures = case.figure(effect) if case.figure else []
        unlikely = case.unlikely(effect)
        while effect.step is not None and (again_ns := effect.step()) is not None:
            scene.clock.wait_until_ns(again_ns)
    if not until(scene, lambda: effect.gone().ok):
        raise FaultNotEffective(f"not gone: {effect.gone().why}")
    tried.onsets_s.append((effect.effective_at_ns - asked_ns) / 1e9)
    tried.figures += figures
    tried.unlikely += [unlikely] if unlikely else []
    tried.mechanism = effect.mechanism


def measure(runtime: str, tries: int) -> list[Tried]:
    """Each case so often, on one cluster."""
    found = []
    with stage(runtime) as scene:
        for case in cases(runtime):
            tried = Tried(case)
            for _ in range(tries):
                try:
                    one_try(scene, case, tried)
                except FaultNotEffective as error:
                    tried.failures.append(str(error))
            found.append(tried)
    return found


def row(tried: Tried, tries: int) -> runs.Row:
    """For the table of the benchmarks."""
    case, found = tried.case, tried.figures
    took = f"{len(tried.onsets_s)} of {tries}"
    if found:
        took += f": {min(found):.4g} to {max(found):.4g} {case.unit}, median {statistics.median(found):.4g}"
    onset = f"effect {statistics.median(tried.onsets_s) * 1e3:.1f} ms after the command, its look before included" if tried.onsets_s else ""
    beside = "; ".join(filter(None, [onset, *tried.failures[:1], *tried.unlikely[:1]]))
    asked = REACH.get(case.unit, "").format(asked=case.asked)
    return runs.Row(case.what, f"{asked}, {tries} of {tries}" if asked else f"{tries} of {tries}", took, beside, tried.reached)


REACH = {"KB/s": "{asked:g} KB/s ± 10 %", "ms": "{asked:g} ms ± 0.5 ms + 2 %", "B": "{asked:g} B", "%": "{asked:g} % by chance (99 %)"}
