"""Packet rules of one network namespace: what is wanted, as ``nft`` commands, and whether the table as read back is just that.

    hook         priority   chain     what it does
    output       -300       aside     (with proxies) only connections that are turned aside are tracked, everything else costs nothing
    output       -150       output    reject packets to a peer
    output       -100       nat       turn the system's connections to a peer aside into a proxy of ours; the proxy's own go on
    output       -90        past      (come late) reset what was not turned aside, since it was open before
    postrouting  -150       leaving   spoil packets to a peer, so that whoever receives them throws them away
    input        -170       control   (come late) nobody but us gives orders to the proxies
    input        -150       input     drop packets from a peer

Rejects come before the turning aside, so they see where a packet really wants to go and cut the node and its proxies alike; what is
proxied passes over loopback and is recognised there by its connection. Rules name addresses, never interfaces, of which an engine
makes new ones; where nodes stand on several networks, or have IPv6 addresses too, there is a rule for each of the link's addresses.
Loopback and the gateway, where the harness stands, are exempt from every rule, and so is what finds IPv6 neighbours (ARP of IPv6):
without it a sender would be told that the host cannot be reached.

``drop`` is silence, for the sender as well. The kernel tells a program at once when a rule drops its packet in the output hook (EPERM for
a datagram; TCP keeps the data unsent and asks again by other timers), and half tells it in the egress hook (ENOBUFS, congestion). No
network does that. So a packet is dropped where it arrives; and where it leaves its IP version is set to 0, which every receiver drops
unseen (RFC 1122, 3.2.1.1). The sender's TCP has it in flight and sends it again. A link is cut where it begins *and* where it ends, so
that it holds whatever becomes of either end. What is turned aside into a proxy arrives over loopback, and is dropped there.

``reject`` is an immediate no to whoever sends: a reset for TCP, port unreachable for the rest; where a link ends nobody can be told, so
there it is dropped. Where several rules meet on a link, a reject is stronger than a drop and all packets are more than new connections.

A loss throws dice for each packet, once: where it arrives, or where it leaves if only there an agent stands. Losses of several layers on
a link add up, each with dice of its own.

*New connections only* needs the age of a connection: each one that begins while such a rule is in force is marked with the number
of the newest layer, and a layer cuts the connections with its own number or a later one. (``ct state new`` alone would let the
answers of a connection from the other side pass.)
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from chaos.net.packets import DROP, INPUT, MILLION, OUTPUT, REJECT, Namespace, PacketCut, PacketLoss, Redirect

TABLE: Final = "inet nines"
PROXY_UID: Final = 60001
"""Who the proxies in a namespace run as: rules tell their packets from the system's by it."""
LEAVING: Final = "leaving"
PROTOCOLS: Final = ("tcp", "udp")
"""Those that have ports."""
_HOOKS: Final = {INPUT: "input", OUTPUT: "output", LEAVING: "postrouting"}
"""Chain that changes during a run -> its hook; all at the same priority."""


class Chain(msgspec.Struct, frozen=True):
    """A base chain: where it hangs, and its rules in order, as ``nft`` lists them."""

    hook: str
    rules: tuple[str, ...]


def family(address: str) -> str:
    """As ``nft`` calls it."""
    return "ip6" if ":" in address else "ip"


def _spoil(peer: str) -> str:
    """Make it a packet that every receiver throws away."""
    return f"{family(peer)} version set 0 accept"


# --- what is wanted ----------------------------------------------------------------------------------------------------


def chains(wanted: Namespace) -> dict[str, Chain]:
    """Name -> chain; one that would hold nothing but exemptions is not there at all."""
    found: dict[str, Chain] = {}
    if wanted.cuts or wanted.losses:
        found[INPUT] = Chain("type filter hook input priority -150", tuple(_input_rules(wanted)))
        found[OUTPUT] = Chain("type filter hook output priority -150", tuple(_output_rules(wanted)))
        found[LEAVING] = Chain("type filter hook postrouting priority -150", tuple(_leaving_rules(wanted)))
    return found | _standing(wanted)


