"""Packet rules as values: what belongs into which namespace, in which order, and whether a table that was read back is just that."""

from __future__ import annotations

import pytest

from chaos.core.values import CLIENTS, Cut, Link
from chaos.net import nft, packets
from chaos.net.addresses import UNNAMED, Addresses
from chaos.net.nft import LEAVING
from chaos.net.packets import DROP, INPUT, OUTPUT, REJECT, Namespace, PacketCut, PacketLoss, Redirect

ADDRESSES = {"n1": "198.18.5.11", "n2": "198.18.5.12", "n3": "198.18.5.13", CLIENTS: "198.18.5.3"}
GATEWAY = "198.18.5.1"
THERE, BACK = Link("n1", "n2"), Link("n2", "n1")
ON_ONE = Addresses({UNNAMED: ADDRESSES})
TO, FROM = PacketCut(OUTPUT, ADDRESSES["n2"], DROP), PacketCut(INPUT, ADDRESSES["n2"], DROP)
ASIDE = (Redirect(ADDRESSES["n2"], 7000, 21001), Redirect(ADDRESSES["n2"], 7001, 21002))


def rules(wanted: Namespace, chain: str) -> tuple[str, ...]:
    return nft.chains(wanted)[chain].rules


# --- who gets what -----------------------------------------------------------------------------------------------------


def test_a_link_is_cut_at_both_ends_one_way() -> None:
    """Packets to the destination at the source, packets from the source at the destination; nothing the other way, nothing elsewhere."""
    assert packets.packet_cuts([(1, [Cut(THERE)])], ON_ONE) == {
        "n1": frozenset({PacketCut(OUTPUT, "198.18.5.12", DROP)}),
        "n2": frozenset({PacketCut(INPUT, "198.18.5.11", DROP)}),
    }


def test_clients_are_an_end_like_any_other() -> None:
    """A cut of clients concerns their namespace and the node's."""
    assert packets.ends_of([Cut(Link(CLIENTS, "n1"))]) == [CLIENTS, "n1"]
    assert packets.packet_cuts([(1, [Cut(Link(CLIENTS, "n1"))])], ON_ONE)["n1"] == {PacketCut(INPUT, "198.18.5.3", DROP)}


def test_only_the_source_can_be_told() -> None:
    """A reject is one where packets leave; where they would arrive nobody is left to tell."""
    found = packets.packet_cuts([(1, [Cut(THERE, "reject")])], ON_ONE)
    assert {cut.verdict for cut in found["n1"]} == {REJECT}
    assert {cut.verdict for cut in found["n2"]} == {DROP}


def test_one_port_is_cut_with_its_answers() -> None:
    """Both ends know packets to the port and those from there, over TCP and UDP; connections to other ports pass."""
    found = packets.packet_cuts([(1, [Cut(THERE, port="web")])], ON_ONE, {"n2": {"web": 80, "talk": 81}})
    here, there = ADDRESSES["n1"], ADDRESSES["n2"]
    assert found["n1"] == {PacketCut(OUTPUT, there, DROP, 0, 80), PacketCut(INPUT, there, DROP, 0, 80, answers=True)}
    assert found["n2"] == {PacketCut(INPUT, here, DROP, 0, 80), PacketCut(OUTPUT, here, DROP, 0, 80, answers=True)}
    at_n1 = Namespace(GATEWAY, found["n1"])
    assert rules(at_n1, LEAVING)[-2:] == tuple(f"ip daddr {there} {kind} dport 80 ip version set 0 accept" for kind in ("tcp", "udp"))
    assert rules(at_n1, INPUT)[-2:] == tuple(f"ip saddr {there} {kind} sport 80 drop" for kind in ("tcp", "udp"))
    told = packets.packet_cuts([(1, [Cut(THERE, "reject", port="web")])], ON_ONE, {"n2": {"web": 80}})["n1"]
    assert f"ip daddr {there} tcp dport 80 reject with tcp reset" in rules(Namespace(GATEWAY, told), OUTPUT)
    aside = rules(Namespace(GATEWAY, found["n1"], ASIDE), INPUT)
    assert (
        f"iif lo ct direction original ct status dnat ct original ip daddr {there} meta l4proto tcp ct original proto-dst 80 drop" in aside
    )


