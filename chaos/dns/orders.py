"""What the name server is ordered to do wrong: which orders are in force, and what they make of a right answer.

    down       no question is answered                    servfail   SERVFAIL and nothing else
    refused    no socket is open                          nxdomain   NXDOMAIN, as if nobody had ever had the name
    slow       every answer is late by ``delay``          wrong      every address is one where nobody answers
    stale      the set stays as it is, whatever the       missing    one record is left out
               checks find                                ttl        another time to live
                                                          (the last four: of A records of the names that are served)

No sockets and no time here. The server itself opens and closes its doors and holds its set still.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dnslib import QTYPE, RCODE, RR, SOA, A, DNSRecord

from chaos.core.values import NameHarm
from chaos.dns.spec import NameSpec

DOWN: Final = "down"
REFUSED: Final = "refused"
SLOW: Final = "slow"
SERVFAIL: Final = "servfail"
NXDOMAIN: Final = "nxdomain"
STALE: Final = "stale"
WRONG: Final = "wrong"
MISSING: Final = "missing"
TTL: Final = "ttl"
MODES: Final = (DOWN, REFUSED, SLOW, SERVFAIL, NXDOMAIN, STALE, WRONG, MISSING, TTL)


class Harms:
    """The orders in force, by number."""

    def __init__(self, names: Iterable[NameSpec], nowhere: str) -> None:
        self._specs = {_plain(label): spec for spec in names for label in (spec.name, *spec.aliases)}
        self._nowhere = nowhere
        self._active: dict[int, NameHarm] = {}

    def known(self, spec: NameSpec) -> None:
        """A name whose nodes are elsewhere now."""
        self._specs |= {_plain(label): spec for label in (spec.name, *spec.aliases)}

    def put(self, number: int, harm: NameHarm) -> None:
        """In force from now on."""
        self._active[number] = harm

    def take(self, number: int) -> None:
        """No longer in force."""
        self._active.pop(number, None)

    def has(self, mode: str) -> bool:
        """Is any of that kind in force?"""
        return any(harm.mode == mode for harm in self._active.values())

    @property
    def delay_s(self) -> float:
        """How late answers are."""
        return sum(harm.delay_s for harm in self._active.values() if harm.mode == SLOW)

    def visible(self, nodes: Iterable[str]) -> list[str]:
        """The nodes of a set that its answers still hold."""
        if self.has(WRONG) or self.has(NXDOMAIN):
            return []
        left_out = {harm.record for harm in self._active.values() if harm.mode == MISSING}
        return [node for node in nodes if node not in left_out]

    def applied(self, answer: bytes) -> bytes:
        """A right answer, made wrong as ordered; answers about other names stay as they are."""
        if not self._active:
            return answer
        record = DNSRecord.parse(answer)
        spec = self._specs.get(_plain(str(record.questions[0].qname))) if len(record.questions) == 1 else None
        if spec is None:
            return answer
        for harm in self._active.values():
            self._apply(harm, record, spec)
        return bytes(record.pack())

    def _apply(self, harm: NameHarm, record: DNSRecord, spec: NameSpec) -> None:
        match harm.mode:
            case "servfail":
                record.header.rcode, record.header.aa, record.header.tc = RCODE.SERVFAIL, 0, 0
                record.rr, record.auth = [], []
            case "nxdomain":
                record.header.rcode, record.header.tc = RCODE.NXDOMAIN, 0
                record.rr, record.auth = [], [_authority(record, spec.ttl_s)]
            case "wrong":
                addresses = [RR(each.rname, QTYPE.A, ttl=each.ttl, rdata=A(self._nowhere)) for each in record.rr if each.rtype == QTYPE.A]
                record.rr = [each for each in record.rr if each.rtype != QTYPE.A] + addresses[:1]
            case "missing":
                hidden = {replica.address for replica in spec.replicas if replica.node == harm.record}
                kept = [each for each in record.rr if each.rtype != QTYPE.A or str(each.rdata) not in hidden]
                if record.rr and not kept:
                    record.auth = [_authority(record, spec.ttl_s)]
                record.rr = kept
            case "ttl":
                for each in record.rr:
                    each.ttl = harm.ttl_s


def _authority(record: DNSRecord, minimum_s: int) -> RR:
    """As in answers that say no in earnest: it bounds how long the no may be kept."""
    owner = record.questions[0].qname
    return RR(owner, QTYPE.SOA, ttl=minimum_s, rdata=SOA(owner, owner, (1, 3600, 600, 86400, minimum_s)))


def _plain(name: str) -> str:
    return name.lower().rstrip(".")
