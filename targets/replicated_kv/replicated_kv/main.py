"""A node as a process: its command line, its signals, its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

from .frames import Damaged
from .node import run
from .settings import Usage, parse


def main() -> None:
    """Run a node until it is told to stop. Exits with 2 on a wrong command line, 1 if it cannot serve."""
    # All that was promised is on disk already, so there is nothing to wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    try:
        settings = parse(sys.argv[1:])
    except Usage as error:
        print(f"replicated_kv: {error}", file=sys.stderr)
        sys.exit(2)
    if settings.supervisor and settings.supervised < 0:
        from .supervisor import Backoff, supervise

        command = [sys.executable, "-E", "-s", "-S", *sys.argv]
        sys.exit(supervise(command, Backoff(settings.restart_pause / 1e9), settings.hung_after / 1e9))
    # A full collection of a large store would stop the beats; almost nothing here is cyclic.
    gc.set_threshold(50_000, 20, 100)
    gc.freeze()
    try:
        asyncio.run(run(settings))
    except (Damaged, OSError) as error:
        print(f"replicated_kv: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(1)
