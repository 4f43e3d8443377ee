"""The drawings of docs/from-mtbf-to-verdict.md, made by the product from two runs in virtual time: python tools/pictures.py [FOLDER]."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from chaos.api import order_text, perform
from chaos.core.units import show_s
from chaos.history.folder import RunFolder
from chaos.predict.run import facts_from_plan
from chaos.predict.sweep import axis, sweep
from chaos.report.page import svg
from chaos.report.pages.sweep import picture
from chaos.report.svg.axis import time_axis
from chaos.report.svg.bars import interval_bars, phase_bars
from chaos.report.svg.drawing import Drawing
from chaos.results.report import Report

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "from-mtbf-to-verdict.md"


def experiments() -> list[str]:
    """The experiments that the page shows, as it shows them."""
    return re.findall(r"^```yaml experiment[^\n]*\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def ran(text: str, folder: Path) -> Report:
    """One of them, in virtual time."""
    return perform(order_text(text, folder / "x.yaml", runtime="fake"), RunFolder(folder / "run"))


def alone(drawing: Drawing | None, width: int) -> str:
    """A drawing as a file of its own: with its style, and as wide as a page."""
    assert drawing is not None
    return svg(drawing, width)


def drawings() -> dict[str, str]:
    """File name -> drawing."""
    few_text, many_text, levels_text = experiments()
    with tempfile.TemporaryDirectory() as place:
        few, many = ran(few_text, Path(place, "few")), ran(many_text, Path(place, "many"))
        ordered = order_text(levels_text, Path(place, "x.yaml"), runtime="fake")
        levels = sweep(ordered.plan, facts_from_plan(ordered.plan), [axis("nodes=1..7")])
    found = {"levels.svg": alone(picture(levels), 900)}
    found["timeline.svg"] = alone(time_axis(few), 900)
    for name, report in (("few", few), ("many", many)):
        assert report.observed is not None and report.predicted is not None
        found[f"mttr-{name}.svg"] = alone(interval_bars(report.observed.mttr_s, report.predicted.mttr_s, show_s), 700)
    assert few.observed is not None
    outage = few.observed.outages[0]
    found["anatomy.svg"] = alone(phase_bars(outage, outage.duration_s or 0.0, show_s), 700)
    return found


def main() -> None:
    """Write them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "img"
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawings().items():
        (folder / name).write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
