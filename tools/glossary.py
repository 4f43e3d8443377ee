"""Writes docs/glossary.md from the words of ``nines explain``: python tools/glossary.py."""

from pathlib import Path

from chaos.cli.glossary import page

PAGE = Path(__file__).parents[1] / "docs" / "glossary.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
