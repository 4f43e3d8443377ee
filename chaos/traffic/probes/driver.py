"""``driver``: a long-lived process of the target's that speaks any protocol, one JSON object a line each way.

    driver: "./driver.py put"         a command of the target's folder; its *last* word is the operation (``op``)

    to it    {"id": 7, "op": "put", "address": "127.64.1.2", "key": "k3", "value": "...", "timeout_s": 0.25}
    from it  {"id": 7, "outcome": "ok", "value": null}         in any order; outcome is ok, fail or unknown; "value" is what a read
                                                               found; "status", a number up to 65535, is shown where it was not ok

Operations whose command is the same share one process (``chaos.traffic.drivers``).

With ``ready: 8s`` a driver says by an answer without a question, ``{"id": 0, "outcome": "ok"}``, that it has imported its library and
opened its connections. Traffic waits for that line, so that no request of the baseline pays for it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.units import WrongUnit, duration_s
from chaos.traffic.drivers import Driver
from chaos.traffic.probe import Probe, Setup, Slot, Template, Written, reads

OPTIONS: Final = {
    "what": "A command; its last word is the operation",
    "key": "The key",
    "value": "The value",
    "ready": "Time limit for the line by which the driver says that it is ready; without this key traffic waits for no such line",
}
MOST_READY_S: Final = 15.0
"""Longer than that no cluster waits for its prober."""


_processes: dict[tuple[asyncio.AbstractEventLoop, str, str], Driver] = {}
"""Drivers of this prober by command and folder."""


class Command:
    """What the options of one operation say, checked."""

    def __init__(self, written: Written) -> None:
        written.allow(OPTIONS)
        try:
            words = shlex.split(written.template(written.option("what")).constant())
        except ValueError as error:
            raise written.wrong("what", f"'{written.option('what')}' is no command: {error}", "close every quote") from None
        if len(words) < 2:
            raise written.wrong("what", "a driver needs a command and an operation", "write it like ./driver.py put")
        self.words, self.op = words[:-1], words[-1]
        why = _why_not_started(self.words[0], written)
        if why:
            raise written.wrong("what", f"the driver '{self.words[0]}' does not start: {why}", "a program in the folder of the target")
        self.key: Template = written.template(written.options.get("key", "{key}"), "key")
        self.value: Template = written.template(written.options.get("value", "{value}"), "value")
        self.ready_s = _ready_s(written)


def _ready_s(written: Written) -> float:
    """0: the driver says nothing before it is asked."""
    text = written.options.get("ready")
    if text is None:
        return 0.0
    try:
        limit_s = duration_s(text)
    except WrongUnit as error:
        message, _, right = str(error).partition("; ")
        raise written.wrong("ready", message, right) from None
    if not 0 < limit_s <= MOST_READY_S:
        raise written.wrong("ready", f"'{text}' is out of range", f"more than 0s, and at most {MOST_READY_S:g}s")
    return limit_s


def _why_not_started(program: str, written: Written) -> str:
    """Empty if it can be started, or if only another machine could tell."""
    if not program or "\0" in program:
        return "it has no name"
    relative = "/" in program and not program.startswith("/")
    if not written.here and (not relative or not written.folder):
        return ""
    if "/" not in program:
        return "" if shutil.which(program) else "it is not on PATH"
    path = Path(written.folder) / program
    if not path.exists():
        return f"there is no file {path}"
    if path.is_dir():
        return f"{path} is a folder"
    return "" if os.access(path, os.X_OK) else f"{path} may not be executed"


@reads(Command, OPTIONS, says_value=True)
def build(setup: Setup) -> Probe:
    """The sender of one driver operation."""
    return DriverProbe(setup)


class DriverProbe:
    """One operation of a driver, see the module."""

    host: str | None = None

    def __init__(self, setup: Setup) -> None:
        asked = Command(setup)
        self._op = asked.op
        self._key = asked.key
        self._value = asked.value
        identity = (setup.loop, setup.folder, shlex.join(asked.words))
        if identity not in _processes:
            _processes[identity] = Driver(setup.loop, asked.words, setup.folder)
        self._identity = identity
        self._driver = _processes[identity]
        self._ready_s = asked.ready_s

    async def started(self) -> None:
        """See ``StartsSomething``."""
        await self._driver.lives(self._ready_s)

    def send(self, slot: Slot) -> None:
        """One line to the driver."""
        timeout_s = max(0.001, (slot.expiry_ns - slot.sent_ns) / 1e9)
        self._driver.ask(slot, self._op, self._key.render(slot), self._value.render(slot), timeout_s)

    def value(self, slot: Slot) -> str | None:
        """See ``SaysValue``."""
        found = msgspec.json.decode(slot.answer)
        return found if found is None or isinstance(found, str) else slot.answer.decode()

    def close(self) -> None:
        """Kill the process."""
        _processes.pop(self._identity, None)
        self._driver.close()