def _standing(wanted: Namespace) -> dict[str, Chain]:
    """What is there for the whole run, whatever is cut: connections cannot be turned aside once they are open."""
    found: dict[str, Chain] = {}
    if wanted.redirects:
        aside = tuple(f"{_to(one)} redirect to :{one.to}" for one in wanted.redirects)
        found["nat"] = Chain("type nat hook output priority -100", (f"meta skuid {PROXY_UID} accept", *aside))
    if wanted.redirects and wanted.control is not None:
        reset = (f"{_to(one)} reject with tcp reset" for one in wanted.redirects)
        found["past"] = Chain("type filter hook output priority -90", tuple(f"meta skuid != {PROXY_UID} {rule}" for rule in reset))
        closed = f"iif != lo ip saddr != {wanted.gateway} tcp dport {wanted.control} drop"
        found["control"] = Chain("type filter hook input priority -170", (closed,))
    if wanted.tracked:
        # Any rule that looks at connections switches their tracking on; this one changes nothing.
        found["track"] = Chain("type filter hook output priority -160", ("ct state new accept",))
    elif wanted.redirects and wanted.control is None:  # others may rely on the tracking of what is theirs
        kept = tuple(f"meta skuid != {PROXY_UID} {_to(one)} accept" for one in wanted.redirects)
        found["aside_out"] = Chain("type filter hook output priority -300", ("oif lo accept", *kept, "notrack"))
        found["aside_in"] = Chain("type filter hook prerouting priority -300", ("iif lo accept", "notrack"))
    return found


def _to(redirect: Redirect) -> str:
    return f"{family(redirect.address)} daddr {redirect.address} tcp dport {redirect.port}"


def _input_rules(wanted: Namespace) -> list[str]:
    turned_aside = {one.address for one in wanted.redirects}
    rules, drops = _mark(wanted), []
    told = {cut.peer for cut in wanted.cuts if cut.hook == OUTPUT and cut.verdict == REJECT}
    for cut in sorted(wanted.cuts):
        peer, since = cut.peer, _since(cut)
        on_port = f" meta l4proto tcp ct original proto-dst {cut.port}" if cut.port else ""
        proxied = f"ct status dnat ct original {family(peer)} daddr {peer}{on_port}{since} drop"
        if cut.hook == INPUT:
            if peer in turned_aside and (cut.answers or not cut.port):  # what the peer opens comes from proxies there, as packets
                if peer in told:
                    rules.append(f"iif lo {family(peer)} saddr {peer} tcp flags rst accept")  # our own reject of what is sent there
                rules.append(f"iif lo ct direction reply {proxied}")
            drops += [f"{family(peer)} saddr {peer}{port}{since} drop" for port in _of_ports(cut)]
        elif cut.verdict == DROP and peer in turned_aside and not cut.answers:
            rules.append(f"iif lo ct direction original {proxied}")
    exempt = ["iif lo accept", f"ip saddr {wanted.gateway} accept", *_neighbours(wanted)]
    return [*rules, *exempt, *drops, *_loss_rules(wanted, INPUT)]


def _output_rules(wanted: Namespace) -> list[str]:
    turned_aside = {one.address for one in wanted.redirects}
    rules = [*_mark(wanted), "oif lo accept", f"ip daddr {wanted.gateway} accept", *_neighbours(wanted)]
    # A proxy dials while it accepts: left hanging, it would take no other connection until long after the heal. So it is told.
    dialled = (cut for cut in wanted.cuts if cut.peer in turned_aside and not cut.since)
    stuck = sorted({(cut.peer, cut.port) for cut in dialled if not cut.port or (cut.hook == OUTPUT and not cut.answers)})
    for peer, port in stuck:
        there = f"{family(peer)} daddr {peer}{f' tcp dport {port}' if port else ''}"
        rules.append(f"meta skuid {PROXY_UID} {there} tcp flags syn reject with tcp reset")
    for cut in sorted(cut for cut in wanted.cuts if cut.hook == OUTPUT and cut.verdict == REJECT):
        word = family(cut.peer)
        match, icmp = f"{word} daddr {cut.peer}", "icmpv6" if word == "ip6" else "icmp"
        tcp, rest = (f"{port}{_since(cut)}" for port in _of_ports(cut)) if cut.port else (f"{_since(cut)} meta l4proto tcp", _since(cut))
        rules += [f"{match}{tcp} reject with tcp reset", f"{match}{rest} reject with {icmp} port-unreachable"]
    return rules


def _leaving_rules(wanted: Namespace) -> list[str]:
    silent = sorted(cut for cut in wanted.cuts if cut.hook == OUTPUT and cut.verdict == DROP)
    spoiled = [f"{family(cut.peer)} daddr {cut.peer}{port}{_since(cut)} {_spoil(cut.peer)}" for cut in silent for port in _of_ports(cut)]
    exempt = ["oif lo accept", f"ip daddr {wanted.gateway} accept", *_neighbours(wanted)]
    return [*exempt, *spoiled, *_loss_rules(wanted, OUTPUT)]


def _neighbours(wanted: Namespace) -> list[str]:
    peers = {cut.peer for cut in wanted.cuts} | {loss.peer for loss in wanted.losses}
    if not any(family(peer) == "ip6" for peer in peers):
        return []
    return [f"icmpv6 type nd-neighbor-{what} accept" for what in ("solicit", "advert")]


