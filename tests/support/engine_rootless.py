"""Docker of an ordinary user: rootlesskit, slirp4netns, no systemd. Needs root to become that user; its images stay in the folder.

The user has nothing but an account, subordinate ids, and leave to read what the tests' interpreter lies in.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos.engine.connection import answers

USER: Final = "nines-user"
CONTRIB: Final = "/usr/share/docker.io/contrib"
START_S: Final = 60.0
STOP_S: Final = 30.0
_PROGRAMS: Final = ("dockerd", "rootlesskit", "slirp4netns", "newuidmap", "setpriv", "useradd")
PACKAGES: Final = "root; sudo apt-get install docker.io rootlesskit slirp4netns uidmap"


def folder() -> Path:
    """Where the engine lives: owned by that user."""
    return Path(os.environ.get("NINES_ENGINE_ROOTLESS") or "/var/tmp/nines-engine-rootless")  # noqa: S108 - in a folder of no user


def may() -> bool:
    """Whether this machine can have one."""
    return os.geteuid() == 0 and all(map(shutil.which, _PROGRAMS)) and Path(CONTRIB, "dockerd-rootless.sh").exists()


def as_user(*command: str) -> list[str]:
    """The command, run by that user. One capability to read: the tests' interpreter may lie in root's home."""
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", *reads, "--", *command]


def environment() -> dict[str, str]:
    """Of that user's shell: none of root's variables."""
    home = pwd.getpwnam(USER).pw_dir
    return {
        "HOME": home,
        "PATH": f"{CONTRIB}:/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_RUNTIME_DIR": str(folder()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def own(path: Path) -> Path:
    """Give it to that user, with all that is in it."""
    for each in (path, *path.rglob("*")):
        shutil.chown(each, USER, USER)
    return path


@contextlib.contextmanager
def running(options: Sequence[str] = ()) -> Iterator[str]:
    """Its ``DOCKER_HOST``; ended after the block, with all that it had started."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", USER], check=True)
    top = folder()
    top.mkdir(parents=True, exist_ok=True)
    shutil.chown(top, USER, USER)
    for device in ("/dev/net/tun", "/dev/fuse"):
        if Path(device).exists():
            Path(device).chmod(0o666)  # as distributions have them
    host = f"unix://{top}/docker.sock"
    settings = {"DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "slirp4netns", "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER": "builtin"}
    with (top / "log").open("ab") as log:
        process = subprocess.Popen(
            as_user("dockerd-rootless.sh", "--data-root", str(top / "data"), *options), env=environment() | settings, cwd=top,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        until_s = time.monotonic() + START_S
        while not answers({"DOCKER_HOST": host}):
            if process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"the rootless engine did not start: {(top / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield host
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((top / "docker.pid").read_text(encoding="ascii")), signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
