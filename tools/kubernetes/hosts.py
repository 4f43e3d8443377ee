"""Hosts: machines made of namespaces (network, mounts, processes, name, clock), on a switch of their own.

The switch is a bridge in a network namespace that forwards nothing. This machine has one wire to it, and a route to the API server's host
and nowhere else: as from a laptop, no pod and no node answers. All of it lives as long as the first processes do: no named namespace,
no interface is left once they are dead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.registry import processes as proc
from tools.kubernetes.places import ENVIRONMENT, Addresses, Layout

SWITCH: Final = "switch"
NAME: Final = "NINES_KUBERNETES_HOST"
"""In the environment of a host's first process: its name."""
CLOCK_STEP_S: Final = 10_000
"""Monotonic clocks of hosts differ by so much: as on machines that were started at different times."""
END_S: Final = 60.0
_READY_S: Final = 60.0
_LOOK_S: Final = 0.02
_CGROUPS: Final = Path("/sys/fs/cgroup")


class Service(msgspec.Struct, frozen=True):
    """A program that a host runs from its start on."""

    name: str
    command: Sequence[str]


class Wire(msgspec.Struct, frozen=True):
    """How a host is connected: its address, and over which host each other network is reached."""

    address: IPv4Address
    prefix: int
    gateway: IPv4Address
    routes: Mapping[str, IPv4Address] = {}


