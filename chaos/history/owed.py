"""What is to be taken back of machines, on the disk of the command: written before it is done, so that it is known whatever dies.

    hosts.jsonl    {"do": "power_on", "host": "b", "words": ["virsh", "start", "b"]}      owed from now on
                   {"do": "power_on", "host": "b", "paid": true}                          done

One process at a time may pay: the keeper while it lives, then a heal.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.core import system
from chaos.core.errors import NinesError
from chaos.core.programs import last_words

FILE: Final = "hosts.jsonl"
LOG: Final = "hosts.log"
"""What the commands said."""
COMMAND_S: Final = 120.0
POWER_OFF: Final = "power_off"
POWER_ON: Final = "power_on"
STAYS_ON: Final = "stays_on"
"""It was not switched off after all: nothing is owed."""
CORDON: Final = "cordon"
UNCORDON: Final = "uncordon"


class Owed(msgspec.Struct, frozen=True):
    """One thing that is to be done to a host."""

    do: str
    host: str
    words: tuple[str, ...] = ()
    """The command, where it is one."""
    paid: bool = False


def owed(folder: Path) -> list[Owed]:
    """What is not paid yet, the last one first; a line that a crash cut short was never acted upon."""
    found: dict[tuple[str, str], Owed] = {}
    path = folder / FILE
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(msgspec.DecodeError):
            entry = msgspec.json.decode(line, type=Owed)
            found.pop((entry.do, entry.host), None)
            if not entry.paid:
                found[entry.do, entry.host] = entry
    return list(found.values())[::-1]


def note(folder: Path, entry: Owed) -> None:
    """Durable when it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("ab") as file:
        file.write(b"\n" + msgspec.json.encode(entry) + b"\n")  # the line before may have been cut short
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else pays meanwhile; who comes second waits for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{FILE}.lock").open("a", encoding="utf-8") as lock:
        system.lock(lock)
        yield


def pay(folder: Path, uncordon: Callable[[str], None]) -> list[str]:
    """Do all that is owed; what could not be done stays owed, and is told. ``uncordon`` opens a machine of a cluster."""
    problems = []
    for each in owed(folder):
        said = paid(folder, each, uncordon)
        if said:
            problems.append(said)
    return problems


def paid(folder: Path, debt: Owed, uncordon: Callable[[str], None] | None = None) -> str:
    """Do one of them; why it could not be done."""
    if debt.do == UNCORDON:
        assert uncordon is not None, "Docker hosts are not closed"
        try:
            uncordon(debt.host)
        except NinesError as error:
            return str(error)
    elif said := ordered(debt.words, folder / LOG):
        return f"the command that switches host '{debt.host}' on {said}"
    note(folder, Owed(debt.do, debt.host, paid=True))
    return ""


def ordered(words: tuple[str, ...], log: Path) -> str:
    """How the command failed; empty if it did not. What it says goes to the log."""
    try:
        with log.open("ab") as out:
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"failed ('{' '.join(words)}': {last_words(error)}); {log} has what it said"
    return ""
