"""What there is on this machine, by the kernel's word and the engine's, so that before and after can be compared."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.soak.engine import OwnEngine

CLOCK_MARGIN_S = 0.05


def processes(state: Path) -> dict[int, str]:
    """Pid -> node or role, of every live process that runs with this state folder started."""
    found = {}
    for pid, entry in _live():
        try:
            pairs = (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or is another user's
        env = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        if env.get(b"NINES_STATE") == str(state).encode() and b"NINES_NODE" in env:
            found[pid] = env[b"NINES_NODE"].decode()
    return found


def inside(container: str, word: str) -> list[int]:
    """The processes of a container whose command line holds the word."""
    found = []
    for pid, entry in _live():
        try:
            if container in (entry / "cgroup").read_text(encoding="utf-8") and word in (entry / "cmdline").read_text(encoding="utf-8"):
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError, UnicodeDecodeError):
            continue
    return found


def _live() -> list[tuple[int, Path]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state not in "ZX":
                found.append((int(entry.name), entry))
    return found


def listeners(block: int) -> list[str]:
    """Bound sockets on 127.<block>.*.*, TCP and UDP."""
    found = []
    for table, listening in (("tcp", "0A"), ("udp", "07")):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            number, _, port = fields[1].partition(":")
            octets = [int(number[place : place + 2], 16) for place in (6, 4, 2, 0)]
            if fields[3] == listening and octets[:2] == [127, block]:
                found.append(f"{'.'.join(map(str, octets))}:{int(port, 16)}/{table}")
    return found


def blocks(state: Path) -> list[int]:
    """The blocks of loopback addresses that a state folder holds."""
    folder = state / "blocks"
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def host_rules() -> str:
    """The packet rules of the machine itself, counters left out; empty where there are none, or nft is not there."""
    try:
        done = subprocess.run(["nft", "--stateless", "list", "ruleset"], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout


@dataclass(frozen=True)
class Look:
    """Everything that a run must leave as it was."""

    things: frozenset[str]
    """Containers, networks, volumes, images, shims, mounts, bridges of the engine."""
    rules: str
    ahead_s: float
    """How far the machine's clock is ahead of its uptime."""


def look(engine: OwnEngine | None) -> Look:
    """Now. Without an engine nothing of ours could change packet rules, and what others do to them is not our affair."""
    things = frozenset(engine.things()) if engine is not None else frozenset()
    rules = host_rules() if engine is not None else ""
    return Look(things, rules, time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))


def differences(before: Look, after: Look) -> list[str]:
    """What is not as it was."""
    found = []
    if after.things - before.things:
        found.append(f"more than before: {sorted(after.things - before.things)}")
    if before.things - after.things:
        found.append(f"fewer than before: {sorted(before.things - after.things)}")
    if before.rules != after.rules:
        changed = set(after.rules.splitlines()) ^ set(before.rules.splitlines())
        found.append(f"the machine's packet rules changed: {sorted(line.strip() for line in changed)}")
    if abs(before.ahead_s - after.ahead_s) > CLOCK_MARGIN_S:
        found.append(f"the machine's clock was set: by {after.ahead_s - before.ahead_s:.3f} s")
    return found
