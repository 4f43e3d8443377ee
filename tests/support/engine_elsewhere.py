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
def running(options: Sequence[str] = (), programs: Sequence[Path] = ()) -> Iterator[str]:
    """Its ``DOCKER_HOST``; ended after the block, with all that it had started. ``options`` of dockerd, to which ``shared`` is /mnt.

    ``programs``: folders in which dockerd itself and what it calls are looked for first; not below what is hidden.
    """
    top = folder()
    for each in ("shared", "data", "exec"):
        (top / each).mkdir(parents=True, exist_ok=True)
    shared = top / "shared"
    (shared / "empty.json").write_text("{}\n", encoding="ascii")
    host = f"unix://{shared}/docker.sock"
    unshare = ["unshare", "--mount", "--net", "--uts", "--ipc", "--time", "--monotonic", str(AHEAD_S), "--boottime", str(AHEAD_S), "--fork"]
    own = {name: value for name, value in os.environ.items() if name != "TMPDIR"}  # a folder that it may not see
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    command = [*unshare, "sh", "-c", _SCRIPT, "sh", str(top), HIDDEN, *options]
    with answering(command, host, top, shared / "docker.pid", own | {"PATH": path}):
        yield host
