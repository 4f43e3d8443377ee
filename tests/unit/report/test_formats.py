"""Every form of the report, from a kept report and from the worst ones there can be."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import jsonschema
import msgspec
import pytest

from chaos.core import plugins as tables
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import table
from chaos.report import tables as report_tables
from chaos.report.build import exit_status, json_schema
from chaos.report.pages import report as html_format
from chaos.results.observed import Estimate, Maintainability
from chaos.results.predicted import ParameterUsed
from chaos.results.report import Report
from chaos.results.verdict import Agreement, Check, Objective
from tests.support.paths import GOLDEN

FORMATS = ("text", "json", "junit", "markdown", "html")
GOLDEN_FORMATS = {"text": "txt", "junit": "xml", "markdown": "md", "html": "html"}
VOID = {"meta", "br", "img", "link", "input", "hr"}


@pytest.fixture(scope="module")
def report() -> Report:
    """A kept one: eight kills and a latency spell."""
    return msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report)


@pytest.fixture
def empty(report: Report) -> Report:
    """A run that never began."""
    return msgspec.structs.replace(
        report, observed=None, predicted=None, faults=[], timeline=[], agreement=[], agreement_overall="inconclusive", checks=[],
        objectives=[], nodes=[], verdict="unknown", exit_code=5, reasons=["it did not start"], duration_s=0.0, started_at="",
    )  # fmt: skip


def render(name: str, report: Report) -> str:
    """One form of it."""
    text: str = tables.find("reports", name)(report)
    return text


@pytest.mark.parametrize("name", GOLDEN_FORMATS)
def test_golden(name: str, report: Report, golden: Callable[[str, str], None]) -> None:
    """Each form of the kept report is the kept text."""
    golden(f"quickstart.{GOLDEN_FORMATS[name]}", html_of_ours(render(name, report)))


@pytest.mark.parametrize("name", FORMATS)
def test_run_that_never_began(name: str, empty: Report) -> None:
    """No form needs anything to be there, and none calls it a pass."""
    text = render(name, empty)
    assert text.strip()
    assert "100 %" not in text
    assert "nan" not in text.lower().replace("finance", "")


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_names(name: str, report: Report) -> None:
    """Markup in a question or a detail stays text, and control characters do not break the form."""
    check = Check("a|b", "fail", "<script>alert(1)</script> \x07 & more")
    question = '<b onload="x">?</b>'
    hostile = msgspec.structs.replace(report, question=question, checks=[check], verdict="unknown", exit_code=3, reasons=["<i>"])
    text = render(name, hostile)
    if name == "junit":
        Xml.fromstring(text)
    if name in ("html", "markdown"):
        assert "<script>alert" not in text
        assert "<b onload" not in text


@pytest.mark.parametrize("name", ["text", "html"])
def test_maintainability(name: str, report: Report) -> None:
    """The distribution of repairs is told where there is one; a hostile reason stays text."""
    seen = report.observed
    assert seen is not None
    assert "M(2 s)" not in render(name, report)
    repairs = Maintainability(8, 8, 0.742, 1.2, 2.0, Estimate(1.0, 0.63, 1.0, n=8, method="Clopper-Pearson"), "<i>")
    told = msgspec.structs.replace(seen, maintainability=repairs)
    shown = render(name, msgspec.structs.replace(report, observed=msgspec.structs.replace(told, services={report.judged: told})))
    assert "M(2 s) = 100 %" in shown
    assert "742 ms" in shown and "<i>" not in shown


@pytest.mark.parametrize("name", ["html"])
def test_words_of_parameters(name: str, report: Report) -> None:
    """A choice is shown by its word, not by its number."""
    assert report.predicted is not None
    chosen = [ParameterUsed("leaderless", 1.0, "", "target", word="hang")]
    shown = render(name, msgspec.structs.replace(report, predicted=msgspec.structs.replace(report.predicted, parameters=chosen)))
    assert "hang" in shown


def test_json_is_the_contract(report: Report) -> None:
    """What is written is read back the same, and fits the schema that lies beside it."""
    text = render("json", report)
    assert msgspec.json.decode(text, type=Report) == report
    jsonschema.validate(msgspec.json.decode(text), msgspec.json.decode(json_schema()))


def test_json_keys_are_never_lost(report: Report) -> None:
    """A report kept from an earlier version is read, and written again with everything it held: keys are added, never renamed."""

    def holds(new: object, old: object, path: str) -> None:
        if isinstance(old, dict):
            assert isinstance(new, dict), path
            for key, value in old.items():
                assert key in new, f"{path}.{key}"
                holds(new[key], value, f"{path}.{key}")
        elif isinstance(old, list):
            assert isinstance(new, list), path
            assert len(new) == len(old), path
            for index, value in enumerate(old):
                holds(new[index], value, f"{path}[{index}]")
        else:
            assert new == old, path

    holds(msgspec.json.decode(render("json", report)), msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes()), "report")


def test_json_contract_keys(report: Report) -> None:
    """The keys that other programs rely on are there, by these names."""
    data = msgspec.json.decode(render("json", report))
    top = {"schema", "experiment", "run", "folder", "seed", "runtime", "target", "versions", "nodes", "started_at", "started_monotonic_ns",
           "duration_s", "clock_bound_s", "verdict", "exit_code", "reasons", "checks", "objectives", "observed", "predicted",
           "agreement_overall", "agreement", "faults"}  # fmt: skip
    assert top <= set(data)
    assert {"rule", "availability", "success_ratio", "slo_ratio", "mttr_s", "mttf_s", "mtbf_s", "mtbf_basis", "downtime_s", "latency_s",
            "outages", "by_fault", "addresses", "probes", "data", "services"} <= set(data["observed"])  # fmt: skip
    assert {"value", "low", "high", "confidence", "n", "method", "reason"} == set(data["observed"]["mttr_s"])
    agreement = {"measure", "service", "class", "predicted", "observed", "p_value", "verdict", "detectable", "faults_to_decide"}
    assert agreement <= set(data["agreement"][0])
    assert {"id", "name", "kind", "class", "target", "status", "reason", "achieved", "recovery_s", "outage_ids"} <= set(data["faults"][0])


def test_no_data_is_null(report: Report) -> None:
    """An infinity or a NaN never reaches the file."""
    broken = msgspec.structs.replace(report, duration_s=math.inf, clock_bound_s=math.nan)
    data = msgspec.json.decode(render("json", broken))
    assert data["duration_s"] is None
    assert data["clock_bound_s"] is None


# --- JUnit -------------------------------------------------------------------------------------------------------------


def test_junit_counts(report: Report) -> None:
    """One case an objective, check and agreement, and one for the run; fail and unknown are told apart."""
    nothing = Estimate(None, reason="too few")
    mixed = msgspec.structs.replace(
        report, verdict="fail", exit_code=1,
        objectives=[Objective("mttr", "<= 1s", "run", Estimate(2.0), "fail"), Objective("mtbf", ">= 1h", "claim", nothing, "unknown")],
        checks=[Check("quiet", "pass", ""), Check("isolated", "fail", "no")],
    )  # fmt: skip
    suite = Xml.fromstring(render("junit", mixed))
    cases = suite.findall("testcase")
    assert len(cases) == 1 + 2 + 2 + len(report.agreement) == int(suite.get("tests", ""))
    assert (suite.get("failures"), suite.get("errors")) == ("3", "1")
    unknown = next(case for case in cases if case.get("name", "").startswith("mtbf"))
    assert unknown.find("error") is not None
    assert unknown.find("failure") is None


def test_junit_honours_expected_failure(report: Report) -> None:
    """An experiment that is meant to show a weakness and does so is green."""
    shown = msgspec.structs.replace(
        report, verdict="fail", exit_code=1, expect_verdict="fail", objectives=[Objective("mttr", "<= 1s", "run", Estimate(2.0), "fail")]
    )
    suite = Xml.fromstring(render("junit", shown))
    assert suite.get("failures") == "0"
    assert exit_status(shown) == 0


def test_junit_inconsistent_prediction_does_not_fail_the_job(report: Report) -> None:
    """Agreement counts only where an objective asks; else it is said, and skipped."""
    row = Agreement(measure="downtime", service="write", fault_class="", predicted=1.0, observed=9.0, p_value=0.001, verdict="inconsistent",
                    detectable=True, faults_to_decide=None)  # fmt: skip
    suite = Xml.fromstring(render("junit", msgspec.structs.replace(report, agreement=[row], agreement_overall="inconsistent")))
    assert suite.get("failures") == "0"
    assert [case.find("skipped") is not None for case in suite.findall("testcase") if "agreement" in case.get("classname", "")] == [True]


# --- HTML --------------------------------------------------------------------------------------------------------------


class _Balance(HTMLParser):
    """Every tag that is opened is closed, in order; and what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.unnamed = 0
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids.add(named.get("id") or "")
        self.outside += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag == "svg" and not (named.get("aria-label") or named.get("aria-hidden")):
            self.unnamed += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"


