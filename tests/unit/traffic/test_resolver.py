"""How clients ask for a name: policies, the cache, and a name server that is slow, silent or wrong. On a clock of our own."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dnslib
import pytest

from chaos.core.clock import NS_PER_S
from chaos.core.errors import BadInput
from chaos.traffic.resolver import Resolver

MS = 1_000_000


class Desk:
    """A resolver, the questions it put on the wire, and answers to them."""

    def __init__(self, policy: str = "ttl", domain: str = "nines.test") -> None:
        self.wires: list[bytes] = []
        self.resolver = Resolver(self.wires.append, policy=policy, domain=domain, again_s=0.25, seed=3)
        self.told: list[tuple[str, ...]] = []

    def ask(self, now_ns: int, name: str = "data", waits_ns: int = 500 * MS) -> None:
        self.resolver.ask(name, now_ns, self.told.append, now_ns + waits_ns)

    def answer(self, now_ns: int, addresses: tuple[str, ...], ttl_s: int = 1, which: int = -1) -> None:
        """By dnslib, as our name server does it: it keeps the order given, where dnspython shuffles records as it writes them."""
        query = dnslib.DNSRecord.parse(self.wires[which])
        reply = query.reply()
        for address in addresses:
            reply.add_answer(dnslib.RR(query.q.qname, dnslib.QTYPE.A, ttl=ttl_s, rdata=dnslib.A(address)))
        self.resolver.receive(bytes(reply.pack()), now_ns)


def test_an_answer_is_used_for_its_time_to_live_counted_from_receipt() -> None:
    """Asked at 0, received at 40 ms with a TTL of 1 s: good until 1040 ms, not a moment longer."""
    desk = Desk()
    assert desk.resolver.cached("data", 0) is None
    desk.ask(0)
    desk.answer(40 * MS, ("127.1.1.1", "127.1.1.2"))
    assert desk.told == [("127.1.1.1", "127.1.1.2")]
    assert desk.resolver.cached("data", 41 * MS) == ("127.1.1.1", "127.1.1.2")
    assert desk.resolver.cached("data", 1040 * MS - 1) == ("127.1.1.1", "127.1.1.2")
    assert desk.resolver.cached("data", 1040 * MS) is None


def test_an_answer_in_use_is_renewed_ahead_so_that_nobody_waits() -> None:
    """Used within its last 10 ms it is asked for once more, and the new answer takes over with a life of its own."""
    desk = Desk()
    desk.ask(0)
    desk.answer(0, ("127.1.1.1",))
    assert desk.resolver.cached("data", 989 * MS) == ("127.1.1.1",)
    assert len(desk.wires) == 1
    assert desk.resolver.cached("data", 991 * MS) == ("127.1.1.1",)
    assert desk.resolver.cached("data", 992 * MS) == ("127.1.1.1",)
    assert len(desk.wires) == 2
    desk.answer(993 * MS, ("127.1.1.2",))
    assert desk.resolver.cached("data", 994 * MS) == ("127.1.1.2",)
    assert desk.resolver.cached("data", 1992 * MS) == ("127.1.1.2",)


def test_all_who_wait_share_one_question() -> None:
    """A hundred slots without a cached answer cost one question."""
    desk = Desk()
    for _ in range(100):
        desk.ask(0)
    assert len(desk.wires) == 1
    desk.answer(MS, ("127.1.1.1",))
    assert desk.told == [("127.1.1.1",)] * 100


def test_per_request_asks_for_every_attempt() -> None:
    """Nothing is kept, nothing is shared."""
    desk = Desk("per-request")
    for _ in range(3):
        assert desk.resolver.cached("data", 0) is None
        desk.ask(0)
    assert len(desk.wires) == 3
    assert len({wire[:2] for wire in desk.wires}) == 3
    desk.answer(MS, ("127.1.1.9",), which=1)
    assert desk.told == [("127.1.1.9",)]
    assert desk.resolver.cached("data", MS) is None


def test_once_keeps_the_first_answer_for_ever() -> None:
    """A pinned client: a day later it still goes there, without a further question."""
    desk = Desk("once")
    desk.ask(0)
    desk.answer(MS, ("127.1.1.1",))
    assert desk.resolver.cached("data", 86_400 * NS_PER_S) == ("127.1.1.1",)
    assert len(desk.wires) == 1


def test_a_time_to_live_of_zero_is_not_kept() -> None:
    """The next request asks again."""
    desk = Desk()
    desk.ask(0)
    desk.answer(MS, ("127.1.1.1",), ttl_s=0)
    assert desk.told == [("127.1.1.1",)]
    assert desk.resolver.cached("data", MS) is None


def test_an_empty_set_is_no_address_and_is_asked_again() -> None:
    """Without an SOA nothing says how long to believe it (RFC 2308)."""
    desk = Desk()
    desk.ask(0)
    desk.answer(MS, ())
    assert desk.told == [()]
    assert desk.resolver.cached("data", MS) is None


def test_an_empty_set_with_an_soa_is_kept_for_its_minimum() -> None:
    """Negative caching: two seconds, as the SOA's last number says."""
    desk = Desk()
    desk.ask(0)
    reply = dns.message.make_response(dns.message.from_wire(desk.wires[0]))
    reply.set_rcode(dns.rcode.NXDOMAIN)
    reply.authority.append(dns.rrset.from_text("nines.test.", 60, "IN", "SOA", "ns.nines.test. host.nines.test. 1 60 60 60 2"))
    desk.resolver.receive(reply.to_wire(), 0)
    assert desk.told == [()]
    assert desk.resolver.cached("data", 1900 * MS) == ()
    assert desk.resolver.cached("data", 2001 * MS) is None


