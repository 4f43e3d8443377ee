"""Is there an order of operations that explains a history? The general search, for objects that no faster way is known for.

J. M. Wing and C. Gong, "Testing and verifying concurrent objects", Journal of Parallel and Distributed Computing 17 (1993): try to put
first each operation that is called before any other one returns, and go on with the rest. G. Lowe, "Testing for linearizability",
Concurrency and Computation 29 (2017): the same operations in another order that lead to the same state need not be tried again. Calls and
returns are a doubly linked list, as in A. Horn and D. Kroening, "Faster linearizability checking via P-compositionality" (2015).

An operation that never returns may be put anywhere after its call, or left out. Such ones that are alike (equal ``what``) are tried in the
order of their calls only: which of them it is makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Final, Generic, NamedTuple, TypeVar

from chaos.data.check import Budget
from chaos.data.operations import NEVER

S = TypeVar("S", bound=Hashable)
_CALL: Final = 0
_RETURN: Final = 1


class Step(NamedTuple):
    """One operation of a search: ``what`` is for the model."""

    call_ns: int
    return_ns: int
    what: Hashable


Model = Callable[[S, Hashable], S | None]
"""(state, what) -> the state after it; None: it cannot be done, or cannot have found what it found, in that state."""


def explained(steps: Sequence[Step], start: S, model: Model[S], budget: Budget) -> bool:
    """Whether some order does. ``OutOfTime`` when the budget is used up."""
    sure = [step for step in steps if step.return_ns != NEVER]
    perhaps: dict[Hashable, list[Step]] = {}
    for step in sorted((step for step in steps if step.return_ns == NEVER), key=lambda step: step.call_ns):
        perhaps.setdefault(step.what, []).append(step)
    return _Search(sure, list(perhaps.values()), start, model, budget).run()


class _Search(Generic[S]):
    """Entry 0 is the head of the list, entry 2i + 1 the call and 2i + 2 the return of operation i, and the last one its end."""

    def __init__(self, sure: Sequence[Step], perhaps: list[list[Step]], start: S, model: Model[S], budget: Budget) -> None:
        self._sure = sure
        self._perhaps = perhaps
        self._start = start
        self._model = model
        self._budget = budget
        moments = [(step.call_ns, _CALL, 2 * i + 1) for i, step in enumerate(sure)]
        moments += [(step.return_ns, _RETURN, 2 * i + 2) for i, step in enumerate(sure)]
        order = [0, *(entry for _, _, entry in sorted(moments)), 2 * len(sure) + 1]
        self._next = [0] * (2 * len(sure) + 2)
        self._before = [0] * (2 * len(sure) + 2)
        for one, other in pairwise(order):
            self._next[one], self._before[other] = other, one
        self._end = order[-1]

    def run(self) -> bool:
        """Depth first. The state, what is done of the sure ones as bits, and how many of each kind of the others."""
        state, done, used = self._start, 0, (0,) * len(self._perhaps)
        tried: set[Hashable] = set()
        undo: list[tuple[int, int, S, int, tuple[int, ...]]] = []
        """What was put where: entry and kind (one of them -1), and state, bits and numbers before."""
        entry, kind = self._next[0], 0
        while True:
            self._budget.spend()
            if entry == self._end:
                return True  # no return stood before it: nothing is left
            if entry % 2 == 1:
                number = entry // 2
                after = self._model(state, self._sure[number].what)
                if after is not None and (key := (done | 1 << number, used, after)) not in tried:
                    tried.add(key)
                    undo.append((entry, -1, state, done, used))
                    state, done = after, done | 1 << number
                    self._lift(entry)
                    entry, kind = self._next[0], 0
                else:
                    entry = self._next[entry]
                continue
            # A return: everything that can come first was tried, but for those that may have been done and never returned.
            latest_ns = self._sure[entry // 2 - 1].return_ns
            while kind < len(self._perhaps):
                alike, count = self._perhaps[kind], used[kind]
                if count < len(alike) and alike[count].call_ns <= latest_ns:
                    after = self._model(state, alike[count].what)
                    more = (*used[:kind], count + 1, *used[kind + 1 :])
                    if after is not None and (key := (done, more, after)) not in tried:
                        tried.add(key)
                        undo.append((-1, kind, state, done, used))
                        state, used = after, more
                        entry, kind = self._next[0], 0
                        break
                kind += 1
            else:
                if not undo:
                    return False
                put, of_kind, state, done, used = undo.pop()
                if put >= 0:
                    self._put_back(put)
                    entry, kind = self._next[put], 0
                else:
                    entry, kind = self._first_return(), of_kind + 1

    def _first_return(self) -> int:
        entry = self._next[0]
        while entry % 2 == 1:
            entry = self._next[entry]
        return entry

    def _lift(self, call: int) -> None:
        """Take an operation out of the list."""
        before, after = self._before, self._next
        for entry in (call, call + 1):
            after[before[entry]], before[after[entry]] = after[entry], before[entry]

    def _put_back(self, call: int) -> None:
        """In the reverse order of taking it out."""
        before, after = self._before, self._next
        for entry in (call + 1, call):
            after[before[entry]] = before[after[entry]] = entry
