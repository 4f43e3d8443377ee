"""What the harness in a cluster asks of the user's side: to switch machines off and on, to close and open them; done by a keeper.

The harness has no right on machines, and the commands are programs of this machine. The keeper (``keeper.py``) is started with the first
errand.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from chaos.elsewhere.frames import Obeyed, Order
from chaos.elsewhere.keeper import Terms

PAID_WITHIN_S: Final = 300.0
GONE: Final = "the process that looks after machines has died; 'nines heal' takes back what is owed"


class Errands:
    """Of one run. Safe from several threads."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._lock = threading.Lock()
        self._waiting: dict[int, Callable[[Obeyed], None]] = {}
        self._last: Obeyed | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def do(self, order: Order, tell: Callable[[Obeyed], None]) -> None:
        """Have it done; ``tell`` is called from another thread when it is."""
        with self._lock:
            keeper = self._keeper or self._begin()
            self._waiting[order.number] = tell
            assert keeper.stdin is not None
            try:
                keeper.stdin.write(msgspec.json.encode(order) + b"\n")
                keeper.stdin.flush()
            except OSError:
                self._waiting.pop(order.number)
                tell(Obeyed(order.number, GONE))

    def close(self) -> str:
        """Everything that is owed is paid when it returns; what could not be."""
        keeper = self._keeper
        if keeper is None:
            return ""
        assert keeper.stdin is not None
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(PAID_WITHIN_S)
        except subprocess.TimeoutExpired:
            return f"the process {keeper.pid} that looks after machines has not ended within {PAID_WITHIN_S:g} s"
        assert self._thread is not None
        self._thread.join()
        return GONE if self._last is None else self._last.said

    def _begin(self) -> subprocess.Popen[bytes]:
        keeper = self._keeper = subprocess.Popen(
            [sys.executable, "-m", "chaos.elsewhere.keeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert keeper.stdin is not None
        keeper.stdin.write(msgspec.json.encode(self._terms) + b"\n")
        keeper.stdin.flush()
        self._thread = threading.Thread(target=self._hear, name="keeper", daemon=True)
        self._thread.start()
        return keeper

    def _hear(self) -> None:
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        for line in self._keeper.stdout:
            obeyed = msgspec.json.decode(line, type=Obeyed)
            if obeyed.number == 0:
                self._last = obeyed
                continue
            with self._lock:
                tell = self._waiting.pop(obeyed.number, None)
            if tell is not None:
                tell(obeyed)
        with self._lock:
            left, self._waiting = self._waiting, {}
        for number, tell in left.items():
            tell(Obeyed(number, GONE))
