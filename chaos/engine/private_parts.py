"""What a private engine is made of (files, bridge, command line), and how its remains are removed after a crash."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, HistoryUnreadable
from chaos.core.programs import last_words
from chaos.engine import networks as engine_network
from chaos.engine.connection import connect
from chaos.engine.errors import translated
from chaos.registry import processes as proc

ENVIRONMENT: Final = "NINES_PRIVATE_ENGINE"
"""In the environment of dockerd and all that it starts: their folder."""
LONGEST_SOCKET_NAME: Final = 100
"""sockaddr_un holds 108 bytes."""
END_S: Final = 10.0
_IP_TIMEOUT_S: Final = 10.0
_UMOUNT_TIMEOUT_S: Final = 10.0


class Record(msgspec.Struct, frozen=True):
    """A private engine that answered once."""

    who: proc.Identity
    docker_host: str
    bridge: str


class Layout(msgspec.Struct, frozen=True):
    """Where everything of one private engine is."""

    folder: Path
    data: Path
    networks: Path
    exec_root: Path
    socket: Path
    record: Path
    pid_file: Path
    log: Path
    bridge: str

    @classmethod
    def of(cls, folder: Path) -> Layout:
        """By the folder alone; the bridge's name and a short place for the socket come from its hash."""
        near = folder / "docker.sock"
        socket = near if len(str(near)) <= LONGEST_SOCKET_NAME else Path("/run") / f"nines-{mark(folder)}" / "docker.sock"
        return cls(
            folder=folder,
            data=folder / "data",
            networks=folder / "data" / "network" / "files" / "local-kv.db",
            exec_root=folder / "exec",
            socket=socket,
            record=folder / "dockerd.json",
            pid_file=folder / "dockerd.pid",
            log=folder / "dockerd.log",
            bridge=f"nines-{mark(folder)}",
        )


def mark(folder: Path) -> str:
    """Eight digits for a folder; a network interface's name has 15 letters at most."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def read_record(folder: Path) -> Record | None:
    """The record, whether or not it is stale; None without one."""
    path = folder / "dockerd.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise HistoryUnreadable(f"{path} is not the record of a private engine: {error}; remove it") from error


# --- starting ----------------------------------------------------------------------------------------------------------


def make_bridge(name: str) -> tuple[IPv4Interface, IPv4Network]:
    """The engine's default bridge, on a free subnet; and a range that its networks take theirs from, where none is named.

    Not docker0: an engine that is there already, or comes back later, would find that with an address not its own.
    """
    taken = engine_network.routes()
    ranges = engine_network.pools()
    subnet = engine_network.free_subnet(ranges, taken, random.Random(name))  # noqa: S311 - no secret
    pool = next((half for one in ranges for half in one.subnets(new_prefix=max(one.prefixlen, 16)) if not half.overlaps(subnet)), ranges[0])
    address = IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}")
    for arguments in (["link", "add", name, "type", "bridge"], ["addr", "add", str(address), "dev", name], ["link", "set", name, "up"]):
        _change("ip", *arguments)
    return address, pool


def _change(*command: str) -> None:
    """Change the machine's network; ``EnvironmentUnusable`` with what the program said."""
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_IP_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnusable(
            f"{' '.join(command)}: {last_words(error)}", how="a private engine needs root, NET_ADMIN, iproute2 and iptables"
        ) from error


def command(layout: Layout, address: IPv4Interface, pool: IPv4Network) -> list[str]:
    """How dockerd is started. An empty configuration file: the machine's own one speaks of another engine."""
    empty = layout.folder / "daemon.json"
    empty.write_text("{}\n", encoding="ascii")
    return [
        "dockerd", "--config-file", str(empty), "--host", f"unix://{layout.socket}", "--data-root", str(layout.data),
        "--exec-root", str(layout.exec_root), "--pidfile", str(layout.pid_file), "--bridge", layout.bridge,
        "--iptables=false", "--ip-forward=false", "--fixed-cidr", str(address.network),
        "--default-address-pool", f"base={pool},size={engine_network.PREFIX}",
        "--containerd-namespace", f"nines-{mark(layout.folder)}", "--containerd-plugins-namespace", f"nines-plugins-{mark(layout.folder)}",
    ]  # fmt: skip


