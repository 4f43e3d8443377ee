"""What the name server answers, as messages."""

from __future__ import annotations

import random
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSBuffer, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from chaos.core.errors import BadInput
from chaos.dns.spec import HEALTH_CHECKED, DnsSpec, NameSpec, Replica, checked
from chaos.dns.zone import LiveName, Zone
from chaos.experiment.target.spec import Ask


def replicas(count: int, zones: str = "") -> tuple[Replica, ...]:
    """n1 at 127.9.1.1 and so on, in the zones given letter by letter."""
    return tuple(
        Replica(f"n{number}", f"127.9.{number // 250}.{number}", zones[number - 1] if zones else None) for number in range(1, count + 1)
    )


def zone_of(count: int = 3, ttl_s: int = 4) -> Zone:
    return Zone(DnsSpec("127.0.0.1", 53, (NameSpec("data.nines.test", replicas(count), aliases=("data",), ttl_s=ttl_s),)))


def ask(zone: Zone, name: str, kind: str = "A", *, tcp: bool = False, edns: int = 0) -> DNSRecord:
    query = DNSRecord.question(name, kind)
    if edns:
        query.add_ar(EDNS0(udp_len=edns))
    answer = zone.answer(bytes(query.pack()), tcp=tcp)
    assert answer is not None
    parsed = DNSRecord.parse(answer)
    assert parsed.header.id == query.header.id
    return parsed


def addresses(record: DNSRecord) -> list[str]:
    return [str(each.rdata) for each in record.rr]


def test_all_replicas_with_the_first_one_rotating() -> None:
    """Each answer holds all of them, and each comes first in turn; the TTL is as set."""
    zone = zone_of()
    answers = [ask(zone, "data.nines.test") for _ in range(4)]
    assert [addresses(answer)[0] for answer in answers] == ["127.9.0.1", "127.9.0.2", "127.9.0.3", "127.9.0.1"]
    for answer in answers:
        assert sorted(addresses(answer)) == ["127.9.0.1", "127.9.0.2", "127.9.0.3"]
        assert {each.ttl for each in answer.rr} == {4}
        assert answer.header.aa == 1
        assert answer.header.rcode == RCODE.NOERROR


@pytest.mark.parametrize("name", ["data", "DATA.nines.TEST", "data.nines.test."])
def test_names_compare_without_case_and_keep_it(name: str) -> None:
    """The question comes back as it was written, under an alias too."""
    answer = ask(zone_of(), name)
    assert len(answer.rr) == 3
    assert str(answer.q.qname).rstrip(".") == name.rstrip(".")


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("data.nines.test", "AAAA", RCODE.NOERROR),
        ("data", "AAAA", RCODE.NOERROR),
        ("data.nines.test", "TXT", RCODE.NOERROR),
        ("nines.test", "A", RCODE.NOERROR),
        ("other.nines.test", "A", RCODE.NXDOMAIN),
        ("x.data.nines.test", "A", RCODE.NXDOMAIN),
    ],
)
def test_no_data_carries_how_long_that_may_be_cached(name: str, kind: str, rcode: int) -> None:
    """An empty answer and NXDOMAIN come with an SOA whose minimum is the TTL (RFC 2308)."""
    answer = ask(zone_of(ttl_s=7), name, kind)
    assert answer.header.rcode == rcode
    assert answer.rr == []
    assert [(each.rtype, each.ttl, each.rdata.times[4]) for each in answer.auth] == [(QTYPE.SOA, 7, 7)]


@pytest.mark.parametrize("name", ["example.com", "other", "nines.test.example.com", "xnines.test"])
def test_what_is_not_ours_is_refused(name: str) -> None:
    """No forwarding and no guessing: an answer from outside would be one we cannot vouch for."""
    answer = ask(zone_of(), name)
    assert answer.header.rcode == RCODE.REFUSED
    assert answer.header.aa == 0
    assert answer.rr == []


def test_an_empty_set_is_no_data_not_a_dead_address() -> None:
    """When every replica is out the name stays known and has no address."""
    zone = zone_of()
    zone.live[0].set_live([])
    answer = ask(zone, "data.nines.test")
    assert (answer.header.rcode, answer.rr, len(answer.auth)) == (RCODE.NOERROR, [], 1)


