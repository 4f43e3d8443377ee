"""What the name server answers: queries in, answers out, as bytes; no sockets and no time here.

    a name we serve      A: its live replicas       AAAA and other types: no data (NOERROR and SOA)
    a name we serve      A, every replica is out: no data (NOERROR and SOA) - never an address known to be dead
    below our zone       NXDOMAIN and SOA           anywhere else: REFUSED

The minimum in the SOA, which bounds how long "no data" may be cached (RFC 2308), is the TTL of the name. Weighted answers hold
one zone's replicas each, as weighted record sets of public DNS services do: clients that pick at random among the answer's
addresses then follow the weights as well as those that take the first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

from dnslib import CLASS, EDNS0, QTYPE, RCODE, RR, SOA, A, DNSError, DNSHeader, DNSQuestion, DNSRecord

from chaos.core import rng as seeds
from chaos.dns.spec import DnsSpec, NameSpec, Replica

_HEADER_BYTES: Final = 12
_SMALL_UDP_BYTES: Final = 512
_LARGE_UDP_BYTES: Final = 1232
"""What we offer and accept by EDNS: fits every path without fragments (DNS flag day 2020)."""
_TCP_BYTES: Final = 65535
_REMEMBERED: Final = 1024
_FORMAT_ERROR: Final = 1
_BAD_VERSION: Final = 1
"""The upper bits of BADVERS, to a version of EDNS that we do not know (RFC 6891, section 6.1.3)."""


class LiveName:
    """One name and the replicas it answers with now."""

    def __init__(self, spec: NameSpec, generator: random.Random) -> None:
        self.spec = spec
        self._generator = generator
        self._turn = 0
        self._groups: list[tuple[Replica, ...]] = []
        self._weights: list[float] = []
        self.set_live(replica.node for replica in spec.replicas)

    @property
    def nodes(self) -> list[str]:
        """The nodes that an answer may hold."""
        return [replica.node for group in self._groups for replica in group]

    def set_live(self, nodes: Iterable[str]) -> bool:
        """These are in the set from now on; true if the answers change by it."""
        wanted = set(nodes)
        before = self.nodes
        live = tuple(replica for replica in self.spec.replicas if replica.node in wanted)
        self._groups, self._weights = self._split(live)
        return self.nodes != before

    def _split(self, live: tuple[Replica, ...]) -> tuple[list[tuple[Replica, ...]], list[float]]:
        for zone in self.spec.order:
            first = tuple(replica for replica in live if replica.zone == zone)
            if first:
                return [first], [1.0]
        by_zone = {zone: tuple(replica for replica in live if replica.zone == zone) for zone in self.spec.weights}
        weighted = [(group, self.spec.weights[zone]) for zone, group in by_zone.items() if group and self.spec.weights[zone] > 0]
        if weighted:
            return [group for group, _ in weighted], [weight for _, weight in weighted]
        return ([live], [1.0]) if live else ([], [])

    def move(self, moved: Replica) -> None:
        """One of its nodes is at another address; whether it is in the set does not change by that."""
        before = self.nodes
        self.spec = self.spec.with_moved(moved)
        self.set_live(before)

    def pick(self) -> tuple[str, ...]:
        """The addresses of the next answer, in order; empty if every replica is out."""
        if not self._groups:
            return ()
        group = self._groups[0] if len(self._groups) == 1 else self._generator.choices(self._groups, self._weights)[0]
        start = self._turn % len(group)
        self._turn += 1
        return tuple(replica.address for replica in group[start:] + group[:start])


class _Query:
    """A query seen before (all but its id): parsed once, and its answers kept by the addresses in them."""

    __slots__ = ("answers", "live", "record")

    def __init__(self, record: DNSRecord, live: LiveName | None) -> None:
        self.record = record
        self.live = live
        self.answers: dict[tuple[str, ...], bytes] = {}


class Zone:
    """Answers for all names of a server."""

    def __init__(self, spec: DnsSpec) -> None:
        self.zone = _plain(spec.zone)
        self.live = [LiveName(name, seeds.stream(spec.seed, "dns", name.name)) for name in spec.names]
        self._by_name = {_plain(label): live for live in self.live for label in (live.spec.name, *live.spec.aliases)}
        self._ttl_s = min((name.ttl_s for name in spec.names), default=1)
        self._seen: dict[tuple[bytes, bool], _Query] = {}

    def answer(self, query: bytes, *, tcp: bool = False) -> bytes | None:
        """The answer to one message; None to what must not be answered (too short, or itself an answer)."""
        if len(query) < _HEADER_BYTES or query[2] & 0x80:
            return None
        key = (query[2:], tcp)
        known = self._seen.get(key)
        if known is None:
            known = self._parse(query)
            if known is None:
                return query[:2] + bytes([0x80 | (query[2] & 0x79), _FORMAT_ERROR]) + bytes(8)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = known
        addresses = known.live.pick() if known.live is not None else ()
        packed = known.answers.get(addresses)
        if packed is None:
            packed = self._pack(known, addresses, tcp=tcp)
            if len(known.answers) >= _REMEMBERED:
                known.answers.clear()
            known.answers[addresses] = packed
        return query[:2] + packed

    def _parse(self, query: bytes) -> _Query | None:
        try:
            record = DNSRecord.parse(query)
        except (DNSError, ValueError, IndexError):
            return None
        if len(record.questions) != 1:
            return None
        question = record.questions[0]
        asks_address = record.header.opcode == 0 and question.qclass == CLASS.IN and question.qtype in {QTYPE.A, QTYPE.ANY}
        return _Query(record, self._by_name.get(_plain(str(question.qname))) if asks_address else None)

    def _pack(self, query: _Query, addresses: tuple[str, ...], *, tcp: bool) -> bytes:
        """Everything after the id."""
        reply = self._reply(query, addresses)
        offered = [int(extra.rclass) for extra in query.record.ar if extra.rtype == QTYPE.OPT]
        largest = _TCP_BYTES if tcp else max(_SMALL_UDP_BYTES, min(_LARGE_UDP_BYTES, offered[0] if offered else 0))
        if offered:
            later = any(extra.ttl >> 16 & 0xFF for extra in query.record.ar if extra.rtype == QTYPE.OPT)
            if later:
                reply.rr, reply.auth = [], []
            reply.add_ar(EDNS0(udp_len=_LARGE_UDP_BYTES, ext_rcode=_BAD_VERSION if later else 0))
        packed = bytes(reply.pack())
        if len(packed) > largest:
            reply.header.tc = 1
            reply.rr, reply.auth = [], []  # the question stays: without it no client knows what to ask by TCP (RFC 2181, section 9)
            packed = bytes(reply.pack())
        return packed[2:]

    def _reply(self, query: _Query, addresses: tuple[str, ...]) -> DNSRecord:
        question: DNSQuestion = query.record.questions[0]
        asked = query.record.header
        header = DNSHeader(id=asked.id, bitmap=0, qr=1, aa=1, ra=0, rd=asked.rd, opcode=asked.opcode)
        reply = DNSRecord(header, q=question)
        name = _plain(str(question.qname))
        if asked.opcode != 0:
            header.aa, header.rcode = 0, RCODE.NOTIMP
        elif question.qclass != CLASS.IN or not (name in self._by_name or self._is_ours(name)):
            header.aa, header.rcode = 0, RCODE.REFUSED
        elif name in self._by_name and addresses:
            ttl_s = self._by_name[name].spec.ttl_s
            for address in addresses:
                reply.add_answer(RR(question.qname, QTYPE.A, ttl=ttl_s, rdata=A(address)))
        elif name == self.zone and question.qtype in {QTYPE.SOA, QTYPE.ANY}:
            reply.add_answer(self._authority(self.zone, self._ttl_s))
        elif name in self._by_name:
            owner = self.zone if self._is_ours(name) else name
            reply.add_auth(self._authority(owner, self._by_name[name].spec.ttl_s))
        else:
            if name != self.zone:
                header.rcode = RCODE.NXDOMAIN
            reply.add_auth(self._authority(self.zone, self._ttl_s))
        return reply

    def _is_ours(self, name: str) -> bool:
        return name == self.zone or name.endswith(f".{self.zone}")

    def _authority(self, owner: str, minimum_s: int) -> RR:
        """The serial stays 1: nobody copies this zone."""
        times = (1, 3600, 600, 86400, minimum_s)
        return RR(owner, QTYPE.SOA, ttl=minimum_s, rdata=SOA(f"ns.{self.zone}", f"hostmaster.{self.zone}", times))


def _plain(name: str) -> str:
    """DNS names compare without case (RFC 4343) and without the root's dot."""
    return name.lower().rstrip(".")
