"""One question to a node, as the harness asks it."""

from __future__ import annotations

import contextlib

from chaos.experiment.target.spec import Ask
from chaos.query.door import Door
from chaos.query.question import Answer


def ask(question: Ask, timeout_s: float) -> Answer:
    """On a connection of its own."""
    with contextlib.closing(Door()) as door:
        return door.ask(question, timeout_s)
