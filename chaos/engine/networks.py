"""A subnet for each run: from 198.18.0.0/15, which is set aside for tests of networks (RFC 2544, RFC 6890), so that it meets no VPN.

    $NINES_SUBNETS   other ranges, separated by commas or blanks (``10.200.0.0/16``)

A candidate must not overlap a route of this machine nor a network of the engine. Routes wider than /8 do not count: ours would
be the longer prefix and win (VPNs set 0.0.0.0/1 and 128.0.0.0/1 to catch everything).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.errors import translated

if TYPE_CHECKING:
    from docker.models.networks import Network

    from chaos.engine.connection import Engine

SETTING: Final = "NINES_SUBNETS"
POOL: Final = (IPv4Network("198.18.0.0/15"),)
PREFIX: Final = 24
WIDEST_THAT_COUNTS: Final = 8
_MTU: Final = "com.docker.network.driver.mtu"
_TRIES: Final = 20
_ROUTES_TIMEOUT_S: Final = 5.0


def pools(environment: Mapping[str, str] = os.environ) -> tuple[IPv4Network, ...]:
    """The ranges that subnets are taken from."""
    said = environment.get(SETTING, "").replace(",", " ").split()
    if not said:
        return POOL
    try:
        found = tuple(IPv4Network(one) for one in said)
    except ValueError as error:
        raise EnvironmentUnusable(
            f"{SETTING} is not a list of IPv4 ranges: {error}", how=f"{SETTING}=10.200.0.0/16, or unset it"
        ) from error
    small = [one for one in found if one.prefixlen > PREFIX]
    if small:
        raise EnvironmentUnusable(f"{SETTING}: {small[0]} is smaller than the /{PREFIX} that a run needs", how=f"{SETTING}=10.200.0.0/16")
    return found


def free_subnet(ranges: Sequence[IPv4Network], taken: Iterable[IPv4Network], pick: random.Random) -> IPv4Network:
    """A /24 at random that overlaps nothing taken; at random, so that two runs that start at once seldom meet."""
    busy = [one for one in taken if one.prefixlen >= WIDEST_THAT_COUNTS]
    sizes = [1 << (PREFIX - one.prefixlen) for one in ranges]
    total = sum(sizes)
    for number in pick.sample(range(total), total):
        index = number
        for one, size in zip(ranges, sizes, strict=True):
            if index < size:
                candidate = IPv4Network((int(one.network_address) + (index << (32 - PREFIX)), PREFIX))
                break
            index -= size
        if not any(candidate.overlaps(each) for each in busy):
            return candidate
    raise EnvironmentUnusable(
        f"no free /{PREFIX} in {', '.join(map(str, ranges))}: routes and Docker networks take all of it",
        how=f"nines leftovers; docker network prune; or another range: {SETTING}=10.200.0.0/16",
    )


# --- what is taken -----------------------------------------------------------------------------------------------------


def parse_proc_route(text: str) -> list[IPv4Network]:
    """``/proc/net/route``: the main table, addresses as the machine's own 32-bit words in hexadecimal (little endian here)."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[column])[::-1], "big") for column in (1, 7))
        found.append(IPv4Network((address, mask.bit_count())))
    return found


def parse_ip_route(text: str) -> list[IPv4Network]:
    """``ip -j -4 route show table all``: VPNs keep theirs in tables of their own. Local and broadcast entries are single addresses."""
    found = []
    for entry in json.loads(text or "[]"):
        where = str(entry.get("dst", "default"))
        if where != "default":
            found.append(IPv4Network(where, strict=False))
    return found


def routes() -> list[IPv4Network]:
    """Where this machine sends packets, all tables as far as they can be read."""
    found = parse_proc_route(Path("/proc/net/route").read_text(encoding="ascii"))
    try:
        said = subprocess.run(
            ["ip", "-j", "-4", "route", "show", "table", "all"], capture_output=True, text=True, timeout=_ROUTES_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return found  # without the program the main table must do
    return found + parse_ip_route(said.stdout)


def subnets(engine: Engine) -> list[IPv4Network]:
    """What the networks of the engine have, those without an interface included."""
    with translated("listing the networks of the Docker engine"):
        networks = engine.client.api.networks()
    found = []
    for network in networks:
        for entry in (network.get("IPAM") or {}).get("Config") or ():
            if "." in entry.get("Subnet", ""):
                found.append(IPv4Network(entry["Subnet"], strict=False))
    return found


def make_network(
    engine: Engine, name: str, labels: Mapping[str, str], pick: random.Random, *, internal: bool = False,
    taken: Sequence[IPv4Network] = (), mtu: int | None = None,
) -> tuple[Network, IPv4Network]:  # fmt: skip
    """A bridge network of its own for a run, on a free /24 with the gateway at .1. ``taken``: what is not free beyond this engine.

    Another run may take the same subnet between the look and the call: then the next one is tried.
    """
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    ranges, tried = pools(), list[IPv4Network]()
    while True:
        subnet = free_subnet(ranges, [*routes(), *subnets(engine), *taken, *tried], pick)
        ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))])
        options = None if mtu is None else {_MTU: str(mtu)}
        with translated(f"making the network {name} ({subnet})"):
            try:
                made = engine.client.networks.create(
                    name, driver="bridge", ipam=ipam, labels=dict(labels), internal=internal, options=options
                )
                return made, subnet
            except APIError as error:
                tried.append(subnet)
                if "overlap" not in str(error.explanation).lower() or len(tried) >= _TRIES:
                    raise


def make_twin(engine: Engine, name: str, labels: Mapping[str, str], subnet: IPv4Network, gateway: str, mtu: int) -> None:
    """The same network on another engine, with a gateway of its own. ``EnvironmentUnusable`` where that engine uses the subnet."""
    from docker.types import IPAMConfig, IPAMPool

    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=gateway)])
    with translated(f"making the network {name} ({subnet}) at {engine.facts.host}"):
        engine.client.networks.create(name, driver="bridge", ipam=ipam, labels=dict(labels), options={_MTU: str(mtu)})
