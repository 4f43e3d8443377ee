"""Docker of an ordinary user: rootlesskit, slirp4netns, no systemd. Needs root to become that user; its images stay in the folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.support import ordinary_user
from tests.support.engine_process import answering

CONTRIB: Final = "/usr/share/docker.io/contrib"
_PROGRAMS: Final = ("dockerd", "rootlesskit", "slirp4netns")
PACKAGES: Final = "root; sudo apt-get install docker.io rootlesskit slirp4netns uidmap"


def folder() -> Path:
    """Where the engine lives: owned by that user."""
    return Path(os.environ.get("NINES_ENGINE_ROOTLESS") or "/var/tmp/nines-engine-rootless")  # noqa: S108 - in a folder of no user


def may() -> bool:
    """Whether this machine can have one."""
    return ordinary_user.may() and all(map(shutil.which, _PROGRAMS)) and Path(CONTRIB, "dockerd-rootless.sh").exists()


def environment() -> dict[str, str]:
    """Of that user's shell."""
    return ordinary_user.environment(folder(), CONTRIB)


@contextlib.contextmanager
def running(options: Sequence[str] = ()) -> Iterator[str]:
    """Its ``DOCKER_HOST``; ended after the block, with all that it had started."""
    ordinary_user.ensure()
    top = ordinary_user.own_folder(folder())
    settings = {"DOCKERD_ROOTLESS_ROOTLESSKIT_NET": "slirp4netns", "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER": "builtin"}
    command = ordinary_user.as_user("dockerd-rootless.sh", "--data-root", str(top / "data"), *options)
    with answering(command, f"unix://{top}/docker.sock", top, top / "docker.pid", environment() | settings) as host:
        yield host
