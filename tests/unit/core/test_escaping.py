"""Text of the system under test in every output: seen as what it is, and never obeyed."""

from __future__ import annotations

import io
import re
import unicodedata
from xml.etree import ElementTree as Xml

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.cli import output as cli_out
from chaos.cli.progress import Live
from chaos.core import escaping
from chaos.core import plugins as tables
from chaos.history.events import FaultFailed, FaultSkipped
from chaos.results.report import Report
from tests.support.paths import GOLDEN
from tests.support.samples import sample_plan

EVIL = (
    "\x1b[31mred\x1b]0;owned\x07\x9b2J\r\x00\x08|]]>&lt;<script>alert(1)</script><b onload=x>`code`[l](http://evil/)![i](http://evil/t.png)"
    "\n# head\n| a | b |\uffff\ufffe\u202egnp\u2028"
)
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufffe\uffff]")


@pytest.fixture(scope="module")
def hostile() -> Report:
    """A kept report, each of whose texts, and names of entries, ends in hostile text; words that steer how it is shown are kept."""
    kept = msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes())
    words = {"verdict", "state", "agreement_overall", "censored", "kind", "mtbf_basis", "configuration"}

    def spoil(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {
                (f"{name}{EVIL}" if key in ("addresses", "during", "networks", "versions") else name): spoil(item, str(name))
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [spoil(item, key) for item in value]
        return f"{value}{EVIL}" if isinstance(value, str) and key not in words else value

    spoiled = spoil(kept)
    assert isinstance(spoiled, dict)
    bad = {"service": f"write{EVIL}", "when": "run", "reason": f"x{EVIL}", "status": None, "count": 3, "nodes": {f"n1{EVIL}": 3}}
    spoiled |= {"bad_requests": [bad], "next_steps": [EVIL], "reasons": [EVIL, EVIL], "state": "invalid", "verdict": "unknown"}
    spoiled["checks"] = [{"name": EVIL, "verdict": "fail", "detail": EVIL, "next_step": EVIL}]
    return msgspec.convert(spoiled, Report)


def test_the_terminal_is_not_steered(hostile: Report) -> None:
    """No control character but our own line ends; the text can still be read; no line of it begins by itself."""
    shown = tables.find("reports", "text")(hostile)
    assert not STEERS.search(shown)
    assert "\\x1b[31mred" in shown
    assert "\n# head" not in shown


def test_junit_is_well_formed_whatever_the_text(hostile: Report) -> None:
    """Read back, the text is there, made visible; nothing of it is markup."""
    shown = tables.find("reports", "junit")(hostile)
    suite = Xml.fromstring(shown)
    assert "\\x1b[31mred" in suite.get("name", "")
    assert {element.tag for element in suite.iter()} <= {
        "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out",
    }  # fmt: skip
    shown.encode()


def test_html_shows_text_and_obeys_none(hostile: Report) -> None:
    """As before, and without what no page can hold."""
    render = tables.find("reports", "html")
    shown = render(hostile)
    own = render(msgspec.json.decode((GOLDEN / "quickstart.report.json").read_bytes(), type=Report))
    assert shown.count("<script") == own.count("<script"), "the page has scripts of its own, and none of anybody else"
    assert "<script>alert" not in shown
    assert "<b onload" not in shown
    assert "\\x1b[31mred" in shown
    assert not STEERS.search(shown)


def test_markdown_lets_no_link_image_markup_or_table_through(hostile: Report) -> None:
    """Outside code spans no bracket, backtick or bar of others stands without its backslash."""
    shown = tables.find("reports", "markdown")(hostile)
    assert not STEERS.search(shown)
    text = "\n".join(re.sub(r"(`+).+?\1", "", line) if line.startswith("Again:") else line for line in shown.splitlines())
    assert not re.search(r"(?<!\\)[\[`]", text)
    assert "<script" not in text and "<b onload" not in text
    assert "http://evil" not in text
    widths = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| ") and "objective" in line}
    assert len(widths) == 1


def test_json_holds_it_all(hostile: Report) -> None:
    """The contract keeps the text as it came; on the terminal it is still JSON, and steers nothing."""
    text = tables.find("reports", "json")(hostile)
    assert msgspec.json.decode(text, type=Report) == hostile
    shown = escaping.page(text)
    assert not STEERS.search(shown)
    assert msgspec.json.decode(shown, type=Report) == hostile


@pytest.mark.parametrize("name", ["text", "json", "junit", "markdown", "html"])
def test_half_a_surrogate_pair_breaks_no_form(name: str, hostile: Report) -> None:
    """As a path that is no UTF-8 brings it: every form can be written to a file."""
    report = msgspec.structs.replace(hostile, folder="runs/\udcff", question="\ud800")
    assert "udcff" in tables.find("reports", name)(report).encode().decode()


def test_the_live_line_stays_one_line() -> None:
    """Reasons of faults come from nodes and engines."""
    stream = io.StringIO()
    live = Live(sample_plan(), stream, terminal=True)
    live.row(FaultSkipped(at_ns=1, id="k.1", fault="k", kind="kill", reason=EVIL))
    live.row(FaultFailed(at_ns=2, id="k.1", reason=EVIL, left_over=True))
    ours = re.sub(r"\r\x1b\[J|\x1b\[\d+A", "", stream.getvalue())
    assert not STEERS.search(ours)


def test_what_goes_to_standard_output_and_error_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever verb says it."""
    cli_out.show(f"out {EVIL}")
    cli_out.note(f"err {EVIL}")
    shown = capsys.readouterr()
    assert not STEERS.search(shown.out + shown.err)
    assert "\\u001b[31mred" in shown.out


@given(st.text(st.characters(codec=None, categories=None)))
def test_no_text_at_all_breaks_a_medium(text: str) -> None:
    """Half pairs, what is no character, controls: each medium takes them, and text without such signs is the same in a terminal."""
    for medium in (escaping.terminal, escaping.page, escaping.xml, escaping.markdown, escaping.markdown_code):
        shown = medium(text)
        shown.encode()
        assert not any(unicodedata.category(sign) in ("Cc", "Cs") and sign != "\n" for sign in shown)
    Xml.fromstring(Xml.tostring(_element(escaping.xml(text)), encoding="unicode"))
    if text.isprintable() and text.isascii():
        assert escaping.terminal(text) == text


def _element(text: str) -> Xml.Element:
    element = Xml.Element("a", name=text)
    element.text = text
    return element
