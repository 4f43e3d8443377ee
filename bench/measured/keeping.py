"""What the page keeps of runs whose folders are gone: their lines as they stand in the page now.

A whole pass takes two hours, so runs are made again one by one. A line of a table, and the figures of a section, are replaced where
there is a run folder, and are kept where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

MISSING: Final = "not run here yet"
NOT_YET: Final = "Not run yet."
_HEAD: Final = re.compile(r"\*\*(?P<name>\S+)\*\*, (?P<runtime>\w+)\. (?P<question>.*)")
_FIGURES: Final = re.compile(r"- (?:\*\*)?(?:Seed (?P<seed>\d+): |(?:\*\*)?(?=MTTR|not to be relied|Fails as expected))")
_SEED_CELLS, _CELLS = 3, 2


def merged(page: Sequence[str], before: Sequence[str]) -> list[str]:
    """The page with the lines of ``before`` where it has none of its own."""
    rows, sections = _rows(before), _sections(before)
    found: list[str] = []
    for line in "\n".join(page).splitlines():
        if line.startswith("| `") and MISSING in line:
            found += rows.get(_key(line)) or [line]
            continue
        head = _HEAD.fullmatch(line)
        if head is not None and head["question"] == NOT_YET:
            found.append(next((old for old in sections.get((head["name"], head["runtime"]), ()) if _HEAD.fullmatch(old)), line))
        else:
            found.append(line)
    return list(_with_figures(found, sections))


def _key(row: str) -> str:
    """Experiment and runtime, and the seed in the table that has one."""
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    return " | ".join(cells[: _SEED_CELLS if cells[_CELLS].isdigit() else _CELLS])


def _rows(page: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in page:
        if line.startswith("| `") and MISSING not in line:
            found.setdefault(_key(line), []).append(line)
    return found


def _sections(page: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Of each experiment and runtime its head and its list."""
    found: dict[tuple[str, str], list[str]] = {}
    now: list[str] = []
    for line in page:
        head = _HEAD.fullmatch(line)
        if head is not None:
            now = found[head["name"], head["runtime"]] = []
        elif line.startswith("#"):
            now = []
        now.append(line)
    return found


def _with_figures(page: Sequence[str], sections: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    """After the settings of an experiment the figures that it has none of now: of each seed, or of its one run."""
    own = _sections(page)
    missing: list[str] = []
    for line in page:
        head = _HEAD.fullmatch(line)
        if head is not None:
            key = (head["name"], head["runtime"])
            have = {_of(each) for each in own[key]} - {None}
            missing = [old for old in sections.get(key, ()) if _of(old) is not None and _of(old) not in have]
        yield line
        if missing and line.startswith("- Settings: "):
            yield from missing
            missing = []


def _of(line: str) -> str | None:
    """The seed whose figures a line tells, empty without seeds; None for other lines."""
    found = _FIGURES.match(line)
    return None if found is None else found["seed"] or ""
