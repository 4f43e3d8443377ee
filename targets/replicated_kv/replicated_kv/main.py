"""The command line of a node. No argparse: a node that is being restarted is an outage, and each import prolongs it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from .frames import Damaged
from .node import Settings, run
from .raft import Timing

DEFAULTS = {
    "heartbeat": "100ms", "election_timeout_min": "500ms", "election_timeout_max": "1000ms",
    "fsync": "on", "reads": "quorum", "compact_after": "20000", "peer_address": "",
}  # fmt: skip
NEEDED = ("node", "address", "client", "peer", "data", "peers")
_SPAN_NS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}


class Usage(Exception):
    """The command line is not right; the message says what is."""


def span_ns(text: str) -> int:
    """``"100ms"`` -> 100_000_000."""
    number = text.rstrip("mus")
    unit = text[len(number) :]
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if unit not in _SPAN_NS or value <= 0:
        raise Usage(f"'{text}' is not a time span; write it like 100ms or 1.5s")
    return round(value * _SPAN_NS[unit])


def parse(arguments: list[str]) -> Settings:
    """``--name value`` pairs to settings; ``Usage`` if that cannot be."""
    known = {*NEEDED, *DEFAULTS}
    given: dict[str, str] = {}
    for place in range(0, len(arguments), 2):
        name = arguments[place].removeprefix("--").replace("-", "_")
        if name not in known or not arguments[place].startswith("--") or place + 1 == len(arguments):
            raise Usage(f"'{arguments[place]}' is not an option with a value; there are {', '.join('--' + word for word in sorted(known))}")
        given[name] = arguments[place + 1]
    missing = [name for name in NEEDED if name not in given]
    if missing:
        raise Usage(f"--{missing[0]} is missing")
    values = {**DEFAULTS, **given}
    peers = dict(_peer(text) for text in values["peers"].split(","))
    timing = Timing(span_ns(values["heartbeat"]), span_ns(values["election_timeout_min"]), span_ns(values["election_timeout_max"]))
    if values["node"] not in peers:
        raise Usage(f"--peers does not name this node, {values['node']}")
    if not timing.heartbeat * 2 <= timing.election_min <= timing.election_max:
        raise Usage("an election time-out is at least two heartbeats, and its min at most its max")
    for name, choices in (("fsync", ("on", "off")), ("reads", ("quorum", "local"))):
        if values[name] not in choices:
            raise Usage(f"--{name} is {' or '.join(choices)}, not '{values[name]}'")
    return Settings(
        values["node"], values["address"], values["peer_address"] or values["address"], _number("client", values), _number("peer", values),
        Path(values["data"]), peers, timing, values["fsync"] == "on", values["reads"] == "quorum", _number("compact_after", values),
    )  # fmt: skip


def _number(name: str, values: dict[str, str]) -> int:
    if not values[name].isdigit():
        raise Usage(f"--{name} is a whole number, not '{values[name]}'")
    return int(values[name])


def _peer(text: str) -> tuple[str, tuple[str, int]]:
    name, _, url = text.partition("=")
    address, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    if not name or not address or not port.isdigit():
        raise Usage(f"'{text}' is not a peer; write it like n1=http://127.0.0.1:7001")
    return name, (address, int(port))


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    # All that was promised is on disk already, so there is nothing to wait for.
    os._exit(0)


def main() -> None:
    """Run a node until it is told to stop. Exits with 2 on a wrong command line, 1 if it cannot serve."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        settings = parse(sys.argv[1:])
    except Usage as error:
        print(f"replicated_kv: {error}", file=sys.stderr)
        sys.exit(2)
    # A full collection of a large store would stop the beats; almost nothing here is cyclic.
    gc.set_threshold(50_000, 20, 100)
    gc.freeze()
    try:
        asyncio.run(run(settings))
    except (Damaged, OSError) as error:
        print(f"replicated_kv: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(1)
