"""Making and removing the containers, volumes and the networks of one run, all marked with its labels.

Everything is created with all of its configuration, labels included, in one call: a crash between two calls leaves nothing that
cannot be found again. Further networks, of which an older engine takes no more than one in that call, are joined by calls of their own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from chaos.engine.errors import translated
from chaos.engine.leftovers import NODE, ROLE, RUN

if TYPE_CHECKING:
    from docker.api import APIClient

    from chaos.engine.connection import Engine

AGENT = "agent"
NO_SYSTEM: Final = {"NINES_NO_SYSTEM": "1"}
"""For an agent that no system joins: of the clients, of the name server, of a node whose system insists on being PID 1."""
SYSTEM = "system"
NETWORK = "network"
VOLUME = "volume"
OUR_SHARES = 8192
"""Of processor time under contention, where a plain process or container has 1024: what measures must not wait for what is measured."""
PAGE_BYTES: Final = 4096
"""The blocks of a tmpfs are pages (tmpfs(5)); on a machine with larger ones a disk of Podman's is larger by as much."""
_CAP_SYS_RESOURCE = 24
AT_ONCE = 16
"""So many calls to the engine run at the same time; it does most of its work for each container in turn anyway."""
AGENT_OOM_SCORE = -500
"""When memory runs out the kernel must take the system under test, not the agent that keeps its namespaces."""
AGENT_MEMORY = 32 * 1024 * 1024

REFUSES_EACH = {"net.ipv4.icmp_ratelimit": "0"}
"""For the name server: each datagram to a closed port is refused (icmp(7)). By default the kernel says so about once a second."""


class Endpoint(msgspec.Struct, frozen=True):
    """A place on the run's network."""

    network: str
    address: str
    """Empty: one of the engine's choice."""
    aliases: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()


class Spec(msgspec.Struct, frozen=True):
    """One container."""

    name: str
    node: str
    role: str
    image: str
    command: tuple[str, ...]
    endpoint: Endpoint | None = None
    """Its own place on the network; else ``joins`` names the container whose namespaces it lives in."""
    further: tuple[Endpoint, ...] = ()
    """On networks that it joins as well, before it is started."""
    joins: str = ""
    shares_pids: bool = True
    sees_host: bool = False
    """It sees the processes of the whole machine: a guest that looks at a container from outside."""
    on_host: bool = False
    """It has the host's own network and processes."""
    sysctls: dict[str, str] = {}
    """Settings of the kernel for its own network namespace."""
    env: dict[str, str] = {}
    hostname: str = ""
    capabilities: tuple[str, ...] = ()
    may_mount: bool = False
    """The engine's AppArmor profile forbids every mount, whatever the capabilities: it is not applied then."""
    binds: dict[str, str] = {}
    """folder here -> folder inside; read-only if that ends with ``:ro``."""
    volumes: dict[str, str] = {}
    """name of the volume -> folder inside; read-only if that ends with ``:ro``."""
    sizes: dict[str, int] = {}
    """name of the volume -> its size in bytes; such a volume is a disk in memory."""
    talks: bool = False
    """Its standard input is ours."""
    ends_with_us: bool = False
    """Its standard input ends when our attachment does."""
    user: str = ""
    """Who its processes run as; empty: the image's own user."""
    restart: bool = False
    cpus: float | None = None
    memory_bytes: int | None = None
    protected: bool = False
    """Memory of its own, and a low out-of-memory score where the engine may give one."""
    measures: bool = False
    """It is part of the measuring: a busy machine must delay the system under test and not it."""
    keeps_log: bool = False


