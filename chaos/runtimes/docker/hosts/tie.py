"""One network over several engines: the same bridge network on each, tied together by VXLAN (RFC 7348) that a container of ours holds.

    host a: bridge of the run -- eth0 [ container: br0 -- vx0 ] ~~ UDP 4790 ~~ [ container: vx0 -- br0 ] eth0 -- bridge of the run: host b

``vx0`` is made in the host's network, whose addresses it sends from, and stands in the container's, where it is a port of a bridge
beside the container's own interface (as engines lay their overlays: ip-link(8), ``netns``). So it goes with the container, however that
ends: whoever removes what carries the run's label has removed it. To all other hosts goes what is meant for an address that is not yet
learned; there is no manager, and nobody's death changes it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final
from zlib import crc32

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.errors import translated
from chaos.runtimes.docker.commands import run_in
from chaos.runtimes.docker.containers import Containers, Endpoint, Spec
from chaos.runtimes.docker.layout import tie_address

PORT: Final = 4790
"""UDP. Not 4789, where the engines' own overlays are."""
MTU: Final = 1450
"""1500 less the 50 bytes that VXLAN puts around each frame over IPv4 (RFC 7348, section 5)."""
TIE: Final = "tie"
"""The role of the container that holds it."""
LAY: Final = "lay"
"""The role of the short-lived one that makes it in the host's network."""
WITHIN_S: Final = 20.0
HEARD_WITHIN_S: Final = 5.0
_HOLD: Final = ("sleep", "infinity")
_ASK: Final = """
import json, socket, struct, sys, time

left, within_s = dict(json.loads(sys.argv[1])), float(sys.argv[2])
asks = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
asks.bind(("br0", 0x0806))
own = asks.getsockname()[4]
asks.settimeout(0.05)
until_s = asked_s = time.monotonic()
until_s += within_s
while left and time.monotonic() < until_s:
    if time.monotonic() >= asked_s:
        for address in left.values():
            # RFC 826; the sender has no address, as of a probe (RFC 5227): nobody learns one of ours.
            body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, own, bytes(4), bytes(6), socket.inet_aton(address))
            asks.send(bytes(6 * [255]) + own + struct.pack("!H", 0x0806) + body)
        asked_s += 0.1
    try:
        frame = asks.recv(2048)
    except TimeoutError:
        continue
    if frame[20:22] == struct.pack("!H", 2):
        answered = socket.inet_ntoa(frame[28:32])
        left = {host: address for host, address in left.items() if address != answered}
print(json.dumps(sorted(left)))
"""
"""Which of these addresses nobody on another host's bridge answers for."""
HOW: Final = f"the hosts must let UDP {PORT} through to each other, and have the kernel's module vxlan (modprobe vxlan)"


def number(run: str, place: int) -> int:
    """The VXLAN's 24 bits, of one network of a run: its own, so that runs on the same hosts do not meet."""
    return crc32(f"{run}/{place}".encode()) & 0xFFFFFF or 1


def lay_words(vni: int, local: str, pid: int) -> tuple[str, ...]:
    """In the host's network: the device, made for the network of the process ``pid``."""
    return (
        "ip", "link", "add", "vx0", "netns", str(pid), "type", "vxlan", "id", str(vni), "dstport", str(PORT), "local", local,
    )  # fmt: skip


def card(local: str) -> str:
    """The bridge's own address on the network, from its host's. An engine makes a container's from its IPv4 address, which is everywhere
    the same: answers to one tie would end at another."""
    return ":".join(["02", "4e", *(f"{byte:02x}" for byte in IPv4Address(local).packed)])


def join_words(local: str, others: Sequence[str]) -> tuple[str, ...]:
    """In the container: device and own interface become ports of one bridge; the interface's address answers nobody."""
    steps = [
        "ip link add br0 type bridge",
        f"ip link set br0 address {card(local)}",
        f"ip link set br0 mtu {MTU} up",
        "ip addr flush dev eth0",
        "ip link set eth0 master br0 up",
        f"ip link set vx0 mtu {MTU} master br0 up",
        *(f"bridge fdb append 00:00:00:00:00:00 dev vx0 dst {address}" for address in others),
    ]
    return ("sh", "-ec", "; ".join(steps))


