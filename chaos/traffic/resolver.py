"""How clients ask the name server: by dnspython, with a real TTL cache and the resolve policies of an experiment.

    ttl          an answer is used for the time-to-live the server sent, counted from its receipt; renewed shortly before it
                 runs out if it is in use, so that no request waits for a name while the server answers
    per-request  every attempt asks anew
    once         the first answer that has an address is used for ever

A question under way is shared by all who wait (not with ``per-request``), and is asked again each ``again_s`` as long as anybody
does; each of them waits no longer than its own attempt may take. A name without an address (no such name, an empty set, a server
that refuses) is an empty answer, told at once. It is kept, and renewed like any other, only for the time an SOA record in the
answer grants (RFC 2308), else not at all.
"""

from __future__ import annotations

import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from chaos.core.clock import NS_PER_S, to_ns
from chaos.core.errors import BadInput
from chaos.traffic.lookup import EDNS_BYTES

if TYPE_CHECKING:
    import dns.message

BY_TTL = "ttl"
PER_REQUEST = "per-request"
ONCE = "once"

AHEAD_NS = 10_000_000
"""A cached answer in use is renewed so long before it runs out, or a fiftieth of its life if that is less."""
_KEPT_WIRES = 256
_ID = struct.Struct("!H")
_FLAGS = 3
_NO_EDNS = (1, 4)
"""FORMERR and NOTIMP in the second byte of flags: an old server that does not know EDNS (RFC 6891, section 7)."""
_FOREVER_NS = 1 << 62

Told = Callable[[tuple[str, ...]], None]
"""Takes the addresses; empty if there is none."""


class Question:
    """One question under way."""

    __slots__ = ("again_ns", "name", "number", "waiting")

    def __init__(self, name: str, number: int, again_ns: int) -> None:
        self.name = name
        self.number = number
        self.again_ns = again_ns
        self.waiting: list[tuple[int, Told]] = []
        """Until when each of them waits, and how to tell it."""


