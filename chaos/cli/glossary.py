"""``nines explain``: what a word means, and the page of all words (docs/glossary.md)."""

from __future__ import annotations

import argparse
import difflib
import textwrap
from typing import Final

from chaos.cli.glossary_terms import GROUPS, SYNONYMS
from chaos.cli.output import show
from chaos.core.errors import BadInput

WIDTH: Final = 80
WORDS: Final = {word: meaning for words in GROUPS.values() for word, meaning in words.items()}
_FOUND: Final = {word.lower(): word for word in WORDS} | {other.lower(): word for other, word in SYNONYMS.items()}


def explain(arguments: argparse.Namespace) -> int:
    """Print the meaning of a word, or the list of words."""
    if arguments.word is None:
        lists = (textwrap.fill(", ".join(words), WIDTH, initial_indent="  ", subsequent_indent="  ") for words in GROUPS.values())
        show("\n".join(f"{heading}\n{words}" for heading, words in zip(GROUPS, lists, strict=True)))
        return 0
    asked = " ".join(arguments.word.lower().replace("_", " ").split())
    word = next((_FOUND[form] for form in (asked, asked.removesuffix("s"), f"{asked}s", arguments.word.lower()) if form in _FOUND), None)
    if word is None:
        near = difflib.get_close_matches(asked, _FOUND, n=1)
        right = f"did you mean '{_FOUND[near[0]]}'?" if near else "'nines explain' lists the words"
        raise BadInput(f"'{arguments.word}' is not in the glossary", right=right)
    show(f"{word}: {WORDS[word]}")
    return 0


def page() -> str:
    """The glossary in Markdown, as docs/glossary.md holds it."""
    others: dict[str, list[str]] = {}
    for other, word in SYNONYMS.items():
        others.setdefault(word, []).append(other)
    lines = ["# Glossary", "", "`nines explain WORD` says the same. This page is made by `python tools/glossary.py`."]
    for heading, words in GROUPS.items():
        lines += ["", f"## {heading}", "", "| word | meaning |", "|---|---|"]
        for word, meaning in words.items():
            also = f" Also: {', '.join(others[word])}." if word in others else ""
            lines.append(f"| {word} | {meaning}{also} |")
    return "\n".join(lines) + "\n"
