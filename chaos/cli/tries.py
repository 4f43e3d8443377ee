"""Compose projects that a ``nines try`` brought up and did not live to take down: what ``leftovers`` lists and ``heal`` removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.core.errors import NinesError

if TYPE_CHECKING:
    from chaos.tryout.standing import Record


def left() -> list[Record]:
    """Of tries whose process is gone. The engine is not asked."""
    from chaos.registry import runs as registry

    if not (registry.state_dir() / registry.TRIES).is_dir():
        return []  # the usual case needs nothing that is slow to load
    from chaos.tryout.standing import remains

    return remains()


def take_down() -> tuple[list[str], list[str]]:
    """What was taken down, and what could not be, each with its reason."""
    from chaos.cli.output import note
    from chaos.core.clock import MonotonicClock
    from chaos.engine.connection import connect
    from chaos.tryout.standing import heal

    records = left()
    if not records:
        return [], []
    try:
        with connect(checked=False) as engine:
            return [f"compose project {name}" for name in heal(engine, MonotonicClock(), note)], []
    except NinesError as error:
        still = ", ".join(record.project for record in left())
        return [], [f"compose project {still}: {error}"]


def told(record: Record) -> str:
    """One line of a list."""
    return f"{record.project}: compose project that a killed nines try had brought up, from {record.folder}"