def test_a_server_in_trouble_says_nothing_about_the_name() -> None:
    """SERVFAIL is an empty answer now and is not kept."""
    desk = Desk()
    desk.ask(0)
    reply = dns.message.make_response(dns.message.from_wire(desk.wires[0]))
    reply.set_rcode(dns.rcode.SERVFAIL)
    desk.resolver.receive(reply.to_wire(), MS)
    assert desk.told == [()]
    assert desk.resolver.cached("data", 2 * MS) is None


def test_silence_is_asked_again_as_long_as_somebody_waits() -> None:
    """Each 250 ms; nobody is told anything, since each gives up by itself; after the last one has, nothing is asked any more."""
    desk = Desk()
    desk.ask(0)
    assert desk.resolver.next_ns() == 250 * MS
    desk.resolver.tick(249 * MS)
    assert len(desk.wires) == 1
    desk.resolver.tick(250 * MS)
    assert desk.wires[0] == desk.wires[1]
    desk.ask(400 * MS)
    for at_ms in range(500, 2001, 50):
        desk.resolver.tick(at_ms * MS)
    assert len(desk.wires) == 4  # 0, 250, 500, 750 ms: at 900 ms the second one gives up
    assert desk.told == []
    assert desk.resolver.next_ns() is None


def test_who_has_given_up_is_not_told() -> None:
    """The answer comes to those that still wait, and is kept for all."""
    desk = Desk()
    desk.ask(0, waits_ns=100 * MS)
    desk.ask(50 * MS, waits_ns=500 * MS)
    desk.resolver.tick(250 * MS)
    desk.answer(260 * MS, ("127.1.1.1",))
    assert desk.told == [("127.1.1.1",)]
    assert desk.resolver.cached("data", 261 * MS) == ("127.1.1.1",)


def test_a_refusing_machine_ends_the_wait_at_once() -> None:
    """Nobody listens on the name server's port."""
    desk = Desk()
    desk.ask(0)
    desk.resolver.unreachable()
    assert desk.told == [()]


def test_a_silent_server_does_not_shorten_what_is_cached() -> None:
    """The cached answer carries on for its time to live, then there is none."""
    desk = Desk()
    desk.ask(0)
    desk.answer(0, ("127.1.1.1",))
    assert desk.resolver.cached("data", 995 * MS) == ("127.1.1.1",)
    desk.resolver.tick(999 * MS)
    assert desk.resolver.cached("data", 999 * MS) == ("127.1.1.1",)
    assert desk.resolver.cached("data", 1000 * MS) is None


