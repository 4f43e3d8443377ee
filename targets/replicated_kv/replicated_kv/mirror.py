"""What goes between two data centres: each node asks one of the other centre who is primary; the leader of a standby asks for what is new.

The state is copied, not the log: of keys that were written several times only the last value travels, and a copy that is applied twice
does no harm. Clients' requests that a standby cannot answer itself are handed over to the primary's leader, once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from .centres import CENTRE, Centres, Copied, Record, Told, change
from .client import LOST, UNSENT, Channel
from .rules import LEADER
from .server import Reply

if TYPE_CHECKING:
    from .peers import Peers
    from .raft import Raft
    from .settings import Settings
    from .store import Store

MOST_ITEMS = 2000
MOST_CHARACTERS = 256 * 1024


class Mirror:
    """One node's part in it. ``propose``: append an entry of this centre's log (operation, value)."""

    def __init__(self, settings: Settings, raft: Raft, store: Store, peers: Peers, propose: Callable[[str, str], None]) -> None:
        self._settings, self._raft, self._store = settings, raft, store
        self._propose = propose
        self.centres = Centres(
            settings.zone, settings.first_zone, settings.promote_after, settings.second_centre == "async", time.monotonic_ns()
        )
        beat_s, hang_s = settings.timing.heartbeat / 1e9, settings.timing.election_min / 1e9
        self._far = {
            name: Channel(*address, beat_s, hang_s, peers.greeter(name), settings.second.get(name))
            for name, address in settings.far.items()
        }
        self._asked = 0
        self._proposed_in = 0
        """Index of the change of the record that is under way; 0: none."""
        self._whole_ns = 0
        """When this standby last had all that the primary had."""
        self._ask()

    @property
    def record(self) -> Record:
        """What this centre has agreed on."""
        return self._store.record

    def active(self, now_ns: int) -> bool:
        """May this node, if it leads its centre, answer as the primary? If not, it takes note that clients want one."""
        active = self.leads(now_ns)
        if not active:
            self.centres.want(now_ns)
            self.decide(now_ns)
        return active

    def leads(self, now_ns: int) -> bool:
        """The same without taking note of anything."""
        return self.centres.active(self.record, self._raft.leader_elected_ns, now_ns)

    def relays(self) -> bool:
        """Are requests of clients for the other centre to answer? So they are as soon as a node hears of an epoch that it does not know."""
        record, other = self.record, self.centres.other
        newer = other is not None and other.epoch > record.epoch
        return newer or (record.primary != self._settings.zone and not self.centres.silent(time.monotonic_ns()))

    def relay(self, path: str, body: bytes, reply: Reply) -> None:
        """Hand a request of a client to the leader of the primary; what is lost on the way may have been done (504)."""
        leader = self.centres.other.leader if self.centres.other is not None else None

        def done(status: int, answer: bytes) -> None:
            if status in {LOST, UNSENT}:
                surely_not = status == UNSENT or "do=get" in path
                status, answer = (503, b'{"ok":false,"done":"no"}') if surely_not else (504, b'{"ok":false,"done":"unknown"}')
            reply(status, answer)

        if leader in self._far:
            self._far[leader].post(path, body, done)
        else:
            done(UNSENT, b"")

    def status(self) -> dict[str, object]:
        """For ``/status``. ``behind_ms``: how long ago this standby had all that the primary had."""
        behind_ms = round((time.monotonic_ns() - self._whole_ns) / 1e6, 1) if self._whole_ns else None
        return {"zone": self._settings.zone, **self.record._asdict(), "behind_ms": behind_ms}

    def answer(self, body: bytes, reply: Reply) -> None:
        """A node of the other centre asks: ``[epoch, after]``; ``after``: the last entry of ours that it has, or null."""
        epoch, after = json.loads(body)
        record, copied = self.record, None
        if record.primary == self._settings.zone and epoch == record.epoch and after is not None:
            copied = self._since(after)
        reply(200, json.dumps([Told(record.epoch, record.primary, self._raft.leader), copied], separators=(",", ":")).encode())

    def _since(self, after: int) -> Copied:
        found, size = [], 0
        at = self._store.applied
        for key, value, written in self._store.since(after):
            size += len(key) + len(value)
            if len(found) >= MOST_ITEMS or (size > MOST_CHARACTERS and found):
                return Copied(found[-1][2], False, [(key, value) for key, value, _ in found])
            found.append((key, value, written))
        return Copied(at, True, [(key, value) for key, value, _ in found])

    def _ask(self) -> None:
        """One question to one node of the other centre: its leader, or whoever is next."""
        raft, record, other = self._raft, self.record, self.centres.other
        leader = other.leader if other is not None else None
        names = sorted(self._far)
        name = leader if leader in self._far else names[self._asked % len(names)]
        self._asked += 1
        copies = raft.state == LEADER and record.primary not in {"", self._settings.zone} and not self._under_way()
        body = json.dumps([record.epoch, record.at if copies else None]).encode()
        self._far[cast(str, name)].post("/raft/centre", body, self._answered(record))

    def _answered(self, record: Record) -> Callable[[int, bytes], None]:
        def done(status: int, body: bytes) -> None:
            now_ns, again_s = time.monotonic_ns(), self._settings.mirror_every / 1e9
            if status == 200:
                told, copied = json.loads(body)
                self.centres.heard(Told(*told), self.record, now_ns)
                if copied is not None and record == self.record and not self._under_way():
                    again_s = self._take(record, Copied(*copied), now_ns, again_s)
            else:
                self.centres.other = None
            self.decide(now_ns)
            asyncio.get_running_loop().call_later(again_s, self._ask)

        return done

    def _take(self, record: Record, copied: Copied, now_ns: int, again_s: float) -> float:
        """Write what came into this centre's log, if it is anything new; how long to wait before the next question."""
        if copied.whole:
            self._whole_ns = now_ns
        new = record._replace(at=copied.at, whole=copied.whole)
        if (copied.items or not record.whole) and self._raft.state == LEADER:
            self._change(change(new, copied, anew=not record.whole and record.at == 0))
        return again_s if copied.whole else 0.0

    def decide(self, now_ns: int) -> None:
        """Change the record, if it is this node's turn and time."""
        if self._raft.state == LEADER and not self._under_way():
            record = self.centres.next(self.record, self._raft.leader_elected_ns, now_ns)
            if record is not None:
                self._change(change(record))

    def _change(self, value: str) -> None:
        self._propose(CENTRE, value)
        self._proposed_in = self._raft.log.last_index

    def _under_way(self) -> bool:
        """A change that was proposed is not yet applied, here or by an earlier leader; or none may be proposed now."""
        raft, applied = self._raft, self._store.applied
        return raft.heir is not None or applied < max(self._proposed_in, raft.commit) or raft.log.term_at(applied) != raft.term
