"""One node: the consensus rules wired to sockets, a disk thread, and the clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .api import Api
from .backup import restore
from .checkpoint import Snapshot
from .disk import Disk
from .forwarding import Forwarder
from .keeper import Keeper
from .members import decode as decode_members
from .members import encode as encode_members
from .messages import PATHS, Malformed, Message, decode, encode
from .peers import Peers
from .raft import LEADER, Outgoing, Raft, Work
from .rules import NONE
from .server import HttpServer, Reply
from .settings import Settings
from .storage import Save, Storage
from .store import Store
from .wrong import REPLAY_TWICE

if TYPE_CHECKING:
    from .mirror import Mirror

MAX_VALUE = 1_000_000
MAX_PEER_BODY = 64_000_000
MAX_PENDING = 20_000


class Node:
    """Takes requests, moves the consensus, and does what that asks for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loop = asyncio.get_running_loop()
        if settings.backup and settings.restore:
            restore(Path(settings.backup), settings.data)
        self._storage = Storage(settings.data, settings.fsync, settings.rules.wrong, settings.disk_delay / 1e9)
        recovered = self._storage.recover()
        self.store = Store()
        if recovered.snapshot is not None:
            self.store.replace(*recovered.snapshot[:3])
        if settings.rules.wrong == REPLAY_TWICE:
            self.store.twice_until = recovered.log.last_index
        places = {} if settings.join else {name: f"{address}:{port}" for name, (address, port) in settings.peers.items()}
        if recovered.snapshot is not None and recovered.snapshot.members:
            places = decode_members(recovered.snapshot.members)
        self._raft = Raft(
            settings.node, [], settings.timing, random.Random(), time.monotonic_ns(),
            self._snapshot, recovered.ballot, recovered.log, settings.rules, recovered.doubtful, places,
        )  # fmt: skip
        self._disk = Disk(self._storage, self._loop)
        self._disk.start()
        self._peers = Peers(settings, self._disk.delay_ms)
        self._peers.meet(self._raft.members.now)
        self._forwarder = Forwarder(self._peers.forwards)
        self._requests: dict[int, Reply] = {}
        self._request = 0
        self._pending: dict[int, tuple[int, Callable[[int, int], None]]] = {}
        self._reads: dict[int, Callable[[int, int, int], None]] = {}
        self._when_applied: list[tuple[int, Callable[[bool], None]]] = []
        self._stopping = False
        self._flushing = False
        self._keeper = Keeper(settings, self._raft, self.store, self._disk, self._storage, self._snapshot)
        self._keeper.at = recovered.snapshot.at if recovered.snapshot else 0
        self._doubtful = recovered.doubtful
        self.mirror = self._mirror() if settings.far else None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_soon()

    async def serve(self) -> None:
        """Listen on both ports; for peers on both networks, if there are two and they may use both."""
        told = self.settings
        await self._listen(told.peer_address, told.peer, MAX_PEER_BODY)
        if told.second and told.address != told.peer_address:
            await self._listen(told.address, told.peer, MAX_PEER_BODY)
        await self._listen(told.address, told.client, MAX_VALUE)

    async def _listen(self, address: str, port: int, limit: int) -> None:
        api = Api(self)
        await self._loop.create_server(lambda: HttpServer(api.on_request, limit), address, port, backlog=1024)

    # --- requests ------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """What ``GET /status`` shows; stamps are CLOCK_MONOTONIC ns, ``clock_s`` is the wall clock, which nothing here relies on."""
        raft = self._raft
        leads = raft.state == LEADER
        return {
            "node": self.settings.node,
            "state": self._state(),
            "leader": raft.leader,
            "term": raft.term,
            "ready": True,
            "members": raft.members.now,
            "pid": os.getpid(),
            "voting": raft.has_contact(time.monotonic_ns()) if leads else raft.voting,
            "commit": raft.commit,
            "applied": self.store.applied,
            "last": raft.log.last_index,
            "keys": len(self.store),
            "checkpoint": self._keeper.at,
            "doubtful": raft.doubtful,
            "backup": self._keeper.backup.at if self._keeper.backup else None,
            "election_started_ns": raft.election_started_ns,
            "leader_elected_ns": raft.leader_elected_ns,
            "clock_s": time.time(),
            "disk_ms": self._disk.delay_ms(),
            "peers": {name: view._asdict() for name, view in self._peers.monitor.view(time.monotonic_ns()).items()},
            "centre": self.mirror.status() if self.mirror is not None else None,
        }

    def _state(self) -> str:
        """The leader of a data centre that is not primary leads nobody that clients see."""
        raft = self._raft
        if raft.rules.replication == NONE:
            return "alone"
        return "standby" if raft.state == LEADER and self.mirror and not self.mirror.leads(time.monotonic_ns()) else raft.state

    def _mirror(self) -> Mirror:
        from .mirror import Mirror

        def propose(op: str, value: str) -> None:
            self._raft.propose("", value, op)
            self._flush_soon()

        return Mirror(self.settings, self._raft, self.store, self._peers, propose)

    def write(self, key: str, value: str, op: str, done: Callable[[int, int], None]) -> None:
        """Write through the leader; ``done`` gets a status (200, 503: surely not done, 504: perhaps done) and the index of the entry."""
        if self._raft.state == LEADER:
            self._propose([(key, value, op)], done)
        elif self._raft.leader is not None:
            self._forwarder.write(key, value, op, done)
            self._flush_soon()
        else:
            done(503, 0)

    def when_readable(self, show: Callable[[bool], None]) -> None:
        """``show`` is called when the state here is new enough for a linearizable read, or with False if that cannot be."""

        def allowed(status: int, term: int, index: int) -> None:
            if status != 200:
                show(False)
                return
            self._raft.learn_commit(term, index)
            self._when_applied.append((index, show))
            self._flush_soon()

        if self._raft.state == LEADER:
            self._ask_read(allowed)
        elif self._raft.leader is not None:
            self._forwarder.read(allowed)
            self._flush_soon()
        else:
            show(False)

    def transfer(self, to: str | None) -> str | None:
        """Hand the leadership over; who gets it, None if this node leads not, or nobody can have it."""
        heir = self._raft.transfer(time.monotonic_ns(), to)
        self._flush_soon()
        return heir

    def stop(self) -> None:
        """End, after another node leads if that is how this one stops."""
        if self.settings.stopping == "crash" or self._raft.state != LEADER or self.transfer(None) is None:
            os._exit(0)
        self._stopping = True

    def _propose(self, writes: list[tuple[str, str, str]], done: Callable[[int, int], None]) -> None:
        """Append the writes; ``done`` gets the index of the first when the last is committed."""
        if len(self._pending) >= MAX_PENDING or not writes or not self._raft.takes_writes(time.monotonic_ns()) or not self._active():
            done(503, 0)
            return
        entries = [self._raft.propose(*write) for write in writes]
        first = entries[0].at
        self._pending[entries[-1].at] = (entries[-1].term, lambda status, _: done(status, first))
        self._flush_soon()

    def _active(self) -> bool:
        """With two data centres: this one is the primary, and knows that it still is."""
        return self.mirror is None or self.mirror.active(time.monotonic_ns())

    def _ask_read(self, done: Callable[[int, int, int], None]) -> None:
        if not self._active():
            done(503, 0, 0)
            return
        self._request += 1
        self._reads[self._request] = done
        self._raft.read(self._request, time.monotonic_ns())
        self._flush_soon()

    def change_members(self, add: dict[str, str], remove: str | None, done: Callable[[int, int], None]) -> None:
        """One node more or less; ``done`` gets 200 and the index when that is committed, 409 if it cannot be now."""
        places = {name: place for name, place in (self._raft.members.now | add).items() if name != remove}
        index = self._raft.change_members(places)
        if index is None:
            done(409, 0)
            return
        self._pending[index] = (self._raft.term, done)
        self._flush_soon()

    def on_peer(self, path: str, body: bytes, session: dict[str, str], reply: Reply) -> None:
        """A request of another node, or of somebody who says so."""
        if not self._peers.admits(path, body, session, reply):
            return
        if path == "/raft/forward":
            self._on_forward(body, reply)
        elif path == "/raft/centre" and self.mirror is not None:
            self.mirror.answer(body, reply)
        elif path == "/raft/alive":
            self._peers.heard(body)
            reply(200, b"{}")
        else:
            self._on_message(body, session, reply)

    def _on_forward(self, body: bytes, reply: Reply) -> None:
        asked = json.loads(body)
        if self._raft.state != LEADER:
            reply(503, b"{}")
        elif "writes" in asked:
            self._propose(asked["writes"], lambda status, first: reply(status, b'{"first":%d}' % first))
        else:
            self._ask_read(lambda status, term, index: reply(status, b'{"term":%d,"index":%d}' % (term, index)))

    def _on_message(self, body: bytes, session: dict[str, str], reply: Reply) -> None:
        try:
            sender, message = decode(body)
        except Malformed as error:
            reply(400, json.dumps({"error": str(error)}).encode())
            return
        if sender != session.get("node", sender):
            reply(401, b'{"error":"in the name of another"}')
            return
        self._request += 1
        self._requests[self._request] = reply
        self._raft.handle(time.monotonic_ns(), sender, message, self._request)
        self._flush_soon()

    # --- the consensus's work ------------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        """Let all that arrived in this turn of the loop share one round of work."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        now_ns = time.monotonic_ns()
        if now_ns >= self._raft.due_ns:
            self._raft.tick(now_ns)
        work = self._raft.take(now_ns)
        self._peers.meet(self._raft.members.now)
        self._send([outgoing for outgoing in work.messages if not outgoing.durable])
        self._save(work, [outgoing for outgoing in work.messages if outgoing.durable])
        if work.installed is not None:
            self.store.replace(*work.installed[:3])
        self._apply(work.commit)
        self._answer(work.reads)
        self._keeper.work()
        self._end_doubt()
        self._forwarder.flush(self._raft.leader if self._raft.state != LEADER else None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._raft.due_ns / 1e9, self._flush_soon)
        if self._stopping and self._raft.heir is None and not self._disk.busy:
            os._exit(0)

    def _save(self, work: Work, messages: list[Outgoing]) -> None:
        changed = work.ballot is not None or bool(work.entries) or work.installed is not None
        if not changed and not self._disk.busy:
            self._send(messages)
            return
        if not changed and not messages:
            return
        last = work.entries[-1] if work.entries else None

        def saved() -> None:
            self._send(messages)
            if last is not None:
                self._raft.saved(last.at, last.term)
                self._flush_soon()

        self._disk.save(Save(work.ballot, work.entries, work.installed) if changed else None, saved)

    def _send(self, messages: list[Outgoing]) -> None:
        for to, message, request, _ in messages:
            if request:
                reply = self._requests.pop(request, None)
                if reply is not None:
                    reply(200, encode(self.settings.node, message))
                continue
            self._peers.post(to, PATHS[type(message)], encode(self.settings.node, message), self._answered(to, message))

    def _answered(self, to: str, message: Message) -> Callable[[int, bytes], None]:
        def done(status: int, body: bytes) -> None:
            try:
                answer = decode(body)[1] if status == 200 else None
            except Malformed as error:
                print(f"{to} answered {error}", file=sys.stderr, flush=True)
                answer = None
            if answer is None:
                self._raft.lost(to, message)
            else:
                self._raft.handle(time.monotonic_ns(), to, answer)
            self._flush_soon()

        return done

    def _apply(self, commit: int) -> None:
        store = self.store
        if commit > store.applied:
            for entry in self._raft.log.between(store.applied + 1, commit):
                store.apply(entry)
                pending = self._pending.pop(entry.at, None)
                if pending is not None:
                    pending[1](200 if pending[0] == entry.term else 504, entry.at)
            if self._when_applied:
                self._show_applied()
        elif self._when_applied:
            self._show_applied()
        if self._pending and self._raft.state != LEADER:
            # They may yet be committed by the next leader, or not: nobody can tell now.
            pending_writes, self._pending = self._pending, {}
            for _, done in pending_writes.values():
                done(504, 0)

    def _show_applied(self) -> None:
        ready = [show for index, show in self._when_applied if index <= self.store.applied]
        self._when_applied = [(index, show) for index, show in self._when_applied if index > self.store.applied]
        for show in ready:
            show(True)

    def _end_doubt(self) -> None:
        if self._doubtful and not self._raft.doubtful:
            # Behind all saves so far: what ended the doubt is on disk then.
            self._doubtful = False
            self._disk.save(None, self._storage.trust)

    def _answer(self, reads: list[tuple[int, int]]) -> None:
        for token, index in reads:
            done = self._reads.pop(token)
            done(*((503, 0, 0) if index < 0 else (200, self._raft.term, index)))

    def _snapshot(self) -> Snapshot:
        return self.store.snapshot(self.settings.rules.wrong, encode_members(self._raft.members.at(self.store.applied)))


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    node = Node(settings)
    await node.serve()
    loop = asyncio.get_running_loop()
    if settings.stopping != "crash":
        loop.add_signal_handler(signal.SIGTERM, node.stop)
    if settings.supervised >= 0:
        from .supervisor import alive

        alive(settings.supervised)
    print(json.dumps({"listening": settings.address, "monotonic_ns": time.monotonic_ns()}), flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await loop.create_future()
