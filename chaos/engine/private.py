"""A Docker engine of our own, for tests: ``python -m chaos.engine.private start | stop | status | env``.

    <folder>/dockerd.json   who it is (pid, start time, boot), its socket, its bridge; written once it answers
    <folder>/docker.sock    where it listens; DOCKER_HOST=unix://...   (in /run, if the folder's name is too long for a socket)
    <folder>/data           its images: kept between runs          <folder>/exec, dockerd.log

``<folder>`` is ``--folder``, else ``$NINES_ENGINE``, else ``~/.cache/nines/engine``. Needs root, and a Debian-like machine if dockerd
or nft are to be installed. It has a bridge of its own, a containerd namespace of its own and addresses from 198.18.0.0/15: an
engine that is there already is not touched. ``--for PID`` ends it when that process ends, however it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.core.files import write_atomically
from chaos.engine import private_parts as parts
from chaos.engine.connection import answers
from chaos.engine.images import debian
from chaos.engine.images.build import Note, cache_dir, one_at_a_time
from chaos.engine.private_parts import ENVIRONMENT, Layout, Record
from chaos.registry import processes as proc

SETTING: Final = "NINES_ENGINE"
PACKAGES: Final = {"dockerd": "docker.io", "nft": "nftables", "iptables": "iptables", "ip": "iproute2", "mmdebstrap": "mmdebstrap"}
START_S: Final = 60.0
STOP_S: Final = 30.0
_LOOK_S: Final = 0.05
_LOG_LINES: Final = 5


def folder_of(named: str | None = None) -> Path:
    """Where the private engine lives."""
    said = named or os.environ.get(SETTING)
    return Path(said).absolute() if said else cache_dir() / "engine"


def may() -> bool:
    """Whether a private engine could be started here: root, and the programs are there or can be installed."""
    return os.geteuid() == 0 and (not _missing() or debian.may_install())


def running(folder: Path) -> Record | None:
    """The engine of this folder, if it lives and answers; a record of one that is gone (crash, other boot) is stale and ignored."""
    record = parts.read_record(folder)
    if record is None or not proc.alive(record.who) or not answers({"DOCKER_HOST": record.docker_host}):
        return None
    return record


def start(folder: Path, note: Note, *, until: int | None = None) -> Record:
    """Start it, or find it running; ``until``: a guard ends it when the process of that pid ends.

    ``EnvironmentUnusable`` says what is missing, or what the engine said before it ended.
    """
    if os.geteuid() != 0:
        raise EnvironmentUnusable("a private Docker engine can only be started by root", how="sudo; or install an engine: docker.io")
    with one_at_a_time(f"engine-{parts.mark(folder)}"):
        found = running(folder)
        if found is not None:
            return found
        missing = _missing()
        if missing:
            debian.install(missing, note)
        clean(folder)
        layout = Layout.of(folder)
        note(f"starting a private Docker engine in {folder}")
        record = _launch(layout)
        write_atomically(layout.record, msgspec.json.encode(record))
        parts.empty(record.docker_host)
    if until is not None:
        _guard(folder, until)
    return record


def stop(folder: Path) -> bool:
    """End it and all that it left (containers, mounts, bridge); its images stay. False if there was nothing to end."""
    with one_at_a_time(f"engine-{parts.mark(folder)}"):
        record = parts.read_record(folder)
        there = record is not None and proc.alive(record.who)
        if record is not None and there:
            if running(folder) is not None:
                parts.empty(record.docker_host)
            proc.send(record.who, signal.SIGTERM)
            proc.wait_gone([record.who], STOP_S)
        return clean(folder) or there


def clean(folder: Path) -> bool:
    """Remove what an engine of this folder left when it was not stopped properly; true if there was something."""
    found = parts.end_processes(folder)
    found = parts.unmount(folder) or found
    layout = Layout.of(folder)
    found = parts.remove_bridges(layout) or found
    for path in (layout.record, layout.socket, layout.pid_file):
        path.unlink(missing_ok=True)
    shutil.rmtree(layout.exec_root, ignore_errors=True)
    return found


def _missing() -> list[str]:
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


# --- starting ----------------------------------------------------------------------------------------------------------


def _launch(layout: Layout) -> Record:
    for path in (layout.folder, layout.data, layout.exec_root, layout.socket.parent):
        path.mkdir(parents=True, exist_ok=True)
    address, pool = parts.make_bridge(layout.bridge)
    parts.let_through(layout)
    with layout.log.open("ab") as log:
        process = subprocess.Popen(
            parts.command(layout, address, pool),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, ENVIRONMENT: str(layout.folder)},
            start_new_session=True,
        )
    who = proc.identity(process.pid)
    until_s = time.monotonic() + START_S
    host = f"unix://{layout.socket}"
    while who is not None and process.poll() is None and time.monotonic() < until_s:
        if answers({"DOCKER_HOST": host}):
            return Record(who=who, docker_host=host, bridge=layout.bridge)
        time.sleep(_LOOK_S)
    ended = process.poll()
    if ended is None:
        process.terminate()
        process.wait(STOP_S)
    clean(layout.folder)
    why = f"it ended with status {ended}" if ended is not None else f"it did not answer within {START_S:g} s"
    raise EnvironmentUnusable(
        "\n  | ".join([f"the private Docker engine did not start: {why}", *_tail(layout.log)]),
        how=f"{layout.log} has more; in a container, dockerd needs --privileged",
    )


def _tail(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return []


# --- ending with its user ----------------------------------------------------------------------------------------------


def _guard(folder: Path, pid: int) -> None:
    """A small process in a session of its own that outlives whatever happens to its user, by a second."""
    subprocess.Popen(
        [sys.executable, "-m", "chaos.engine.private", "guard", "--folder", str(folder), "--for", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def guard(folder: Path, pid: int) -> None:
    """Wait until the user, or the engine itself, has ended; then stop the engine."""
    record = parts.read_record(folder)
    with contextlib.ExitStack() as stack:
        poller = select.poll()
        for each in (pid, record.who.pid if record else 0):
            fd = _pidfd(each)
            if fd is None:
                break
            stack.callback(os.close, fd)
            poller.register(fd, select.POLLIN)
        else:
            poller.poll()
    # A newer engine in the same folder belongs to somebody else.
    if parts.read_record(folder) == record:
        stop(folder)


def _pidfd(pid: int) -> int | None:
    if pid <= 0:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


@contextlib.contextmanager
def private_engine(folder: Path, note: Note) -> Iterator[str]:
    """``DOCKER_HOST`` of a private engine that lives at least as long as the block; ended after it, if it was started here."""
    mine = running(folder) is None
    record = start(folder, note, until=os.getpid())
    try:
        yield record.docker_host
    finally:
        if mine:
            stop(folder)


# --- the command -------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or that of the error; ``status``: 3 when it does not run, as init scripts have it."""
    parser = argparse.ArgumentParser(prog="python -m chaos.engine.private", description="A private Docker engine, for tests.")
    parser.add_argument("do", choices=("start", "stop", "status", "env", "guard"))
    parser.add_argument("--folder", help="where it lives (default: $NINES_ENGINE, else ~/.cache/nines/engine)")
    parser.add_argument("--for", dest="until", type=int, metavar="PID", help="with start: end it when this process ends")
    options = parser.parse_args(arguments)
    try:
        return _do(options.do, folder_of(options.folder), options.until)
    except NinesError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _do(what: str, folder: Path, until: int | None) -> int:
    if what == "start":
        record = start(folder, lambda text: print(text, file=sys.stderr), until=until)
        print(f"DOCKER_HOST={record.docker_host}")
        return 0
    if what == "stop":
        print("stopped" if stop(folder) else "it was not running", file=sys.stderr)
        return 0
    if what == "guard":
        assert until is not None, "a guard waits for somebody"
        guard(folder, until)
        return 0
    found = running(folder)
    if found is None:
        print(f"no private Docker engine runs in {folder}", file=sys.stderr)
        return 3
    print(f"export DOCKER_HOST={found.docker_host}" if what == "env" else f"pid {found.who.pid}, DOCKER_HOST={found.docker_host}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