def test_what_answers_another_question_is_passed_over() -> None:
    """A wrong number, another name, and noise are not answers."""
    desk = Desk()
    desk.ask(0)
    good = desk.wires[0]
    other = dns.message.make_response(dns.message.make_query("evil.test", "A", id=dns.message.from_wire(good).id))
    other.answer.append(dns.rrset.from_text("evil.test.", 1, "IN", "A", "127.6.6.6"))
    desk.resolver.receive(other.to_wire(), 0)
    desk.resolver.receive(bytes([good[0] ^ 1]) + good[1:], 0)
    desk.resolver.receive(b"\x00", 0)
    desk.resolver.receive(good[:2] + b"noise", 0)
    desk.resolver.receive(good, 0)
    assert desk.told == []
    desk.answer(0, ("127.1.1.1",))
    assert desk.told == [("127.1.1.1",)]


def test_an_answer_that_does_not_fit_is_asked_for_by_stream() -> None:
    """The truncated one is not believed; the whole one, by TCP, is."""
    desk = Desk()
    streamed: list[bytes] = []
    desk.resolver.ask_stream = streamed.append
    desk.ask(0)
    reply = dns.message.make_response(dns.message.from_wire(desk.wires[0]))
    reply.flags |= dns.flags.TC
    desk.resolver.receive(reply.to_wire(), 0)
    assert desk.told == []
    assert streamed == desk.wires
    desk.answer(MS, tuple(f"127.1.1.{number}" for number in range(1, 41)))
    assert len(desk.told[0]) == 40


def test_a_truncated_answer_without_its_question_is_asked_for_by_stream_too() -> None:
    """Some servers send the bare header."""
    desk = Desk()
    streamed: list[bytes] = []
    desk.resolver.ask_stream = streamed.append
    desk.ask(0)
    desk.resolver.receive(desk.wires[0][:2] + bytes([0x86, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 0)
    assert streamed == desk.wires
    assert desk.told == []


def test_room_is_offered_by_edns_and_not_to_a_server_that_does_not_know_it() -> None:
    """It says so once (FORMERR); then it is asked plainly, and so are all later questions."""
    desk = Desk()
    desk.ask(0)
    first = dns.message.from_wire(desk.wires[0])
    assert (first.edns, first.payload) == (0, 1232)
    reply = dns.message.make_response(first)
    reply.set_rcode(dns.rcode.FORMERR)
    reply.use_edns(False)
    desk.resolver.receive(reply.to_wire(), 0)
    assert desk.told == []
    assert dns.message.from_wire(desk.wires[1]).edns == -1
    desk.answer(MS, ("127.1.1.1",))
    assert desk.told == [("127.1.1.1",)]
    desk.ask(3 * NS_PER_S, "other")
    assert dns.message.from_wire(desk.wires[2]).edns == -1


def test_the_order_of_the_answer_is_kept_and_aliases_are_followed() -> None:
    """A CNAME leads to the addresses; the shortest life on the way counts."""
    desk = Desk()
    desk.ask(0)
    reply = dnslib.DNSRecord.parse(desk.wires[0]).reply()
    reply.add_answer(*dnslib.RR.fromZone("data.nines.test. 1 CNAME b.nines.test."))
    reply.add_answer(*dnslib.RR.fromZone("b.nines.test. 60 A 127.1.1.3\nb.nines.test. 60 A 127.1.1.1"))
    desk.resolver.receive(bytes(reply.pack()), 0)
    assert desk.told == [("127.1.1.3", "127.1.1.1")]
    assert desk.resolver.cached("data", 1001 * MS) is None


def test_names_get_the_domain_only_without_a_dot_and_addresses_need_no_question() -> None:
    """``data`` is asked as ``data.nines.test``, ``a.b`` as it is; 127.1.1.1 is its own answer."""
    desk = Desk()
    desk.ask(0)
    desk.ask(0, "a.b")
    assert [dns.message.from_wire(wire).question[0].name.to_text() for wire in desk.wires] == ["data.nines.test.", "a.b."]
    assert desk.resolver.cached("127.1.1.1", 0) == ("127.1.1.1",)


def test_an_unknown_policy_is_refused() -> None:
    """With what would be right."""
    with pytest.raises(BadInput, match="per-request"):
        Desk("sometimes")


def test_preparing_asks_nothing_and_changes_no_answer() -> None:
    """It only loads what the first question would load."""
    desk = Desk()
    desk.resolver.prepare(["data", "127.1.1.1"])
    assert desk.wires == []
    assert desk.resolver.cached("data", 0) is None
    desk.ask(0)
    desk.answer(0, ("127.1.1.1",))
    assert desk.told == [("127.1.1.1",)]
