"""What users write against us, checked by mypy and never run: if this stops to type-check, we broke somebody's program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import chaos
from chaos.api import new_folder, order, order_text, perform
from chaos.cli.progress import Live
from chaos.core.capabilities import Capability
from chaos.core.clock import Clock, ManualClock, MonotonicClock
from chaos.core.units import Seconds
from chaos.core.values import Cut, Evidence, Link, Rule, Toxic, Victims
from chaos.history.events import Row
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Deployment, Effect, Fault, Runtime, Scene, Sink
from chaos.report.build import exit_status, from_folder
from chaos.results.report import Report


class Hiccup(Fault, frozen=True, forbid_unknown_fields=True):
    """A fault of a user's own."""

    every_s: Seconds = 0.1

    takes_down: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SIGNALS, Capability.STREAMS} if self.every_s else {Capability.SIGNALS})

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Rule, ...]:
        link = Link(victims.nodes[0], nodes[0])
        return (Toxic(link, "latency", {"latency": 5.0}), Cut(link))

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        with scene.undo.intent("resume", victims.nodes[0]):
            at_ns = scene.cluster.nodes[victims.nodes[0]].pause()
            effect = Effect(at_ns, "SIGSTOP", {}, {}, lambda: Evidence(True, {"rtt_s": 0.001}))
            yield effect
            effect.healed_at_ns = scene.cluster.nodes[victims.nodes[0]].resume()


a_fault: Fault = Hiccup()


def render(report: Report) -> str:
    """A report of a user's own."""
    value: float | None = report.observed.mttr_s.value if report.observed is not None else None
    return f"{report.experiment} {value}"


a_report: Callable[[Report], str] = render


def run_one(file: Path) -> int:
    """An experiment from a program."""
    ordered = order(file, runtime="fake", seed=7, faults=True)
    plan: Plan = ordered.plan
    live = Live(plan, open("/dev/null", "w"))  # noqa: SIM115, PTH123
    report = perform(ordered, new_folder(ordered.experiment.name, Path("runs")), live.row)
    again: Report = from_folder(RunFolder(Path(report.folder)))
    return exit_status(again)


def start_one(runtime: Runtime, text: str, rows: list[Row]) -> frozenset[str]:
    """A cluster from a program."""
    ordered = order_text(text, Path("x.yaml"))
    sink: Sink = rows.append
    clock: Clock = MonotonicClock() if runtime.name == "local" else ManualClock()
    deployment = Deployment(run="one", folder=Path("runs/one"), plan=ordered.plan, target=ordered.target)
    with runtime.up(deployment, sink, clock) as up:
        cluster: Cluster = up
        return cluster.roles()["n1"]


def test_recovers(run_experiment: Callable[[str | Path], Report], verdict: Callable[[str | Path | Report], Report]) -> None:
    """The fixtures, as a user annotates them."""
    report = verdict(run_experiment("experiments/quickstart.yaml"))
    assert [fault.fault_class for fault in report.faults]


def from_a_notebook(file: Path) -> float:
    """The dozen names of ``import chaos``, as a notebook or a program uses them."""
    experiment: chaos.Experiment = chaos.load(file, runtime="fake", seed=7, faults=True)
    planned: chaos.Plan = chaos.plan(experiment)
    expected: chaos.Predicted = chaos.predict("experiments/quickstart.yaml", seed=planned.seed)
    heard: list[Row] = []
    try:
        report: chaos.Report = chaos.run(experiment, folder="runs/one", progress=heard.append)
    except chaos.NinesError as error:
        raise SystemExit(error.exit_code) from error
    assert chaos.read(report.folder) == chaos.judge(Path(report.folder))
    done: chaos.Injection = chaos.inject("latency", to="clients -> n2", lasts="10s", latency="50ms")
    seen: chaos.Estimate | None = report.observed.mttr_s if report.observed is not None else None
    print(chaos.__version__, done.status, expected.mttr_s.value, report._repr_html_(), report.to_frame("outages"))
    return seen.told() if seen is not None else 0.0
