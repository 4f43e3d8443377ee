"""Systems that people run, from their packages, by the words of their target.yaml, on plain processes: one fault each."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import api
from chaos.history.events import DnsChanged, RoleChanged
from chaos.history.folder import RunFolder
from chaos.results.report import Report
from tests.support.needs import need

pytestmark = pytest.mark.e2e

REDIS = """
experiment: redis-once
question: Who leads after the primary?
cluster:
  target: redis_sentinel
  parts: {data: 3, sentinel: 3}
  runtime: local
  settings: {down_after: 1000, failover_timeout: 3000}
  dns: {part: data, balancer: round-robin}
traffic: {operations: {write: 10/s}, client: {timeout: 1s, attempts: 2, deadline: 3s}}
data: {keys: 5, sessions: 2, rate: 10/s, checks: [lost_writes]}
baseline: {for: 1s, errors: 20%}
faults: [{name: kill-primary, kill: {}, target: leader, at: 1s, for: 5s}]
settle: 6s
"""
GDNSD = """
experiment: gdnsd-once
question: Does gdnsd take a dead server out?
cluster:
  target: nginx_gdnsd
  parts: {web: 2, names: 1}
  runtime: local
  dns: {balancer: external, part: web, external: {part: names, name: www.shop.test}}
traffic: {operations: {home: 10/s}}
baseline: 1s
faults: [{name: kill-one, kill: {}, target: web-1, at: 1s, for: 6s}]
settle: 3s
"""


TRIES = 3
"""On a busy machine sentinels elect by themselves, and at the fault's time nobody may lead: the fault is skipped then."""


def run(text: str, folder: Path) -> tuple[Report, RunFolder]:
    """A run whose fault was done, whatever the verdict: a busy machine may spoil figures, and what is asserted here is no figure."""
    file = folder / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    for number in range(TRIES):
        taken = RunFolder(folder / f"run{number}")
        report = api.perform(api.order(file), taken)
        if [fault.status for fault in report.faults] == ["healed"]:
            return report, taken
    pytest.fail(f"of {TRIES} runs none had its fault done: {[(fault.status, fault.reason) for fault in report.faults]}")


def test_redis_fails_over_and_its_clients_follow(tmp_path: Path) -> None:
    """The sentinels make a replica the primary, redis-py finds it, and what was acknowledged after that is there."""
    need("redis-sentinel")
    need("the Python package redis", importlib.util.find_spec("redis") is not None, "pip install redis")
    report, folder = run(REDIS, tmp_path)
    (old,) = report.faults[0].target
    rows = folder.rows()
    leads = [row.node for row in rows if isinstance(row, RoleChanged) and row.role == "leader" and row.holds]
    assert leads[0] == old
    assert leads[-1] != old
    assert report.observed is not None and report.observed.probes["write"].ok > 30
    assert report.data is not None
    assert [check.examined > 0 for check in report.data.checks if check.name == "lost_writes"] == [True]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """gdnsd's control socket lies in its node's folder, and no socket's path may be longer than 107 bytes: pytest's folder may be."""
    with tempfile.TemporaryDirectory(prefix="n") as folder:
        yield Path(folder)


def test_a_name_service_that_is_not_ours_is_followed(short_path: Path) -> None:
    """gdnsd answers, takes the dead server out by its own checks, and clients then ask the other one alone."""
    need("nginx")
    need("gdnsd")
    report, folder = run(GDNSD, short_path)
    rows = folder.rows()
    sets = [row.nodes for row in rows if isinstance(row, DnsChanged)]
    assert sets[:2] == [["web-1", "web-2"], ["web-2"]]
    assert report.observed is not None
    home = report.observed.probes["home"]
    assert home.ok > home.fail + home.unknown, home  # the second attempt goes to the other address
