"""A whole run in virtual time, and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from chaos.core.clock import ManualClock
from chaos.history.events import (
    Row,
)
from chaos.history.folder import RunFolder
from chaos.plan.plan import Plan
from chaos.run.run import run_plan
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support.samples import sample_target


def run(plan: Plan, folder: Path, **more: object) -> list[Row]:
    """Run it in virtual time; the rows it wrote."""
    run_plan(plan, sample_target(), "experiment: sample\n", RunFolder(folder), FakeRuntime(), ManualClock(), **more)  # type: ignore[arg-type]
    return RunFolder(folder).rows()


Kind = TypeVar("Kind")


def of(rows: list[Row], kind: type[Kind]) -> list[Kind]:
    """The rows of one kind."""
    return [row for row in rows if isinstance(row, kind)]
