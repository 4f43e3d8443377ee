"""Histories of operations on one key, written down in a line each, and random ones."""

from __future__ import annotations

import random

from chaos.data.operations import NEVER, Content, DataHistory, KeyHistory, Operation
from chaos.history.journal import FAIL, OK, UNKNOWN, Begun, Called, Ended, Journal, JournalRow, NodeRead, Returned

KEY = "k"


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
        content = None if value == "-" else value
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


def random_register(seed: int, operations: int = 12, sessions: int = 4, *, wrong: float = 0.0) -> KeyHistory:
    """A run of a register that takes effect at random moments; ``wrong``: the share of reads that are answered with some other value.

    Some writes have an unknown outcome, and take effect or not, even long after; some fail and do not.
    """
    rng = random.Random(seed)  # noqa: S311 - a test's dice
    plans = []
    clock = dict.fromkeys(range(1, sessions + 1), 0)
    for n in range(1, operations + 1):
        session = min(clock, key=lambda each: (clock[each] + rng.randrange(3), each))
        call = clock[session] + rng.randrange(1, 4)
        done = call + rng.randrange(1, 12)
        clock[session] = done
        does = "write" if rng.random() < 0.45 else "read"
        outcome = OK
        if does == "write" and rng.random() < 0.2:
            outcome = UNKNOWN if rng.random() < 0.7 else FAIL
        effect: float | None = call + rng.random() * (done - call)
        if outcome == FAIL:
            effect = None
        elif outcome == UNKNOWN:
            effect = None if rng.random() < 0.5 else call + rng.random() * 30
        plans.append((n, session, does, call, done, outcome, effect))
    state: str | None = None
    found: dict[int, str | None] = {}
    values: list[str | None] = [None]
    for n, _, does, _, _, _, effect in sorted((plan for plan in plans if plan[6] is not None), key=lambda plan: plan[6]):
        if does == "write":
            state = f"v{n}"
            values.append(state)
        else:
            found[n] = state
        del effect
    made = []
    for n, session, does, call, done, outcome, _ in plans:
        value = f"v{n}" if does == "write" else found.get(n)
        if does == "read" and rng.random() < wrong:
            value = rng.choice(values)
        made.append(operation(n, session, does, value, call, done, outcome))
    return KeyHistory(KEY, sorted(made, key=lambda each: (each.call_ns, each.n)))
