"""What is asked of whoever may do something to machines, and what comes of it: of the keeper, and by frames of the side that a harness
travelled from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from chaos.engine.ways.dial import Door

AtHome = Callable[[str, str], str]
"""What is to be done, and to which host -> why it could not be done; empty if it was (``Runtime.at_home``)."""


class Order(msgspec.Struct, frozen=True):
    """One thing that is to be done to a host: one of the words of ``history/owed.py``, never a command."""

    number: int
    do: str
    host: str


class Obeyed(msgspec.Struct, frozen=True):
    """What came of it."""

    number: int
    said: str
    """Why it could not be done; empty if it was."""
    door: Door | None = None
    """To the engine of a Docker host that has been switched on, for a harness that stands elsewhere."""


class Switch(msgspec.Struct, frozen=True):
    """The two commands of a host."""

    off: tuple[str, ...]
    on: tuple[str, ...]


class Terms(msgspec.Struct, frozen=True):
    """What a keeper needs to know."""

    run: str
    folder: str
    """Of the run, where the command is."""
    context: str = ""
    """Of the kubeconfig; Docker hosts need none."""
    kubeconfig: str = ""
    power: dict[str, Switch] = {}


class RunsErrands(Protocol):
    """Whom a harness that has travelled may ask."""

    def do(self, order: Order, tell: Callable[[Obeyed], None]) -> None:
        """Have it done; ``tell`` is called from another thread when it is."""
        ...
