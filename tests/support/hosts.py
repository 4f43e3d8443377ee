"""Hosts on one machine, each with a Docker engine: namespaces (network, mounts, processes, host name, clock), a cable to a switch.

    with hosts.running(folder, ("a", "b", "c")) as rack:
        rack.address("b"), rack.engine("b")         198.19.200.12, tcp://198.19.200.12:2375
        rack.inside("a", "nines", "run", ...)        the words of a command that runs on that host
        rack.off("b"); rack.on("b")                  its power: SIGKILL to its first process, with which all that it had is gone
        rack.cut("b"); rack.join("b")                the switch silently drops all of its frames
        rack.part("b", "c"); rack.unite("b", "c")    it drops the frames between these two

    python -m tests.support.hosts serve FOLDER a b c       holds them until it is ended
    python -m tests.support.hosts off|on|cut|join NAME FOLDER     orders to whoever holds them, from any namespace

Each host's monotonic clock is ahead of the one before. Data folders of the engines stay, for the next time. What one that was killed
left is removed by the next start in the same folder. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos.engine.connection import answers, connect
from chaos.registry import processes as proc

NET: Final = "198.19.200"
START_S: Final = 60.0
ORDER_S: Final = 90.0
AHEAD_S: Final = 500
"""So far each host's monotonic clock is ahead of the one before."""
MARK: Final = "NINES_TEST_HOSTS"
"""In the environment of all that is started: its folder."""
FIRST: Final = ("lo", "eth0", "docker0")
"""The interfaces that a host has beside a run."""
_TIMEOUT_S: Final = 10.0
_FIRST: Final = 11
_INIT: Final = """
set -e
folder=$1; name=$2; shift 2
hostname "$name"
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /etc/docker "$folder/$name/etc"
mount --bind "$folder/$name/etc" /etc/docker
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
touch "$folder/$name/ready"
exec python3 -c '
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGCHLD, lambda *_: None)
while True:
    signal.pause()
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass
'
"""


def may() -> bool:
    """Whether this machine can have them."""
    return os.geteuid() == 0 and all(shutil.which(program) for program in ("dockerd", "unshare", "nsenter", "ip", "nft", "mount"))


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], capture_output=True, timeout=_TIMEOUT_S, check=check)


