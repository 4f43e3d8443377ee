"""Writes the table of docs/runtimes.md anew: ``python -m tools.fault_table``."""

from __future__ import annotations

from pathlib import Path

from chaos.cli.fault_support import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "runtimes.md"
BEGIN, END = "<!-- table: made by tools/fault_table.py, do not edit -->\n", "<!-- end of table -->\n"


def whole(page: str) -> str:
    """The page with the table that the faults of now make."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(whole(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