def test_a_cut_of_all_ports_covers_that_of_one() -> None:
    """And not the other way round; two ports stand beside each other."""
    ports = {"n2": {"web": 80, "talk": 81}}
    both = packets.packet_cuts([(1, [Cut(THERE, port="web"), Cut(THERE, port="talk")])], ON_ONE, ports)
    assert {cut.port for cut in both["n2"]} == {80, 81}
    wide = packets.packet_cuts([(1, [Cut(THERE, port="web"), Cut(THERE)])], ON_ONE, ports)
    assert PacketCut(OUTPUT, ADDRESSES["n2"], DROP) in wide["n1"]
    assert PacketCut(OUTPUT, ADDRESSES["n2"], DROP, 0, 80) not in wide["n1"]


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        ([Cut(THERE), Cut(THERE)], {(DROP, 0)}),
        ([Cut(THERE), Cut(THERE, "reject")], {(REJECT, 0)}),
        ([Cut(THERE), Cut(THERE, "drop", "keep")], {(DROP, 0)}),
        ([Cut(THERE, "drop", "keep"), Cut(THERE, "drop", "keep")], {(DROP, 1)}),
        ([Cut(THERE), Cut(THERE, "reject", "keep")], {(DROP, 0), (REJECT, 2)}),
        ([Cut(THERE, "reject", "keep"), Cut(THERE, "drop", "keep")], {(REJECT, 1)}),
        ([Cut(THERE, "drop", "keep"), Cut(THERE, "reject", "keep")], {(DROP, 1), (REJECT, 2)}),
    ],
)
def test_union_of_layers(layers: list[Cut], left: set[tuple[str, int]]) -> None:
    """Of the rules of one pair only those stay that no other one covers: reject over drop, all over new connections, early over late."""
    found = packets.packet_cuts([(number, [cut]) for number, cut in enumerate(layers, start=1)], ON_ONE)
    assert {(cut.verdict, cut.since) for cut in found["n1"]} == left


# --- rules in order ----------------------------------------------------------------------------------------------------


def test_nothing_wanted_is_nothing_there() -> None:
    """A namespace without cuts and proxies has no chain at all, so its packets cost nothing."""
    assert nft.chains(Namespace(GATEWAY)) == {}


def test_exemptions_come_first() -> None:
    """Loopback and the gateway, where the harness stands, pass whatever is cut."""
    wanted = Namespace(GATEWAY, frozenset({TO, FROM}))
    assert rules(wanted, INPUT) == ("iif lo accept", "ip saddr 198.18.5.1 accept", "ip saddr 198.18.5.12 drop")
    assert rules(wanted, LEAVING) == ("oif lo accept", "ip daddr 198.18.5.1 accept", "ip daddr 198.18.5.12 ip version set 0 accept")


def test_nothing_is_dropped_where_its_sender_would_be_told() -> None:
    """A rule that drops in the output hook answers the program's call with EPERM; silence is made behind its back."""
    losses = frozenset({PacketLoss(OUTPUT, ADDRESSES["n3"], 100_000, 1)})
    wanted = Namespace(GATEWAY, frozenset({TO, FROM, PacketCut(OUTPUT, "fd00::13", DROP)}), ASIDE, losses=losses)
    assert not [rule for rule in rules(wanted, OUTPUT) if rule.endswith("drop")]
    assert rules(wanted, LEAVING)[-1] == "ip daddr 198.18.5.13 numgen random mod 1000000 < 100000 ip version set 0 accept"
    assert "ip6 daddr fd00::13 ip6 version set 0 accept" in rules(wanted, LEAVING)


def test_a_loss_of_everything_throws_no_dice() -> None:
    """The kernel refuses a share of a million in a million."""
    assert nft.loss_rules(PacketLoss(INPUT, ADDRESSES["n3"], 1_000_000, 1)) == ("ip saddr 198.18.5.13 drop",)
    assert nft.loss_rules(PacketLoss(INPUT, ADDRESSES["n3"], 1_000_000, 1, 7000)) == (
        "ip saddr 198.18.5.13 tcp dport 7000 drop", "ip saddr 198.18.5.13 udp dport 7000 drop",
    )  # fmt: skip


def test_what_is_turned_aside_is_dropped_where_loopback_brings_it() -> None:
    """A proxied link that is cut where it begins: its packets never leave, so they are dropped on their way to the proxy."""
    assert rules(Namespace(GATEWAY, frozenset({TO}), ASIDE), INPUT)[:2] == (
        "iif lo ct direction original ct status dnat ct original ip daddr 198.18.5.12 drop",
        "iif lo accept",
    )