class Rack:
    """Some hosts and their switch."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder.absolute()
        self.names = tuple(names)
        self._fabric = f"nines-{proc.own_identity().pid}-switch"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pids: dict[str, int] = {}

    # --- what is where ---------------------------------------------------------------------------------------------------

    def address(self, name: str) -> str:
        """Of its cable's end."""
        return f"{NET}.{_FIRST + self.names.index(name)}"

    def engine(self, name: str) -> str:
        """As other hosts reach it; from outside of all of them only ``socket`` leads there."""
        return f"tcp://{self.address(name)}:2375"

    def socket(self, name: str) -> str:
        """A socket that every namespace of this machine sees."""
        return f"unix://{self.folder}/{name}/docker.sock"

    def inside(self, name: str, *words: str, folder: Path | None = None) -> list[str]:
        """A command as that host's own, in that folder."""
        where = f"--wd={folder or Path.cwd()}"
        return ["nsenter", "-t", str(self._pids[name]), "-m", "-u", "-i", "-n", "-p", "-T", where, "--", *words]

    # --- all of them -----------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Switch, hosts, engines; what an earlier one left in this folder is removed first."""
        clean(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "switch").write_text(self._fabric, encoding="ascii")
        _ip("netns", "add", self._fabric)
        _ip("-n", self._fabric, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._fabric, "link", "set", "br0", "up")
        self._nft(
            "add table bridge cut; add chain bridge cut f { type filter hook forward priority 0; };"
            " add set bridge cut hosts { type ifname; }; add rule bridge cut f iifname @hosts drop;"
            " add rule bridge cut f oifname @hosts drop; add set bridge cut pairs { type ifname . ifname; };"
            " add rule bridge cut f iifname . oifname @pairs drop"
        )
        for name in self.names:
            self._boot(name)
        for name in self.names:
            self._await_engine(name)
            empty(self.socket(name))

    def down(self) -> None:
        """All of it, but for the engines' data."""
        for name in self.names:
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.kill(self._pids[name], signal.SIGKILL)
        for process in self._processes.values():
            process.wait(_TIMEOUT_S)
        clean(self.folder)

    # --- one of them -----------------------------------------------------------------------------------------------------

    def off(self, name: str) -> None:
        """Dark first, as of a machine without power no packet speaks; then everything in it is dead."""
        self.cut(name)
        os.kill(self._pids.pop(name), signal.SIGKILL)
        self._processes.pop(name).wait(_TIMEOUT_S)

    def on(self, name: str) -> None:
        """The machine boots: cable, engine on the same data."""
        self._boot(name)
        self.join(name)
        self._await_engine(name)

    def cut(self, name: str) -> None:
        """Its port of the switch passes nothing."""
        self._nft(f'add element bridge cut hosts {{ "{_port(name)}" }}')

    def join(self, name: str) -> None:
        """It passes everything again."""
        self._nft(f'delete element bridge cut hosts {{ "{_port(name)}" }}')

    def part(self, one: str, other: str) -> None:
        """Nothing passes between these two; both reach all others."""
        self._nft(f"add element bridge cut pairs {{ {_both_ways(one, other)} }}")

    def unite(self, one: str, other: str) -> None:
        """They reach each other again."""
        self._nft(f"delete element bridge cut pairs {{ {_both_ways(one, other)} }}")

    def _nft(self, rules: str) -> None:
        subprocess.run(["ip", "netns", "exec", self._fabric, "nft", rules], capture_output=True, timeout=_TIMEOUT_S, check=True)

    def _boot(self, name: str) -> None:
        own = self.folder / name
        (own / "data").mkdir(parents=True, exist_ok=True)
        (own / "empty.json").write_text("{}\n", encoding="ascii")
        for each in ("ready", "docker.sock", "docker.pid"):
            (own / each).unlink(missing_ok=True)
        ahead = str(AHEAD_S * self.names.index(name))
        clock = ["--time", "--monotonic", ahead, "--boottime", ahead] if ahead != "0" else []
        spaces = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", *clock, "--fork", "--mount-proc"]
        with (own / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*spaces, "sh", "-c", _INIT, "sh", str(self.folder), name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env={**os.environ, MARK: str(self.folder)},
            )  # fmt: skip
        self._until(own, (own / "ready").exists)
        outer = self._processes[name].pid
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text(encoding="ascii").split()
        self._pids[name] = pid = int(children[0])
        self._plug_in(name, pid)
        number = self.names.index(name)
        engine = [
            "dockerd", "--config-file", str(own / "empty.json"), "-H", f"unix://{own}/docker.sock", "-H", "unix:///var/run/docker.sock",
            "-H", "tcp://0.0.0.0:2375", "--tls=false", "--data-root", str(own / "data"), "--pidfile", "/run/docker.pid",
            "--bip", f"{NET[:-3]}20{number + 1}.1/26", "--default-address-pool", f"base={NET[:-3]}20{number + 1}.64/26,size=28",
        ]  # fmt: skip
        with (own / "log").open("ab") as log:
            started = subprocess.Popen(
                self.inside(name, *engine), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, MARK: str(self.folder)},
            )  # fmt: skip
        threading.Thread(target=started.wait, name=f"engine of {name}", daemon=True).start()

    def _plug_in(self, name: str, pid: int) -> None:
        _ip("-n", self._fabric, "link", "delete", _port(name), check=False)
        # A machine keeps its card: others have learned that address.
        card = f"02:00:00:00:00:{self.names.index(name) + 1:02x}"
        _ip("link", "add", "eth0", "address", card, "netns", str(pid), "type", "veth", "peer", "name", _port(name), "netns", self._fabric)
        _ip("-n", self._fabric, "link", "set", _port(name), "master", "br0", "up")
        for words in (
            ("addr", "add", f"{self.address(name)}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", f"{NET}.254"),
        ):
            subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words], capture_output=True, timeout=_TIMEOUT_S, check=True)

    def _await_engine(self, name: str) -> None:
        self._until(self.folder / name, lambda: answers({"DOCKER_HOST": self.socket(name)}))

    @staticmethod
    def _until(own: Path, there: object) -> None:
        assert callable(there)
        until_s = time.monotonic() + START_S
        while not there():
            if time.monotonic() > until_s:
                raise RuntimeError(f"not up within {START_S:g} s: {(own / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    # --- orders ----------------------------------------------------------------------------------------------------------

    def obey(self, listening: socket.socket) -> None:
        """One order a connection, until it is closed: the switch on the wall, as a management card has it."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    words = connection.recv(200).decode().split()
                    try:
                        {"off": self.off, "on": self.on, "cut": self.cut, "join": self.join}[words[0]](words[1])
                        connection.sendall(b"done")
                    except Exception as error:  # whoever ordered it is told
                        connection.sendall(repr(error).encode())


def empty(where: str) -> None:
    """What an earlier user left in its data goes, but for images."""
    with connect(where, checked=False) as engine:
        for container in engine.client.api.containers(all=True):
            engine.client.api.remove_container(container["Id"], force=True, v=True)
        engine.client.api.prune_networks()
        engine.client.api.prune_volumes()


def left_on(rack: Rack, name: str) -> list[str]:
    """Containers, volumes and networks of ours on a host, and interfaces that it does not have by itself."""
    with connect(rack.socket(name), checked=False) as engine:
        api = engine.client.api
        left = [str(each["Names"]) for each in api.containers(all=True)]
        left += [each["Name"] for each in api.volumes()["Volumes"] or () if each["Name"].startswith("nines-")]
        left += [each["Name"] for each in api.networks() if each["Name"] not in ("bridge", "host", "none")]
    words = rack.inside(name, "ip", "-j", "link")
    listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S).stdout
    return left + [each["ifname"] for each in json.loads(listed) if each["ifname"] not in FIRST]


def _port(name: str) -> str:
    return f"port-{name}"


def _both_ways(one: str, other: str) -> str:
    return ", ".join(f'"{_port(here)}" . "{_port(there)}"' for here, there in ((one, other), (other, one)))


def order(what: str, name: str, folder: Path) -> str:
    """``done``, or what went wrong."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(ORDER_S)
        asked.connect(str(folder.absolute() / "orders"))
        asked.sendall(f"{what} {name}".encode())
        return asked.recv(2000).decode()


def clean(folder: Path) -> None:
    """What hosts of this folder left that were not ended: their processes, the switch."""
    folder = folder.absolute()
    ours = [who for pid in proc.pids() if proc.environ(pid).get(MARK) == str(folder) and (who := proc.identity(pid)) is not None]
    proc.end(ours, _TIMEOUT_S)
    switch = folder / "switch"
    if switch.exists():
        _ip("netns", "delete", switch.read_text(encoding="ascii"), check=False)
        switch.unlink()
    (folder / "orders").unlink(missing_ok=True)


@contextlib.contextmanager
def running(folder: Path, names: Sequence[str] = ("a", "b", "c")) -> Iterator[Rack]:
    """Up, taking orders, and gone after the block."""
    rack = Rack(folder, names)
    try:
        rack.up()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(rack.folder / "orders"))
            listening.listen()
            threading.Thread(target=rack.obey, args=(listening,), name="orders", daemon=True).start()
            yield rack
    finally:
        rack.down()


def main(words: Sequence[str]) -> int:
    """``serve`` or one order."""
    if words[0] != "serve":
        said = order(words[0], words[1], Path(words[2]))
        print(said)
        return 0 if said == "done" else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running(Path(words[1]), words[2:]) as rack:
        for name in rack.names:
            print(name, rack.engine(name), rack.socket(name), shutil.which("nsenter"), *rack.inside(name)[1:], flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
