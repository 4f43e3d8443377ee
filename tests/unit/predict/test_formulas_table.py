"""The articles' formulas as a table in two languages, and scalability fitted to what was measured."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.errors import BadInput
from chaos.predict.formulas_table import table
from chaos.predict.scalability import Point, fit, read
from tests.support.paths import ROOT


def test_both_languages_have_the_same_figures() -> None:
    """Six formulas; printed and corrected values pinned; no word of one language in the other."""
    english, chinese = table("en"), table("zh")
    pinned = [(0.0175231, 0.982477), (-0.808013, 0.997625), (0.952381, 0.95), (0.952381, 1.0), (400.0, 0.9), (0.05, 0.632121)]
    for rows in (english, chinese):
        for row, (printed, corrected) in zip(rows, pinned, strict=True):
            assert row.printed_value == pytest.approx(printed, rel=2e-6)
            assert row.corrected_value == pytest.approx(corrected, rel=2e-6)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in row.meaning + row.corrected) for row in chinese)
    assert not any("\u4e00" <= letter <= "\u9fff" for row in english for letter in row.meaning + row.corrected)
    with pytest.raises(BadInput, match="no words"):
        table("fr")


def test_formulas_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Text in both languages, JSON too; another language is a usage error."""
    assert cli.main(["formulas"]) == 0
    assert "No verdict" in capsys.readouterr().out
    assert cli.main(["formulas", "--lang", "zh"]) == 0
    assert "可靠性" in capsys.readouterr().out
    assert cli.main(["formulas", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6
    with pytest.raises(SystemExit):
        cli.main(["formulas", "--lang", "fr"])


def test_no_verdict_reads_the_printed_formulas() -> None:
    """Only the table and its verb import them; the package does not offer them at its top."""
    users = set()
    for file in (ROOT / "chaos").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if {"formulas", "formulas_table"} & set(names) or module.endswith(("predict.formulas", "predict.formulas_table")):
                users.add(str(file.relative_to(ROOT / "chaos")))
    assert users == {"predict/formulas_table.py", "cli/models.py"}


# --- scalability -------------------------------------------------------------------------------------------------------


def points(contention: float, coherency: float, busy: float = 0.5, latency_s: float = 0.01) -> list[Point]:
    """Throughput by the law, at 1, 3, 5 and 7 nodes."""
    return [Point(n, 1000 * n / (1 + contention * (n - 1) + coherency * n * (n - 1)), latency_s, busy) for n in (1, 3, 5, 7)]


@pytest.mark.parametrize(("contention", "coherency", "peak"), [(0.05, 0.01, 9.7468), (0.2, 0.0, None), (0.0, 0.0, None)])
def test_the_law_is_found_again(contention: float, coherency: float, peak: float | None) -> None:
    """Both costs, the peak, and the efficiency that was measured."""
    found = fit(points(contention, coherency), 0.05)
    assert found.contention == pytest.approx(contention, abs=1e-9)
    assert found.coherency == pytest.approx(coherency, abs=1e-9)
    assert found.peak_nodes == (None if peak is None else pytest.approx(peak, rel=1e-3))
    assert found.worst_error < 1e-9
    assert found.efficiency[7] == pytest.approx(1 / (1 + 6 * contention + 42 * coherency))


def test_a_host_that_was_the_limit_is_refused() -> None:
    """One point of four is enough; so is one that missed the latency objective."""
    full = [*points(0.1, 0.0)[:3], Point(7, 3000.0, 0.01, 0.97)]
    with pytest.raises(BadInput, match="the host was the limit"):
        fit(full, 0.05)
    with pytest.raises(BadInput, match="above the objective"):
        fit(points(0.1, 0.0, latency_s=0.2), 0.05)


@pytest.mark.parametrize(
    "bad",
    [points(0.1, 0.0)[:2], [*points(0.1, 0.0), Point(7, 1.0, 0.01, 0.5)], [Point(0, 1.0, 0.01, 0.5), *points(0.1, 0.0)],
     [Point(1, float("nan"), 0.01, 0.5), *points(0.1, 0.0)[1:]], [Point(1, 1.0, 0.01, 1.5), *points(0.1, 0.0)[1:]]],
)  # fmt: skip
def test_points_that_say_nothing_are_refused(bad: list[Point]) -> None:
    """Too few, one size twice, no nodes, no rate, a share that is none."""
    with pytest.raises(BadInput):
        fit(bad, 0.05)


FILE = """\
latency_objective: 50ms
points:
  - {nodes: 1, throughput: 1000/s, latency: 9ms, host_busy: 20%}
  - {nodes: 3, throughput: 2500/s, latency: 12ms, host_busy: 55%}
  - {nodes: 5, throughput: 3400/s, latency: 20ms, host_busy: 80%}
"""


def test_throughput_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``nines predict X --throughput FILE``; a file that is wrong, or not there, is exit 2 with what would be right."""
    file = tmp_path / "measured.yaml"
    file.write_text(FILE, encoding="utf-8")
    assert read(file).efficiency[3] == pytest.approx(2500 / 3000)
    assert cli.main(["predict", "unused.yaml", "--throughput", str(file)]) == 0
    assert "efficiency" in capsys.readouterr().out
    for wrong in (FILE.replace("1000/s", "1000"), FILE.replace("80%", "95%"), FILE.replace("nodes: 1", "node: 1"), "[", "points: []"):
        file.write_text(wrong, encoding="utf-8")
        assert cli.main(["predict", "unused.yaml", "--throughput", str(file)]) == 2
    assert cli.main(["predict", "unused.yaml", "--throughput", str(tmp_path / "none.yaml")]) == 2
