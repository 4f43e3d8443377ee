"""What the faults of a plan need inside the nodes' containers, beside the system itself. A plan without such faults has none of it.

    tools     stress-ng and libfaketime, read-only at ``/.nines`` of every system's container, from a volume of the run
    disks     the nodes' data folders as disks of limited size, in memory, which the agent mounts as well, so that they outlive the system
    scratch   a folder on the engine's disk for what loads it
    clock     a folder that a node shares with its agent: its wall clock, and the library that reads it

What the faults need says which; disks are limited where ``cluster.resources.disk`` says a size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.engine.images.build import Note, quiet
from chaos.engine.images.ensure import ensure_base
from chaos.engine.images.tools import FOLDER, ensure_tools
from chaos.plan.capabilities import needed
from chaos.plan.plan import Plan
from chaos.runtimes.docker.containers import Containers, Spec

TOOLS: Final = "tools"
"""The role of the container that is made to fill the volume."""
DISKS_INSIDE: Final = "/run/nines-disks"
"""Where the agent has a node's data folders, by their numbers."""
SCRATCH_INSIDE: Final = "/.nines-scratch"
FILLED_WITHIN_S: Final = 30.0
CLOCK_INSIDE: Final = "/.nines-clock"


class Supplies(msgspec.Struct, frozen=True):
    """Which of it a plan needs."""

    tools: bool = False
    scratch: bool = False
    remounts: bool = False
    clocks: bool = False
    skews: bool = False
    """One of them runs at another rate."""
    disk_bytes: int | None = None

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the agent must be allowed beyond its rules: to look into the system's processes, whoever they run as; to remount."""
        return ("SYS_PTRACE",) * self.tools + ("SYS_ADMIN",) * self.remounts


def supplies(plan: Plan) -> Supplies:
    """By the faults of the plan and its resources."""
    needs = needed(plan)
    return Supplies(
        tools=bool(needs & {Capability.CGROUP, Capability.OWN_CLOCK}),
        scratch=Capability.SHARED_DISK in needs,
        remounts=Capability.REMOUNT in needs,
        clocks=Capability.OWN_CLOCK in needs,
        skews=Capability.CLOCK_RATE in needs,
        disk_bytes=plan.experiment.cluster.resources.disk_bytes,
    )


def disks_in(inside: str, volumes: Sequence[str]) -> dict[str, str]:
    """Volume -> folder, for those who have a node's data folders by number."""
    return {volume: f"{inside}/{number}" for number, volume in enumerate(volumes)}


def volume_of(run: str) -> str:
    """The name of a run's volume with the tools."""
    return f"nines-{run}-{TOOLS}"


def tools_image(engine: Engine, note: Note = quiet) -> str:
    """Made now if it is not there yet: nothing has begun, and an engine that cannot have it is refused."""
    return ensure_tools(engine, ensure_base(engine, note), note)


def provide(containers: Containers, image: str) -> None:
    """Make the volume, with the run's labels: the engine fills an empty one from the image of the container that names it first."""
    name = volume_of(containers.run)
    made = containers.create(Spec(name=name, node="", role=TOOLS, image=image, command=(), volumes={name: FOLDER}))
    if containers.by_podman:
        containers.start(made, name)
        with translated(f"waiting for the container {name}"):
            containers.api.wait(made, timeout=FILLED_WITHIN_S)
    with translated(f"removing the container {name}"):
        containers.api.remove_container(made)
