"""The parent of a node: it starts the node again when it has died or hangs, with a growing pause between attempts.

The node writes a byte into a pipe ten times a second, from the loop that serves clients; a loop that hangs is silent. A node dies with its
parent (PR_SET_PDEATHSIG), so that nobody serves unsupervised.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from typing import NamedTuple

SIGN_S = 0.1
PR_SET_PDEATHSIG = 1
WRONG_USE = 2


class Backoff(NamedTuple):
    """Seconds before the next start: ``first``, doubled for each death soon after a start up to ``most``; anew after ``calm`` of life."""

    first_s: float
    most_s: float = 5.0
    calm_s: float = 10.0

    def after(self, last_s: float, lived_s: float) -> float:
        """The pause before the next start; ``last_s`` is the pause before the life that ended, 0 for the first."""
        return self.first_s if lived_s >= self.calm_s or not last_s else min(self.most_s, 2 * last_s)


def supervise(command: list[str], backoff: Backoff, hung_s: float) -> int:
    """Keep it running until SIGTERM or SIGINT; returns its status then, or at once if it was started wrongly."""
    child: subprocess.Popen[bytes] | None = None
    ending = False

    def end(number: int, _: object) -> None:
        nonlocal ending
        ending = True
        if child is not None and child.poll() is None:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    pause_s = 0.0
    while True:
        read, write = os.pipe()
        begun_s = time.monotonic()
        child = subprocess.Popen([*command, "--supervised", str(write)], pass_fds=(write,))
        os.close(write)
        why = _watch(child, read, hung_s)
        os.close(read)
        if ending or child.returncode == WRONG_USE:
            return child.returncode if child.returncode >= 0 else 128 - child.returncode
        pause_s = backoff.after(pause_s, time.monotonic() - begun_s)
        print(f"supervisor: the node {why}; it is started again in {pause_s:g} s", file=sys.stderr, flush=True)
        time.sleep(pause_s)


def _watch(child: subprocess.Popen[bytes], read: int, hung_s: float) -> str:
    """Wait for its end, and end it if it is silent for too long; says what happened."""
    while True:
        signs = _sign(read, hung_s)
        # Whoever was frozen together with its child looks once more before it judges.
        if signs is None and (signs := _sign(read, 5 * SIGN_S)) is None:
            child.kill()
            child.wait()
            return f"was silent for {hung_s:g} s"
        if not signs:
            status = child.wait()
            return f"died ({'signal' if status < 0 else 'status'} {abs(status)})"


def _sign(read: int, within_s: float) -> bytes | None:
    """What the child wrote; empty when it has ended, None if nothing came."""
    ready, _, _ = select.select([read], [], [], within_s)
    return os.read(read, 4096) if ready else None


def alive(pipe: int) -> None:
    """In the child's loop: write a sign of life now and again; and die with the parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(pipe, False)
    loop = asyncio.get_running_loop()

    def sign() -> None:
        try:
            os.write(pipe, b".")
        except BlockingIOError:
            pass
        except BrokenPipeError:
            os._exit(0)
        loop.call_later(SIGN_S, sign)

    sign()
