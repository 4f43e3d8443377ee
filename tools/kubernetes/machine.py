"""The first process of a host, in namespaces of its own: gives it a disk, starts its services and starts them again when they end.

    python3 -I -S machine.py FOLDER NAME

It says ``ready`` when its file systems are in place, and reads one line: the services, as JSON (``[{"name", "command"}]``). Standard
library only. SIGKILL to it is the loss of power: the kernel ends everything that runs in the host at that instant.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INSIDE = "/mnt"
DATA = ("containerd", "kubelet", "cni", "etcd")
"""Folders of /var/lib: on the host's own disk, and never on an overlay, which an overlay cannot lie on."""
SHARED = "volumes"
"""A folder beside those of all hosts of a cluster: what each of them sees of a storage network."""
VOLUMES = "/tmp/hostpath_pv"  # noqa: S108 - where the controller manager makes volumes (kubernetes.io/host-path)
KERNEL = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What kubelet sets for a whole machine. Here it finds that somebody has done so: the machine is not its own."""
AGAIN_AFTER_S = 1.0


def mount(*arguments: str) -> None:
    """One mount, or an error that ends the host."""
    subprocess.run(["mount", *arguments], check=True, stdin=subprocess.DEVNULL)


def file_systems(folder: str, name: str) -> None:
    """The host's own /var, /etc, /run, /tmp, /sys: what is written there goes to its folder, or ends with it. Volumes are all hosts'."""
    mount("--bind", folder, INSIDE)
    shared = Path(INSIDE, SHARED)
    shared.mkdir(exist_ok=True)
    mount("--bind", str(Path(folder).parents[1] / SHARED), str(shared))  # before /tmp is the host's own: the cluster may be there
    for each in ("var", "etc"):
        upper, work = Path(INSIDE, "disk", each), Path(INSIDE, "disk", f".{each}")
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir(exist_ok=True)
        mount("-t", "overlay", "overlay", "-o", f"lowerdir=/{each},upperdir={upper},workdir={work}", f"/{each}")
    for each in DATA:
        own, seen = Path(INSIDE, "lib", each), Path("/var/lib", each)
        own.mkdir(parents=True, exist_ok=True)
        seen.mkdir(exist_ok=True)
        mount("--bind", str(own), str(seen))
    mount("-t", "tmpfs", "tmpfs", "/run")
    mount("-t", "tmpfs", "tmpfs", "/tmp")  # noqa: S108 - the host's own
    Path(VOLUMES).mkdir()
    mount("--bind", str(shared), VOLUMES)
    # A new sysfs shows this network namespace's interfaces; the control groups go with it.
    kept = Path(INSIDE, "cgroup")
    kept.mkdir(exist_ok=True)
    mount("--rbind", "/sys/fs/cgroup", str(kept))
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", str(kept), "/sys/fs/cgroup")
    subprocess.run(["umount", "-l", str(kept)], check=True)
    for setting, value in KERNEL.items():
        said = Path(INSIDE, "kernel", setting.replace("/", "."))
        said.parent.mkdir(exist_ok=True)
        said.write_text(f"{value}\n", encoding="ascii")
        mount("--bind", str(said), f"/proc/sys/{setting}")
    for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        there = Path("/proc/sys", setting)
        if there.exists():
            there.write_text("1", encoding="ascii")
    # kubelet hands mounts on to containers and back.
    mount("--make-rshared", "/")
    Path("/etc/hostname").write_text(f"{name}\n", encoding="ascii")
    subprocess.run(["hostname", name], check=True)


def serve(services: Sequence[dict[str, object]]) -> None:
    """Start them, collect what ends, start a service again a second after its end."""
    running: dict[int, dict[str, object]] = {start(service): service for service in services}
    while True:
        try:
            pid, _ = os.wait()
        except ChildProcessError:
            signal.pause()
            continue
        service = running.pop(pid, None)
        if service is not None:
            time.sleep(AGAIN_AFTER_S)
            running[start(service)] = service


def start(service: dict[str, object]) -> int:
    """The pid of a service; its output goes to its log."""
    log = Path(INSIDE, "log", f"{service['name']}.log")
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as out:
        # Never waited for by its own object: ``serve`` collects all.
        return subprocess.Popen(service["command"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True).pid


def main(folder: str, name: str) -> None:
    """Until the host ends."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    file_systems(folder, name)
    print("ready", flush=True)
    services = json.loads(sys.stdin.readline())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    serve(services)


if __name__ == "__main__":
    main(*sys.argv[1:3])
