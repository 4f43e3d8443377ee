"""What a harness asks of the user's side, to which it may itself belong: to switch machines off and on, to close and open them.

A harness that has travelled has no right on machines, and the commands are programs of this machine. A keeper (``keeper.py``) does it,
which outlives the command; it is started with the first errand.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from chaos.core.errors import NotHealed
from chaos.history.undo import shielded
from chaos.registry.runs import Claim
from chaos.runtimes.base.machines.orders import Obeyed, Order, Terms

KEEPER: Final = "chaos.runtimes.base.machines.keeper"
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
        self._numbers = itertools.count(1)

    def at_home(self, do: str, host: str) -> str:
        """Have it done by this machine itself, where nothing travels; why it could not be done."""
        answer: queue.Queue[Obeyed] = queue.Queue()
        self.do(Order(next(self._numbers), do, host), answer.put)
        return answer.get().said

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
            [sys.executable, "-m", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
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


@contextlib.contextmanager
def paid(errands: Errands, claim: Claim) -> Iterator[None]:
    """After the block what is owed to machines is paid first: a harness may wait for one that nobody switches on any more."""
    try:
        yield
    except BaseException:
        with shielded():
            if owed := errands.close():
                claim.abandon(owed)  # its record stays, and 'nines leftovers' lists it
        raise
    with shielded():
        owed = errands.close()
    if owed:
        claim.abandon(owed)
        raise NotHealed(f"{owed}; 'nines heal' takes it back")