class Tie:
    """Of one host: one container for each network of the run."""

    def __init__(
        self, host: str, containers: Containers, image: str, networks: Sequence[str], subnets: Sequence[IPv4Network],
        addresses: Mapping[str, str], log: Path,
    ) -> None:  # fmt: skip
        self._host = host
        self._containers = containers
        self._image = image
        self._networks = tuple(zip(networks, subnets, strict=True))
        self._own = addresses[host]
        self._others = [address for other, address in addresses.items() if other != host]
        self._log = log
        self._made: dict[str, str] = {}

    def lay(self) -> None:
        """For each network. After the host was off: the same containers again. ``EnvironmentUnusable`` with what the kernel said."""
        for place, (network, subnet) in enumerate(self._networks):
            name = f"{network}-{TIE}"
            if name not in self._made:
                spec = Spec(
                    name=name, node="", role=TIE, image=self._image, command=_HOLD, endpoint=Endpoint(network, tie_address(subnet)),
                    capabilities=("NET_ADMIN", "NET_RAW"), measures=True,
                )  # fmt: skip
                self._made[name] = self._containers.create(spec)
            self._containers.start(self._made[name], name)
            self._tie(self._made[name], name, place)

    def stands(self) -> bool:
        """Whether it has never gone since it was laid: then neither has its host."""
        with translated(f"looking for what ties host '{self._host}' to the others"):
            return all(self._containers.api.inspect_container(made)["State"]["Running"] for made in self._made.values())

    def unheard(self, gateways: Mapping[str, str]) -> list[str]:
        """Of these hosts (with the address of each one's bridge): those whose bridge does not answer here, on the first network."""
        api, container = self._containers.api, next(iter(self._made.values()))
        words = ["python3", "-I", "-c", _ASK, json.dumps(dict(gateways)), str(HEARD_WITHIN_S)]
        with translated(f"asking from host '{self._host}' whether the other hosts hear it"):
            execution = str(api.exec_create(container, words, user="root")["Id"])
            said = bytes(api.exec_start(execution)).decode(errors="replace").strip()
            status = api.exec_inspect(execution)["ExitCode"]
        if status:
            raise self._cannot(said.splitlines()[-1] if said else f"exit status {status}")
        return [str(host) for host in json.loads(said)]

    def _tie(self, container: str, name: str, place: int) -> None:
        api = self._containers.api
        with translated(f"looking for the process of {name}"):
            pid = int(api.inspect_container(container)["State"]["Pid"])
        self._in_host(f"{name}-{LAY}", lay_words(number(self._containers.run, place), self._own, pid))
        said = run_in(api, container, join_words(self._own, self._others), self._log, user="root", within_s=WITHIN_S)
        if said:
            raise self._cannot(said)

    def _in_host(self, name: str, words: tuple[str, ...]) -> None:
        api = self._containers.api
        spec = Spec(
            name=name, node="", role=LAY, image=self._image, command=words, on_host=True, capabilities=("NET_ADMIN",), keeps_log=True
        )
        made = self._containers.create(spec)
        with translated(f"tying the network on host '{self._host}'"):
            try:
                api.start(made)
                status = int(api.wait(made, timeout=WITHIN_S)["StatusCode"])
                said = bytes(api.logs(made)).decode(errors="replace").strip()
            finally:
                api.remove_container(made, force=True, v=True)
        if status:
            raise self._cannot(said or f"exit status {status}")

    def _cannot(self, said: str) -> EnvironmentUnusable:
        return EnvironmentUnusable(f"host '{self._host}' cannot be tied to the others: {said}", how=f"{HOW}; {self._log} has more")


def refuse_unheard(ties: Mapping[str, Tie], gateways: Mapping[str, str], addresses: Mapping[str, str]) -> None:
    """``EnvironmentUnusable`` with each pair of hosts of which one's bridge does not answer the other over the tie."""
    with ThreadPoolExecutor(max_workers=len(ties), thread_name_prefix="heard") as workers:
        asked = {
            host: workers.submit(tie.unheard, {other: at for other, at in gateways.items() if other != host}) for host, tie in ties.items()
        }
        silent = {host: each.result() for host, each in asked.items()}
    pairs = deaf(silent)
    if not pairs:
        return
    told = ", ".join(f"'{one}' and '{other}'" for one, other in pairs)
    ways = ", ".join(f"between {addresses[one]} and {addresses[other]}" for one, other in pairs)
    raise EnvironmentUnusable(
        f"these hosts do not hear each other over VXLAN within {HEARD_WITHIN_S:g} s: {told}",
        how=f"open UDP {PORT} {ways}, in both directions, in firewalls of the hosts and of the network between them",
    )


def deaf(silent: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    """Pairs of hosts, in the order of the hosts, of which at least one got no answer of the other."""
    hosts = list(silent)
    return [(one, other) for one, other in itertools.combinations(hosts, 2) if other in silent[one] or one in silent[other]]
