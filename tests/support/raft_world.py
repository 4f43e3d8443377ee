"""A world of simulated nodes for the safety tests: one seed decides every delay, loss, duplicate, crash, partition and save."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from replicated_kv.checkpoint import Snapshot
from replicated_kv.log import Log
from replicated_kv.members import decode, encode
from replicated_kv.messages import AppendReply, BeatReply, ChunkReply, Entry, Message, PollReply, VoteReply
from replicated_kv.raft import LEADER, Ballot, Outgoing, Raft, Work
from replicated_kv.rules import ASYNC, Rules, Timing
from replicated_kv.store import Store
from replicated_kv.wrong import CHECKPOINT_TORN, REPLAY_TWICE

MS = 1_000_000
TIMING = Timing(100 * MS, 500 * MS, 1000 * MS)
RPC_TIMEOUT = 500 * MS
REPLIES = (PollReply, VoteReply, AppendReply, BeatReply, ChunkReply)


class Disk:
    """What survives a crash: saves that were finished, in order."""

    def __init__(self) -> None:
        self.ballot = Ballot()
        self.entries: list[Entry] = []
        self.snapshot: Snapshot | None = None
        self.doubtful = False

    def save(self, work: Work) -> None:
        """Do what ``Storage.save`` does."""
        if work.installed is not None:
            self.snapshot = work.installed
            self.entries = []
        for entry in work.entries:
            while self.entries and self.entries[-1].at >= entry.at:
                self.entries.pop()
            self.entries.append(entry)
        if work.ballot is not None:
            self.ballot = work.ballot

    def checkpoint(self, snapshot: Snapshot) -> bool:
        """What ``Storage.write_checkpoint`` does: False if a newer one is there."""
        if self.snapshot is not None and snapshot.at < self.snapshot.at:
            return False
        self.snapshot = snapshot
        return True

    def rot(self, lost: int) -> None:
        """Flipped bits were found in the log: the last entries are gone, and that is known."""
        self.entries = self.entries[: max(0, len(self.entries) - lost)]
        self.doubtful = True

    def log(self) -> Log:
        """What ``Storage.recover`` gives."""
        at, term = (self.snapshot.at, self.snapshot.term) if self.snapshot else (0, 0)
        return Log(at, term, [entry for entry in self.entries if entry.at > at])


class Member:
    """One node: the rules, a disk with saves on their way, and the state applied so far."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.disk = Disk()
        self.disk_free = 0
        self.alive = False
        self.life = 0
        self.raft: Raft
        self.store: Store
        self.saves: list[tuple[Work, list[Outgoing]]] = []
        self.pending: dict[int, tuple[int, str]] = {}
        self.reads: dict[int, int] = {}
        self.checked: tuple[int | None, list[Entry]] = (None, [])
        """The end of the log that was checked last, and the term before it."""
        self.start()

    def start(self) -> None:
        """Begin (again) from the disk."""
        self.alive, self.life = True, self.life + 1
        self.saves, self.pending, self.reads, self.disk_free = [], {}, {}, 0
        self.store = Store()
        if self.world.rules.wrong == REPLAY_TWICE:
            self.store.twice_until = self.disk.log().last_index
        if self.disk.snapshot is not None:
            self.store.replace(*self.disk.snapshot[:3])
        places = dict.fromkeys(self.world.founders, "")
        if self.disk.snapshot is not None and self.disk.snapshot.members:
            places = decode(self.disk.snapshot.members)
        rng = random.Random(self.world.rng.random())
        rules = self.world.rules
        self.raft = Raft(
            self.name,
            [],
            TIMING,
            rng,
            self.world.now,
            self.snapshot,
            self.disk.ballot,
            self.disk.log(),
            rules,
            self.disk.doubtful,
            places,
        )
        self.work()

    def snapshot(self) -> Snapshot:
        """The state applied so far."""
        return self.store.snapshot(self.world.rules.wrong, encode(self.raft.members.at(self.store.applied)))

    def checkpoint(self, kept: int) -> None:
        """Write the state, which takes a while, and forget the log before it."""
        snapshot = self.snapshot()
        if self.world.rules.wrong == CHECKPOINT_TORN:
            self.disk.checkpoint(snapshot._replace(items=snapshot.items[: len(snapshot.items) // 2]))

        def written() -> None:
            if self.disk.checkpoint(snapshot):
                self.raft.log.compact(snapshot.at - kept)

        self.world.after(self.world.rng.randint(0, 40 * MS), self, written)

    def crash(self) -> None:
        """Lose all that is not on disk."""
        self.alive = False

    def work(self) -> None:
        """Do what the rules ask for: what ``node.py`` does with sockets and threads."""
        world = self.world
        if world.now >= self.raft.due_ns:
            self.raft.tick(world.now)
        work = self.raft.take(world.now)
        for outgoing in work.messages:
            if not outgoing.durable:
                world.send(self, outgoing)
        later = [outgoing for outgoing in work.messages if outgoing.durable]
        self.saves.append((work, later))
        # Saves finish in order, some of them late: that is when a crash hurts.
        self.disk_free = max(self.disk_free, world.now) + (
            80 * MS if world.rng.random() < world.slow_share else world.rng.randint(0, 2 * MS)
        )
        # What queues up shares a save (group commit), so a slow disk is never far behind.
        self.disk_free = min(self.disk_free, world.now + 200 * MS)
        world.after(self.disk_free - world.now, self, self.saved)
        if work.installed is not None:
            self.store.replace(*work.installed[:3])
        for entry in self.raft.log.between(self.store.applied + 1, work.commit):
            self.store.apply(entry)
            world.committed(self, entry)
            pending = self.pending.pop(entry.at, None)
            if pending is not None and pending[0] == entry.term:
                world.acknowledged[entry.at] = pending[1]
        for token, at in work.reads:
            asked = self.reads.pop(token)
            if at >= 0:
                world.reads += 1
                assert at >= asked or world.rules.replication == ASYNC, f"a read answered at {at} misses what was acknowledged at {asked}"
        world.check(self)
        world.after(max(0, self.raft.due_ns - world.now), self, self.work_if_due)

    def work_if_due(self) -> None:
        """The timer."""
        if self.world.now >= self.raft.due_ns:
            self.work()

    def saved(self) -> None:
        """The oldest save on its way has reached the disk."""
        work, messages = self.saves.pop(0)
        self.disk.save(work)
        if not self.saves and not self.raft.doubtful:
            self.disk.doubtful = False
        for outgoing in messages:
            self.world.send(self, outgoing)
        if work.entries:
            self.raft.saved(work.entries[-1].at, work.entries[-1].term)
            self.work()


class World:
    """Time, the network, and what must never happen."""

    def __init__(self, seed: int, size: int = 3, loss: float = 0.1, rules: Rules | None = None, founders: int | None = None) -> None:
        self.rules = rules or Rules()
        self.rng = random.Random(seed)
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.founders = self.names if founders is None else self.names[:founders]
        """The members at the start; the others are there, and belong to nobody."""
        self.now = 0
        self.loss = loss
        self.slow_share = 0.02
        """Share of the saves that take long."""
        self.cut: set[tuple[str, str]] = set()
        self.reads = 0
        self.leaders: dict[int, str] = {}
        self.elections: list[tuple[int, str]] = []
        self.seen: dict[tuple[int, int], tuple[Entry, int | None]] = {}
        self.history: dict[int, Entry] = {}
        self.acknowledged: dict[int, str] = {}
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.members: dict[str, Member] = {}
        for name in self.names:
            self.members[name] = Member(name, self)

    def after(self, delay: int, member: Member, act: Callable[[], None]) -> None:
        """Act on this life of the member, if it still lasts then."""
        life = member.life

        def run() -> None:
            if member.alive and member.life == life:
                act()

        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, run))

    def run(self, until: int) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, run = heapq.heappop(self._events)
            run()
        self.now = until

    def send(self, sender: Member, outgoing: Outgoing) -> None:
        """Carry a message; requests that stay without an answer are reported as lost, as the real client does."""
        receiver = self.members.get(outgoing.to)
        if receiver is None:
            return
        if not isinstance(outgoing.message, REPLIES):
            self.after(RPC_TIMEOUT, sender, lambda: self._give_up(sender, outgoing))
        for _ in range(2 if self.rng.random() < 0.05 else 1):
            if self._passes(sender.name, receiver.name):
                self.after(self._delay(), receiver, lambda: self._deliver(sender, receiver, outgoing.message))

    def _deliver(self, sender: Member, receiver: Member, message: Message) -> None:
        receiver.raft.handle(self.now, sender.name, message)
        receiver.work()

    def _give_up(self, sender: Member, outgoing: Outgoing) -> None:
        # Also after an answer came: the rules must bear being told too often.
        sender.raft.lost(outgoing.to, outgoing.message)
        sender.work()

    def _passes(self, source: str, to: str) -> bool:
        return (source, to) not in self.cut and self.rng.random() >= self.loss

    def _delay(self) -> int:
        slow = self.loss > 0 and self.rng.random() < 0.02
        return self.rng.randint(0, 900 * MS) if slow else self.rng.randint(MS // 10, 10 * MS)

    def check(self, member: Member) -> None:
        """Election safety, log matching, leader completeness."""
        raft = member.raft
        if raft.state == LEADER and self.leaders.get(raft.term) != member.name:
            assert raft.term not in self.leaders, f"two leaders in term {raft.term}: {self.leaders[raft.term]}, {member.name}"
            self.leaders[raft.term] = member.name
            self.elections.append((self.now, member.name))
            for at, entry in self.history.items() if self.rules.replication != ASYNC else ():
                if at > raft.log.base_index:
                    assert raft.log.term_at(at) == entry.term, f"the leader of term {raft.term} misses committed entry {at}"
        first = max(raft.log.base_index, raft.log.last_index - 20) + 1
        end = (raft.log.term_at(first - 1), raft.log.between(first, raft.log.last_index))
        if end == member.checked:
            return  # what was found of the very same entries holds on: nothing that was seen is forgotten
        member.checked = end
        for entry in end[1]:
            known = self.seen.setdefault((entry.at, entry.term), (entry, raft.log.term_at(entry.at - 1)))
            assert known == (entry, raft.log.term_at(entry.at - 1)), f"entry {entry.at} of term {entry.term} is not one and the same"

    def committed(self, member: Member, entry: Entry) -> None:
        """State machine safety; an asynchronous primary may have committed what its successor never had."""
        if self.rules.replication == ASYNC:
            self.history[entry.at] = entry
            return
        assert self.history.setdefault(entry.at, entry) == entry, f"{member.name} applies another entry at {entry.at}"

    def leader(self) -> Member | None:
        """A living leader, the one of the highest term."""
        leading = [member for member in self.members.values() if member.alive and member.raft.state == LEADER]
        return max(leading, key=lambda member: member.raft.term, default=None)

    def propose(self, value: str, key: str = "k", op: str = "put") -> None:
        """A client's write, to any living leader."""
        leading = [member for member in self.members.values() if member.alive and member.raft.state == LEADER]
        if leading:
            member = self.rng.choice(leading)
            entry = member.raft.propose(key, value, op)
            member.pending[entry.at] = (entry.term, value)
            member.work()

    def verify(self) -> None:
        """What is acknowledged stands in the history, and every state is what the history up to it amounts to."""
        for at, value in self.acknowledged.items():
            assert self.history[at].value == value, f"the acknowledged write {at} is lost"
        for member in self.members.values():
            expected = Store()
            for at in range(1, member.store.applied + 1):
                expected.apply(self.history[at])
            assert sorted(expected.items()) == sorted(member.store.items()), f"{member.name} is not what its log amounts to"

    def read(self, token: int) -> None:
        """A client's read, to any living leader."""
        leading = [member for member in self.members.values() if member.alive and member.raft.state == LEADER]
        if leading:
            member = self.rng.choice(leading)
            member.reads[token] = max(self.acknowledged, default=0)
            member.raft.read(token, self.now)
            member.work()