def test_html_stands_alone(report: Report) -> None:
    """Well-formed, nothing fetched and nothing allowed to be, every drawing has words for those who do not see it, every link leads on."""
    text = render("html", report)
    page = _Balance()
    page.feed(text)
    assert page.open == []
    assert [place for place in page.outside if place != "data:," and place.removeprefix("#") not in page.ids] == []
    assert page.unnamed == 0
    assert "default-src 'none'" in text
    assert text.count("<script") == 3  # the data, the library, the program: all inside
    assert "url(" not in html_of_ours(text)
    assert "@import" not in text


def html_of_ours(text: str) -> str:
    """The page without the library, whose text is not ours."""
    return text.replace(html_format.asset("echarts.min.js"), "(library)")


def test_html_without_scripts_is_small_and_whole(report: Report) -> None:
    """For a notebook and for mail: the still drawing and the tables are there."""
    text = html_format.render(report, scripts=False)
    assert "<script" not in text and len(text) < 150_000
    assert "<figure" in text and "<table" in text


def test_html_in_chinese_has_no_english_heading(report: Report) -> None:
    """Every heading, question, column and label is translated; what was measured stays."""
    text = html_format.render(report, "zh", scripts=False)
    assert '<html lang="zh">' in text and "通过" in text
    said = re.findall(r"<(?:h2|dt|th|summary|button)[^>]*>([^<]*)<", text)
    assert len(said) > 50
    plain = {"n", "p", "DNS", ""}
    assert [words for words in said if words not in plain and not re.search(r"[\u4e00-\u9fff]", words)] == []


