"""The command line is tested on runs whose prediction is worked out of fewer draws: what verbs say of it does not hang on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.predict import run

SLOTS = 50_000
"""A tenth; how near a prediction is to the truth is tested in ``tests/unit/predict``."""


@pytest.fixture(autouse=True)
def _fewer_draws(quick_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - a run that others judge again comes first
    monkeypatch.setattr(run, "SLOTS", SLOTS)
