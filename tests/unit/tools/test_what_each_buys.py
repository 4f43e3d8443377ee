"""The table of mechanisms and the page that is made of it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from chaos import api
from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.what_each_buys import page
from bench.what_each_buys.measure import Found
from bench.what_each_buys.mechanisms import MECHANISMS, Mechanism, experiment, merged

VARIANTS = [(mechanism, variant) for mechanism in MECHANISMS for variant in mechanism.variants]


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda each: each.key)
def test_every_variant_can_be_run_and_differs_from_the_others(tmp_path: Path, mechanism: Mechanism) -> None:
    """Each loads, is planned, and is another system or another fault than its neighbours."""
    configurations = set()
    for variant in mechanism.variants:
        file = tmp_path / "x.yaml"
        file.write_text(json.dumps(experiment(mechanism, variant)))
        configurations.add(api.order(file).plan.configuration)
    assert len(configurations) == len(mechanism.variants)


def test_changes_are_merged_key_by_key() -> None:
    """The later ones win, and what is merged stays as it was."""
    first = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(first, {"a": {"c": 4}}, {"d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}
    assert first == {"a": {"b": 1, "c": 2}, "d": 3}


def test_an_interval_needs_two_faults() -> None:
    """Of 1 s, 2 s and 3 s: 2 s, and 4.303 (Student's t of 2 degrees, 97.5 %) standard errors of 1/sqrt(3) s around it."""
    found = Found("x", (1.0, 2.0, 3.0))
    assert found.mean == pytest.approx(2.0)
    assert found.around == pytest.approx((0.0, 2.0 + 4.3027 / 3**0.5), abs=1e-3)
    assert Found("x", (1.0,)).around is None
    assert Found("x").mean is None


def test_the_page_shows_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    """A table row for each variant, a picture where there is a figure, and the reason where there is none."""
    (tmp_path / "img").mkdir()
    mechanism = MECHANISMS[0]
    found = [Found("one", (1.5, 2.5), 2.1, "consistent"), Found("other", why="no engine answers")]
    page.write([(mechanism, found)], "on a machine", tmp_path)
    text = (tmp_path / "what-each-buys.md").read_text()
    assert re.search(r"\| one \| 2\.1 s \| 2 s \(0 s to 8\.35 s\) \| 2 \| consistent \|", text)
    assert "Of 1 rows that can be held against a prediction: 1 *consistent*, 0 *inconclusive*, 0 *inconsistent*." in text
    assert "| other | – | not measured: no engine answers | | |" in text
    assert "predicted 2.1 s" in (tmp_path / "img" / f"buys-{mechanism.key}.svg").read_text()
