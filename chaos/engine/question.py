"""One short-lived container that answers a question about an image or the kernel, and is gone afterwards whatever happened.

The SDK's own ``containers.run(remove=True)`` leaves a container behind that was created and could not be started. Ours carries the
labels of a run of its own, so that ``nines leftovers`` finds it even if this process is killed half-way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from chaos.engine import leftovers as leftovers_docker
from chaos.engine.errors import translated
from chaos.registry import processes as proc
from chaos.registry import runs as registry

if TYPE_CHECKING:
    from chaos.engine.connection import Engine

ROLE = "question"
WITHIN_S = 60.0


class Said(msgspec.Struct, frozen=True):
    """What the container printed, and how it ended."""

    status: int
    out: bytes
    err: str


def ask(engine: Engine, image: str, command: Sequence[str], capabilities: Sequence[str] = (), why: str = "asking a container") -> Said:
    """Run the command in a container without a network; ``EnvironmentUnusable`` if the engine cannot do that."""
    api = engine.client.api
    with translated(why):
        host = api.create_host_config(cap_add=list(capabilities), network_mode="none")
        made = api.create_container(image, list(command), labels=_labels(), host_config=host)["Id"]
        try:
            api.start(made)
            status = int(api.wait(made, timeout=WITHIN_S)["StatusCode"])
            out, err = (api.logs(made, stdout=stdout, stderr=not stdout) for stdout in (True, False))
        finally:
            api.remove_container(made, force=True, v=True)
    return Said(status, bytes(out), bytes(err).decode(errors="replace"))


def _labels() -> Mapping[str, str]:
    me = proc.own_identity()
    run = f"{ROLE}-{me.pid}-{me.start}"
    return {leftovers_docker.RUN: run, leftovers_docker.ROLE: ROLE} | leftovers_docker.owner(me, registry.state_dir())
