"""The command line is tested on runs whose prediction is worked out of fewer draws: what verbs say of it does not hang on them."""

from __future__ import annotations

import pytest

from chaos.predict import run

SLOTS = 50_000
"""A tenth; how near a prediction is to the truth is tested in ``tests/unit/predict``."""


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SLOTS", SLOTS)
