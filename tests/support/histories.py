"""Histories of operations on one key, written down in a line each, and random ones."""

from __future__ import annotations

import itertools
import random

from chaos.data.operations import NEVER, Content, DataHistory, KeyHistory, Operation, content_of
from chaos.history.journal import FAIL, OK, UNKNOWN, Begun, Called, Ended, Journal, JournalRow, NodeRead, Returned

KEY = "k"
_WORKLOADS = {"write": "register", "incr": "counter", "add": "set", "append": "list"}


def operation(  # noqa: PLR0913 - an operation has as many parts
    n: int, session: int, does: str, value: Content, call: int, done: int, outcome: str = OK, key: str = KEY
) -> Operation:
    """One, from its parts; of a read ``value`` is what it found."""
    written, found = (None, value) if does == "read" else (str(value), None)
    return Operation(n, session, does, key, written, found, call, NEVER if outcome == UNKNOWN else done, outcome, f"10.0.0.{session}")


def history(text: str, does: str = "write") -> KeyHistory:
    """``1 w a 10-20`` a line: session, w (write) or r (read), value (``-``: nothing), call-return (``?``: unknown, ``!``: not done)."""
    found = []
    for n, line in enumerate((line for line in text.strip().splitlines() if line.strip()), 1):
        session, what, value, times = line.split()
        call, _, done = times.partition("-")
        outcome = {"?": UNKNOWN, "!": FAIL}.get(done, OK)
        told = None if value == "-" else value
        content = content_of(_WORKLOADS[does], told) if what == "r" else told
        ends = int(call) if outcome != OK else int(done)
        found.append(operation(n, int(session), "read" if what == "r" else does, content, int(call), ends, outcome))
    return KeyHistory(KEY, sorted(found, key=lambda each: each.call_ns))


def journal_of(key: KeyHistory, workload: str = "register", nodes: dict[str, str | None] | None = None, *, ended: bool = True) -> Journal:
    """The same as rows of a journal; ``nodes``: what each had in the end."""
    rows: list[tuple[int, JournalRow]] = []
    for each in key.operations:
        rows.append((each.call_ns, Called(each.n, each.call_ns, each.session, each.does, each.does, each.key, each.value)))
        found = ",".join(each.found) if isinstance(each.found, tuple) else None if each.found is None else str(each.found)
        done = each.call_ns + 1 if each.return_ns == NEVER else each.return_ns
        rows.append((done, Returned(each.n, done, each.outcome, found, each.address)))
    last = max((at for at, _ in rows), default=0) + 1
    told = [NodeRead(last, node, key.key, OK, value) for node, value in (nodes or {}).items()]
    begun = Begun(0, 1, "run", workload, 1, 1)
    return Journal([begun, *(row for _, row in sorted(rows, key=lambda row: row[0])), *told, *([Ended(last, len(rows), True)] * ended)])


def data_history(text: str, workload: str = "register", nodes: dict[str, str | None] | None = None) -> DataHistory:
    """What a check is given, of one key."""
    does = {"register": "write", "counter": "incr", "set": "add", "list": "append"}[workload]
    return DataHistory(workload, journal_of(history(text, does), workload, nodes))


def random_history(
    seed: int, workload: str = "register", operations: int = 12, sessions: int = 4, *, wrong: float = 0.0, trouble: float = 0.2
) -> KeyHistory:
    """A run of one object whose operations take effect at random moments; ``wrong``: the share of reads that are answered wrongly.

    ``trouble``: the share of writes that fail, or have an unknown outcome and take effect or not, even long after. A wrong answer is what
    the object held at some other time, or (of what grows) lacks a member, or has one twice.
    """
    rng = random.Random(f"{workload}{seed}")  # noqa: S311 - a test's dice
    does = {"register": "write", "counter": "incr", "set": "add", "list": "append"}[workload]
    plans: list[tuple[int, int, str, int, int, str, float | None]] = []
    clock = dict.fromkeys(range(1, sessions + 1), 0)
    for n in range(1, operations + 1):
        session = min(clock, key=lambda each: (clock[each] + rng.randrange(3), each))
        call = clock[session] + rng.randrange(1, 4)
        done = call + rng.randrange(1, 12)
        clock[session] = done
        what = does if rng.random() < 0.45 else "read"
        outcome = OK
        effect: float | None = call + rng.random() * (done - call)
        if what != "read" and rng.random() < trouble:
            outcome = UNKNOWN if rng.random() < 0.7 else FAIL
            effect = call + rng.random() * 30 if outcome == UNKNOWN and rng.random() < 0.5 else None
        plans.append((n, session, what, call, done, outcome, effect))
    states = [_EMPTY[workload]]
    found: dict[int, Content] = {}
    for effect, n, what in sorted((plan[6], plan[0], plan[2]) for plan in plans if plan[6] is not None):
        del effect
        if what == "read":
            found[n] = states[-1]
        else:
            states.append(_after(workload, states[-1], f"v{n}"))
    made = []
    for n, session, what, call, done, outcome, _ in plans:
        value: Content = found.get(n) if what == "read" else "1" if workload == "counter" else f"v{n}"
        if what == "read" and rng.random() < wrong:
            value = rng.choice(states)
            if isinstance(value, tuple) and value and rng.random() < 0.3:
                value = value[1:] if rng.random() < 0.7 else (*value, value[0])
        made.append(operation(n, session, what, value, call, done, outcome))
    return KeyHistory(KEY, sorted(made, key=lambda each: (each.call_ns, each.n)))


_EMPTY: dict[str, Content] = {"register": None, "counter": 0, "set": (), "list": ()}


def _after(workload: str, state: Content, value: str) -> Content:
    if workload == "register":
        return value
    if isinstance(state, int):
        return state + 1
    assert isinstance(state, tuple)
    return (*state, value)


def by_definition(key: KeyHistory, workload: str = "register") -> bool:
    """Linearizable: some order explains it that keeps what had returned before something was called. All orders are tried.

    A write that may not have been done may be left out.
    """
    sure = [each for each in key.operations if each.ok]
    perhaps = [each for each in key.writes if not each.ok]
    choices = itertools.chain.from_iterable(itertools.combinations(perhaps, count) for count in range(len(perhaps) + 1))
    return any(_orders([*sure, *chosen], workload, _EMPTY[workload], set()) for chosen in choices)


def _orders(left: list[Operation], workload: str, state: Content, tried: set[tuple[frozenset[int], Content]]) -> bool:
    if not left:
        return True
    here = (frozenset(each.n for each in left), state)
    if here in tried:
        return False
    tried.add(here)
    for each in left:
        if any(other.return_ns < each.call_ns for other in left if other is not each):
            continue
        if each.reads and not _found(workload, each.found, state):
            continue
        rest = [other for other in left if other is not each]
        if _orders(rest, workload, state if each.reads else _after(workload, state, each.value or ""), tried):
            return True
    return False


def _found(workload: str, found: Content, state: Content) -> bool:
    if workload == "set" and isinstance(found, tuple) and isinstance(state, tuple):
        return sorted(found) == sorted(state)
    return found == state
