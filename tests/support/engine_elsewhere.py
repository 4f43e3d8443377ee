"""An engine that is not on this machine, as far as anything of ours can tell: a dockerd in namespaces of its own.

From outside its containers' addresses have no route, the caller's files are not there, its host name is another one, and its monotonic
clock runs 100,000 s ahead. Only its socket is shared. Needs root. Its images stay in the folder, for the next time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos.engine.connection import answers
from tests.support.engine_process import answering

AHEAD_S: Final = 100_000
HIDDEN: Final = "/home /root /srv /work /tmp"
_SCRIPT: Final = """
set -e
folder=$1; hidden=$2; shift 2
hostname somewhere-else
ip link set lo up
mount --make-rprivate /
mount --bind "$folder/shared" /mnt
mount -t tmpfs tmpfs /run
for each in $hidden; do if [ -d "$each" ]; then mount -t tmpfs tmpfs "$each"; fi; done
cd /
exec dockerd --config-file /mnt/empty.json -H unix:///mnt/docker.sock -H unix:///var/run/docker.sock --data-root "$folder/data" \\
    --exec-root "$folder/exec" --pidfile /mnt/docker.pid "$@"
"""


def folder() -> Path:
    """Where it lives: outside of what it does not see."""
    return Path(os.environ.get("NINES_ENGINE_ELSEWHERE") or "/var/tmp/nines-engine-elsewhere")  # noqa: S108 - it must not be hidden


def pid() -> int:
    """Of the engine."""
    return int((folder() / "shared" / "docker.pid").read_text(encoding="ascii"))


def may() -> bool:
    """Whether this machine can have one."""
    return os.geteuid() == 0 and all(shutil.which(program) for program in ("dockerd", "unshare", "ip", "mount"))


@contextlib.contextmanager
def running(options: Sequence[str] = ()) -> Iterator[str]:
    """Its ``DOCKER_HOST``; ended after the block, with all that it had started. ``options`` of dockerd, to which ``shared`` is /mnt."""
    top = folder()
    for each in ("shared", "data", "exec"):
        (top / each).mkdir(parents=True, exist_ok=True)
    shared = top / "shared"
    (shared / "empty.json").write_text("{}\n", encoding="ascii")
    host = f"unix://{shared}/docker.sock"
    if answers({"DOCKER_HOST": host}):
        raise RuntimeError(f"an engine runs in {top} already: end it, or name another folder with NINES_ENGINE_ELSEWHERE")
    for each in ("docker.pid", "docker.sock"):
        (shared / each).unlink(missing_ok=True)
    unshare = ["unshare", "--mount", "--net", "--uts", "--ipc", "--time", "--monotonic", str(AHEAD_S), "--boottime", str(AHEAD_S), "--fork"]
    with answering([*unshare, "sh", "-c", _SCRIPT, "sh", str(top), HIDDEN, *options], host, top, shared / "docker.pid"):
        yield host
