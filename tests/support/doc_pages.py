"""The pages of the documentation and their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.paths import ROOT

PAGES = sorted([*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block."""

    page: Path
    line: int
    language: str
    words: list[str]
    text: str

    @property
    def file(self) -> str | None:
        """Where the page says that it belongs."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def blocks(language: str, word: str | None = None) -> list[Any]:
    """All of one kind, as test parameters."""
    return [
        pytest.param(block, id=f"{block.page.relative_to(ROOT)}:{block.line}")
        for page in PAGES
        for block in blocks_of(page)
        if block.language == language and (word is None or word in block.words)
    ]


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(page, text[: match.start()].count("\n") + 1, match[1] or "", (match[2] or "").split(), match[3])