def change(*command: str, within: int | None = None, text: str | None = None) -> str:
    """Run a program of the network's, in the network namespace of a process if one is named. ``EnvironmentUnusable`` if it fails."""
    whole = [*(("nsenter", "-t", str(within), "-n") if within is not None else ()), *command]
    try:
        return subprocess.run(whole, input=text, capture_output=True, text=True, timeout=END_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentUnusable(
            f"{' '.join(command)}: {last_words(error)}", how="a cluster needs root with NET_ADMIN and SYS_ADMIN"
        ) from error


# --- the switch --------------------------------------------------------------------------------------------------------


def switch_on(layout: Layout, addresses: Addresses) -> None:
    """Make the switch, and the one wire from this machine to the API server's host."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sleep", "infinity"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], ENVIRONMENT: str(layout.folder), NAME: SWITCH}, start_new_session=True,
    )  # fmt: skip
    own = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - of no file
    _until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, "the switch")  # noqa: PTH115
    prefix = addresses.hosts.prefixlen
    batch = ["link set lo up", "link add br0 type bridge", f"addr add {addresses.gateway}/{prefix} dev br0", "link set br0 up"]
    change("ip", "-batch", "-", within=holder.pid, text="\n".join(batch))
    for name in ("iptables", "ip6tables", "arptables"):
        setting = f"/proc/sys/net/bridge/bridge-nf-call-{name}"
        if Path(setting).exists():
            change("sh", "-c", f"echo 0 > {setting}", within=holder.pid)
    change("ip", "link", "add", layout.uplink, "type", "veth", "peer", "name", "machine", "netns", str(holder.pid))
    change("ip", "-batch", "-", within=holder.pid, text="link set machine master br0\nlink set machine up")
    batch = [
        f"addr add {addresses.machine}/32 dev {layout.uplink}",
        f"link set {layout.uplink} up",
        f"route add {addresses.control}/32 dev {layout.uplink} src {addresses.machine}",
        f"route add unreachable {addresses.block}",
    ]
    change("ip", "-batch", "-", text="\n".join(batch))


def switch_off(layout: Layout, addresses: Addresses) -> None:
    """Take away what of the switch does not end with its process."""
    # Its other end is in the switch, with which the kernel takes it away in its own time: perhaps just now.
    subprocess.run(["ip", "link", "delete", layout.uplink], capture_output=True, timeout=END_S, check=False)
    _until(lambda: not Path("/sys/class/net", layout.uplink).exists(), f"the end of the interface {layout.uplink}")
    if f"unreachable {addresses.block}" in change("ip", "-4", "route", "show", "type", "unreachable"):
        change("ip", "route", "delete", "unreachable", str(addresses.block))


# --- hosts -------------------------------------------------------------------------------------------------------------


def find(layout: Layout) -> dict[str, list[proc.Identity]]:
    """The processes of this cluster that hold its hosts and its switch, by the name of the host."""
    found: dict[str, list[proc.Identity]] = {}
    for pid in proc.pids():
        environment = proc.environ(pid)
        if environment.get(ENVIRONMENT) == str(layout.folder):
            who = proc.identity(pid)
            if who is not None:
                found.setdefault(environment.get(NAME, "?"), []).append(who)
    return found


def first_process(layout: Layout, name: str) -> int | None:
    """The pid, as this machine counts, of the first process of a host; None if the host has no power."""
    return next((who.pid for who in find(layout).get(name, ()) if name == SWITCH or _first_there(who.pid)), None)


def _first_there(pid: int) -> bool:
    """Whether a process is the first one of a pid namespace directly below ours."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return f"NSpid:\t{pid}\t1\n" in status


def power_on(layout: Layout, name: str, number: int, wire: Wire, services: Sequence[Service]) -> None:
    """Start a host: its folder is its disk. It has an address before its services start."""
    switch = first_process(layout, SWITCH)
    if switch is None:
        raise EnvironmentUnusable(f"the cluster in {layout.folder} has no switch: it is not up", how="python -m tools.kubernetes up")
    make_cgroup(layout.cgroup(name))
    ahead = str(number * CLOCK_STEP_S)
    (layout.host(name) / "log").mkdir(parents=True, exist_ok=True)
    with (layout.host(name) / "log" / "machine.log").open("ab") as log:
        process = subprocess.Popen(
            [
                "unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--propagation", "private",
                "--time", "--monotonic", ahead, "--boottime", ahead,
                sys.executable, "-I", "-S", str(Path(__file__).with_name("machine.py")), str(layout.host(name)), name,
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", ENVIRONMENT: str(layout.folder), NAME: name},
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        process.kill()
        said = (layout.host(name) / "log" / "machine.log").read_text(encoding="utf-8", errors="replace")
        raise EnvironmentUnusable(
            f"the host {name} did not start: {said[-400:].strip()}", how="root with SYS_ADMIN; in a container --privileged"
        )
    pid = first_process(layout, name)
    assert pid is not None, f"{name} said that it is ready"
    _plug_in(switch, pid, name, wire)
    process.stdin.write(msgspec.json.encode(services) + b"\n")
    process.stdin.close()
    process.stdout.close()


def _plug_in(switch: int, pid: int, name: str, wire: Wire) -> None:
    port = f"to-{name}"
    # The kernel takes the old port away soon after the old host's end, not at once.
    subprocess.run(["nsenter", "-t", str(switch), "-n", "ip", "link", "delete", port], capture_output=True, timeout=END_S, check=False)
    batch = [f"link add {port} type veth peer name eth0 netns {pid}", f"link set {port} master br0", f"link set {port} up"]
    change("ip", "-batch", "-", within=switch, text="\n".join(batch))
    batch = [
        "link set lo up",
        f"addr add {wire.address}/{wire.prefix} dev eth0",
        "link set eth0 up",
        f"route add default via {wire.gateway}",
    ]
    batch += [f"route add {where} via {over}" for where, over in wire.routes.items()]
    change("ip", "-batch", "-", within=pid, text="\n".join(batch))


def power_off(layout: Layout, names: Sequence[str]) -> bool:
    """The loss of power: SIGKILL to the first process takes all others along. False if they had none already."""
    there = find(layout)
    # The first process first: with it the kernel ends all others at one instant.
    found = sorted((who for name in names for who in there.get(name, ())), key=lambda who: not _first_there(who.pid))
    left = proc.end(found, END_S)
    for name in names:
        remove_cgroup(layout.cgroup(name))
    if left:
        numbers = ", ".join(str(who.pid) for who in left)
        raise EnvironmentUnusable(f"processes of {', '.join(names)} do not end: {numbers}", how="dmesg may say why")
    return bool(found)


def cut(layout: Layout, name: str) -> None:
    """The switch carries nothing more from and to a host; the host sees its cable as before."""
    switch = first_process(layout, SWITCH)
    if switch is not None:
        change("ip", "link", "set", f"to-{name}", "nomaster", within=switch)


def mend(layout: Layout, name: str) -> None:
    """The reverse of ``cut``."""
    switch = first_process(layout, SWITCH)
    if switch is not None:
        change("ip", "link", "set", f"to-{name}", "master", "br0", within=switch)


def inside(layout: Layout, name: str, command: Sequence[str]) -> list[str]:
    """A command line that runs a command in a host. ``EnvironmentUnusable`` if it has no power."""
    pid = first_process(layout, name)
    if pid is None:
        raise EnvironmentUnusable(f"the host {name} has no power", how=f"python -m tools.kubernetes power-on {name}")
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-T", "--", *command]


# --- control groups ----------------------------------------------------------------------------------------------------


def hierarchies() -> list[Path]:
    """Where control groups are made: one folder with version 2, one a controller with version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return sorted({each.resolve() for each in _CGROUPS.iterdir() if (each / "cgroup.procs").exists()})


def make_cgroup(name: str) -> None:
    """A group of its own for a host in every hierarchy. One of cpusets must have its values before it takes a child."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (group / setting).exists() and (hierarchy / setting).exists():
                (group / setting).write_text((hierarchy / setting).read_text(encoding="ascii"), encoding="ascii")


def remove_cgroup(name: str) -> bool:
    """Remove the group and all below it, in every hierarchy, once nothing runs in it; true if there was one."""
    tops = [hierarchy / name for hierarchy in hierarchies() if (hierarchy / name).exists()]
    for top in tops:
        groups = [top, *(path for path in top.rglob("*") if path.is_dir())]
        for group in sorted(groups, key=lambda each: len(each.parts), reverse=True):
            _until(lambda group=group: _removed(group), f"the control group {group}")
    return bool(tops)


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # a process that is just ending still counts
    return True


def _until(true: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + _READY_S
    while time.monotonic() < until_s:
        if true():
            return
        time.sleep(_LOOK_S)
    raise EnvironmentUnusable(f"{what} was not as it must be after {_READY_S:g} s", how="dmesg may say why")


def clear(folder: Path) -> None:
    """Remove a host's disk."""
    shutil.rmtree(folder, ignore_errors=True)
