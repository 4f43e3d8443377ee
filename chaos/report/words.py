"""The page's words and sentences in a second language, from one catalogue a language (``assets/zh.json``).

An entry is a template with values: English, and the same in the other language. ``{}`` stands for a value of any kind, which is translated
in its turn (a name stays as it is), ``{n}`` for a number. Values may change places: ``{2}`` is the second one. A text is looked up whole,
then by sentences, then by the templates, the most literal one first, then by what separates its parts (``;``, ``:``, brackets, commas).
What has no entry stands in English; a test holds that no sentence of any kind of report does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import resources
from typing import Final, NamedTuple

ENGLISH: Final = "en"
CHINESE: Final = "zh"
LANGUAGES: Final = (ENGLISH, CHINESE)
REST: Final = "{}"
"""In a template: a value of any kind, such as the name of a service."""
_VALUE: Final = re.compile(r"\{(n?)\}")
_PLACE: Final = re.compile(r"\{(\d?)\}")
_LATIN: Final = re.compile(r"[A-Za-z]{2}")
_SENTENCES: Final = re.compile(r"(?<=[A-Za-z0-9)%'\"\]]\.) +")
_OUTSIDE: Final = re.compile(r"; (?![^(]*\))")
_BRACKETS: Final = re.compile(r"(.+?) \((.+)\)([^()]*)")
_IN_BRACKETS: Final = r"\((?:[^()]|\([^()]*\))*\)"
_SPLITS: Final = ((": ", "："), (", ", "，"), (" to ", " 至 "), (" and ", "和"))
"""What separates parts, and the same in Chinese."""
REMEMBERED: Final = 20_000


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    said: str
    literal: int
    """Letters that are not a value: the more, the surer the match."""


def words(lang: str) -> Callable[[str], str]:
    """From an English text of the page to the same in ``lang``."""
    return _chinese if lang == CHINESE else str


@cache
def catalogue() -> dict[str, str]:
    """English -> Chinese, as the file has them."""
    text = (resources.files("chaos.report") / "assets" / "zh.json").read_text(encoding="utf-8")
    return {str(english): str(chinese) for english, chinese in json.loads(text).items()}


@cache
def _whole() -> dict[str, str]:
    """Entries without a value; full stops apart, small and capital beginnings alike."""
    found: dict[str, str] = {}
    for english, chinese in catalogue().items():
        if not _VALUE.search(english):
            found.setdefault(_bare(english), chinese.rstrip("。"))
    return found


def _bare(english: str) -> str:
    core = english.strip().rstrip(".")
    return core[:1].lower() + core[1:]


@cache
def _templates() -> list[_Template]:
    made = []
    for english, chinese in catalogue().items():
        core = english.strip().rstrip(".")
        parts = _VALUE.split(core)  # literal, kind, literal, kind, ..., literal
        if len(parts) == 1:
            continue
        pattern = _literal(parts[0], first=True)
        for place in range(1, len(parts), 2):
            pattern += _kind(parts[place], before=parts[place - 1], after=parts[place + 1], last=place == len(parts) - 2)
            pattern += _literal(parts[place + 1], first=False)
        made.append(_Template(re.compile(pattern), chinese.rstrip("。"), sum(len(part.strip()) for part in parts[::2])))
    return sorted(made, key=lambda each: -each.literal)


def _literal(text: str, *, first: bool) -> str:
    if first and text[:1].isalpha():
        return f"[{text[0].lower()}{text[0].upper()}]{re.escape(text[1:])}"
    return re.escape(text)


def _kind(word: str, *, before: str, after: str, last: bool) -> str:
    """A value keeps its brackets together, and goes over no ``;`` unless it stands in brackets itself; only the last one over a ``:``."""
    if word:
        return r"([\d.,]+)"
    if before.endswith("(") and after.startswith(")"):
        return rf"((?:{_IN_BRACKETS}|[^()])+?)"
    barred = "(?!; )" if last else "(?![;:] )"
    return rf"((?:{_IN_BRACKETS}|{barred}[^()])+?)"


@lru_cache(maxsize=REMEMBERED)
def _chinese(english: str) -> str:
    exact = catalogue().get(english)
    if exact is not None:
        return exact
    if not _LATIN.search(english):
        return english
    sentences = _SENTENCES.split(english.strip())
    return "".join(map(_sentence, sentences))


def _sentence(english: str) -> str:
    ends = english.endswith(".") and not english.endswith("...")
    said = _clause(english[:-1] if ends else english)
    return f"{said}。" if ends else said


@lru_cache(maxsize=REMEMBERED)
def _clause(english: str) -> str:
    found = _whole().get(_bare(english))
    if found is not None:
        return found
    if not _LATIN.search(english):
        return english
    for template in _templates():
        match = template.pattern.fullmatch(english)
        if match is not None:
            return _filled(template.said, [_clause(value) for value in match.groups()])
    return _by_parts(english)


def _by_parts(english: str) -> str:
    outside = _OUTSIDE.split(english)
    if len(outside) > 1:
        return "；".join(map(_clause, outside))
    bracket = _BRACKETS.fullmatch(english)
    if bracket is not None:
        before, inside, after = bracket.groups()
        return f"{_clause(before)}（{_clause(inside)}）{_clause(after.strip(' ,')) if after.strip(' ,') else ''}"
    for separator, other in _SPLITS:
        if separator in english:
            head, _, tail = english.partition(separator)
            return f"{_clause(head)}{other}{_clause(tail)}"
    return english


def _filled(said: str, values: list[str]) -> str:
    left: Iterator[str] = iter(values)
    return _PLACE.sub(lambda place: values[int(place[1]) - 1] if place[1] else next(left), said)
