"""What other tools are given: events, annotations, a dashboard, a trace, a plug-in's line."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from chaos.cli import main as cli
from chaos.core import plugins
from chaos.core.errors import EnvironmentUnusable
from chaos.history.events import RunStarted
from chaos.history.folder import RunFolder
from chaos.report import ecs
from chaos.report.build import read_or_judge
from tests.support.paths import ROOT


def exported(name: str, folder: Path) -> str:
    return str(plugins.find("exports", name)(RunFolder(folder)))


def test_every_event_follows_the_schema_and_no_field_has_two_types(quick_run: Path) -> None:
    """Elasticsearch takes the type of the first value that it sees, and refuses others."""
    schema = json.loads(ecs.json_schema())
    assert (ROOT / "docs" / "events.schema.json").read_bytes() == ecs.json_schema() + b"\n", "stale: python -m tools.schemas"
    types: dict[str, set[str]] = {}

    def note(path: str, value: object) -> None:
        if isinstance(value, dict):
            types.setdefault(path, set()).add("object")
            for key, each in value.items():
                note(f"{path}.{key}", each)
        elif isinstance(value, list):
            for each in value:
                note(path, each)
        elif value is not None:
            types.setdefault(path, set()).add(
                "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
            )

    lines = exported("events", quick_run).splitlines()
    for line in lines:
        event = json.loads(line)
        jsonschema.validate(event, schema)
        note("", event)
    assert len(lines) == len(RunFolder(quick_run).rows())
    assert not {path: found for path, found in types.items() if len(found) > 1}


def test_events_have_the_wall_clock_of_the_run(quick_run: Path) -> None:
    """The first one is when the run says that it began; the order is that of time."""
    began = next(row for row in RunFolder(quick_run).rows() if isinstance(row, RunStarted)).started_at
    stamps = [json.loads(line)["@timestamp"] for line in exported("events", quick_run).splitlines()]
    assert stamps == sorted(stamps)
    assert abs(datetime.fromisoformat(stamps[0]) - datetime.fromisoformat(began)) < timedelta(milliseconds=2)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp) for stamp in stamps)


def test_names_of_nodes_and_links_are_values_and_no_fields(quick_run: Path) -> None:
    """An index of Elasticsearch has room for 1000 fields, and a name with a dot would be an object."""
    for line in exported("events", quick_run).splitlines():
        (row,) = json.loads(line)["nines"].values()
        assert not [key for key, value in row.items() if isinstance(value, dict)]
        for entry in (each for value in row.values() if isinstance(value, list) for each in value if isinstance(each, dict)):
            assert entry.keys() in ({"name", "text"}, {"name", "number"})


def test_bulk_lines_come_in_pairs_with_ids_of_their_own(quick_run: Path) -> None:
    """Sent twice, each event is stored once."""
    lines = [json.loads(line) for line in exported("bulk", quick_run).splitlines()]
    ids = [line["create"]["_id"] for line in lines[::2]]
    assert len(set(ids)) == len(ids) == len(lines) // 2
    assert all("@timestamp" in line for line in lines[1::2])


def test_annotations_are_the_faults_and_outages_of_the_report(quick_run: Path) -> None:
    """In milliseconds; each as long as it lasted."""
    report = read_or_judge(RunFolder(quick_run))
    assert report.observed is not None
    found = json.loads(exported("annotations", quick_run))
    outages = sorted((each for each in found if "operation:write" in each["tags"]), key=lambda each: each["time"])
    assert [each["timeEnd"] - each["time"] for each in outages] == pytest.approx(
        [1000 * (outage.duration_s or 0) for outage in report.observed.outages], abs=1.01
    )
    assert sum("fault" in each["tags"] for each in found) == len(report.faults)


def test_the_dashboard_speaks_of_metrics_that_exist(quick_run: Path) -> None:
    """Every name in it is served; panels do not lie over each other."""
    text = exported("dashboard", quick_run)
    served = set(re.findall(r"^(nines_\w+)", exported("textfile", quick_run), re.MULTILINE)) | {"nines_fault_active"}
    assert set(re.findall(r"nines_\w+", text)) <= served
    series = set(re.findall(r"^(nines_\w+)", exported("series", quick_run), re.MULTILINE))
    assert set(re.findall(r"nines_\w+", text)) - series <= {"nines_node_role", "nines_dns_answers"}, "a panel without data"
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(text)["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & mine
        assert at["x"] + at["w"] <= 24
        cells |= mine


def test_a_trace_has_a_span_for_each_fault_and_outage(quick_run: Path) -> None:
    """Inside one root, with ids as OTLP JSON has them; the same run gives the same trace."""
    report = read_or_judge(RunFolder(quick_run))
    assert report.observed is not None
    text = exported("trace", quick_run)
    spans = [span for each in json.loads(text)["resourceSpans"] for scope in each["scopeSpans"] for span in scope["spans"]]
    root = next(span for span in spans if "parentSpanId" not in span)
    assert {span["parentSpanId"] for span in spans if span is not root} == {root["spanId"]}
    assert {span["traceId"] for span in spans} == {root["traceId"]}
    assert re.fullmatch("[0-9a-f]{32}", root["traceId"])
    outage = report.observed.outages[0]
    span = next(span for span in spans if span["name"] == f"outage {outage.id}")
    assert (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9 == pytest.approx(outage.duration_s, abs=1e-6)
    assert len([span for span in spans if span["name"].startswith("fault ")]) == len(report.faults)
    assert text == exported("trace", quick_run)


def test_without_opentelemetry_the_way_to_get_it_is_said(quick_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 5 and the line for pip."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.common.trace_encoder", None)
    with pytest.raises(EnvironmentUnusable) as error:
        exported("trace", quick_run)
    assert error.value.exit_code == 5
    assert "pip install 'chaos-nines[otel]'" in str(error.value)


# --- a plug-in of Nagios -------------------------------------------------------------------------------------------------

PERFORMANCE = re.compile(r"'?[\w ]+'?=-?[0-9.e+-]+(s|%|us|ms|c|B)?(;[0-9.:~@]*){0,4}")
"""Monitoring plug-in guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]."""


@pytest.mark.parametrize(
    ("words", "status", "word"),
    [((), 0, "OK"), (("--max-age", "1d"), 0, "OK"), (("--experiment", "quick"), 0, "OK"), (("--experiment", "other"), 3, "UNKNOWN")],
)
def test_a_check_is_one_line_and_a_status(
    quick_run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, word: str
) -> None:
    """Of the newest run in a folder of runs."""
    assert cli.main(["check", str(quick_run.parent), *words]) == status
    line, rest = capsys.readouterr().out.split("\n", 1)
    assert not rest
    assert line.startswith(f"NINES {word} - ")
    told, _, figures = line.partition(" | ")
    assert "|" not in told
    assert all(PERFORMANCE.fullmatch(each) for each in figures.split()), figures


def test_an_old_run_is_a_warning(quick_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it showed may no longer hold."""
    assert cli.main(["check", str(quick_run), "--max-age", "1ms"]) == 1
    assert capsys.readouterr().out.startswith("NINES WARNING - quick: the newest run is ")


@pytest.mark.parametrize("words", [[], ["--nonsense", "x"], ["/nowhere"], [".", "--max-age", "soon"]])
def test_whatever_goes_wrong_is_unknown(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 would be a service that is down."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", *words]) == 3