class Containers:
    """The things of one run on one engine."""

    def __init__(self, engine: Engine, run: str, labels: Mapping[str, str]) -> None:
        self.api: APIClient = engine.client.api
        self.run = run
        self._may_protect = may_protect(engine.facts.host)
        # Podman makes the volumes that a container names without the labels that it names for them, fills an empty one when its first
        # container starts, and takes 'size' of a tmpfs for a quota of the disk.
        self.by_podman = engine.facts.product == "Podman"
        self._own_users = engine.facts.own_users
        self._has_cgroups = engine.facts.has_cgroups
        self._on_cgroupfs = self._has_cgroups and engine.facts.cgroup_driver == "cgroupfs"
        self._labels = dict(labels)

    def labels(self, node: str, role: str) -> dict[str, str]:
        """Whose it is and what."""
        return {**self._labels, RUN: self.run, NODE: node, ROLE: role}

    def create(self, spec: Spec) -> str:
        """Its id; not started."""
        with translated(f"creating the container {spec.name}"):
            if self.by_podman:
                for name in spec.volumes:
                    options = self._volume(spec, name, "")["VolumeOptions"]
                    driver = options.get("DriverConfig", {})
                    self.api.create_volume(name, driver.get("Name"), driver.get("Options"), options["Labels"])
            made: dict[str, str] = self.api.create_container_from_config(self._config(spec), spec.name)
            for place in spec.further:
                self.api.connect_container_to_network(made["Id"], place.network, ipv4_address=place.address)
        return made["Id"]

    def start(self, container: str, name: str) -> None:
        """Returns when its process runs."""
        with translated(f"starting the container {name}"):
            self.api.start(container)

    def _config(self, spec: Spec) -> dict[str, Any]:
        config: dict[str, Any] = {
            "Image": spec.image,
            "Env": [f"{key}={value}" for key, value in spec.env.items()],
            "Labels": self.labels(spec.node, spec.role),
            "HostConfig": self._host_config(spec),
            "OpenStdin": spec.talks,
            "StdinOnce": spec.ends_with_us,
        }
        if spec.command:
            config["Cmd"] = list(spec.command)
        if spec.user:
            config["User"] = spec.user
        if spec.hostname:
            config["Hostname"] = spec.hostname
        if spec.endpoint is not None:
            endpoint: dict[str, Any] = {"Aliases": list(spec.endpoint.aliases)}
            if spec.endpoint.address:
                endpoint["IPAMConfig"] = {"IPv4Address": spec.endpoint.address}
            config["NetworkingConfig"] = {"EndpointsConfig": {spec.endpoint.network: endpoint}}
        return config

    def _host_config(self, spec: Spec) -> dict[str, Any]:
        host: dict[str, Any] = {
            "CapAdd": list(spec.capabilities),
            "Mounts": [*map(_bind, spec.binds.items()), *(self._volume(spec, *item) for item in spec.volumes.items())],
            "RestartPolicy": {"Name": "always" if spec.restart else "no"},
            # What our own containers say goes to us alone; a copy on the engine's disk would serve nobody.
            "LogConfig": {"Type": "json-file" if spec.keeps_log else "none", "Config": {}},
        }
        if self._on_cgroupfs:
            # By default all containers together get as much of a contended processor as one single plain process.
            host["CgroupParent"] = "/"
        if spec.measures and self._has_cgroups:
            host["CpuShares"] = OUR_SHARES
        if spec.sysctls:
            host["Sysctls"] = dict(spec.sysctls)
        host |= self._security(spec)
        if spec.endpoint is not None:
            host["NetworkMode"] = spec.endpoint.network
            host["Dns"] = list(spec.endpoint.dns)
        if spec.joins:
            host["NetworkMode"] = f"container:{spec.joins}"
            if spec.shares_pids:
                host["PidMode"] = f"container:{spec.joins}"
            elif spec.sees_host:
                host["PidMode"] = "host"
        if spec.on_host:
            host["NetworkMode"] = host["PidMode"] = "host"
        if spec.cpus is not None:
            host["NanoCpus"] = round(spec.cpus * 1e9)
        if spec.memory_bytes is not None:
            host["Memory"] = host["MemorySwap"] = spec.memory_bytes
        if spec.protected and self._has_cgroups:
            host["MemoryReservation"] = AGENT_MEMORY
            if self._may_protect:
                host["OomScoreAdj"] = AGENT_OOM_SCORE
        return host

    def _security(self, spec: Spec) -> dict[str, Any]:
        """What the engine's own guards would forbid it."""
        out: dict[str, Any] = {}
        # Folders of this machine keep the labels that SELinux gave them, which its containers may not touch.
        options = ["label=disable"] * bool(spec.binds) + ["apparmor=unconfined"] * spec.may_mount
        if options:
            out["SecurityOpt"] = options
        if self._own_users and (spec.binds or spec.sees_host or spec.on_host):
            # What writes into folders of this machine, or sees its processes, is a user of it.
            out["UsernsMode"] = "host"
        return out

    def _volume(self, spec: Spec, name: str, inside: str) -> dict[str, Any]:
        options: dict[str, Any] = {"Labels": self.labels(spec.node, VOLUME)}
        if name in spec.sizes:
            size = f"nr_blocks={spec.sizes[name] // PAGE_BYTES}" if self.by_podman else f"size={spec.sizes[name]}"
            in_memory = {"type": "tmpfs", "device": "tmpfs", "o": size}
            options["DriverConfig"] = {"Name": "local", "Options": in_memory}
        target, read_only = inside.removesuffix(":ro"), inside.endswith(":ro")
        return {"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only, "VolumeOptions": options}


def may_protect(host: str) -> bool:
    """Whether the engine may lower an out-of-memory score: it needs CAP_SYS_RESOURCE (capabilities(7)), which nested engines lack.

    Asked of the process at the other end of its socket; where that cannot be seen, no.
    """
    parts = urlsplit(host)
    if parts.scheme != "unix":
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(parts.path)
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _bind(item: tuple[str, str]) -> dict[str, Any]:
    folder, inside = item
    return {"Type": "bind", "Source": folder, "Target": inside.removesuffix(":ro"), "ReadOnly": inside.endswith(":ro")}


def pool() -> ThreadPoolExecutor:
    """For calls to the engine that go on at the same time."""
    return ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="docker")
