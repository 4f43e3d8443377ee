"""The command line of a replica."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from .beat import BLOCK_NS, Tempo
from .manners import MANNERS
from .replica import Replica, Settings

NEEDED = ("node", "address", "port", "data")
DEFAULTS = {
    "manner": "refuse", "down_min": "20ms", "down_max": "3s", "up_min": "1s", "up_max": "4s", "seed": "1", "step": "together",
    "epoch_ns": "0", "quiet": "0s", "late_by": "10s",
}  # fmt: skip
_SPAN_NS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}


class Usage(Exception):
    """The command line is not right; the message says what is."""


def span_ns(text: str) -> int:
    """``"20ms"`` -> 20_000_000."""
    number = text.rstrip("mus")
    unit = text[len(number) :]
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if unit not in _SPAN_NS or value < 0:
        raise Usage(f"'{text}' is not a time span; write it like 20ms or 1.5s")
    return round(value * _SPAN_NS[unit])


def parse(arguments: list[str]) -> Settings:
    """``--name value`` pairs to settings; ``Usage`` if that cannot be."""
    known = {*NEEDED, *DEFAULTS}
    values = dict(DEFAULTS)
    for place in range(0, len(arguments), 2):
        name = arguments[place].removeprefix("--").replace("-", "_")
        if name not in known or not arguments[place].startswith("--") or place + 1 == len(arguments):
            raise Usage(f"'{arguments[place]}' is not an option with a value; there are {', '.join('--' + word for word in sorted(known))}")
        values[name] = arguments[place + 1]
    missing = [name for name in NEEDED if name not in values]
    if missing:
        raise Usage(f"--{missing[0]} is missing")
    for name, choices in (("manner", MANNERS), ("step", ("together", "staggered"))):
        if values[name] not in choices:
            raise Usage(f"--{name} is one of {', '.join(choices)}, not '{values[name]}'")
    for name in ("port", "epoch_ns"):
        if not values[name].isdigit():
            raise Usage(f"--{name} is a whole number, not '{values[name]}'")
    tempo = Tempo(span_ns(values["up_min"]), span_ns(values["up_max"]), span_ns(values["down_min"]), span_ns(values["down_max"]))
    if not 0 < tempo.up_min <= tempo.up_max or not 0 < tempo.down_min <= tempo.down_max or tempo.up_max + tempo.down_max > BLOCK_NS:
        raise Usage("each min is above 0 and at most its max, and one up and down together at most a minute")
    seed = values["seed"] if values["step"] == "together" else f"{values['seed']}/{values['node']}"
    return Settings(
        values["node"], values["address"], int(values["port"]), Path(values["data"]), values["manner"], tempo, seed,
        int(values["epoch_ns"]), span_ns(values["quiet"]), span_ns(values["late_by"]),
    )  # fmt: skip


def main() -> None:
    """Run a replica until it is told to stop. Exits with 2 on a wrong command line, 1 if it cannot serve."""
    try:
        settings = parse(sys.argv[1:])
    except Usage as error:
        print(f"metronome: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        replica = Replica(settings)
    except OSError as error:
        print(f"metronome: {settings.address}:{settings.port}: {error}", file=sys.stderr)
        sys.exit(1)

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
        replica.end()
        os._exit(0)

    # A measuring instrument: it should not wait behind what else runs here. Only root may ask for that.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    print(json.dumps({"listening": settings.address, "monotonic_ns": time.monotonic_ns()}), flush=True)
    replica.run()
