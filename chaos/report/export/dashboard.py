"""A dashboard for Grafana, as the JSON file that its import takes: clients, nodes, roles, DNS and faults on one time axis.

It speaks of the experiment of the run, chosen by a variable that other experiments can be put into; its time range is the run's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from chaos.history.events import TrafficStarted
from chaos.history.folder import RunFolder
from chaos.report.build import read_or_judge
from chaos.report.metrics.series import wall_clock

SCHEMA_VERSION: Final = 39
"""Of Grafana 10.3; newer ones migrate it."""
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
OF: Final = 'experiment="$experiment"'
MARGIN_S: Final = 10.0
GREEN, RED, BLUE = "green", "red", "blue"


def export(folder: RunFolder) -> str:
    """Import it by Dashboards > New > Import, or put it into a provisioned folder."""
    report, rows = read_or_judge(folder), folder.rows()
    start_ns = next((row.start_ns for row in rows if isinstance(row, TrafficStarted)), report.started_monotonic_ns)
    to_wall = wall_clock(rows)
    began_s, ended_s = to_wall(start_ns), to_wall(max(row.at_ns for row in rows))
    dashboard = {
        "title": f"Nines: {report.experiment}",
        "uid": None,
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["nines", "chaos"],
        "editable": True,
        "refresh": "5s",
        "graphTooltip": 1,
        "time": {"from": _at(began_s - MARGIN_S), "to": _at(max(began_s + report.duration_s, ended_s) + MARGIN_S)},
        "templating": {"list": _variables(report.experiment)},
        "annotations": {"list": [_faults()]},
        "panels": _placed(_panels()),
    }
    return msgspec.json.format(msgspec.json.encode(dashboard), indent=1).decode() + "\n"


def _at(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _variables(experiment: str) -> list[dict[str, Any]]:
    return [
        {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        {
            "name": "experiment", "type": "query", "datasource": SOURCE, "query": "label_values(nines_run_info, experiment)",
            "current": {"text": experiment, "value": experiment}, "label": "Experiment", "refresh": 2,
        },
    ]  # fmt: skip


def _faults() -> dict[str, Any]:
    """A band for each fault, by the metric itself: no annotation has to be sent."""
    return {
        "name": "Faults", "datasource": SOURCE, "enable": True, "iconColor": RED, "expr": f"nines_fault_active{{{OF}}} == 1",
        "step": "1s", "titleFormat": "{{id}}", "textFormat": "{{kind}} on {{target}}",
    }  # fmt: skip


def _panels() -> list[tuple[int, int, dict[str, Any]]]:
    """(width of 24, height, panel), in reading order."""
    return [
        (6, 4, _stat("Verdict", f"nines_run_verdict{{{OF}}} == 1", "{{verdict}}", "name")),
        (6, 4, _stat("Availability in it", f'nines_availability_ratio{{{OF},bound="value"}}', "{{operation}}", "value", "percentunit")),
        (6, 4, _stat("Objectives missed", f'sum(nines_objective{{{OF},verdict="fail"}})', "missed", "value")),
        (6, 4, _stat("Faults proven gone", f'nines_faults_total{{{OF},outcome="proven_gone"}}', "of the plan", "value")),
        (24, 7, _lines("Success ratio of requests", "percentunit", {
            f'sum by (operation) (rate(nines_requests_total{{{OF},result="good"}}[5s])) '
            f'/ sum by (operation) (rate(nines_requests_total{{{OF},result=~"good|bad"}}[5s]))': "{{operation}}"})),
        (24, 6, _lines("Time without a good answer", "s", {f"nines_outage_current_seconds{{{OF}}}": "{{operation}}"})),
        (24, 6, _lines("Requests", "reqps", {f"rate(nines_requests_total{{{OF}}}[5s])": "{{operation}} {{result}}"})),
        (24, 5, _bands("Nodes up", f'nines_node_state{{{OF},state="up"}}', "{{node}}", "up", "not up")),
        (24, 5, _bands("Roles", f"nines_node_role{{{OF}}}", "{{node}} {{role}}", "holds it", "")),
        (24, 5, _bands("In DNS", f"nines_dns_answers{{{OF}}}", "{{node}}", "in DNS", "not in DNS")),
    ]  # fmt: skip


def _placed(panels: list[tuple[int, int, dict[str, Any]]]) -> list[dict[str, Any]]:
    placed, left, top = [], 0, 0
    for number, (width, height, panel) in enumerate(panels, 1):
        placed.append({"id": number, "datasource": SOURCE, "gridPos": {"x": left, "y": top, "w": width, "h": height}, **panel})
        left += width
        if left >= 24:
            left, top = 0, top + height
    return placed


def _query(expression: str, legend: str, letter: str = "A") -> dict[str, Any]:
    return {"refId": letter, "datasource": SOURCE, "expr": expression, "legendFormat": legend}


def _stat(title: str, expression: str, legend: str, shown: str, unit: str = "none") -> dict[str, Any]:
    return {"title": title, "type": "stat", "targets": [_query(expression, legend)],
            "options": {"textMode": shown, "reduceOptions": {"calcs": ["lastNotNull"]}},
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []}}  # fmt: skip


def _lines(title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    targets = [_query(expression, legend, chr(ord("A") + number)) for number, (expression, legend) in enumerate(queries.items())]
    return {"title": title, "type": "timeseries", "targets": targets,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []}}  # fmt: skip


def _bands(title: str, expression: str, legend: str, one: str, zero: str) -> dict[str, Any]:
    mapping = {"type": "value", "options": {"0": {"text": zero, "color": RED}, "1": {"text": one, "color": GREEN}}}
    return {"title": title, "type": "state-timeline", "targets": [_query(expression, legend)], "options": {"showValue": "auto"},
            "fieldConfig": {"defaults": {"mappings": [mapping]}, "overrides": []}}  # fmt: skip
