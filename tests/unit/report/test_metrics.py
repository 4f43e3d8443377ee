"""A run as metrics: while it goes on, after it, and as series; read back by the parsers of prometheus_client."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_parser

from chaos.core.errors import EnvironmentUnusable
from chaos.history.events import FaultAsked, FaultGone, NodeChanged, NodeUp, TrafficSecond, TrafficStarted
from chaos.history.folder import RunFolder
from chaos.measure.slots import BAD, GOOD
from chaos.report.build import read_or_judge
from chaos.report.metrics.families import RunMetrics, openmetrics, prometheus_text
from chaos.report.metrics.folder import following, metrics_of
from chaos.report.metrics.progress import FolderFollower, Follower
from chaos.report.metrics.series import openmetrics_series
from chaos.report.metrics.serve import served


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """By name and labels, without the experiment's name."""
    return {
        (sample.name, frozenset(pair for pair in sample.labels.items() if pair[0] != "experiment")): sample.value
        for family in text_parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**words: str) -> frozenset[tuple[str, str]]:
    return frozenset(words.items())


def test_a_run_that_is_over_says_what_its_report_says(quick_run: Path) -> None:
    """Each figure under its name, with its bounds; counters are the requests on the disk."""
    report, found = read_or_judge(RunFolder(quick_run)), samples(prometheus_text(metrics_of(RunFolder(quick_run))))
    assert report.observed is not None
    seen = report.observed
    assert found["nines_availability_ratio", labels(operation="write", bound="value")] == seen.availability.value
    assert found["nines_mttr_seconds", labels(operation="write", bound="high")] == seen.mttr_s.high
    assert found["nines_downtime_seconds", labels(operation="write")] == seen.downtime_s
    assert found["nines_outages", labels(operation="write")] == len(seen.outages) > 0
    assert found["nines_run_verdict", labels(verdict=report.state)] == 1.0
    assert found["nines_faults_total", labels(outcome="proven_gone")] == len(report.faults) == 2
    assert found["nines_run_phase", labels(phase="ended")] == 1.0
    from chaos.measure import timeline

    folder = RunFolder(quick_run)
    state = timeline.build(folder.read_plan(), folder.rows(), folder.read_observations()).services["write"].slots.state
    for word, code in (("good", GOOD), ("bad", BAD)):
        assert found["nines_requests_total", labels(operation="write", result=word)] == np.sum(state == code)


def test_what_could_not_be_told_has_no_sample(quick_run: Path) -> None:
    """Neither 0 nor not-a-number stands for it."""
    text = prometheus_text(metrics_of(RunFolder(quick_run)))
    assert "NaN" not in text
    assert "None" not in text


def test_open_metrics_are_read_by_a_strict_parser(quick_run: Path) -> None:
    """Whole text and series; of one series the times rise by a second and a counter never falls."""
    folder = RunFolder(quick_run)
    assert openmetrics(metrics_of(folder)).endswith("# EOF\n")
    assert list(open_parser.text_string_to_metric_families(openmetrics(metrics_of(folder))))
    series: dict[str, list[tuple[float, float]]] = {}
    for family in open_parser.text_string_to_metric_families(openmetrics_series(folder.read_plan(), folder.rows())):
        for sample in family.samples:
            series.setdefault(f"{sample.name}{sorted(sample.labels.items())}", []).append((float(sample.timestamp), sample.value))
    for name, points in series.items():
        if name.startswith("nines_fault_active"):
            assert points[-1][1] == 0, "Prometheus holds the last value of a series for five minutes"
    counters = [points for name, points in series.items() if name.startswith("nines_requests_total")]
    assert len(counters) == 6
    for points in counters:
        times, values = np.array(points).T
        assert np.allclose(np.diff(times), 1.0, atol=0.002)
        assert np.all(np.diff(values) >= 0)


def test_progress_follows_the_rows() -> None:
    """A fault is active from when it was asked for until it is proven gone; an outage lasts as long as the prober says."""
    follower = Follower()
    follower(TrafficStarted(at_ns=0, start_ns=0, duration_s=10))
    follower(NodeUp(at_ns=0, node="n1", part="data", zone=None, address="198.18.0.1", ports={}))
    follower(FaultAsked(at_ns=1_000_000_000, id="k.1", fault="k", kind="kill", fault_class="kill/leader", target=["n1"]))
    follower(NodeChanged(at_ns=1_000_000_000, node="n1", status="down"))
    follower(TrafficSecond(at_ns=2_000_000_000, operation="write", due=50, good=10, bad=40, missing=0, bad_run_s=0.8))
    now = follower.now()
    assert (now.elapsed_s, now.nodes, list(now.active)) == (2.0, {"n1": "down"}, ["k.1"])
    assert (now.requests["write"].bad, now.requests["write"].bad_run_s) == (40, 0.8)
    follower(FaultGone(at_ns=3_000_000_000, id="k.1", after={}))
    assert not follower.now().active
    assert list(now.active) == ["k.1"]  # what was handed out does not change


def test_a_folder_is_followed_line_by_line(quick_run: Path, tmp_path: Path) -> None:
    """A row that is half written counts once it is whole."""
    data = (quick_run / "history.jsonl").read_bytes()
    half = data.index(b"\n", len(data) // 2) - 10
    path = tmp_path / "history.jsonl"
    path.write_bytes(data[:half])
    follower = FolderFollower(path)
    before = follower.now()
    assert not before.ended
    with path.open("ab") as file:
        file.write(data[half:])
    assert follower.now().ended
    assert follower.now() == FolderFollower(quick_run / "history.jsonl").now()


@pytest.fixture
def address(quick_run: Path) -> Iterator[str]:
    with served(following(RunFolder(quick_run)), 0) as port:
        yield f"http://127.0.0.1:{port}"


def test_it_is_served_in_the_format_that_is_asked_for(address: str) -> None:
    """Text by default, OpenMetrics to whom asks for it."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert samples(answer.read().decode())["nines_run_phase", labels(phase="ended")] == 1.0
    request = urllib.request.Request(f"{address}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert list(open_parser.text_string_to_metric_families(answer.read().decode()))


def test_a_port_that_is_taken_is_said(quick_run: Path, address: str) -> None:
    """In words, and the server that has it goes on."""
    taken = int(address.rpartition(":")[2])
    with pytest.raises(EnvironmentUnusable, match=f"127.0.0.1:{taken}"), served(following(RunFolder(quick_run)), taken):
        pass
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        assert answer.status == 200


def test_nobody_is_served_after_the_end(quick_run: Path) -> None:
    """The port is free again."""
    folder = RunFolder(quick_run)
    with served(lambda: RunMetrics(folder.read_plan(), FolderFollower(folder.history).now()), 0) as port:
        pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