def _loss_rules(wanted: Namespace, hook: str) -> list[str]:
    return [rule for loss in sorted(wanted.losses) if loss.hook == hook for rule in loss_rules(loss)]


def loss_rules(loss: PacketLoss) -> tuple[str, ...]:
    """As ``nft`` lists them: one, or one for each protocol that has ports."""
    ports = [f" {protocol} dport {loss.port}" for protocol in PROTOCOLS] if loss.port else [""]
    dice = f" numgen random mod {MILLION} < {loss.per_million}" if loss.per_million < MILLION else ""  # all of them need no dice
    peer = loss.peer
    if loss.hook == INPUT:
        return tuple(f"{family(peer)} saddr {peer}{port}{dice} drop" for port in ports)
    return tuple(f"{family(peer)} daddr {peer}{port}{dice} {_spoil(peer)}" for port in ports)


def _of_ports(cut: PacketCut) -> tuple[str, ...]:
    """What a rule says of ports: nothing, or a word for each protocol that has them."""
    end = "sport" if cut.answers else "dport"
    return tuple(f" {protocol} {end} {cut.port}" for protocol in PROTOCOLS) if cut.port else ("",)


def _mark(wanted: Namespace) -> list[str]:
    newest = max((cut.since for cut in wanted.cuts), default=0)
    # Where we came late, a stream that was idle until now is new to the kernel, but does not begin with this packet.
    begins = ("",) if wanted.control is None else ("tcp flags syn ", "meta l4proto != tcp ")
    return [f"{packet}ct state new ct mark set 0x{newest:08x}" for packet in begins if newest]


def _since(cut: PacketCut) -> str:
    return f" ct mark >= 0x{cut.since:08x}" if cut.since else ""


# --- to nft and back ---------------------------------------------------------------------------------------------------


def standing_commands(wanted: Namespace) -> list[str]:
    """What makes the part that stays for the whole run; once, before the system starts."""
    return [command for name, chain in _standing(wanted).items() for command in _replace(name, chain)]


def commands(wanted: Namespace) -> list[str]:
    """What brings the cuts to what is wanted from whatever they were, in one transaction; the standing part is not touched."""
    there = chains(wanted)
    found: list[str] = []
    for name, hook in _HOOKS.items():
        if name in there:
            found += _replace(name, there[name])
        else:
            empty = Chain(f"type filter hook {hook} priority -150", ())
            found += [*_replace(name, empty), f"delete chain {TABLE} {name}"]
    return found


def _replace(name: str, chain: Chain) -> list[str]:
    made = f"add chain {TABLE} {name} {{ {chain.hook}; policy accept; }}"
    return [made, f"flush chain {TABLE} {name}", *(f"add rule {TABLE} {name} {rule}" for rule in chain.rules)]


_CHAIN: Final = re.compile(r"\s*chain (\S+) \{")
_HOOK: Final = re.compile(r"\s*type \S+ hook \S+ priority ")
_SPELLINGS: Final = (
    ("l4proto 6", "l4proto tcp"),
    ("l4proto != 6", "l4proto != tcp"),
    ("icmp type ", "icmp "),
    ("with icmpv6 type ", "with icmpv6 "),
)


def read(table: str) -> dict[str, tuple[str, ...]]:
    """Chain -> rules, of what ``nft list table`` says; spelled alike whichever version of ``nft`` it was."""
    found: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in table.splitlines():
        began = _CHAIN.match(line)
        if began is not None:
            here = found.setdefault(began[1], [])
        elif line.strip() == "}":
            here = None
        elif here is not None and line.strip() and not _HOOK.match(line):
            here.append(_plain(line))
    return {name: tuple(rules) for name, rules in found.items()}


def difference(wanted: Namespace, table: str) -> str:
    """How the table is not as wanted; empty if it is, rule for rule."""
    found = read(table)
    there = {name: tuple(map(_plain, chain.rules)) for name, chain in chains(wanted).items()}
    if found == there:
        return ""
    for name in sorted({*found, *there}):
        if name not in found:
            return f"there is no chain {name}"
        if name not in there:
            return f"there is a chain {name} that nobody ordered"
        missing = [rule for rule in there[name] if rule not in found[name]]
        extra = [rule for rule in found[name] if rule not in there[name]]
        if missing or extra:
            wrong = [*(f"no '{rule}'" for rule in missing), *(f"'{rule}' that nobody ordered" for rule in extra)]
            return f"chain {name}: {'; '.join(wrong)}"
        if found[name] != there[name]:
            return f"chain {name}: its rules stand in another order"
    return ""


def _plain(line: str) -> str:
    text = " ".join(line.replace('"', "").split())
    for other, ours in _SPELLINGS:
        text = text.replace(other, ours)
    return text