def test_the_set_takes_effect_at_once() -> None:
    """No answer kept from before a change is given after it."""
    zone = zone_of()
    for _ in range(6):
        ask(zone, "data.nines.test")
    assert zone.live[0].set_live(["n3", "n1"])
    assert not zone.live[0].set_live(["n1", "n3"])
    for _ in range(6):
        assert sorted(addresses(ask(zone, "data.nines.test"))) == ["127.9.0.1", "127.9.0.3"]


def live(zones: str, **fields: object) -> LiveName:
    spec = NameSpec("data", replicas(len(zones), zones), **fields)  # type: ignore[arg-type]
    return LiveName(spec, random.Random(5))


def test_zone_priority() -> None:
    """All live replicas of the first zone that has any; zones not listed come last; a change elsewhere changes no answer."""
    name = live("aabbc", order=("b", "a"))
    assert name.nodes == ["n3", "n4"]
    assert not name.set_live(["n1", "n3", "n4", "n5"])
    assert name.set_live(["n1", "n4", "n5"])
    assert name.nodes == ["n4"]
    name.set_live(["n1", "n5"])
    assert name.nodes == ["n1"]
    name.set_live(["n5"])
    assert name.nodes == ["n5"]
    name.set_live([])
    assert name.pick() == ()


def test_weights_share_the_answers() -> None:
    """Zones are drawn 3 to 1, within five standard deviations of 4,000 draws; each answer holds one zone."""
    name = live("aab", weights={"a": 3, "b": 1})
    picked = Counter(frozenset(name.pick()) for _ in range(4000))
    first, second = frozenset({"127.9.0.1", "127.9.0.2"}), frozenset({"127.9.0.3"})
    assert set(picked) == {first, second}
    assert abs(picked[first] - 3000) < 5 * (4000 * 0.75 * 0.25) ** 0.5


def test_weights_fall_back_to_who_is_left() -> None:
    """A zone without live replicas gives its share to the others; with none of weight left, whoever lives answers."""
    name = live("abc", weights={"a": 1, "b": 0})
    assert name.nodes == ["n1"]
    name.set_live(["n2", "n3"])
    assert name.nodes == ["n2", "n3"]


def test_the_same_seed_draws_the_same_zones() -> None:
    """Randomness is the experiment's."""
    spec = DnsSpec("127.0.0.1", 53, (NameSpec("data", replicas(4, "aabb"), weights={"a": 1, "b": 1}),), seed=9)
    first, second = Zone(spec), Zone(spec)
    assert [first.live[0].pick() for _ in range(50)] == [second.live[0].pick() for _ in range(50)]


def test_large_answers_are_cut_off_for_udp_and_whole_by_tcp() -> None:
    """40 addresses do not fit 512 bytes: TC is set; a client that offers room, or asks by TCP, gets all."""
    zone = zone_of(40)
    small = ask(zone, "data.nines.test")
    assert small.header.tc == 1
    assert len(small.pack()) <= 512
    assert len(ask(zone, "data.nines.test", tcp=True).rr) == 40
    roomy = ask(zone, "data.nines.test", edns=4096)
    assert (roomy.header.tc, len(roomy.rr)) == (0, 40)
    assert [each.rtype for each in roomy.ar] == [QTYPE.OPT]


@pytest.mark.parametrize("room", [0, 512, 1232, 4096])
@pytest.mark.parametrize("count", [1, 29, 30, 60, 73, 74, 99])
def test_every_answer_answers_its_question_whatever_fits(count: int, room: int) -> None:
    """By dnspython, which is strict: an answer without the question asked is none, and then TCP is never tried."""
    zone = zone_of(count)
    query = dns.message.make_query("data.nines.test", "A", use_edns=0 if room else False, payload=room or 512)
    largest = min(max(room, 512), 1232)
    wire = zone.answer(query.to_wire())
    assert wire is not None
    assert len(wire) <= largest
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    fits = 12 + 21 + 16 * count + (11 if room else 0) <= largest
    assert bool(answer.flags & dns.flags.TC) is not fits
    assert sum(len(each) for each in answer.answer) == (count if fits else 0)
    assert (answer.edns == 0) is bool(room)
    whole = dns.message.from_wire(zone.answer(query.to_wire(), tcp=True) or b"")
    assert query.is_response(whole)
    assert sum(len(each) for each in whole.answer) == count


