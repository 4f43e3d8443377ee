"""Where a cluster keeps its files, and which addresses it has.

<folder>/cluster.json       its record: the range of addresses, the nodes; written before anything is started
<folder>/kubeconfig         for kubectl and everybody else; it holds the certificates itself
<folder>/pki/               the authority and its certificates
<folder>/hosts/NAME/        the disk of one host: ``log/``, ``lib/``, the configuration of its programs; /mnt inside that host
"""

from __future__ import annotations

import hashlib
import os
import random
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, HistoryUnreadable
from chaos.engine import networks
from chaos.engine.images.build import cache_dir

SETTING: Final = "NINES_KUBERNETES"
ENVIRONMENT: Final = "NINES_KUBERNETES_CLUSTER"
"""In the environment of the first process of each host, and of the switch: the folder of their cluster."""
CONTROL: Final = "control"
SHARED: Final = "volumes"
"""As in ``machine.py``."""
MOST_NODES: Final = 7
INSIDE: Final = Path("/mnt")
"""Where a host sees its own folder."""
_PREFIX: Final = 20


class Record(msgspec.Struct, frozen=True):
    """A cluster that was begun: what ``down`` has to look for."""

    block: str
    nodes: tuple[str, ...]
    programs: str

    @property
    def addresses(self) -> Addresses:
        """All of them follow from the range."""
        return Addresses(IPv4Network(self.block))


class Addresses(msgspec.Struct, frozen=True):
    """A /20: hosts in the first /24, services in the second, pods of node n in the eighth and n more."""

    block: IPv4Network

    def _part(self, number: int) -> IPv4Network:
        return list(self.block.subnets(new_prefix=24))[number]

    @property
    def hosts(self) -> IPv4Network:
        """The wire that all hosts are on."""
        return self._part(0)

    @property
    def services(self) -> IPv4Network:
        """Virtual addresses of services."""
        return self._part(1)

    @property
    def all_pods(self) -> IPv4Network:
        """What pods of all nodes have."""
        return list(self.block.subnets(new_prefix=21))[1]

    def pods(self, number: int) -> IPv4Network:
        """Of node ``number``, the first being 1."""
        return self._part(7 + number)

    @property
    def machine(self) -> IPv4Address:
        """This machine, as the API server sees it."""
        return self.hosts[254]

    @property
    def gateway(self) -> IPv4Address:
        """The switch: it forwards nothing."""
        return self.hosts[253]

    @property
    def control(self) -> IPv4Address:
        """The host of the API server."""
        return self.hosts[10]

    def node(self, number: int) -> IPv4Address:
        """Node ``number``."""
        return self.hosts[10 + number]

    @property
    def api_service(self) -> IPv4Address:
        """The API server as pods know it."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """CoreDNS as pods know it."""
        return self.services[10]


class Layout(msgspec.Struct, frozen=True):
    """The paths of one cluster."""

    folder: Path

    @property
    def mark(self) -> str:
        """Six digits for the folder: names of interfaces and control groups."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]

    @property
    def record(self) -> Path:
        """Which cluster this is."""
        return self.folder / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        """For users of the cluster."""
        return self.folder / "kubeconfig"

    @property
    def admin(self) -> Path:
        """The same while the cluster is being brought up."""
        return self.pki / "admin.conf"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    def host(self, name: str) -> Path:
        """The disk of a host."""
        return self.folder / "hosts" / name

    @property
    def volumes(self) -> Path:
        """What all hosts share: the volumes of the StorageClass ``shared``, a folder each."""
        return self.folder / SHARED

    @property
    def uplink(self) -> str:
        """The interface of this machine that leads to the cluster's API."""
        return f"kube-{self.mark}"

    def cgroup(self, name: str) -> str:
        """The control group of a host, in every hierarchy."""
        return f"nines-kube-{self.mark}-{name}"

    def read(self) -> Record | None:
        """The record; None if there is no cluster. ``HistoryUnreadable`` if the file is not one."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise HistoryUnreadable(f"{self.record} is not the record of a cluster: {error}; remove it") from error


def layout(named: str | None = None) -> Layout:
    """Of the cluster that is meant: the folder named, else $NINES_KUBERNETES, else one in the cache."""
    said = named or os.environ.get(SETTING)
    return Layout(Path(said).absolute() if said else cache_dir() / "kubernetes" / "cluster")


def free_block(pick: random.Random) -> IPv4Network:
    """A /20 of this machine's test ranges that no route leads to. ``EnvironmentUnusable`` if there is none."""
    taken = [one for one in networks.routes() if one.prefixlen >= networks.WIDEST_THAT_COUNTS]
    ranges = [one for one in networks.pools() if one.prefixlen <= _PREFIX]
    candidates = [block for one in ranges for block in one.subnets(new_prefix=_PREFIX)]
    pick.shuffle(candidates)
    for block in candidates:
        if not any(block.overlaps(one) for one in taken):
            return block
    raise EnvironmentUnusable(
        f"no free /{_PREFIX} in {', '.join(map(str, networks.pools()))} for a cluster",
        how=f"end what takes the addresses (ip route shows it); or another range: {networks.SETTING}=10.200.0.0/16",
    )
