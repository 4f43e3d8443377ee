"""A container of a CI job, as far as anything of ours can tell: processes, network, host name and mounts of its own, and a script in it.

Its network is a pair of interfaces whose other end is put into the engine's own network, as a service of the job is reached; without
that it is alone, and has what is mounted.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

NAME: Final = "runner-1-project-1-concurrent-0"
"""What GitLab calls the host of a job."""
SERVICE, JOB = "198.18.250.1", "198.18.250.2"
WIDTH: Final = 30
_INSIDE: Final = """
set -e
hostname "$1"; shift
mount --make-rprivate /
mount -t tmpfs tmpfs /run
while [ "$1" != -- ]; do [ -e "$2" ] || touch "$2"; mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"
"""


class Job(msgspec.Struct):
    """Where its commands run."""

    namespace: str
    mounts: dict[str, str]
    """What is there -> where the job has it."""

    def command(self, words: Sequence[str]) -> list[str]:
        """That command, started inside."""
        own = ["ip", "netns", "exec", self.namespace, "unshare", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "--mount"]
        mounts = [word for pair in self.mounts.items() for word in pair]
        return [*own, "sh", "-c", _INSIDE, "sh", NAME, *mounts, "--", *words]

    def run(self, command: list[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
        """The exit status and all that was said. ``folder`` is the project's, where the script runs."""
        done = subprocess.run(
            self.command(command), cwd=folder, env=dict(environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


@contextlib.contextmanager
def job(mounts: Mapping[str, str], engine_pid: int | None = None, hosts: Path | None = None) -> Iterator[Job]:
    """One that lives for the block. ``engine_pid``: a process in the network where the service ``docker`` stands; ``hosts`` names that."""
    name = f"nines-job-{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("-netns", name, "link", "set", "lo", "up")
        given = dict(mounts)
        if engine_pid is not None:
            assert hosts is not None, "the service has a name"
            ip("-netns", name, "link", "add", "eth0", "type", "veth", "peer", "name", "nines-service", "netns", str(engine_pid))
            ip("-netns", name, "addr", "add", f"{JOB}/{WIDTH}", "dev", "eth0")
            ip("-netns", name, "link", "set", "eth0", "up")
            service = ["nsenter", "--net", "--target", str(engine_pid), "ip"]
            for words in (["addr", "add", f"{SERVICE}/{WIDTH}", "dev", "nines-service"], ["link", "set", "nines-service", "up"]):
                subprocess.run([*service, *words], check=True, capture_output=True)
            hosts.write_text(f"127.0.0.1 localhost\n{SERVICE} docker\n", encoding="ascii")
            given[str(hosts)] = "/etc/hosts"
        yield Job(name, given)
    finally:
        ip("netns", "delete", name)