def test_a_later_version_of_edns_is_refused_and_ours_is_named() -> None:
    """BADVERS, with an OPT record of version 0."""
    query = dns.message.make_query("data.nines.test", "A", use_edns=3)
    answer = dns.message.from_wire(zone_of(3).answer(query.to_wire()) or b"")
    assert (answer.rcode(), answer.edns, answer.answer) == (dns.rcode.BADVERS, 0, [])


def test_other_requests() -> None:
    """An update is not implemented, an answer is never answered, half a header is nothing."""
    zone = zone_of()
    update = DNSRecord(DNSHeader(opcode=5, qr=0), q=DNSQuestion("data.nines.test"))
    refused = zone.answer(bytes(update.pack()))
    assert refused is not None
    assert DNSRecord.parse(refused).header.rcode == RCODE.NOTIMP
    assert zone.answer(bytes(DNSRecord.question("data").reply().pack())) is None
    assert zone.answer(b"\x00" * 11) is None


def test_a_broken_question_is_a_format_error() -> None:
    """The header came through, so the client is told."""
    query = bytes(DNSRecord.question("data.nines.test").pack())
    answer = zone_of().answer(query[:-3])
    assert answer is not None
    assert answer[:2] == query[:2]
    assert DNSHeader.parse(DNSBuffer(answer)).rcode == RCODE.FORMERR


@given(st.binary(max_size=80))
def test_no_bytes_break_it(noise: bytes) -> None:
    """Whatever comes, there is an answer that begins with the id, or none."""
    answer = zone_of().answer(noise)
    assert answer is None or answer[:2] == noise[:2]


# --- the spec ----------------------------------------------------------------------------------------------------------

ASKED = Replica("n1", "127.9.0.1", "a", Ask(tcp="127.9.0.1:1"))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((NameSpec("a", (ASKED,)), NameSpec("b", (ASKED,), aliases=("A",))), "twice"),
        ((NameSpec("a", ()),), "no replicas"),
        ((NameSpec("a", (ASKED,), balancer="best"),), "best"),
        ((NameSpec("a", (ASKED,), ttl_s=-1),), "TTL"),
        ((NameSpec("a", (ASKED,), order=("a",), weights={"a": 1}),), "exclude"),
        ((NameSpec("a", (ASKED,), order=("z",)),), "zone 'z'"),
        ((NameSpec("a", (ASKED,), weights={"a": 0}),), "above 0"),
        ((NameSpec("a", (Replica("n1", "127.9.0.1"),), balancer=HEALTH_CHECKED),), "n1 has no check"),
    ],
)
def test_specs_that_contradict_themselves_are_refused(names: tuple[NameSpec, ...], says: str) -> None:
    """Before a socket is opened."""
    with pytest.raises(BadInput, match=says):
        checked(DnsSpec("127.0.0.1", 53, names))


def test_a_good_spec_is_returned() -> None:
    """The same value, so that the call can stand in an expression."""
    spec = DnsSpec("127.0.0.1", 53, (NameSpec("a", (ASKED,), balancer=HEALTH_CHECKED, order=("a",)),))
    assert checked(spec) is spec


def test_a_node_that_has_moved_is_answered_at_its_new_address() -> None:
    """Whether it is in the set does not change by that."""
    live = LiveName(NameSpec("data.nines.test", replicas(3)), random.Random(1))
    live.move(Replica("n2", "127.9.9.9"))
    assert sorted(live.pick()) == ["127.9.0.1", "127.9.0.3", "127.9.9.9"]
    live.set_live(["n1"])
    live.move(Replica("n2", "127.9.9.8"))
    assert live.pick() == ("127.9.0.1",)