def test_neighbours_are_still_found_over_ipv6() -> None:
    """Their questions carry the peer's address, and a host that is not found is told to the sender. IPv4 asks by ARP, which is no IP."""
    found = ("icmpv6 type nd-neighbor-solicit accept", "icmpv6 type nd-neighbor-advert accept")
    wanted = Namespace(GATEWAY, frozenset({PacketCut(INPUT, "fd00::12", DROP), PacketCut(OUTPUT, "fd00::12", REJECT)}))
    assert rules(wanted, INPUT)[2:] == (*found, "ip6 saddr fd00::12 drop")
    assert rules(wanted, OUTPUT)[2:] == (
        *found,
        "ip6 daddr fd00::12 meta l4proto tcp reject with tcp reset",
        "ip6 daddr fd00::12 reject with icmpv6 port-unreachable",
    )


def test_reject_tells_tcp_by_a_reset_and_the_rest_by_icmp() -> None:
    """By rules of the hook in which the sender is told."""
    wanted = Namespace(GATEWAY, frozenset({TO, PacketCut(OUTPUT, ADDRESSES["n3"], REJECT)}))
    assert rules(wanted, OUTPUT)[2:] == (
        "ip daddr 198.18.5.13 meta l4proto tcp reject with tcp reset",
        "ip daddr 198.18.5.13 reject with icmp port-unreachable",
    )
    assert rules(wanted, LEAVING)[2:] == ("ip daddr 198.18.5.12 ip version set 0 accept",)


def test_new_connections_are_marked_with_the_newest_layer() -> None:
    """Before anything else looks at a packet, loopback included; each layer cuts its own mark and later ones."""
    wanted = Namespace(
        GATEWAY, frozenset({PacketCut(OUTPUT, "198.18.5.12", DROP, 3), PacketCut(INPUT, "198.18.5.13", DROP, 10)}), tracked=True
    )
    assert rules(wanted, OUTPUT)[0] == "ct state new ct mark set 0x0000000a"
    assert rules(wanted, INPUT)[0] == "ct state new ct mark set 0x0000000a"
    assert rules(wanted, LEAVING)[-1] == "ip daddr 198.18.5.12 ct mark >= 0x00000003 ip version set 0 accept"
    assert rules(wanted, INPUT)[-1] == "ip saddr 198.18.5.13 ct mark >= 0x0000000a drop"


def test_a_proxy_lets_through_no_answer_that_is_cut() -> None:
    """A proxied answer comes over loopback: it is recognised before loopback is exempt. A dial that would hang is told."""
    wanted = Namespace(GATEWAY, frozenset({FROM}), ASIDE)
    assert rules(wanted, INPUT)[:2] == (
        "iif lo ct direction reply ct status dnat ct original ip daddr 198.18.5.12 drop",
        "iif lo accept",
    )
    assert rules(wanted, OUTPUT)[-1] == "meta skuid 60001 ip daddr 198.18.5.12 tcp flags syn reject with tcp reset"


def test_our_own_reset_passes_the_proxied_answers_rule() -> None:
    """A reject both ways: the reset that tells the system comes over loopback too, and must not be taken for an answer."""
    wanted = Namespace(GATEWAY, frozenset({FROM, PacketCut(OUTPUT, "198.18.5.12", REJECT)}), ASIDE)
    assert rules(wanted, INPUT)[0] == "iif lo ip saddr 198.18.5.12 tcp flags rst accept"


def test_a_proxy_goes_on_where_only_new_connections_are_cut() -> None:
    """Its dials belong to connections that were let through."""
    wanted = Namespace(GATEWAY, frozenset({PacketCut(OUTPUT, "198.18.5.12", DROP, 1)}), ASIDE, tracked=True)
    assert not any("skuid" in rule for rule in rules(wanted, OUTPUT))


def test_connections_are_turned_aside_but_the_proxys_own() -> None:
    """Each port to its proxy; only what is turned aside is tracked, unless ages are wanted of all."""
    assert rules(Namespace(GATEWAY, redirects=ASIDE), "nat") == (
        "meta skuid 60001 accept",
        "ip daddr 198.18.5.12 tcp dport 7000 redirect to :21001",
        "ip daddr 198.18.5.12 tcp dport 7001 redirect to :21002",
    )
    assert rules(Namespace(GATEWAY, redirects=ASIDE), "aside_out")[-1] == "notrack"
    assert set(nft.chains(Namespace(GATEWAY, redirects=ASIDE, tracked=True))) == {"nat", "track"}


