"""The commands that switch hosts off and on: run by this process, or by the command that sent this harness to stand beside an engine.

They are programs of the machine on which the user named them, with what that user may do; nothing of that travels.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.core.programs import last_words
from chaos.experiment.hosts import HostSpec

COMMAND_S: Final = 120.0
LOG: Final = "hosts.log"
Order = Callable[[str, bool], str]
"""A host, and whether it is to be on -> how its command failed; empty if it did not."""
_sent_by: list[Order] = []


def sent_by(order: Order) -> None:
    """This process was sent: its orders are carried out by whoever sent it."""
    _sent_by[:] = [order]


def orders(specs: Mapping[str, HostSpec], log: Path) -> Order:
    """What commands of ours say goes to the log."""
    return _sent_by[0] if _sent_by else here(specs, log)


def here(specs: Mapping[str, HostSpec], log: Path) -> Order:
    """By this process, whoever sent it."""
    return lambda host, on: ordered(specs[host].power_on if on else specs[host].power_off, log)


def ordered(words: Sequence[str], log: Path) -> str:
    """How the command failed; empty if it did not. What it says goes to the log."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"failed ('{' '.join(words)}': {last_words(error)}); {log} has what it said"
    return ""
