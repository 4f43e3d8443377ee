"""The page's own words in a second language (``assets/zh.json``). What a run measured, and sentences made of it, stay in English.

A word that has no translation stands as it is; a test holds that none of the page's headings and labels is without one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Final

ENGLISH: Final = "en"
CHINESE: Final = "zh"
LANGUAGES: Final = (ENGLISH, CHINESE)
REST: Final = "{}"
"""In a word of the catalogue: the part that differs, such as the name of a service."""


def words(lang: str) -> Callable[[str], str]:
    """From an English word of the page to the same in ``lang``."""
    return _chinese if lang == CHINESE else str


@cache
def catalogue() -> dict[str, str]:
    """English -> Chinese."""
    text = (resources.files("chaos.report") / "assets" / "zh.json").read_text(encoding="utf-8")
    return {str(english): str(chinese) for english, chinese in json.loads(text).items()}


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(re.escape(english).replace(re.escape(REST), "(.+)")), chinese)
        for english, chinese in catalogue().items()
        if REST in english
    ]


def _chinese(english: str) -> str:
    found = catalogue().get(english)
    if found is not None:
        return found
    for pattern, chinese in _patterns():
        match = pattern.fullmatch(english)
        if match is not None:
            return chinese.replace(REST, _chinese(match[1]))
    return english