def let_through(layout: Layout) -> None:
    """One rule of our own, where packets inside a bridge would be dropped without it.

    The engine itself writes no rules here: at its start it would empty the chains that another engine may just be using.
    """
    if _bridged_packets_filtered():
        for pool in map(str, engine_network.pools()):
            rule = ["-I", "FORWARD", "-s", pool, "-d", pool, "-m", "comment", "--comment", layout.bridge, "-j", "ACCEPT"]
            _change("iptables", "--wait", *rule)


def _bridged_packets_filtered() -> bool:
    """Whether packets inside one bridge meet the FORWARD chain, and that drops what nobody lets through: an earlier engine's doing."""
    try:
        asked = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False  # the module is not loaded: bridged packets are not filtered
    if not asked:
        return False
    said = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, timeout=_IP_TIMEOUT_S, check=False).stdout
    return "-P FORWARD DROP" in said


# --- removing what a crash left ----------------------------------------------------------------------------------------


def end_processes(folder: Path) -> bool:
    """End what carries the folder in its environment (dockerd, containerd, shims) and, below shims, containers' first processes."""
    ours = [who for pid in proc.pids() if proc.environ(pid).get(ENVIRONMENT) == str(folder) and (who := proc.identity(pid)) is not None]
    numbers = {who.pid for who in ours}
    below = [who for pid in proc.pids() if pid not in numbers and _parent(pid) in numbers and (who := proc.identity(pid)) is not None]
    # Containers first: a container's first process takes all others of it along, and its shim would only report it.
    left = proc.end(below, END_S) + proc.end(ours, END_S)
    if left:
        raise EnvironmentUnusable(
            f"processes of the private engine in {folder} do not end: {', '.join(str(who.pid) for who in left)}", how="see dmesg"
        )
    return bool(ours)


def _parent(pid: int) -> int:
    seen = proc.stat(pid)
    return seen.parent if seen is not None else 0


def empty(docker_host: str) -> None:
    """Remove all containers, so that none outlives its engine or comes back with the next; all that is in it is disposable."""
    from docker.errors import APIError

    with connect(docker_host, checked=False) as engine, translated("emptying the private Docker engine"):
        for container in engine.client.api.containers(all=True):
            try:
                engine.client.api.remove_container(container["Id"], force=True, v=True)
            except APIError as error:
                if error.status_code not in (404, 409):  # gone, or going
                    raise


def unmount(folder: Path) -> bool:
    """Take away mounts below the folder (containers' file systems, network namespaces), the innermost first."""
    prefix = f"{folder}/"
    mounts = [line.split()[4].replace("\\040", " ") for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    ours = [mount for mount in mounts if mount.startswith(prefix)]
    for mount in sorted(ours, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, timeout=_UMOUNT_TIMEOUT_S, check=False)
    return bool(ours)


def remove_bridges(layout: Layout) -> bool:
    """Remove the engine's own bridge and those of its networks: an engine leaves them when it ends; and our rule, if there is one."""
    try:
        known = layout.networks.read_bytes()
    except FileNotFoundError:
        known = b""
    # A network's bridge is called by the network's id, so a name that stands in the engine's database is nobody else's.
    names = {layout.bridge, *(name.decode() for name in re.findall(rb"br-[0-9a-f]{12}", known))}
    there = [name for name in sorted(names) if Path("/sys/class/net", name).exists()]
    _forget_rules(layout.bridge)
    for name in there:
        _change("ip", "link", "delete", name)
    # Without memory of its networks it starts afresh; with it, and with an address pool of its own, it would delete docker0.
    layout.networks.unlink(missing_ok=True)
    return bool(there)


def _forget_rules(comment: str) -> None:
    """Remove the rules that carry this comment."""
    if shutil.which("iptables") is None:
        return  # then we never set one
    said = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, timeout=_IP_TIMEOUT_S, check=False).stdout
    for line in said.splitlines():
        words = line.split()
        if words[0] == "-A" and comment in words:
            # Gone already is as good.
            subprocess.run(["iptables", "--wait", "-D", *words[1:]], capture_output=True, timeout=_IP_TIMEOUT_S, check=False)
