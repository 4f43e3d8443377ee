"""The page on the models: its table of parameters is the loader's, and its worked example holds."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import chaos.models
from chaos import parameters

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_table_of_parameters() -> None:
    """Each parameter that can be declared has a row, and there are no others."""
    section = PAGE.read_text(encoding="utf-8").partition("## Parameters")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(parameters.KNOWN)


def test_worked_examples() -> None:
    """The examples in the package's own documentation give what they show."""
    failed, tried = doctest.testmod(chaos.models)
    assert (failed, tried > 3) == (0, True)


def test_the_page_s_python_runs() -> None:
    """Every Python block of the page runs as it stands."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {})
