"""``import chaos`` as people use it: cheap, a dozen names, values that show themselves."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import chaos
from chaos.core.errors import BadInput, EnvironmentUnusable, HistoryUnreadable
from chaos.history.events import FaultGone, Row
from tests.support.quick import QUICK

HEAVY = ("msgspec", "numpy", "yaml", "jinja2", "pandas", "polars", "chaos.api", "chaos.core")


def test_importing_loads_nothing() -> None:
    """Neither a package of others nor one of ours."""
    seen = subprocess.run(
        [sys.executable, "-c", "import chaos, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()  # fmt: skip
    assert not set(HEAVY) & set(seen)


def test_every_name_is_there_and_explained() -> None:
    """``dir``, ``help`` and the page on Python know each."""
    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
    for name in chaos.__all__:
        assert name in dir(chaos)
        assert callable(getattr(chaos, name))
        assert f"{name}" in (chaos.__doc__ or "")
        assert f"`{name}" in page or f"chaos.{name}" in page, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = chaos.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", ["plan", "predict", "run", "judge"])
def test_a_verb_that_is_a_package_as_well(verb: str) -> None:
    """Called, it is the function, with its signature; as a package, it has its modules. In either order of imports."""
    module = {"plan": "chaos.plan.plan", "predict": "chaos.predict.run", "run": "chaos.run.run", "judge": "chaos.judge.judge"}[verb]
    code = f"import {module} as there, chaos; assert callable(chaos.{verb}); assert there.__name__ == '{module}'"
    other = f"import chaos; assert callable(chaos.{verb}); import {module} as there; assert there.__name__ == '{module}'"
    for text in (code, other):
        subprocess.run([sys.executable, "-c", text], check=True)
    assert "runtime" in inspect.signature(getattr(chaos, verb)).parameters or verb == "judge"


def test_from_text_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load, plan, predict, run with progress, read and judge again: all of it from one text."""
    monkeypatch.chdir(tmp_path)
    experiment = chaos.load(QUICK, runtime="fake", seed=3)
    rows: list[Row] = []
    report = chaos.run(experiment, folder=tmp_path / "run", progress=rows.append)
    assert chaos.plan(experiment).seed == report.seed == 3
    assert chaos.load(experiment) is experiment
    assert chaos.load(experiment, seed=4).plan.seed == 4
    assert chaos.predict(experiment).mttr_s.value is not None
    assert sum(isinstance(row, FaultGone) for row in rows) == len(report.faults) > 0
    assert chaos.read(tmp_path / "run") == chaos.judge(tmp_path / "run") == report
    assert chaos.run(QUICK, runtime="fake", faults=False).faults == []


def test_values_are_short(quick_run: Path) -> None:
    """One line each, and the figure that counts in it."""
    report = chaos.read(quick_run)
    assert report.observed is not None and report.predicted is not None
    values = [report, report.observed, report.predicted, report.observed.mttr_s, report.predicted.mttr_s, report.observed.outages[0],
              report.faults[0], chaos.load(QUICK, runtime="fake"), chaos.plan(QUICK, runtime="fake")]  # fmt: skip
    assert not [text for text in map(repr, values) if len(text) > 300 or "\n" in text]
    assert "outages" in repr(report) and "n=" in repr(report.observed.mttr_s)
    assert repr(chaos.Estimate(None, reason="no outage")) == "Estimate(None: no outage)"


class _Frames(HTMLParser):
    """What a notebook would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pages: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pages += [value or "" for name, value in attrs if name == "srcdoc"]


def test_a_notebook_shows_the_page_in_a_frame(quick_run: Path) -> None:
    """The whole page, as the file has it; nothing of it stands outside the frame."""
    report = msgspec.structs.replace(chaos.read(quick_run), question='"><script>alert(1)</script>')
    shown = _Frames()
    shown.feed(report._repr_html_())
    assert shown.tags == ["iframe"]
    assert shown.pages[0].startswith("<!doctype html>\n<html") and "<script" not in shown.pages[0]


@pytest.mark.parametrize("library", [name for name in ("pandas", "polars") if importlib.util.find_spec(name)])
def test_frames(library: str, quick_run: Path) -> None:
    """Outages, faults and requests, by the figures of the report; without rows the columns stay."""
    report = chaos.read(quick_run)
    assert report.observed is not None
    outages = report.to_frame("outages", library)
    seen = [outage for each in report.observed.services.values() for outage in each.outages]
    assert list(outages["id"]) == [outage.id for outage in seen]
    assert list(outages["duration_s"]) == [outage.duration_s for outage in seen]
    assert list(report.to_frame("faults", library)["class"]) == [fault.fault_class for fault in report.faults]
    requests = report.to_frame("requests", library)
    due = sum(probe.due for each in report.observed.services.values() for probe in each.probes.values())
    assert sum(requests["due"]) > due > 0  # the baseline is in the one and not in the other
    none = msgspec.structs.replace(report, faults=[]).to_frame("faults", library)
    assert "recovery_s" in list(none.columns) and len(none) == 0


def test_a_frame_that_cannot_be(quick_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal says what would do: a name, a library, the line that installs one, the folder."""
    report = chaos.read(quick_run)
    with pytest.raises(BadInput, match="outages, faults, requests"):
        report.to_frame("nonsense")
    with pytest.raises(BadInput, match="pandas, polars"):
        report.to_frame(library="spark")
    with pytest.raises(HistoryUnreadable, match="run folder"):
        msgspec.structs.replace(report, folder=str(tmp_path)).to_frame("requests")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EnvironmentUnusable, match="pip install pandas"):
        report.to_frame()


def test_nothing_to_inject_into() -> None:
    """Without a cluster that is up, it says how to get one; a fault that does not exist is refused before that."""
    with pytest.raises(BadInput, match="nines up"):
        chaos.inject("kill", to="leader", lasts="1s")
    with pytest.raises(BadInput, match="kil"):
        chaos.inject("kil", lasts="1s")
