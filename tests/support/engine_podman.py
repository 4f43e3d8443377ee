"""Podman by its Docker-compatible socket, of root or of an ordinary user. Needs root; its images stay in the folder, for the next time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support import ordinary_user
from tests.support.engine_process import answering

PACKAGES: Final = "root; sudo apt-get install podman"
ROOTLESS_PACKAGES: Final = "root; sudo apt-get install podman uidmap slirp4netns fuse-overlayfs"
UNLIMITED: Final = """#!/usr/bin/env python3
import json, os, sys
words = sys.argv
if "create" in words or "exec" in words:
    made = "create" in words
    path = os.path.join(words[words.index("--bundle") + 1], "config.json") if made else words[words.index("--process") + 1]
    config = json.load(open(path))
    (config["process"] if made else config).pop("rlimits", None)
    json.dump(config, open(path, "w"))
os.execvp("runc", ["runc", *words[1:]])
"""
"""Where nobody may raise limits (no CAP_SYS_RESOURCE) no container of Podman's starts: they are left out of its description."""


STORAGE: Final = """[storage]
driver = "overlay"
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
"""
"""As Debian's own file of an ordinary user has it; else images are whole copies of each other."""


def folder(*, rootless: bool = False) -> Path:
    """Where it lives."""
    setting, name = ("NINES_ENGINE_PODMAN_ROOTLESS", "podman-rootless") if rootless else ("NINES_ENGINE_PODMAN", "podman")
    return Path(os.environ.get(setting) or f"/var/tmp/nines-engine-{name}")  # noqa: S108 - in a folder of no user


def may(*, rootless: bool = False) -> bool:
    """Whether this machine can have one."""
    programs = ("podman", "slirp4netns", "fuse-overlayfs") if rootless else ("podman",)
    return os.geteuid() == 0 and all(map(shutil.which, programs)) and (not rootless or ordinary_user.may())


def environment() -> dict[str, str]:
    """Of the shell of the user whose Podman it is, if that is not root."""
    return ordinary_user.environment(folder(rootless=True))


@contextlib.contextmanager
def running(*, rootless: bool = False) -> Iterator[str]:
    """Its ``DOCKER_HOST``; ended after the block."""
    top = folder(rootless=rootless)
    if rootless:
        ordinary_user.ensure()
        ordinary_user.own_folder(top)
    top.mkdir(parents=True, exist_ok=True)
    runtime, settings, socket = top / "runtime-unlimited", top / "containers.conf", top / "podman.sock"
    runtime.write_text(UNLIMITED, encoding="ascii")
    runtime.chmod(0o755)
    settings.write_text(f'[engine]\nruntime = "plain"\n[engine.runtimes]\nplain = ["{runtime}"]\n', encoding="ascii")
    where = ["--root", str(top / "store"), "--runroot", str(top / "runroot")]
    command = ["podman", *where, "system", "service", "--time=0", f"unix://{socket}"]
    own = {"CONTAINERS_CONF": str(settings)}
    if rootless:
        (top / "storage.conf").write_text(STORAGE, encoding="ascii")
        own["CONTAINERS_STORAGE_CONF"] = str(top / "storage.conf")
        command = ordinary_user.as_user(*command, reads_all=False)
    with answering(command, f"unix://{socket}", top, environment=(environment() if rootless else dict(os.environ)) | own) as host:
        yield host