class Entry:
    """One cached answer."""

    __slots__ = ("addresses", "expires_ns", "renew_ns")

    def __init__(self, addresses: tuple[str, ...], now_ns: int, ttl_ns: int) -> None:
        self.addresses = addresses
        self.expires_ns = now_ns + ttl_ns
        self.renew_ns = self.expires_ns - min(AHEAD_NS, ttl_ns // 50)


class Resolver:
    """Policy, cache and questions; ``send`` puts bytes on the wire, ``receive`` takes what came. Keeps no time of its own."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        *,
        policy: str = BY_TTL,
        domain: str = "",
        again_s: float = 1.0,
        seed: int = 0,
    ) -> None:
        if policy not in (BY_TTL, PER_REQUEST, ONCE):
            raise BadInput(f"resolve: unknown policy '{policy}'", right="one of: ttl, per-request, once")
        self._send = send
        self._policy = policy
        self._domain = domain.strip(".")
        self._again_ns = to_ns(again_s)
        self._random = random.Random(seed)  # noqa: S311 - message numbers that repeat with the seed, nothing secret
        self._cache: dict[str, Entry] = {}
        self._under_way: dict[int, Question] = {}
        self._by_name: dict[str, Question] = {}
        self._watched: deque[Question] = deque()
        self._wires: dict[str, bytes] = {}
        self._parsed: dict[bytes, tuple[tuple[str, ...], int, bool]] = {}
        self._edns = True
        """The server has not said that it does not understand it."""
        self.asked = 0
        """Questions put on the wire so far."""
        self.ask_stream: Callable[[bytes], None] | None = None
        """Asks again over TCP, for answers that did not fit; its answer comes to ``receive``."""

    def cached(self, name: str, now_ns: int) -> tuple[str, ...] | None:
        """The addresses to use now without asking, or None: then ``ask``. An IPv4 address is its own answer."""
        entry = self._cache.get(name)
        if entry is None:
            return self._literal(name)
        if now_ns < entry.renew_ns:
            return entry.addresses
        if now_ns < entry.expires_ns:
            if name not in self._by_name:
                self._question(name, now_ns)
            return entry.addresses
        del self._cache[name]
        return None

    def forget(self, name: str) -> None:
        """What the name stood for: the next use asks anew. A question under way goes on."""
        entry = self._cache.get(name)
        if entry is not None and entry.addresses != (name,):
            del self._cache[name]

    def ask(self, name: str, now_ns: int, told: Told, until_ns: int) -> None:
        """Ask, and tell the answer; never tells before it returns. Whoever asks gives up by itself at ``until_ns``."""
        question = None if self._policy == PER_REQUEST else self._by_name.get(name)
        if question is None:
            question = self._question(name, now_ns)
        question.waiting.append((until_ns, told))

    def prepare(self, names: Collection[str]) -> None:
        """Do now what the first question and answer would do at a slot's cost: load dnspython and its record types, make the questions."""
        import dns.message
        import dns.rrset

        for name in names:
            if self._literal(name) is None:
                self._wire(Question(name, 0, 0))
        reply = dns.message.make_response(dns.message.make_query("a.test", "A"))
        reply.answer.append(dns.rrset.from_text("a.test.", 1, "IN", "A", "127.0.0.1"))
        reply.authority.append(dns.rrset.from_text("test.", 1, "IN", "SOA", "a.test. b.test. 1 1 1 1 1"))
        self._parse(reply.to_wire(), "a.test")

    def receive(self, wire: bytes, now_ns: int) -> None:
        """Bytes from the server; what answers no question of ours is passed over."""
        if len(wire) < _ID.size:
            return
        question = self._under_way.get(_ID.unpack_from(wire)[0])
        if question is None:
            return
        if self._edns and len(wire) > _FLAGS and wire[_FLAGS] & 0x0F in _NO_EDNS:
            self._edns = False
            self._wires.clear()
            self._put(question)
            return
        found = self._parsed.get(wire[2:])
        if found is None:
            parsed = self._parse(wire, question.name)
            if parsed is None:
                return
            if len(self._parsed) >= _KEPT_WIRES:
                self._parsed.clear()
            found = self._parsed[wire[2:]] = parsed
        addresses, ttl_ns, truncated = found
        if truncated and self.ask_stream is not None:
            self.ask_stream(self._wire(question))
            return
        self._keep(question.name, addresses, ttl_ns, now_ns)
        self._tell(question, addresses)

    def unreachable(self) -> None:
        """The server's machine says that nobody listens: all who wait are told that there is no answer."""
        for question in list(self._under_way.values()):
            self._tell(question, ())

    def tick(self, now_ns: int) -> None:
        """Ask again what was not answered, let go what nobody waits for any more. Cheap: call it at every wake-up."""
        watched = self._watched
        while watched and watched[0].again_ns <= now_ns:
            question = watched.popleft()
            if self._under_way.get(question.number) is not question:
                continue
            question.waiting = [waiting for waiting in question.waiting if waiting[0] > now_ns]
            if not question.waiting:
                self._let_go(question)
                continue
            question.again_ns = now_ns + self._again_ns
            watched.append(question)
            self._put(question)

    def next_ns(self) -> int | None:
        """When ``tick`` next has something to do; None while no question is under way."""
        watched = self._watched
        while watched and self._under_way.get(watched[0].number) is not watched[0]:
            watched.popleft()
        return watched[0].again_ns if watched else None

    def _literal(self, name: str) -> tuple[str, ...] | None:
        try:
            socket.inet_pton(socket.AF_INET, name)
        except OSError:
            return None
        entry = Entry((name,), 0, _FOREVER_NS)
        self._cache[name] = entry
        return entry.addresses

    def _question(self, name: str, now_ns: int) -> Question:
        number = self._random.getrandbits(16)
        while number in self._under_way:
            number = self._random.getrandbits(16)
        question = Question(name, number, now_ns + self._again_ns)
        self._under_way[number] = question
        if self._policy != PER_REQUEST:
            self._by_name[name] = question
        self._watched.append(question)
        self._put(question)
        return question

    def _put(self, question: Question) -> None:
        self.asked += 1
        self._send(self._wire(question))

    def _wire(self, question: Question) -> bytes:
        tail = self._wires.get(question.name)
        if tail is None:
            import dns.message

            edns = {"use_edns": 0, "payload": EDNS_BYTES} if self._edns else {"use_edns": False}
            tail = self._wires[question.name] = dns.message.make_query(self._full(question.name), "A", **edns).to_wire()[2:]
        return _ID.pack(question.number) + tail

    def _full(self, name: str) -> str:
        return name if "." in name or not self._domain else f"{name}.{self._domain}"

    def _parse(self, wire: bytes, name: str) -> tuple[tuple[str, ...], int, bool] | None:
        """(addresses in the order of the answer, how long to keep it in ns, truncated); None: not an answer to this question."""
        import dns.exception
        import dns.flags
        import dns.message
        import dns.name

        try:
            message = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
            if not isinstance(message, dns.message.QueryMessage) or not message.flags & dns.flags.QR:
                return None
            if message.flags & dns.flags.TC and not message.question:
                return (), 0, True  # some servers leave the question out of what does not fit
            if len(message.question) != 1:
                return None
            if message.question[0].name != dns.name.from_text(self._full(name)):
                return None
            if message.flags & dns.flags.TC:
                return (), 0, True
            chain = message.resolve_chaining()
        except dns.exception.DNSException:
            return None  # not a message, or no answer: the question stays open until it is answered or given up
        if chain.answer is None:
            return (), chain.minimum_ttl * NS_PER_S if _has_soa(message) else 0, False
        return tuple(record.to_text() for record in chain.answer), chain.minimum_ttl * NS_PER_S, False

    def _keep(self, name: str, addresses: tuple[str, ...], ttl_ns: int, now_ns: int) -> None:
        if self._policy == PER_REQUEST:
            return
        if self._policy == ONCE:
            ttl_ns = _FOREVER_NS - now_ns if addresses else 0
        if ttl_ns > 0:
            self._cache[name] = Entry(addresses, now_ns, ttl_ns)

    def _let_go(self, question: Question) -> None:
        del self._under_way[question.number]
        if self._by_name.get(question.name) is question:
            del self._by_name[question.name]

    def _tell(self, question: Question, addresses: tuple[str, ...]) -> None:
        self._let_go(question)
        for _, told in question.waiting:
            told(addresses)


def _has_soa(message: dns.message.QueryMessage) -> bool:
    import dns.rcode
    import dns.rdatatype

    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return False  # a server in trouble says nothing about the name
    return any(records.rdtype == dns.rdatatype.SOA for records in message.authority)
