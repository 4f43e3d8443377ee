"""The metrics of a run: names, help texts and labels, filled from its progress and, once it is judged, from its report.

Prometheus' conventions: base units (seconds, ratios), ``_total`` for counters, one meaning a name. A state is a gauge of 0 and 1 for each
word it can have. A figure that could not be told has no sample, never 0. What the model says stands under ``nines_predicted_*``: a measured
figure never shares a name with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.registry import Collector, CollectorRegistry

from chaos.plan.plan import Plan
from chaos.report.metrics.progress import NODE_STATES, OUTCOMES, PHASES, Progress, Requests
from chaos.results import states
from chaos.results.observed import Estimate, Observed
from chaos.results.report import Report
from chaos.results.states import STATES

WORDS: Final = tuple(STATES)
VERDICTS: Final = ("pass", "fail", "unknown")
Labels = Mapping[str, str]


class RunMetrics(Collector):
    """One run, as a collector of ``prometheus_client``."""

    def __init__(self, plan: Plan, progress: Progress, report: Report | None = None) -> None:
        self._plan = plan
        self._progress = progress
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Every family that has a sample."""
        every = [*_going(self._plan, self._progress), *(() if self._report is None else judged(self._report))]
        yield from (family for family in every if family.samples)


def openmetrics(collector: Collector) -> str:
    """OpenMetrics 1.0 text, which ends with ``# EOF``."""
    return bytes(open_metrics(_registry(collector))).decode()  # type: ignore[no-untyped-call]


def prometheus_text(collector: Collector) -> str:
    """Prometheus' own text format 0.0.4: what ``promtool check metrics`` and the textfile collector of node_exporter read."""
    return bytes(plain_text(_registry(collector))).decode()


