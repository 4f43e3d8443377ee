"""The index of decisions: each page once, under its own number and title."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

FOLDER = ROOT / "docs" / "adr"


def test_the_index_lists_every_decision_by_its_own_title() -> None:
    """In the order of their numbers, which are unique; an index may shorten a title at a comma."""
    rows = re.findall(r"^\| (\d+) \| \[(.+?)\]\((\d{4}-[^)]+\.md)\) \| (.+\.) \| (accepted|proposed|revised by \d+|superseded by \d+) \|$",
                      (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip
    files = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
    assert [name for _, _, name, _, _ in rows] == files
    numbers = [int(name[:4]) for name in files]
    assert len(set(numbers)) == len(numbers)
    assert [int(number) for number, *_ in rows] == numbers
    for number, title, name, _, _ in rows:
        head = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0]
        assert head.startswith(f"# {number}. {title}")


def test_every_decision_says_what_else_there_was() -> None:
    """Decision, alternatives, consequences where there are any: in these words, so that they are found."""
    for path in FOLDER.glob("[0-9]*.md"):
        text = path.read_text(encoding="utf-8")
        assert "**Decision.**" in text, path.name
        assert "**Alternatives considered.**" in text, path.name
