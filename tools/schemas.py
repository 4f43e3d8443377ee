"""Writes the JSON Schemas in docs/ anew: ``python -m tools.schemas``."""

from __future__ import annotations

from pathlib import Path

from chaos.cli.output import as_json
from chaos.experiment.document import SCHEMAS
from chaos.report.ecs import json_schema as events

DOCS = Path(__file__).resolve().parents[1] / "docs"


def file_of(name: str) -> Path:
    """Where that schema is kept."""
    return DOCS / f"{name}.schema.json"


def whole(name: str) -> str:
    """The schema that the code of now makes, as ``nines validate --schema`` prints it."""
    return as_json(SCHEMAS[name]()) + "\n"


if __name__ == "__main__":
    for each in SCHEMAS:
        file_of(each).write_text(whole(each), encoding="utf-8")
    file_of("events").write_bytes(events() + b"\n")