def test_long_tables_are_folded(report: Report) -> None:
    """A reader of a run with many faults sees the next heading, not sixty rows."""
    many = msgspec.structs.replace(report, faults=[msgspec.structs.replace(report.faults[0], id=f"kill.{number}") for number in range(171)])
    text = html_format.render(many, scripts=False)
    assert "<details><summary>Show all 171 rows</summary>" in text
    assert "<details><summary>Show all 9 rows" not in render("html", report)


def test_html_says_the_verdict_first(report: Report) -> None:
    """The verdict stands before any table or drawing."""
    text = render("html", report)
    assert text.index("PASS") < text.index("<svg")
    assert text.index(top.headline(report)) < text.index("<table")


def test_html_draws_every_outage(report: Report) -> None:
    """Each outage has its row, each lane its label."""
    text = render("html", report)
    assert report.observed is not None
    assert all(f">{outage.id}<" in text for outage in report.observed.outages)
    assert all(f">{lane.name}</text>" in text for lane in report.timeline if lane.kind in ("service", "fault", "node"))


# --- wording -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"), (1.0, "100 %"), (0.0, "0 %"), (0.913, "91.3 %"), (0.92, "92 %"), (0.98999, "99 %"), (0.999, "99.9 %"),
        (0.9995, "99.95 %"), (0.99981, "99.981 %"), (0.9999961, "99.99961 %"), (0.99995, "99.995 %"), (0.99999984, "99.999984 %"),
        (1e-300, "0 %"), (2e-8, "under 0.0001 %"), (0.000123, "0.0123 %"), (0.0004, "0.04 %"), (0.00096, "0.096 %"), (0.002, "0.2 %"),
    ],
)  # fmt: skip
def test_percent_has_the_digits_it_needs(value: float | None, said: str) -> None:
    """Three significant digits, near 100 % two of what is missing; 100 % is only ever said of 100 %."""
    assert say.percent(value) == said


@pytest.mark.parametrize(("value", "said"), [(0.0, "0 %"), (1.0, "100 %"), (0.873, "87 %"), (0.004, "under 1 %"), (0.9999, "over 99 %")])
def test_a_chance_is_never_certain_by_rounding(value: float, said: str) -> None:
    """What may happen is not 0 %, and what may fail not 100 %."""
    assert say.chance_percent(value) == said


