"""An ordinary user of this machine, made for tests: an account, subordinate ids, and nothing else. Needs root to become that user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

USER: Final = "nines-user"
PROGRAMS: Final = ("newuidmap", "setpriv", "useradd")


def may() -> bool:
    """Whether this machine can have one."""
    return os.geteuid() == 0 and all(map(shutil.which, PROGRAMS))


def ensure() -> None:
    """The account is there; devices that distributions let everybody open can be opened."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", USER], check=True)
    for device in ("/dev/net/tun", "/dev/fuse"):
        if Path(device).exists():
            Path(device).chmod(0o666)


def own_folder(path: Path) -> Path:
    """A folder of that user's; one that a former account of that name has left is emptied first."""
    if path.exists() and path.stat().st_uid != pwd.getpwnam(USER).pw_uid:
        shutil.rmtree(path)
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.chown(path, USER, USER)
    return path


def own(path: Path) -> Path:
    """Give it to that user, with all that is in it."""
    for each in (path, *path.rglob("*")):
        shutil.chown(each, USER, USER)
    return path


def as_user(*command: str, reads_all: bool = True) -> list[str]:
    """The command, run by that user. ``reads_all``: one capability, since the tests' interpreter may lie in root's home."""
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"] if reads_all else []
    return ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", *reads, "--", *command]


def environment(runtime_folder: Path, path: str = "") -> dict[str, str]:
    """Of that user's shell: none of root's variables."""
    return {
        "HOME": pwd.getpwnam(USER).pw_dir,
        "USER": USER,
        "PATH": f"{path}{':' if path else ''}/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_RUNTIME_DIR": str(runtime_folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
