"""A run as time series: what a scrape at fixed intervals would have seen, with the wall-clock time of each scrape.

``promtool tsdb create-blocks-from openmetrics`` takes it, so a run that nobody scraped can still be looked at in Grafana.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chaos.core.clock import to_ns, to_s
from chaos.core.errors import BadInput, HistoryUnreadable
from chaos.history.events import Row, RunEnded, RunStarted, TrafficStarted
from chaos.plan.plan import Plan
from chaos.report.metrics.families import RunMetrics, judged, openmetrics
from chaos.report.metrics.progress import Follower, Progress
from chaos.results.report import Report

SCRAPE_S: Final = 1.0
MOST_SCRAPES: Final = 100_000


def scrapes(rows: Sequence[Row], every_s: float = SCRAPE_S) -> Iterator[tuple[float, Progress]]:
    """(seconds since the first request, what was so then), from the first request to the end of the run, ``every_s`` apart."""
    ordered = sorted(rows, key=lambda row: row.at_ns)
    start_ns = next((row.start_ns for row in ordered if isinstance(row, TrafficStarted)), None)
    if start_ns is None:
        return
    follower, taken = Follower(), 0
    last_ns = next((row.at_ns for row in ordered if isinstance(row, RunEnded)), ordered[-1].at_ns)
    count = int(to_s(last_ns - start_ns) / every_s) + 2
    if count > MOST_SCRAPES:
        raise BadInput(f"{count} scrapes are more than {MOST_SCRAPES}", right="a longer interval")
    for number in range(count):
        at_s = number * every_s
        until_ns = start_ns + to_ns(at_s)
        while taken < len(ordered) and ordered[taken].at_ns <= until_ns:
            follower(ordered[taken])
            taken += 1
        yield at_s, follower.now()


def wall_clock(rows: Sequence[Row]) -> Callable[[int], float]:
    """A function from a row's ``at_ns`` to seconds since 1970, by the one moment whose wall-clock time the history has."""
    started = next((row for row in rows if isinstance(row, RunStarted)), None)
    if started is None:
        raise HistoryUnreadable("the history does not say when the run began")
    began_s = datetime.fromisoformat(started.started_at).timestamp()
    return lambda at_ns: began_s + to_s(at_ns - started.at_ns)


Key = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a series."""


class _Series(Collector):
    """All scrapes of a run, family by family, each sample with its time; the last one has what the run came to."""

    def __init__(self, plan: Plan, rows: Sequence[Row], every_s: float, report: Report | None) -> None:
        self._plan = plan
        self._rows = rows
        self._every_s = every_s
        self._report = report

    def collect(self) -> Iterator[Metric]:
        to_wall = wall_clock(self._rows)
        start_ns = next((row.start_ns for row in self._rows if isinstance(row, TrafficStarted)), 0)
        families: dict[str, Metric] = {}
        last: dict[Key, tuple[str, Sample]] = {}
        at_wall_s = to_wall(start_ns)
        for at_s, progress in scrapes(self._rows, self._every_s):
            at_wall_s = round(to_wall(start_ns + to_ns(at_s)), 3)
            before, last = last, {}
            for family in RunMetrics(self._plan, progress).collect():
                known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    last[sample.name, tuple(sorted(sample.labels.items()))] = family.name, sample
                    known.samples.append(sample._replace(timestamp=at_wall_s))
            for key in before.keys() - last.keys():
                # a scraper marks a series that ended as stale; a file cannot, and Prometheus would hold its last value for five minutes
                name, sample = before[key]
                if sample.value:
                    families[name].samples.append(sample._replace(value=0.0, timestamp=at_wall_s))
        for family in judged(self._report) if self._report is not None and families else ():
            if family.samples:
                family.samples = [sample._replace(timestamp=at_wall_s) for sample in family.samples]
                families[family.name] = family
        for family in families.values():
            # of one series all samples stand together, in the order of time
            family.samples.sort(key=lambda sample: (sample.name, sorted(sample.labels.items())))
            yield family


def openmetrics_series(plan: Plan, rows: Sequence[Row], every_s: float = SCRAPE_S, report: Report | None = None) -> str:
    """OpenMetrics text with a timestamp at each sample; with a report its figures stand at the end of the run."""
    return openmetrics(_Series(plan, rows, every_s, report))
