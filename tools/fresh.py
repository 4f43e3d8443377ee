"""Does what the README says on a machine that has nothing: ``python -m tools.fresh bookworm "make demo" "make test"`` (as root).

A bare Debian in a folder, made by mmdebstrap, with python3, venv, git, make and a Toxiproxy server; no etcd, no libfaketime, no Docker,
no Go. The commands run there one after the other in a copy of this work tree, by an ordinary user, with SIGINT ignored as in the
background of a script, and without NINES_CI. Exit status: that of the first command that fails, 0 if none does.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.images import debian
from chaos.net.toxiproxy import program as toxiproxy_server

HERE: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("python3", "python3-venv", "git", "make", "ca-certificates")
COMMANDS: Final = ("make demo", "make test")
USER: Final = "ordinary"
HOME: Final = f"/home/{USER}"
NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches the package registries, as it is."""
PROXIES: Final = frozenset({"http_proxy", "https_proxy", "no_proxy"})
PLACE: Final = Path("/var/lib/nines-fresh")
LIMIT_S: Final = 1800.0

INSIDE: Final = f"""\
set -eu
root=$1; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
trap '' INT
exec chroot --userspec={USER}:{USER} "$root" /usr/bin/env -i "$@"
"""
"""In mounts and process numbers of its own: whatever is left there ends with it."""


def made(suite: str, root: Path) -> None:
    """The system, made in about a minute, or kept from the last time. ``EnvironmentUnusable`` where it cannot be."""
    if (root / ".made").exists():
        return
    if shutil.which("mmdebstrap") is None:
        debian.install(["mmdebstrap"], say)
    mirrors = debian.mirrors(suite)
    if not mirrors:
        raise EnvironmentUnusable(f"this machine's package sources have no Debian {suite}", how="run it on a Debian machine")
    say(f"making a bare {suite} in {root}")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    options = [f"--aptopt={line}" for line in debian.apt_options()]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *options, suite, str(root), *mirrors]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    subprocess.run(["chroot", str(root), "useradd", "--create-home", USER], check=True)
    (root / ".made").touch()


def furnished(root: Path) -> None:
    """The network's settings, the Toxiproxy server, and a copy of all files of the work tree that git knows or would take."""
    for name in (*NETWORK, os.environ.get("PIP_CERT", "")):
        if name and Path(name).is_file():
            there = root / name.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            shutil.copyfile(name, there)
    server = root / "usr/local/bin/toxiproxy-server"
    server.unlink(missing_ok=True)
    shutil.copyfile(toxiproxy_server.find(build=True, note=say).path, server)
    server.chmod(0o755)
    copy = root / HOME.lstrip("/") / "nines"
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=HERE, check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        if name and (HERE / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, copy / name)
    subprocess.run(["chroot", str(root), "chown", "-R", f"{USER}:{USER}", HOME], check=True)


def run(root: Path, command: str) -> int:
    """One command, as the user; its exit status, 124 if it takes too long."""
    say(f"{command} (as an ordinary user, with SIGINT ignored)")
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower() in PROXIES}
    settings |= {"HOME": HOME, "USER": USER, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    inside = ["sh", "-c", INSIDE, "sh", str(root), *(f"{name}={value}" for name, value in settings.items())]
    shell = ["sh", "-c", f"cd {HOME}/nines && {command}"]
    whole = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", *inside, *shell]
    try:
        # In a process group of ours: --kill-child ends what is inside with unshare itself, however that ends.
        return subprocess.run(whole, check=False, stdin=subprocess.DEVNULL, timeout=LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        say(f"{command}: not done within {LIMIT_S:g} s")
        return 124


def say(text: str) -> None:
    """Progress."""
    print(f"fresh: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.fresh", description="the README's commands on a bare Debian")
    parser.add_argument("suite", help="bookworm, trixie ...")
    parser.add_argument("commands", nargs="*", default=list(COMMANDS), help=f"default: {', '.join(map(shlex.quote, COMMANDS))}")
    parser.add_argument("--root", type=Path, help="where the system is made and kept; default: /var/lib/nines-fresh/SUITE")
    given = parser.parse_args(arguments)
    if os.geteuid() != 0:
        say("needs root, who makes a system in a folder and becomes another user there")
        return EnvironmentUnusable.exit_code
    root: Path = given.root or PLACE / given.suite
    try:
        made(given.suite, root)
        furnished(root)
    except EnvironmentUnusable as error:
        say(str(error))
        return error.exit_code
    for command in given.commands:
        status = run(root, command)
        if status != 0:
            say(f"{command}: exit status {status}")
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