def test_where_we_came_late_nothing_goes_past_and_nobody_else_orders() -> None:
    """What is not turned aside is reset; the control port is ours; what others track stays tracked, and idle streams count as old."""
    late = Namespace(GATEWAY, frozenset({PacketCut(OUTPUT, "198.18.5.12", DROP, 1)}), ASIDE, tracked=True, control=8474)
    assert set(nft.chains(late)) == {INPUT, OUTPUT, LEAVING, "nat", "past", "control", "track"}
    assert rules(late, "past")[1] == "meta skuid != 60001 ip daddr 198.18.5.12 tcp dport 7001 reject with tcp reset"
    assert rules(late, "control") == ("iif != lo ip saddr != 198.18.5.1 tcp dport 8474 drop",)
    assert set(nft.chains(Namespace(GATEWAY, redirects=ASIDE, control=8474))) == {"nat", "past", "control"}
    assert nft.chains(Namespace(GATEWAY, control=8474)) == {}
    assert rules(late, OUTPUT)[:2] == (
        "tcp flags syn ct state new ct mark set 0x00000001",
        "meta l4proto != tcp ct state new ct mark set 0x00000001",
    )


# --- to nft and back ---------------------------------------------------------------------------------------------------

LISTED = """\
table inet nines {
\tchain input {
\t\ttype filter hook input priority mangle; policy accept;
\t\tiif "lo" accept
\t\tip saddr 198.18.5.1 accept
\t\tip saddr 198.18.5.12 drop
\t}

\tchain output {
\t\ttype filter hook output priority mangle; policy accept;
\t\toif "lo" accept
\t\tip daddr 198.18.5.1 accept
\t\tip daddr 198.18.5.12 meta l4proto 6 reject with tcp reset
\t\tip daddr 198.18.5.12 reject with icmp type port-unreachable
\t}

\tchain leaving {
\t\ttype filter hook postrouting priority mangle; policy accept;
\t\toif "lo" accept
\t\tip daddr 198.18.5.1 accept
\t}
}
"""
WANTED = Namespace(GATEWAY, frozenset({FROM, PacketCut(OUTPUT, "198.18.5.12", REJECT)}))


def test_read_back_as_listed() -> None:
    """What nft prints is the wanted table, whichever way this version spells a protocol or an ICMP code."""
    assert nft.difference(WANTED, LISTED) == ""
    assert nft.difference(Namespace(GATEWAY), "table inet nines {\n}\n") == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\t\tip saddr 198.18.5.12 drop\n", ""), "chain input: no 'ip saddr 198.18.5.12 drop'"),
        (("198.18.5.12 drop", "198.18.5.13 drop"), "'ip saddr 198.18.5.13 drop' that nobody ordered"),
        (
            ('\t\toif "lo" accept\n\t\tip daddr 198.18.5.1 accept\n\t}', '\t\tip daddr 198.18.5.1 accept\n\t\toif "lo" accept\n\t}'),
            "another order",
        ),
        (("chain output", "chain elsewhere"), "a chain elsewhere that nobody ordered"),
        (
            ("table inet nines {\n", "table inet nines {\n\tchain nat {\n\t\ttype nat hook output priority dstnat;\n\t}\n"),
            "a chain nat that nobody",
        ),
    ],
)
def test_every_difference_is_seen(change: tuple[str, str], said: str) -> None:
    """A rule less, a rule more, another order, another chain."""
    assert change[0] in LISTED
    assert said in nft.difference(WANTED, LISTED.replace(*change))


def test_a_missing_chain_is_seen() -> None:
    """An empty table is not what was wanted."""
    assert nft.difference(WANTED, "table inet nines {\n}\n") == "there is no chain input"


def test_commands_start_from_anything() -> None:
    """Each chain is made if need be and emptied first; where nothing is wanted it is removed. The standing part is left alone."""
    cutting = nft.commands(Namespace(GATEWAY, frozenset({TO}), ASIDE))
    assert cutting[0] == "add chain inet nines input { type filter hook input priority -150; policy accept; }"
    assert cutting[1] == "flush chain inet nines input"
    assert cutting[-1] == "add rule inet nines leaving ip daddr 198.18.5.12 ip version set 0 accept"
    assert not any(" nat " in command or "aside" in command for command in cutting)
    assert nft.commands(Namespace(GATEWAY, redirects=ASIDE))[-1] == "delete chain inet nines leaving"
    assert any("redirect to :21002" in command for command in nft.standing_commands(Namespace(GATEWAY, redirects=ASIDE)))
