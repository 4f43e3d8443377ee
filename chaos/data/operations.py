"""The operations of one run as the checks see them: typed values, intervals in ns, and what nodes had at the end.

An operation took effect at one moment between its call and its return, or never if it failed. One of unknown outcome returns at
``NEVER``: it may take effect at any time after its call, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

from chaos.history import journal
from chaos.history.events import Row
from chaos.history.journal import Begun, Called, Ended, Journal, NodeRead, Returned
from chaos.plan.plan import Plan

NEVER: Final = 2**63 - 1
"""When an operation returns that was not answered."""
READ: Final = "read"
REGISTER, COUNTER, SET, LIST = "register", "counter", "set", "list"
WORKLOADS: Final = frozenset({REGISTER, COUNTER, SET, LIST})
LAST_READER: Final = 0
"""The session that reads every key when the run is over."""

Content = str | int | tuple[str, ...] | None
"""What a read found: the value of a register (None: nothing), the number of a counter, the members of a set or list in their order."""


class Unreadable(ValueError):
    """A read was answered with something that no key of this workload can be."""


class Operation(msgspec.Struct, frozen=True):
    """One operation on one key."""

    n: int
    session: int
    does: str
    key: str
    value: str | None
    """What was written; of a read None."""
    found: Content
    """What a read found."""
    call_ns: int
    return_ns: int
    outcome: str
    address: str = ""
    garbled: str = ""
    """What a read was answered with, if it is nothing that this workload holds."""

    @property
    def reads(self) -> bool:
        return self.does == READ

    @property
    def ok(self) -> bool:
        return self.outcome == journal.OK


class KeyHistory:
    """All operations on one key, by the time of their call."""

    def __init__(self, key: str, operations: list[Operation]) -> None:
        self.key = key
        self.operations = operations

    @cached_property
    def reads(self) -> list[Operation]:
        """Those that found something that can be, or nothing."""
        return [each for each in self.operations if each.reads and each.ok and not each.garbled]

    @cached_property
    def writes(self) -> list[Operation]:
        """Those that may have taken effect."""
        return [each for each in self.operations if not each.reads and each.outcome != journal.FAIL]

    @cached_property
    def last(self) -> list[Operation]:
        """What the last reading found through the service; the newest of each address."""
        newest = {read.address: read for read in self.reads if read.session == LAST_READER}
        latest_ns = max((read.call_ns for read in newest.values()), default=0)
        return sorted((read for read in newest.values()), key=lambda read: (read.call_ns < latest_ns, read.call_ns))


class DataHistory:
    """All that a check is given."""

    def __init__(self, workload: str, found: Journal, rows: Sequence[Row] = (), plan: Plan | None = None) -> None:
        self.workload = workload
        self.journal = found
        self.rows = rows
        """The rows of the run's history."""
        self.plan = plan
        """None where operations are judged that no run of ours made."""

    @cached_property
    def begun(self) -> Begun | None:
        """The first row of the journal, if it came so far."""
        return next((row for row in self.journal.rows if isinstance(row, Begun)), None)

    @cached_property
    def settled(self) -> bool:
        """At the end all agreed."""
        return any(isinstance(row, Ended) and row.settled for row in self.journal.rows)

    @cached_property
    def operations(self) -> list[Operation]:
        """By the time of their call."""
        returned = {row.n: row for row in self.journal.rows if isinstance(row, Returned)}
        found = [self._operation(row, returned.get(row.n)) for row in self.journal.rows if isinstance(row, Called)]
        return sorted(found, key=lambda operation: operation.call_ns)

    def _operation(self, called: Called, returned: Returned | None) -> Operation:
        outcome = journal.UNKNOWN if returned is None else returned.outcome
        content: Content = None
        garbled = ""
        if called.does == READ and returned is not None and outcome == journal.OK:
            try:
                content = content_of(self.workload, returned.value)
            except Unreadable:
                garbled = returned.value or ""
        return_ns = NEVER if returned is None or outcome == journal.UNKNOWN else returned.at_ns
        address = "" if returned is None else returned.address
        return Operation(
            called.n, called.session, called.does, called.key, called.value, content, called.at_ns, return_ns, outcome, address, garbled
        )

    @cached_property
    def keys(self) -> dict[str, KeyHistory]:
        """By key, those that were asked about at all."""
        found: dict[str, list[Operation]] = {}
        for each in self.operations:
            found.setdefault(each.key, []).append(each)
        return {key: KeyHistory(key, operations) for key, operations in found.items()}

    @cached_property
    def nodes(self) -> Mapping[str, Mapping[str, NodeRead]]:
        """Key -> node -> what that node had at the end, by its newest answer."""
        found: dict[str, dict[str, NodeRead]] = {}
        for row in self.journal.rows:
            if isinstance(row, NodeRead):
                found.setdefault(row.key, {})[row.node] = row
        return found

    def sessions(self) -> Iterator[list[Operation]]:
        """The operations of each session on each key, in the order in which it asked; the last reading is none."""
        found: dict[tuple[int, str], list[Operation]] = {}
        for each in self.operations:
            if each.session != LAST_READER:
                found.setdefault((each.session, each.key), []).append(each)
        yield from found.values()


def content_of(workload: str, text: str | None) -> Content:
    """What a text holds: of a set or list a JSON list, or words parted by commas or blanks. ``Unreadable``: nothing of that kind."""
    if workload == REGISTER:
        return text
    if workload == COUNTER:
        try:
            return int(text or "0")
        except ValueError:
            raise Unreadable(text) from None
    if not text:
        return ()
    if text.lstrip().startswith("["):
        try:
            return tuple(msgspec.json.decode(text, type=list[str], strict=False))
        except msgspec.DecodeError:
            raise Unreadable(text) from None
    return tuple(text.replace(",", " ").split())