def _registry(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


class Gauges:
    """One family of gauges; a sample names its labels."""

    def __init__(self, name: str, what: str) -> None:
        self.family = GaugeMetricFamily(name, what)

    def add(self, value: float | None, **labels: str) -> None:
        """No sample where there is no value."""
        if value is not None:
            self.family.add_sample(self.family.name, labels, value)

    def states(self, now: str, known: tuple[str, ...], word: str, **labels: str) -> None:
        """1 for the state that it is in, 0 for the others, under the label ``word``."""
        for state in dict.fromkeys((*known, now)):
            self.add(float(state == now), **labels, **{word: state})

    def bounds(self, found: Estimate, **labels: str) -> None:
        """The value and the ends of its interval, each where it is known."""
        for bound, value in (("value", found.value), ("low", found.low), ("high", found.high)):
            self.add(value, **labels, bound=bound)


def _going(plan: Plan, now: Progress) -> Iterator[Metric]:
    name = plan.experiment.name
    info = Gauges("nines_run_info", "The run that these metrics speak of.")
    info.add(
        1.0, experiment=name, run=now.run, runtime=now.runtime or plan.runtime, target=plan.experiment.cluster.target, judged=plan.judge
    )
    phase = Gauges("nines_run_phase", "The phase that the run is in.")
    phase.states(now.phase, PHASES, "phase", experiment=name)
    elapsed = Gauges("nines_run_elapsed_seconds", "Time since the first request, up to the newest event.")
    elapsed.add(now.elapsed_s, experiment=name)
    planned = Gauges("nines_run_planned_seconds", "How long the plan sends traffic.")
    planned.add(plan.duration_s, experiment=name)
    aborting = Gauges("nines_run_aborting", "1 once a safety condition or a signal ends the run early.")
    aborting.add(float(bool(now.aborting)), experiment=name)
    yield from (each.family for each in (info, phase, elapsed, planned, aborting))
    requests = CounterMetricFamily("nines_requests", "Requests by what clients saw of them; missing ones were never sent.")
    outage = Gauges("nines_outage_current_seconds", "How long clients have been without a good answer.")
    for operation in plan.experiment.traffic.operations:
        counts = now.requests.get(operation, Requests())  # a counter that begins at 0 loses no request to the first scrape
        for result in ("good", "bad", "missing"):
            labels = {"experiment": name, "operation": operation, "result": result}
            requests.add_sample("nines_requests_total", labels, getattr(counts, result))
        outage.add(counts.bad_run_s, experiment=name, operation=operation)
    yield from (requests, outage.family)
    yield from _cluster(name, now)
    yield from _faults(plan, now)


def _cluster(name: str, now: Progress) -> Iterator[Metric]:
    states = Gauges("nines_node_state", "Whether the node's process runs, as the harness sees it.")
    for node, status in sorted(now.nodes.items()):
        states.states(status, NODE_STATES, "state", experiment=name, node=node)
    roles = Gauges("nines_node_role", "1 for a node that says that it holds the role.")
    for role, holders in sorted(now.roles.items()):
        for node in sorted(now.nodes.keys() | holders):
            roles.add(float(node in holders), experiment=name, node=node, role=role)
    answers = Gauges("nines_dns_answers", "1 for a node that the cluster's DNS name answers with.")
    for dns_name, listed in sorted(now.in_dns.items()):
        for node in sorted(now.nodes.keys() | set(listed)):
            answers.add(float(node in listed), experiment=name, name=dns_name, node=node)
    yield from (states.family, roles.family, answers.family)


def _faults(plan: Plan, now: Progress) -> Iterator[Metric]:
    name = plan.experiment.name
    planned = Gauges("nines_faults_planned", "How many faults the plan has.")
    planned.add(float(len(plan.windows)), experiment=name)
    outcomes = CounterMetricFamily("nines_faults", "Faults that reached this outcome; one fault may reach several.")
    for outcome in OUTCOMES:
        outcomes.add_sample("nines_faults_total", {"experiment": name, "outcome": outcome}, now.faults.get(outcome, 0))
    active = Gauges("nines_fault_active", "1 for a fault that is not yet proven gone.")
    for each in now.active.values():
        active.add(1.0, experiment=name, id=each.id, fault=each.fault, kind=each.kind, target=each.target)
    yield from (planned.family, outcomes, active.family)


def judged(report: Report) -> Iterator[Metric]:
    """What a run came to, some families without a sample."""
    name = report.experiment
    verdict = Gauges("nines_run_verdict", "What the run came to.")
    verdict.states(states.of(report).name, WORDS, "verdict", experiment=name)
    status = Gauges("nines_run_exit_status", "Exit status of the run: 0 objectives met, 1 missed, 3 undecided.")
    status.add(float(report.exit_code), experiment=name)
    objectives = Gauges("nines_objective", "Whether an objective was met.")
    for objective in report.objectives:
        objectives.states(objective.verdict, VERDICTS, "verdict", experiment=name, objective=objective.name, want=objective.want)
    checks = Gauges("nines_check", "Validity checks of the run.")
    for check in report.checks:
        checks.states(check.verdict, VERDICTS, "verdict", experiment=name, check=check.name)
    yield from (each.family for each in (verdict, status, objectives, checks))
    if report.observed is not None:
        yield from _observed(name, {report.judged: report.observed, **report.observed.services})
    if report.predicted is not None:
        for figure, foreseen in (("availability_ratio", report.predicted.availability), ("mttr_seconds", report.predicted.mttr_s)):
            predicted = Gauges(f"nines_predicted_{figure}", "What the model predicts for this run.")
            predicted.bounds(Estimate(foreseen.value, foreseen.low, foreseen.high), experiment=name, operation=report.judged)
            yield predicted.family
    if report.extrapolated is not None:
        assumed = Gauges(
            "nines_assumed_downtime_seconds_per_year", "Measured outages at the production fault rates that the experiment assumes."
        )
        assumed.bounds(report.extrapolated.downtime_s_per_year, experiment=name, operation=report.judged)
        yield assumed.family


def _observed(name: str, services: dict[str, Observed]) -> Iterator[Metric]:
    figures = {
        "availability": Gauges("nines_availability_ratio", "Share of time without an outage, the baseline left out."),
        "success_ratio": Gauges("nines_success_ratio", "Share of requests answered well."),
        "mttr_s": Gauges("nines_mttr_seconds", "Mean length of an outage."),
        "mttf_s": Gauges("nines_mttf_seconds", "Mean time from repair to the next outage."),
    }
    outages = Gauges("nines_outages", "Outages that clients saw.")
    downtime = Gauges("nines_downtime_seconds", "Total length of the outages.")
    longest = Gauges("nines_outage_longest_seconds", "The longest outage whose end was seen.")
    latency = Gauges("nines_latency_seconds", "Latency of good requests at a percentile.")
    for operation, seen in services.items():
        labels = {"experiment": name, "operation": operation}
        for attribute, gauges in figures.items():
            gauges.bounds(getattr(seen, attribute), **labels)
        outages.add(float(len(seen.outages)), **labels)
        downtime.add(seen.downtime_s, **labels)
        longest.add(max((outage.duration_s for outage in seen.outages if outage.duration_s is not None), default=None), **labels)
        for percentile, value in (("50", seen.latency_s.p50), ("99", seen.latency_s.p99), ("100", seen.latency_s.max)):
            latency.add(value, **labels, percentile=percentile)
    yield from (each.family for each in (*figures.values(), outages, downtime, longest, latency))
