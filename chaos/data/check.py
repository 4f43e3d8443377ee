"""What the author of a check reads (entry points ``nines.checks``), and how all checks of a run are carried out.

    class NoEmptyValue(Check):
        about = "reads that found an empty value"
        workloads = frozenset({"register"})

        def check(self, history: DataHistory, budget: Budget) -> Finding:
            empty = [read for key in history.keys.values() for read in budget.each(key.reads) if read.found == ""]
            return Finding(len(empty), examined=..., what="reads", violations=...)

A check says what it found, or raises. One that fails, or takes longer than it may, is ``unknown``; it is never ok.
"""

from __future__ import annotations

import ctypes
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Final, TypeVar

import msgspec

from chaos.core.units import show_s
from chaos.data.operations import WORKLOADS, DataHistory, Operation

T = TypeVar("T")
_LOOK_EVERY: Final = 1024
_GRACE_S: Final = 1.0
"""What does not look at its budget is stopped, and has so long to end."""


class OutOfTime(Exception):
    """The check may take no longer."""


class Undecided(Exception):
    """What there is does not tell; why."""


class Budget:
    """How long a check may take. ``spend`` is cheap: call it in every loop that may go on for long."""

    def __init__(self, limit_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._until_s = clock_s() + limit_s
        self._steps = 0

    def spend(self) -> None:
        """``OutOfTime`` when it is used up."""
        self._steps += 1
        if self._steps % _LOOK_EVERY == 0 and self._clock_s() > self._until_s:
            raise OutOfTime

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, with the budget in view."""
        for item in items:
            self.spend()
            yield item


class Breach(msgspec.Struct, frozen=True):
    """One violation: what it is, and the operations that show it; those at ``contradicts`` cannot all be true."""

    key: str
    said: str
    operations: Sequence[Operation] = ()
    contradicts: frozenset[int] = frozenset()
    """Numbers of operations."""
    known_ns: int | None = None
    """When it could be known; None: when the last of its operations had returned."""


class Finding(msgspec.Struct, frozen=True):
    """What a check found. ``count`` None: it could not be told, and ``said`` is why."""

    count: int | None
    examined: int
    what: str
    """What was examined: acknowledged writes, reads, keys..."""
    breaches: Sequence[Breach] = ()
    said: str = ""
    """More than the count says: how stale, which nodes..."""


class Check:
    """One property of the data. Stateless; made anew for each run."""

    about: ClassVar[str]
    """What a violation is, in a few words."""
    workloads: ClassVar[frozenset[str]] = WORKLOADS
    """What it can be told of: register, counter, set, list."""
    needs_nodes: ClassVar[bool] = False
    """It needs what each node had at the end: ``read_node`` of the target."""
    needs_roles: ClassVar[bool] = False
    """It needs who led when: ``roles`` of the target."""

    @abstractmethod
    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Look at all of it. ``Undecided`` where what there is does not tell."""


def carried_out(check: Check, history: DataHistory, limit_s: float) -> Finding:
    """What the check found; whatever goes wrong in it is told, and counts as nothing found out."""
    box: list[Finding] = []
    why: list[str] = []

    def work() -> None:
        try:
            found: object = check.check(history, Budget(limit_s))
            if isinstance(found, Finding):
                box.append(found)
            else:
                why.append(f"the check gave no finding but {type(found).__name__}")
        except OutOfTime:
            why.append(f"the check took longer than {show_s(limit_s)} (data: {{check_within: ...}})")
        except Undecided as undecided:
            why.append(str(undecided))
        except BaseException as error:  # of a foreign check whatever it is: a judgement goes on without it
            why.append(f"the check failed: {type(error).__name__}: {error}")

    thread = threading.Thread(target=work, name="check of data", daemon=True)
    thread.start()
    thread.join(limit_s + _GRACE_S)
    if thread.is_alive():
        _stop(thread)
        thread.join(_GRACE_S)
        return Finding(None, 0, "", said=f"the check took longer than {show_s(limit_s)} (data: {{check_within: ...}})")
    return box[0] if box else Finding(None, 0, "", said="; ".join(why))


def _stop(thread: threading.Thread) -> None:
    """Raise ``OutOfTime`` in it, at its next line of Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
