"""Connections that are to be turned aside into a proxy of ours: those that were open before, and those that are when we go.

aside.look    what would be in our way: ports that are taken, somebody who runs as our proxies do, connections that none stands for
aside.cut     end every connection to these places that goes past the proxies; answers when the kernel's table shows none

A connection that is turned aside still shows the address that its program dialled, so it is known by its other half: the one that
the proxy took in, from the very same address and port. What has no such half goes past the proxy. ``SOCK_DESTROY`` (sock_diag(7))
ends it on both sides, whether it is idle or not; a kernel without it (CONFIG_INET_DIAG_DESTROY) leaves it to a packet rule, which
resets those that send something.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

PROXY_UID: Final = 60001
"""Who our proxies run as (``chaos.net.nft``)."""
TABLE: Final = ("inet", "nines")
CHILD: Final = "toxiproxy"
LOOPBACK: Final = "127.0.0.1"
LOOK_EVERY_S: Final = 0.02
SURE_AFTER: Final = 3
"""Looks in a row without one that was there before: the table is read in pieces while it changes."""
END_WITHIN_S: Final = 5.0
NFT_WITHIN_S: Final = 5.0
ESTABLISHED, LISTEN = 1, 10
CARRYING: Final = frozenset({ESTABLISHED, 2, 4, 5, 8})
"""States in which a program may still send or hear something (net/tcp_states.h)."""
_SOCK_DIAG, _DESTROY, _REQUEST_AND_ACK, _ERROR = 4, 21, 5, 2
_ANY: Final = 0xFFFFFFFF
_MAPPED: Final = "0000000000000000FFFF0000"

Place = tuple[str, int]
"""Address and port."""


class Connection(NamedTuple):
    """One line of ``/proc/net/tcp``."""

    local: Place
    remote: Place
    state: int
    uid: int
    held: bool
    """A program has it open."""

    @property
    def ends(self) -> tuple[Place, Place]:
        """What tells it from all others."""
        return self.local, self.remote


# --- the kernel's table ------------------------------------------------------------------------------------------------


def connections(net: Path = Path("/proc/self/net")) -> list[Connection]:
    """All of this network namespace, IPv4, by whichever kind of socket."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            lines = (net / name).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        found += [each for line in lines if (each := _read(line.split())) is not None]
    return found


def _read(words: list[str]) -> Connection | None:
    local, remote = _place(words[1]), _place(words[2])
    if local is None or remote is None:
        return None
    return Connection(local, remote, int(words[3], 16), int(words[7]), words[9] != "0")


def _place(written: str) -> Place | None:
    """``0B05C6C6:1F90``; in the long form only IPv4 addresses and the one that stands for all."""
    number, _, port = written.partition(":")
    if len(number) == 32:
        if not number.startswith(_MAPPED) and number.strip("0"):
            return None
        number = number[24:]
    return socket.inet_ntoa(struct.pack("=I", int(number, 16))), int(port, 16)


def past(seen: Iterable[Connection], redirects: Mapping[Place, int], uid: int = PROXY_UID) -> list[Connection]:
    """Those to the places of ``redirects`` (place -> port of its proxy) that do not go through the proxy."""
    seen = list(seen)
    halves = {(each.local[1], each.remote) for each in seen if each.local[0] == LOOPBACK}
    return [
        each
        for each in seen
        if each.held and each.state in CARRYING and each.uid != uid and each.remote in redirects
        and (redirects[each.remote], each.local) not in halves
    ]  # fmt: skip


def unnamed(seen: Iterable[Connection], redirects: Mapping[Place, int], uid: int = PROXY_UID) -> list[Connection]:
    """Those that were opened from here to the same addresses, at ports that no proxy stands for."""
    seen = list(seen)
    addresses = {address for address, _ in redirects}
    served = {each.local[1] for each in seen if each.state == LISTEN}
    return [
        each
        for each in seen
        if each.held and each.state in CARRYING and each.uid != uid and each.remote[0] in addresses
        and each.remote not in redirects and each.local[1] not in served
    ]  # fmt: skip


def destroy(one: Connection) -> int:
    """End it for both sides; 0, or why not (an ``errno``)."""
    ends = struct.pack("!HH", one.local[1], one.remote[1])
    ends += socket.inet_aton(one.local[0]).ljust(16, b"\0") + socket.inet_aton(one.remote[0]).ljust(16, b"\0")
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY) + ends + struct.pack("=III", 0, _ANY, _ANY)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.settimeout(1.0)
        asking.send(struct.pack("=IHHII", 16 + len(body), _DESTROY, _REQUEST_AND_ACK, 1, 0) + body)
        reply = asking.recv(4096)
    kind = struct.unpack_from("=H", reply, 4)[0]
    return -int(struct.unpack_from("=i", reply, 16)[0]) if kind == _ERROR else 0


