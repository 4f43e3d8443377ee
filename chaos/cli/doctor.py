"""What this machine can do: each thing a run needs, whether it is there, and how to get it. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import NinesError
from chaos.core.system import most_files
from chaos.core.units import show_bytes
from chaos.registry import runs as registry
from chaos.run import preflight as room

OK: Final = "ok"
MISSING: Final = "missing"
"""A run on the local runtime would not start, or not be whole."""
OPTIONAL: Final = "optional"
"""Not there, and only some things need it."""

FILES_WANTED: Final = 4096
"""Open files: one connection a hung request, at 1,000 requests a second and deadlines of seconds."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the table; ``how`` is empty where nothing is to be done."""

    name: str
    state: str
    detail: str
    how: str = ""


def examine() -> list[Finding]:
    """All findings, in the order in which a run would meet them."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _system,
        _loopback,
        _files,
        _room,
        _folders,
        _toxiproxy,
        _leftovers,
        _targets,
        _docker,
        _faults,
        _plugins,
    )
    return [finding for check in checks for finding in check()]


def usable(findings: list[Finding]) -> bool:
    """Whether a run on the local runtime would start."""
    return all(finding.state != MISSING for finding in findings)


def _python() -> list[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    return [Finding("Python", OK if fine else MISSING, f"{found} ({sys.executable})", "" if fine else "3.11 or newer")]


def _system() -> list[Finding]:
    fine = sys.platform == "linux"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        Finding(
            "Linux",
            OK if fine else MISSING,
            sys.platform,
            "" if fine else "the local runtime needs Linux: it uses all loopback addresses",
        ),
        Finding(
            "cores",
            OK if cores > 1 else OPTIONAL,
            str(cores),
            "" if cores > 1 else "with one core, prober and cluster disturb each other",
        ),
    ]


def _loopback() -> list[Finding]:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.251.0.1", 0))
    except OSError as error:
        return [
            Finding("loopback addresses", MISSING, f"127.251.0.1: {error.strerror}", "all of 127.0.0.0/8 must be bindable, as on Linux")
        ]
    return [Finding("loopback addresses", OK, "all of 127.0.0.0/8 can be bound")]


def _files() -> list[Finding]:
    most = most_files()
    # Processes of ours raise the soft limit themselves; the hard one is what counts.
    fine = most is None or most >= FILES_WANTED
    return [
        Finding(
            "open files",
            OK if fine else OPTIONAL,
            "no limit" if most is None else f"at most {most}",
            "" if fine else f"ulimit -n {FILES_WANTED}: long outages at high rates need it",
        )
    ]


def _room() -> list[Finding]:
    """What a small run needs; what a given one does is looked at before it starts."""
    machine = room.look(Path("runs"))
    wanted = {"memory": (machine.memory_bytes, room.HARNESS_BYTES + 3 * room.NODE_BYTES), "disk": (machine.disk_bytes, room.SPARE_BYTES)}
    return [
        Finding(
            name, OK if free is None or free >= needed else MISSING, "unknown" if free is None else f"{show_bytes(free)} free",
            "" if free is None or free >= needed else f"a run needs at least {show_bytes(needed)}",
        )
        for name, (free, needed) in wanted.items()
    ]  # fmt: skip


def _folders() -> list[Finding]:
    out = []
    needed = (
        ("state folder", registry.state_dir(), "set NINES_STATE to a folder that can be written"),
        ("run folders", Path("runs").absolute(), "change to a folder that can be written, or use --folder"),
    )
    for name, folder, how in needed:
        there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
        fine = there.is_dir() and os.access(there, os.W_OK)
        out.append(Finding(name, OK if fine else MISSING, str(folder), "" if fine else how))
    return out


def _toxiproxy() -> list[Finding]:
    from chaos.net.toxiproxy.program import find

    try:
        found = find(build=False)
    except NinesError as error:
        what, _, how = str(error).partition("\n  any of:")
        return [Finding("Toxiproxy server", MISSING, what, f"any of:{how}" if how else "make setup")]
    return [Finding("Toxiproxy server", OK, f"{found.version}, {found.how}: {found.path}")]


def _leftovers() -> list[Finding]:
    from chaos.cli import there
    from chaos.run.leftovers import leftovers

    runs = [item.run for item in leftovers()]
    try:
        runs += [row["run"] for row in there.answer(["leftovers"]) or []]
        there.require_named()
    except NinesError as error:
        if not runs:
            what, _, how = str(error).partition("\n  ")
            return [Finding("earlier runs", OPTIONAL, f"no leftovers on this machine; on the engine not known: {what}", how)]
    if not runs:
        return [Finding("earlier runs", OK, "no leftovers")]
    return [Finding("earlier runs", MISSING, f"{len(runs)} leftovers of {len(set(runs))} crashed runs", "nines leftovers, then nines heal")]


def _targets() -> list[Finding]:
    from chaos.experiment.target.load import known_targets

    out = []
    for target in known_targets():
        programs = [part.local.command[0] for part in target.parts.values() if part.local is not None]
        absent = [program for program in programs if "{" not in program and shutil.which(program) is None]
        if not programs:
            out.append(Finding(f"target {target.name}", OPTIONAL, "not available on the local runtime", ""))
        elif absent:
            out.append(
                Finding(f"target {target.name}", OPTIONAL, f"{', '.join(absent)} is not on PATH", "install it, see the target's README")
            )
        else:
            out.append(Finding(f"target {target.name}", OK, target.about))
    return out


def _docker() -> list[Finding]:
    from chaos.cli.doctor_engine import engine_findings

    return engine_findings()


def _faults() -> list[Finding]:
    from chaos.cli.fault_support import abilities, runtimes

    found = abilities()
    out = []
    for runtime in runtimes():
        here = [each for each in found if each.runtime == runtime]
        cannot = [each.kind for each in here if not each.possible]
        detail = f"{len(here) - len(cannot)} of {len(here)}" + (f"; not {', '.join(cannot)}" if cannot else "")
        out.append(Finding(f"faults on {runtime}", OK, detail, "details: nines doctor --faults" if cannot else ""))
    return out


def _plugins() -> list[Finding]:
    """What other packages bring, each by its name; one that does not load with its reason."""
    from chaos.core.plugins import added, failure

    out = []
    for each in added():
        what, why = f"{each.table.removesuffix('s')} {each.name}", failure(each.table, each.name)
        if each.hidden:
            found, how = f"of {each.package}: not used, a shipped {each.table.removesuffix('s')} has this name", "another name"
        elif why:
            found, how = f"of {each.package} does not load: {why}", "repair or remove that package"
        else:
            found, how = f"of {each.package}: {each.path}", ""
        out.append(Finding(what, OPTIONAL if how else OK, found, how))
    return out
