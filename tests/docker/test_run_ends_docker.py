"""Runs on containers that end otherwise than by their plan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from tests.support import ending


@pytest.fixture(autouse=True)
def state(engine: Engine, harness_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry of the test's own; what a failed test leaves on the engine goes with it."""
    folder = tmp_path / "state"
    monkeypatch.setenv("NINES_STATE", str(folder))
    yield
    for run in {thing.run for thing in leftovers_docker.things(engine.client.api) if thing.state == str(folder)}:
        leftovers_docker.remove(engine.client.api, run)


def test_stopped_from_outside(tmp_path: Path) -> None:
    """Healed, saved, judged, removed."""
    ending.stopped_from_outside(tmp_path / f"stopped-docker-{os.getpid()}", "docker")


def test_without_faults(tmp_path: Path) -> None:
    """Nothing is broken."""
    ending.without_faults(tmp_path / f"calm-docker-{os.getpid()}", "docker")
