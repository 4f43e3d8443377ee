"""The Chinese catalogue: no sentence that a report can produce lacks a translation."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chaos
from chaos.report import words
from chaos.report.pages import report as page
from chaos.results import states
from tests.support import report_kinds

ENGLISH = re.compile(r"(?:\b[A-Za-z]?[a-z]+\b[ ,:]*){3,}")
"""Three English words in a row are a clause; names and units are shorter."""
NAMES = re.compile(r"'[^']*'|Toxiproxy \w+|\S*[_/:{}]\S*")
SOURCES = (
    "report/headline.py",
    "report/answers.py",
    "report/first_steps.py",
    "report/story.py",
    "report/pages/report.py",
    "results/states.py",
    "results/check_names.py",
)


def shown(text: str) -> str:
    """What a reader sees of a page but the question, commands and versions, which stay as they were written."""
    for whole in (r"<(style|script|pre|code)\b.*?</\1>", r"<footer>.*?</footer>", r'<p class="question">.*?</p>'):
        text = re.sub(whole, "", text, flags=re.DOTALL)
    return text


@pytest.mark.parametrize("state", states.STATES.values(), ids=lambda state: state.name)
def test_no_clause_of_a_chinese_page_is_english(state: states.State) -> None:
    """Every kind of report, titles of drawings and table cells included."""
    text = shown(page.render(report_kinds.of_state(state), words.CHINESE, scripts=False))
    pieces = {html.unescape("".join(found)).strip() for found in re.findall(r'>([^<>]+)<|(?:title|aria-label)="([^"]+)"', text)}
    assert sorted(piece for piece in pieces if ENGLISH.search(NAMES.sub("", piece))) == []


def literals(source: str) -> Iterator[str]:
    """Every literal text of three words or more in a module, docstrings apart; f-strings by their parts."""
    tree = ast.parse((Path(chaos.__file__).parent / source).read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told and ENGLISH.search(node.value):
            yield node.value


@pytest.mark.parametrize("source", SOURCES)
def test_no_literal_of_what_makes_sentences_lacks_an_entry(source: str) -> None:
    """A sentence added without its translation fails here, whether a kept report has it or not."""
    entries = "\n".join(each.lower() for each in words.catalogue())
    parts = {part.strip(' .:;,()"').lower() for text in literals(source) for part in re.split(r"\. |: |; | \(|\{[^}]*\}", text)}
    assert sorted(part for part in parts if ENGLISH.search(part) and part not in entries) == []


def test_values_change_places_and_are_translated_in_their_turn() -> None:
    """Names and numbers stay; brackets are kept together; what no entry knows stays English."""
    told = words.words(words.CHINESE)
    assert told("2 of 19 validity checks failed: run cut short.") == "19 项有效性检查中有 2 项未通过：运行提前结束。"
    assert told("MTTR 595 ms (510 ms to 4.1 s, too few)") == "MTTR 595 ms（510 ms 至 4.1 s，太少）"
    assert told("kill-leader.1") == "kill-leader.1"
    assert told("Whatever it is.") == "Whatever it is。"
    assert words.words(words.ENGLISH)("in force") == "in force"
