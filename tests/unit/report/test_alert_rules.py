"""Alert rules from an SLO: which rates, which windows, and what promtool and recorded runs say of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chaos.api import order_text, perform
from chaos.cli import main as cli
from chaos.core.errors import BadInput
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.report.alerts.rules import make, promql, render
from tests.support.quick import QUICK

WATCHED = QUICK.replace("objectives:", "slo: {availability: PROMISED, window: WINDOW}\nobjectives:")


def planned(availability: str = "99.9%", window: str = "30d", text: str = WATCHED) -> Plan:
    return order_text(text.replace("PROMISED", availability).replace("WINDOW", window), Path("slo.yaml")).plan


@pytest.mark.parametrize(
    ("availability", "window", "burns", "windows", "reasons"),
    [
        ("99.9%", "30d", [14.4, 6, 1], ["1h", "6h", "3d"], []),
        ("99.9%", "7d", [3.36, 1.4], ["1h", "6h"], ["below 1"]),
        ("99.9%", "90d", [43.2, 18, 3], ["1h", "6h", "3d"], []),
        ("90%", "30d", [6, 1], ["6h", "3d"], ["could never fire"]),
        # no usual time fits a day: the usual rates over 1/720, 1/120 and 1/10 of it
        ("99.9%", "1d", [14.4, 6, 1], ["2m", "12m", "144m"], ["below 1"] * 3),
        ("90%", "1d", [6, 1], ["12m", "144m"], ["below 1"] * 3),
    ],
)
def test_burn_rates_fit_the_window(availability: str, window: str, burns: list[float], windows: list[str], reasons: list[str]) -> None:
    """Share x window / alert window; none below 1 or above what the objective allows, and the reason is in the file."""
    rules = make(planned(availability, window), scrape_s=5.0)
    assert [each.burn for each in rules.burns] == pytest.approx(burns)
    assert [promql(each.long_s) for each in rules.burns] == windows
    assert all(each.threshold == pytest.approx(each.burn * (1 - rules.objective)) for each in rules.burns)
    assert [next(reason for reason in reasons if reason in each.reason) for each in rules.left_out] == reasons
    text = render(rules)
    assert text.count("# Left out") == len(reasons)
    assert "&id" not in text


def test_no_rate_is_taken_over_fewer_than_two_scrapes() -> None:
    """A rule that could not see a rate is left out, with what to do."""
    rules = make(planned("99.9%", "1d"), scrape_s=60.0)
    assert [promql(each.long_s) for each in rules.burns] == ["12m", "144m"]
    assert "scrape more often" in rules.left_out[-1].reason
    assert all(each.short_s >= 120.0 for each in rules.burns)


def test_an_outage_alert_takes_the_strictest_limit() -> None:
    """Of the objectives and expectations on outages; else a share of the budget."""
    assert make(planned(), scrape_s=1.0).outage.after_s == 5.0  # expect: {recovery: "<= 5s"}
    unlimited = WATCHED.replace(', expect: {recovery: "<= 5s"}', "")
    assert unlimited != WATCHED
    assert make(planned(text=unlimited), scrape_s=1.0).outage.after_s == 26.0  # 1 % of 2592 s


def test_without_an_slo_there_is_nothing_to_alert_on(tmp_path: Path) -> None:
    """It says what is missing."""
    with pytest.raises(BadInput, match="no 'slo:"):
        make(order_text(QUICK, tmp_path / "quick.yaml").plan)


def test_counters_of_others_are_put_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same thresholds, over the user's own counters."""
    file = tmp_path / "slo.yaml"
    file.write_text(WATCHED.replace("PROMISED", "99.9%").replace("WINDOW", "30d"), encoding="utf-8")
    bad, every = 'http_requests_total{job="shop",code=~"5.."}', 'http_requests_total{job="shop"}'
    assert cli.main(["rules", str(file), "--bad", bad, "--all", every]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["groups"][0]["rules"]
    assert found[0]["expr"] == f"sum(rate({bad}[5m])) / sum(rate({every}[5m]))"
    assert cli.main(["rules", str(file), "--bad", bad]) == 2


OUTAGES = """\
experiment: watched
question: Do the alerts fire?
cluster: {target: replicated_kv, nodes: 3, runtime: fake, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 20/s}}
baseline: 5s
faults:
  - {name: short, kill: {}, target: leader, at: 10s, for: 1s}
  - {name: long, pause: {}, target: [n1, n2], at: 30s, for: 9s}
settle: 10s
limits: {nodes_down: 2}
slo: {availability: 99.9%, window: 2h}
objectives: {outage: "<= 4s"}
"""


def test_rules_keep_their_promise_on_a_recorded_run(tmp_path: Path, need: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """By promtool: each alert fires for the long outage within its time, none for the short one; the kept test passes by itself."""
    need("promtool")
    file = tmp_path / "watched.yaml"
    file.write_text(OUTAGES, encoding="utf-8")
    perform(order_text(OUTAGES, file), RunFolder(tmp_path / "run"))
    words = ["rules", str(file), "--scrape", "1s", "--evaluate", "1s"]
    assert cli.main([*words, "--try", str(tmp_path / "run"), "--tests", str(tmp_path / "tests")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"ServiceOutage +write-2 +[4-7]\.. s +\S+ s +in time", said), said
    assert re.search(r"0 false alerts", said)
    for folder in sorted((tmp_path / "tests").iterdir()):
        done = subprocess.run(
            ["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout
        broken = (folder / "rules.yaml").read_text(encoding="utf-8").replace("[10s]", "[60s]").replace("> 0.0144", "> 0.9")
        (folder / "rules.yaml").write_text(
            re.sub(r"(alert: \w+\n  *expr: ).*\n(?:      .*\n)*", r"\1vector(0) > 1\n", broken), encoding="utf-8"
        )
        done = subprocess.run(
            ["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1, "an alert that never fires must fail the kept test"
