"""The options of a node. No argparse: a node that is being restarted is an outage, and each import prolongs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

from .rules import ALL, ASYNC, NONE, QUORUM, Rules, Timing
from .wrong import WRONG

LINEARIZABLE, BY_LEASE, LOCAL = "quorum", "leader", "local"
"""How a read is answered: by read index; by the leader alone, on its lease; by the asked node, however old."""
_SPAN_NS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}


FROM_ENVIRONMENT = "REPLICATED_KV_SECRET"


class Usage(Exception):
    """The command line is not right; the message says what is."""


class Settings(NamedTuple):
    """What a node is told at its start. Times in nanoseconds."""

    node: str
    address: str
    """Where clients reach it."""
    peer_address: str
    """Where peers do; of a node on one network the same."""
    client: int
    peer: int
    data: Path
    peers: dict[str, tuple[str, int]]
    """Name -> (address, port), its own included; of this data centre, if there are two."""
    second: dict[str, tuple[str, int]]
    """The same on the other network, with ``networks: both``; else empty."""
    far: dict[str, tuple[str, int]]
    """Like ``peers``, those of the other data centre, with a ``second_centre``; else empty."""
    zone: str
    """The data centre of this node, and that of the first node, which is primary at the start."""
    first_zone: str
    second_centre: str
    """``off``, ``async``, or ``reads``: the second one answers reads and never takes over."""
    mirror_every: int
    promote_after: int
    timing: Timing
    rules: Rules
    reads: str
    fsync: bool
    disk_delay: int
    """By so much later does whatever is saved reach the disk: a slow disk, where no real one is at hand."""
    compact_after: int
    """Entries in the log, and ``compact_bytes`` characters, after which a checkpoint is made."""
    compact_bytes: int
    checkpoint_every: int
    backup: str
    """Folder of the backups; empty: none are made."""
    backup_every: int
    restore: bool
    detector: str
    """``off``, ``fixed`` or ``phi``: how this node judges whether the others are alive."""
    detector_timeout: int
    detector_phi: float
    join: bool
    """Belong to nobody at the start, and wait until the leader of a running cluster takes this node in."""
    secret: bytes
    """What peers prove to each other that they know; empty: everybody who reaches the port is believed. From the environment."""
    supervisor: bool
    """Run under a parent that starts the node again when it dies or hangs."""
    hung_after: int
    restart_pause: int
    supervised: int
    """Set by that parent: the pipe that it watches; -1: there is none."""
    stopping: str
    """What SIGTERM does: ``crash`` ends the process at once; with ``handover`` a leader lets another one lead first."""


def span_ns(text: str, zero: bool = False) -> int:
    """``"100ms"`` -> 100_000_000; ``zero``: ``"0s"`` is right too."""
    number = text.rstrip("mus")
    unit = text[len(number) :]
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if unit not in _SPAN_NS or value < 0 or (value == 0 and not zero):
        raise Usage(f"'{text}' is not a time span; write it like 100ms or 1.5s")
    return round(value * _SPAN_NS[unit])


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise Usage(f"'{text}' is none of {', '.join(words)}")
        return text

    return read


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _count(text: str) -> int:
    if not text.isdigit():
        raise Usage(f"'{text}' is not a whole number")
    return int(text)


def _peer(text: str, way: int) -> tuple[str, tuple[str, int]]:
    name, _, urls = text.partition("=")
    url = (urls.split("|") * 2)[way]
    address, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    if not name or not address or not port.isdigit():
        raise Usage(f"'{text}' is not a peer; write it like n1=http://127.0.0.1:7001")
    return name, (address, int(port))


def _peers(text: str) -> dict[str, tuple[str, int]]:
    return dict(_peer(each, 0) for each in text.split(","))


OPTIONS: dict[str, tuple[str | None, Callable[[str], object]]] = {
    "node": (None, str),
    "address": (None, str),
    "client": (None, _count),
    "peer": (None, _count),
    "data": (None, Path),
    "peers": (None, _peers),
    "peer_address": ("", str),
    "heartbeat": ("100ms", span_ns),
    "election_timeout_min": ("500ms", span_ns),
    "election_timeout_max": ("1000ms", span_ns),
    "replication": (QUORUM, _one_of(NONE, ASYNC, QUORUM, ALL)),
    "reads": (LINEARIZABLE, _one_of(LINEARIZABLE, BY_LEASE, LOCAL)),
    "pre_vote": ("on", _switch),
    "check_quorum": ("on", _switch),
    "join": ("off", _switch),
    "networks": ("one", _one_of("one", "both")),
    "zones": ("", str),
    "second_centre": ("off", _one_of("off", "async", "reads")),
    "mirror_every": ("100ms", span_ns),
    "promote_after": ("1s", span_ns),
    "supervisor": ("off", _switch),
    "hung_after": ("2s", span_ns),
    "restart_pause": ("100ms", span_ns),
    "supervised": ("-1", int),
    "stopping": ("crash", _one_of("crash", "handover")),
    "detector": ("fixed", _one_of("off", "fixed", "phi")),
    "detector_timeout": ("500ms", span_ns),
    "detector_phi": ("8", float),
    "wrong": ("", lambda text: "" if text == "none" else _one_of("", *WRONG)(text)),
    "fsync": ("on", _switch),
    "disk_delay": ("0s", lambda text: span_ns(text, zero=True)),
    "compact_after": ("20000", _count),
    "compact_bytes": ("67108864", _count),
    "backup": ("", str),
    "backup_every": ("30s", span_ns),
    "restore": ("off", _switch),
    "checkpoint_every": ("0s", lambda text: span_ns(text, zero=True)),
}
"""Name -> its default (None: it must be given), and what reads it."""


def parse(arguments: list[str]) -> Settings:
    """``--name value`` pairs to settings; ``Usage`` if that cannot be."""
    given: dict[str, str] = {}
    words = ", ".join("--" + word.replace("_", "-") for word in OPTIONS)
    for place in range(0, len(arguments), 2):
        name = arguments[place].removeprefix("--").replace("-", "_")
        if name not in OPTIONS or not arguments[place].startswith("--") or place + 1 == len(arguments):
            raise Usage(f"'{arguments[place]}' is not an option with a value; there are {words}")
        given[name] = arguments[place + 1]
    found: dict[str, object] = {}
    for name, (default, reader) in OPTIONS.items():
        text = given.get(name, default)
        if text is None:
            raise Usage(f"--{name} is missing")
        try:
            found[name] = reader(text)
        except Usage as error:
            raise Usage(f"--{name}: {error}") from None
    return _checked(found, given["peers"])


def _checked(found: dict[str, object], peers: str) -> Settings:
    timing = Timing(*(found.pop(name) for name in ("heartbeat", "election_timeout_min", "election_timeout_max")))  # type: ignore[arg-type]
    if not timing.heartbeat * 2 <= timing.election_min <= timing.election_max:
        raise Usage("an election time-out is at least two heartbeats, and its min at most its max")
    rules = Rules(
        found.pop("replication"), found.pop("pre_vote"), found.pop("check_quorum"), found["reads"] == BY_LEASE, found.pop("wrong")
    )  # type: ignore[arg-type]
    second = dict(_peer(each, 1) for each in peers.split(",")) if found.pop("networks") == "both" else {}
    zones = dict(each.partition("=")[::2] for each in str(found.pop("zones")).split(","))
    two = found["second_centre"] != "off"
    if found["node"] not in found["peers"]:  # type: ignore[operator]
        raise Usage(f"--peers does not name this node, {found['node']}")
    centres = _centres(found, zones) if two else {"far": {}, "zone": "", "first_zone": ""}
    secret = os.environ.get(FROM_ENVIRONMENT, "").encode()
    settings = Settings(second=second, timing=timing, rules=rules, secret=secret, **found | centres)  # type: ignore[arg-type]
    if two and rules.replication == NONE:
        raise Usage("a second data centre copies what the nodes of the first one agree on; with --replication none they agree on nothing")
    if rules.replication == NONE:
        settings = settings._replace(peers={settings.node: settings.peers[settings.node]})
    return settings._replace(peer_address=settings.peer_address or settings.address)


def _centres(found: dict[str, object], zones: dict[str, str]) -> dict[str, object]:
    """The nodes of this centre as ``peers``, those of the other one as ``far``."""
    peers = cast(dict[str, tuple[str, int]], found["peers"])
    if len({zones.get(name, "") for name in peers} - {""}) != 2 or any(not zones.get(name) for name in peers):
        raise Usage("a second data centre needs every node in one of two zones; write it like --zones n1=a,n2=b")
    own = zones[cast(str, found["node"])]
    near = {name: place for name, place in peers.items() if zones[name] == own}
    far = {name: place for name, place in peers.items() if zones[name] != own}
    return {"peers": near, "far": far, "zone": own, "first_zone": zones[next(iter(peers))]}