def test_a_bound_that_bounds_nothing_is_none() -> None:
    """A share is at most 100 % and a time at least 0 s, whatever was measured."""
    assert say.span(None, 1.0, say.percent) == "no lower bound"
    assert say.span(0.0, None, say.percent) == say.span(0.0, None, say.seconds) == "no upper bound"
    assert say.span(None, 0.97, say.percent) == "at most 97 %" and say.span(None, 1.0, say.seconds) == "at most 1 s"


@pytest.mark.parametrize(
    ("value", "said"), [(None, "p = –"), (0.0, "p < 0.0001"), (3e-7, "p < 0.0001"), (0.0001, "p = 0.0001"), (0.21, "p = 0.21")]
)
def test_no_chance_is_zero(value: float | None, said: str) -> None:
    """A p-value is a chance of something that can happen."""
    assert say.is_chance(value) == said


def test_open_intervals_are_said_in_words() -> None:
    """An interval without an upper end is 'at least'."""
    assert say.estimate(Estimate(2.0, 1.0, None), say.seconds) == "2 s (at least 1 s)"
    assert say.estimate(Estimate(None, reason="no outage"), say.seconds) == "– (no outage)"


@pytest.mark.parametrize(
    ("verdict", "code", "expected", "status"),
    [("pass", 0, "pass", 0), ("fail", 1, "pass", 1), ("unknown", 3, "pass", 3), ("fail", 1, "fail", 0), ("pass", 0, "fail", 1),
     ("unknown", 3, "fail", 3), ("unknown", 3, "unknown", 0), ("unknown", 6, "unknown", 6), ("unknown", 130, "fail", 130)],
)  # fmt: skip
def test_exit_status(verdict: str, code: int, expected: str, status: int, report: Report) -> None:
    """The expected verdict gives 0; what is left over or interrupted is never expected."""
    assert exit_status(msgspec.structs.replace(report, verdict=verdict, exit_code=code, expect_verdict=expected)) == status


def test_a_long_headline_is_a_title_and_a_sentence(report: Report) -> None:
    """The page stays readable at a glance; no word is lost. A short headline stands as it is."""
    long = "the history is torn: " + "slots 7 to 9 are missing, " * 12
    page = render("html", msgspec.structs.replace(report, state="invalid", reasons=[long]))
    assert "</span>The history is torn.</h1>" in page
    assert '<p class="told">Slots 7 to 9 are missing' in page
    short = render("html", msgspec.structs.replace(report, state="invalid", reasons=["one slot: missing"]))
    assert "</span>One slot: missing.</h1>" in short


# --- tables ------------------------------------------------------------------------------------------------------------


def test_a_table_says_the_same_in_every_format() -> None:
    """One value: a cell's second line stands in brackets where there is one line; drawings and empty columns are left out."""
    made = table.make(
        "Things", ["thing", table.right("n"), table.Column("", drawn=True), "never"],
        [["a|b", table.Cell("7", "6 to 8"), table.Cell("", draw=lambda: None), ""], ["c", table.mark("pass"), "", ""]],
        note="A note.", after=["After.", ""],
    )  # fmt: skip
    assert [column.title for column in made.columns] == ["thing", "n", ""]
    text = table.text(made)
    assert text.splitlines()[:2] == ["Things", "A note."] and text.endswith("After.")
    assert "7 (6 to 8)" in text and "never" not in text
    lines = table.markdown_lines(made)
    assert "| a\\|b | 7 (6 to 8) |" in lines and "| c | ✅ pass |" in lines
    assert table.text(table.make("Nothing", ["x"], [])) == ""
    assert table.text(table.make("Nothing", ["x"], [], otherwise="no data")) == "Nothing: no data"


def test_every_table_of_a_report_is_shown_as_text_and_on_the_page(report: Report) -> None:
    """No format leaves one out, or shows a column that the other does not have."""
    text, page = render("text", report), html.unescape(render("html", report))
    for made in report_tables.of(report, 60).values():
        assert made.title in text and f"<h2>{made.title}</h2>" in page
        for column in made.told.columns:
            assert column.title in text and f">{column.title}</th>" in page
