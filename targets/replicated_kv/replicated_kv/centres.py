"""Two data centres: which one is primary, and what the other one may do. Pure; ``mirror.py`` carries it between them.

Each centre is a consensus of its own. One is the primary; the other one, the standby, copies its state a little later (asynchronously)
and hands its clients' requests over. What a centre knows of that is a ``Record`` in its own state, changed by entries of its log like any
key: so checkpoints, restarts and new leaders of the centre keep it.

    nobody (epoch 0) --the first zone begins--> a is primary (1) --a is silent, clients come to b--> b is primary (2) --...

The higher epoch is right. A primary that comes back and hears of one is a standby from then on, and takes over the other's whole state:
what it had acknowledged and not yet sent is lost, as with any asynchronous copy.
"""

from __future__ import annotations

import json
from typing import NamedTuple

CENTRE = "centre"
"""The operation of an entry that changes the record, with what was copied."""
RECORD = "\0centre"
"""The key that the record stands at; clients cannot ask for it."""


class Record(NamedTuple):
    """What a centre knows: the highest epoch, and whose it is. Of a standby: the entry of the primary up to which it has all (``whole``)
    or part of the state."""

    epoch: int = 0
    primary: str = ""
    at: int = 0
    whole: bool = False


class Copied(NamedTuple):
    """What a primary sends: keys that were written after the entry that was asked for, in the order of their writes, up to ``at``.

    ``whole``: there are no more for now.
    """

    at: int
    whole: bool
    items: list[tuple[str, str]]


class Told(NamedTuple):
    """What a node of the other centre said of it: its record's epoch and primary, and who leads there."""

    epoch: int
    primary: str
    leader: str | None


def change(record: Record, copied: Copied | None = None, anew: bool = False) -> str:
    """The value of the entry; ``anew``: the old state goes, whatever stood there."""
    items = copied.items if copied is not None else []
    return json.dumps([record, anew, items], separators=(",", ":"))


def decode(value: str) -> tuple[Record, bool, list[tuple[str, str]]]:
    """The other way."""
    record, anew, items = json.loads(value)
    return Record(*record), anew, [(key, text) for key, text in items]


class Centres:
    """One node's view. Times in nanoseconds, CLOCK_MONOTONIC."""

    def __init__(self, own: str, first: str, promote_after: int, promotes: bool, now_ns: int) -> None:
        self.own = own
        self._first = first
        self._promote_after = promote_after
        self._promotes = promotes
        self._answered_ns = 0
        """When the other centre last answered anything."""
        self._heard_ns = now_ns
        """When it last answered as the primary that it is."""
        self.other: Told | None = None
        self._wanted_ns = 0

    def heard(self, told: Told, record: Record, now_ns: int) -> None:
        """A node of the other centre answered."""
        self._answered_ns, self.other = now_ns, told
        if told.primary not in {"", self.own} and told.epoch >= record.epoch and told.leader is not None:
            self._heard_ns = now_ns

    def want(self, now_ns: int) -> None:
        """Clients ask this centre to do what only a primary may."""
        self._wanted_ns = now_ns

    def silent(self, now_ns: int) -> bool:
        """The other centre has not been a primary that can take writes for long enough that this one may take over."""
        return now_ns - self._heard_ns >= self._promote_after

    def active(self, record: Record, led_since_ns: int, now_ns: int) -> bool:
        """This centre is the primary and knows it: since its leader was elected the other one has said so, or nothing for long enough.

        A centre that was away as a whole, and replaced meanwhile, finds that out here, before it answers anything.
        """
        return record.primary == self.own and (self._answered_ns > led_since_ns or now_ns - led_since_ns >= self._promote_after)

    def next(self, record: Record, led_since_ns: int, now_ns: int) -> Record | None:
        """What the leader of this centre has to change about the record now."""
        other, patient = self.other, now_ns - led_since_ns < self._promote_after
        if other is not None and other.epoch > record.epoch and other.primary != self.own:
            return Record(other.epoch, other.primary)
        if record.epoch == 0:
            # Whoever hears of an epoch that it does not know itself has lost its state, and must not begin anew.
            known = other is not None and other.epoch > 0
            begins = self.own == self._first and not known and (self._answered_ns > 0 or not patient)
            return Record(1, self.own, 0, True) if begins else None
        wanted = self._wanted_ns > 0 and now_ns - self._wanted_ns < self._promote_after
        if self._promotes and record.primary != self.own and record.whole and wanted and self.silent(now_ns) and not patient:
            return Record(record.epoch + 1, self.own, 0, True)
        return None