# --- commands ----------------------------------------------------------------------------------------------------------


def do_look(_agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """``taken``: which of ``ports``; ``proxies``: how many sockets belong to the uid that is to be ours alone; ``unnamed``: places."""
    seen = connections()
    listening = {each.local[1] for each in seen if each.state == LISTEN}
    taken = sorted(listening & set(command["ports"]))
    same = sum(each.uid == PROXY_UID and each.held for each in seen)
    elsewhere = {each.remote for each in unnamed(seen, _redirects(command))}
    return {"result": {"taken": ", ".join(map(str, taken)), "proxies": float(same), "unnamed": _words(elsewhere)}}


def do_cut(agent: Any, command: dict[str, Any]) -> None:  # noqa: ANN401
    """It may take ``within_s``; without ``destroys`` the packet rule alone does it."""

    def work() -> dict[str, Any]:
        return {"result": cut(_redirects(command), command["within_s"], destroys=command["destroys"])}

    agent.later(command["id"], work)


def cut(redirects: Mapping[Place, int], within_s: float, *, destroys: bool) -> dict[str, float | str]:
    """``cut``: how many were ended; ``left``: where those lead that could not be, and ``why`` not."""
    until_s = time.monotonic() + within_s
    ended: set[tuple[Place, Place]] = set()
    before: set[tuple[Place, Place]] = set()
    clean, why = -1, ""
    while True:
        now = past(connections(), redirects)
        # One that was not there a moment ago began under the rules: its other half was only not seen yet.
        old = [each for each in now if each.ends in before]
        clean = 0 if old else clean + 1
        if clean >= SURE_AFTER or (old and time.monotonic() > until_s):
            return {"cut": float(len(ended)), "left": _words({each.remote for each in old}), "why": why}
        for each in old:
            ended.add(each.ends)
            number = destroy(each) if destroys else errno.EOPNOTSUPP
            if number not in (0, errno.ENOENT):
                why = os.strerror(number)
        before = {each.ends for each in now}
        time.sleep(LOOK_EVERY_S)


def _redirects(command: dict[str, Any]) -> dict[Place, int]:
    return {(str(address), int(port)): int(to) for address, port, to in command["redirects"]}


def _words(places: Iterable[Place]) -> str:
    return ", ".join(f"{address}:{port}" for address, port in sorted(places))


# --- going -------------------------------------------------------------------------------------------------------------


def heal(agent: Any) -> list[str]:  # noqa: ANN401
    """Nothing is turned aside any more, our proxy is gone, and so is every connection that went through it.

    In this order: whoever dials meanwhile goes straight, and the rules that lead a proxy's last word back to its client still stand.
    """
    problems = _turn_nothing_aside()
    seen = connections()
    ours = {each.local for each in seen if each.state == LISTEN and each.uid == PROXY_UID}
    clients = {each.remote for each in seen if each.local in ours}
    _end_proxy(agent)
    until_s = time.monotonic() + END_WITHIN_S
    while True:
        seen = connections()
        waiting = [each for each in seen if each.local in clients and each.held and each.state == ESTABLISHED]
        proxies = [each for each in seen if each.uid == PROXY_UID and each.held]
        if not waiting and not proxies:
            return problems
        if time.monotonic() > until_s:
            still = [f"a connection to {_words([each.remote])} that went through a proxy of ours" for each in waiting]
            return [*problems, *still, *(f"a proxy of ours at port {each.local[1]}" for each in proxies)]
        for each in waiting:
            destroy(each)
        time.sleep(LOOK_EVERY_S)


def _turn_nothing_aside() -> list[str]:
    try:
        if "chain nat {" in _nft("list", "chains", TABLE[0]):
            _nft("flush", "chain", *TABLE, "nat")
    except (OSError, subprocess.SubprocessError) as error:
        return [f"what turns connections aside: {error}"]
    return []


def _nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, timeout=NFT_WITHIN_S, check=True).stdout


def _end_proxy(agent: Any) -> None:  # noqa: ANN401
    """By SIGKILL, so that its connections end now and not when it has thought about it."""
    for pid, (name, _) in list(agent._children.items()):
        if name == CHILD:
            os.kill(pid, signal.SIGKILL)
            until_s = time.monotonic() + END_WITHIN_S
            while pid in agent._children and time.monotonic() < until_s:
                agent._reap()
                time.sleep(0.002)
    agent._toxiproxy_port = None
