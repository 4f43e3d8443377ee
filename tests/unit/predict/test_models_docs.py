"""The page on the models: its table of parameters is the loader's, and its worked example holds."""

from __future__ import annotations

import doctest
import importlib.util
import re
import tempfile
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as Xml

import pytest

import chaos.predict
from chaos.experiment import parameters
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "models.md"


def test_table_of_parameters() -> None:
    """Each parameter that can be declared has a row, and there are no others."""
    section = PAGE.read_text(encoding="utf-8").partition("## Parameters")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(parameters.KNOWN)


def test_worked_examples() -> None:
    """The examples in the package's own documentation give what they show."""
    failed, tried = doctest.testmod(chaos.predict)
    assert (failed, tried > 3) == (0, True)


def test_the_page_s_examples() -> None:
    """Every worked example of the page gives what it shows."""
    text = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(text, {}, "models.md", str(PAGE), 0)
    assert len(test.examples) > 10
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The tool that draws them."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert spec is not None and spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    return pictures


def test_the_newcomer_s_pictures(pictures: ModuleType) -> None:
    """The drawings of the first page are what the product draws of the experiments on it."""
    drawn = pictures.drawings()
    assert len(drawn) == 5
    for name, drawing in drawn.items():
        assert Xml.fromstring(drawing).tag.endswith("svg")
        assert (ROOT / "docs" / "img" / name).read_text(encoding="utf-8") == drawing, f"{name}: python tools/pictures.py"


def test_the_newcomer_s_verdicts(pictures: ModuleType) -> None:
    """Two kills are inconclusive and unknown, twelve consistent and a pass: what the page says of them."""
    found = []
    for text in pictures.experiments()[:2]:
        with tempfile.TemporaryDirectory() as folder:
            report = pictures.ran(text, Path(folder))
            found.append((report.verdict, report.agreement_overall))
    assert found == [("unknown", "inconclusive"), ("pass", "consistent")]
